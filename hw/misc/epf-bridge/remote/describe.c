/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * describe: asks the endpoint what its function looks like
 *
 * Everything runs in the connection thread.  All answers are checked here,
 * because the main loop builds a PCI device from them, and QEMU trusts what it
 * is given.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/misc/epf-bridge/remote/areas.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/describe.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/trace.h"

/* Times that the endpoint may revoke a BAR while this side maps it */
#define EPF_DESCRIBE_TRIES 16

/*
 * As epf_remote_call(), for a reply of @min to @want bytes that is no error.
 * The caller frees *@reply, which is NULL unless this returns 0.
 */
static int epf_describe_ask(EpfRemote *r, uint16_t cmd, const void *payload,
                            size_t len, size_t min, size_t want,
                            EpwMsg **reply)
{
    struct iovec iov = { .iov_base = (void *)payload, .iov_len = len };
    int ret = epf_remote_call(r, cmd, &iov, 1, NULL, 0, reply);

    if (!ret) {
        ret = -epw_check_reply(*reply, cmd, min, want);
    }
    if (ret) {
        epw_msg_free(*reply);
        *reply = NULL;
    }
    return ret;
}

static bool epf_describe_device(EpfRemote *r, Error **errp)
{
    VfuDeviceInfo in = { .argsz = sizeof(in) };
    const VfuDeviceInfo *out;
    EpwMsg *reply = NULL;
    bool ok;
    int ret = epf_describe_ask(r, VFU_CMD_GET_INFO, &in, sizeof(in),
                               sizeof(in), sizeof(in), &reply);

    ERRP_GUARD();
    if (ret) {
        error_setg_errno(errp, -ret, "the endpoint does not describe itself");
        return false;
    }
    out = (const VfuDeviceInfo *)reply->payload;
    ok = (out->flags & VFU_DEVICE_PCI) &&
         out->num_regions > VFU_REGION_CONFIG && out->num_irqs > VFU_IRQ_MSIX;
    epw_msg_free(reply);
    if (!ok) {
        error_setg(errp, "the server does not offer a PCI device");
        error_append_hint(errp, "Set 'socket' to the path of a pci-epc.\n");
    }
    return ok;
}

/*
 * Returns the description of region @index, which is part of *@reply; the
 * caller frees that.
 */
static const VfuRegionInfo *epf_describe_region(EpfRemote *r, unsigned index,
                                                EpwMsg **reply, Error **errp)
{
    VfuRegionInfo in = { .argsz = sizeof(in), .index = index };
    const VfuRegionInfo *out;
    int ret = epf_describe_ask(r, VFU_CMD_GET_REGION_INFO, &in, sizeof(in),
                               sizeof(in), sizeof(in), reply);

    if (ret) {
        error_setg_errno(errp, -ret, "the endpoint does not describe region "
                         "%u", index);
        return NULL;
    }
    out = (const VfuRegionInfo *)(*reply)->payload;
    if (out->index != index) {
        error_setg(errp, "the endpoint described region %u instead of %u",
                   out->index, index);
        epw_msg_free(*reply);
        *reply = NULL;
        return NULL;
    }
    return out;
}

static bool epf_describe_check_bar(EpfRemote *r, unsigned bar, uint64_t size,
                                   Error **errp)
{
    EpfBarShape *b = &r->bar[bar].shape;
    const EpfBarShape *below = bar ? &r->bar[bar - 1].shape : NULL;
    uint64_t max;

    *b = (EpfBarShape) {
        .size = size,
        .type = pci_get_long(r->config + PCI_BASE_ADDRESS_0 + bar * 4) &
                ~PCI_BASE_ADDRESS_MEM_MASK,
    };
    if (epf_bar_is_io(b)) {
        b->type = PCI_BASE_ADDRESS_SPACE_IO;
        return epf_bar_check(bar, b, below, EPF_BAR_IO_SIZE_MIN,
                             EPF_BAR_IO_SIZE_MAX, errp);
    }
    /* The width of a virtual function's BAR is in the SR-IOV capability. */
    max = epf_bar_is_64(b) || r->is_virtual ? EPF_BAR64_SIZE_MAX :
                                              EPF_BAR32_SIZE_MAX;
    return epf_bar_check(bar, b, below, EPF_BAR_SIZE_MIN, max, errp);
}

/*
 * A server that does not know this project may have what this side cannot show.
 * The guest does without it then. An endpoint of this project is refused as a
 * whole, so that its user notices.
 */
static bool epf_describe_leave_out(EpfRemote *r, unsigned bar, Error *err,
                                   Error **errp)
{
    if (epf_remote_caps(r).features & VFU_EP_FEATURE_LINK) {
        error_propagate(errp, err);
        return false;
    }
    r->bar[bar].shape = (EpfBarShape) { };
    error_prepend(&err, "the guest does not see a BAR: ");
    epf_remote_report_err(r, err);
    return true;
}

/* A BAR for which there is no address space is reached by message. */
static void epf_describe_reserve(EpfRemote *r, unsigned bar)
{
    EpfBar *b = &r->bar[bar];
    Error *err = NULL;

    if (epf_bar_is_io(&b->shape) ||
        !QEMU_IS_ALIGNED(b->shape.size, qemu_real_host_page_size())) {
        return;
    }
    b->mem = ep_mem_reserve(b->shape.size, &err);
    if (!b->mem) {
        error_prepend(&err, "BAR %u is reached by messages: ", bar);
        epf_remote_report_err(r, err);
    }
}

/* Asks until the answer describes the BAR as it is at that moment. */
static bool epf_describe_areas(EpfRemote *r, unsigned bar, Error **errp)
{
    for (unsigned i = 0; i < EPF_DESCRIBE_TRIES; i++) {
        unsigned revision = epf_areas_revision(r, bar);

        epf_areas_query(r, bar, revision);
        if (epf_areas_revision(r, bar) == revision) {
            trace_epf_bridge_describe_bar(r->device, r->func, r->generation,
                                          bar, r->bar[bar].shape.size,
                                          r->bar[bar].shape.type);
            return true;
        }
    }
    error_setg(errp, "the endpoint has revoked BAR %u %u times while it was "
               "mapped", bar, EPF_DESCRIBE_TRIES);
    return false;
}

static bool epf_describe_bar(EpfRemote *r, unsigned bar, Error **errp)
{
    EpwMsg *reply = NULL;
    const VfuRegionInfo *info = epf_describe_region(r, bar, &reply, errp);
    bool ok = info;
    uint64_t size = ok ? info->size : 0;
    Error *err = NULL;

    epw_msg_free(reply);
    if (!size) {
        return ok;
    }
    if (!epf_describe_check_bar(r, bar, size, &err)) {
        return epf_describe_leave_out(r, bar, err, errp);
    }
    epf_describe_reserve(r, bar);
    return epf_describe_areas(r, bar, errp);
}

static bool epf_describe_read_config(EpfRemote *r, Error **errp)
{
    uint32_t chunk = MIN(epf_remote_caps(r).max_xfer, 1024);
    uint32_t at = 0;

    if (chunk < 4) {
        error_setg(errp, "the server takes %u bytes in a message, fewer than "
                   "4", chunk);
        return false;
    }
    while (at < r->config_size) {
        uint32_t n = MIN(chunk, r->config_size - at);
        VfuRegionRw rw = {
            .offset = at, .region = VFU_REGION_CONFIG, .count = n,
        };
        size_t want = sizeof(rw) + n;
        EpwMsg *reply = NULL;
        int ret = epf_describe_ask(r, VFU_CMD_REGION_READ, &rw, sizeof(rw),
                                   want, want, &reply);

        if (ret) {
            error_setg_errno(errp, -ret, "cannot read the endpoint's "
                             "configuration space");
            return false;
        }
        memcpy(r->config + at, reply->payload + sizeof(rw), n);
        epw_msg_free(reply);
        at += n;
    }
    return true;
}

static bool epf_describe_config(EpfRemote *r, Error **errp)
{
    EpwMsg *reply = NULL;
    const VfuRegionInfo *info;

    ERRP_GUARD();
    info = epf_describe_region(r, VFU_REGION_CONFIG, &reply, errp);
    if (!info) {
        return false;
    }
    r->config_size = MIN(info->size, PCIE_CONFIG_SPACE_SIZE);
    epw_msg_free(reply);
    if (r->config_size != PCI_CONFIG_SPACE_SIZE &&
        r->config_size != PCIE_CONFIG_SPACE_SIZE) {
        error_setg(errp, "the endpoint's configuration space has %u bytes, "
                   "neither 256 nor 4096", r->config_size);
        return false;
    }
    if (!epf_describe_read_config(r, errp)) {
        return false;
    }
    r->is_virtual = pci_get_word(r->config + PCI_VENDOR_ID) == 0xffff;
    if (r->is_virtual && !r->func) {
        error_setg(errp, "the endpoint's vendor ID is 0xffff, which means no "
                   "device");
        error_append_hint(errp, "Set a vendor ID in the function.\n");
        return false;
    }
    if ((r->config[PCI_HEADER_TYPE] & ~PCI_HEADER_TYPE_MULTI_FUNCTION) !=
        PCI_HEADER_TYPE_NORMAL) {
        error_setg(errp, "the endpoint's header type 0x%02x is not that of an "
                   "endpoint", r->config[PCI_HEADER_TYPE]);
        return false;
    }
    if (r->config[PCI_INTERRUPT_PIN] > PCI_NUM_PINS) {
        error_setg(errp, "the endpoint's interrupt pin %u does not exist",
                   r->config[PCI_INTERRUPT_PIN]);
        return false;
    }
    return true;
}

static bool epf_describe_irqs(EpfRemote *r, Error **errp)
{
    for (unsigned i = VFU_IRQ_INTX; i <= VFU_IRQ_MSIX; i++) {
        VfuIrqInfo in = { .argsz = sizeof(in), .index = i };
        const VfuIrqInfo *out;
        EpwMsg *reply = NULL;
        int ret = epf_describe_ask(r, VFU_CMD_GET_IRQ_INFO, &in, sizeof(in),
                                   sizeof(in), sizeof(in), &reply);

        if (ret) {
            error_setg_errno(errp, -ret, "the endpoint does not describe "
                             "interrupt kind %u", i);
            return false;
        }
        out = (const VfuIrqInfo *)reply->payload;
        if (out->index == i && (out->flags & VFU_IRQ_INFO_EVENTFD)) {
            r->irqs[i] = MIN(out->count, PCI_MSIX_FLAGS_QSIZE + 1);
            r->intx_automasked |= i == VFU_IRQ_INTX &&
                                  (out->flags & VFU_IRQ_INFO_AUTOMASKED);
        }
        epw_msg_free(reply);
    }
    r->intx_eventfd = r->irqs[VFU_IRQ_INTX] &&
                      !(epf_remote_caps(r).features & VFU_EP_FEATURE_INTX);
    return true;
}

bool epf_describe(EpfRemote *r, Error **errp)
{
    if (!epf_describe_device(r, errp) || !epf_describe_config(r, errp)) {
        return false;
    }
    for (unsigned bar = 0; bar < EPF_NUM_BARS; bar++) {
        if (!epf_describe_bar(r, bar, errp)) {
            return false;
        }
    }
    return epf_describe_irqs(r, errp);
}
