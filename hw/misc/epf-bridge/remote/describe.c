/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-query: asks the endpoint what its function looks like
 *
 * Runs in the link thread.  Whatever comes back is checked here, so that the
 * main loop can build a PCI device from it without meeting a surprise.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "epf-client.h"
#include "trace.h"

/* How often the endpoint may change a BAR while it is being mapped */
#define MAP_TRIES 16

static int ask(EpfLink *l, uint16_t cmd, const void *payload, size_t len,
               size_t min, size_t want, EpwMsg **reply)
{
    struct iovec iov = { .iov_base = (void *)payload, .iov_len = len };
    int ret = epf_link_call(l, cmd, &iov, 1, NULL, 0, reply);

    if (!ret) {
        ret = -epw_check_reply(*reply, cmd, min, want);
    }
    if (ret) {
        epw_msg_free(*reply);
        *reply = NULL;
    }
    return ret;
}

static bool query_info(EpfLink *l, Error **errp)
{
    VfuDeviceInfo in = { .argsz = sizeof(in) };
    const VfuDeviceInfo *out;
    EpwMsg *reply = NULL;
    bool ok;
    int ret = ask(l, VFU_CMD_GET_INFO, &in, sizeof(in), sizeof(in),
                  sizeof(in), &reply);

    if (ret) {
        error_setg_errno(errp, -ret, "the endpoint does not describe itself; "
                         "GET_INFO failed");
        return false;
    }
    out = (const VfuDeviceInfo *)reply->payload;
    ok = (out->flags & VFU_DEVICE_PCI) &&
         out->num_regions > VFU_REGION_CONFIG && out->num_irqs > VFU_IRQ_MSIX;
    epw_msg_free(reply);
    if (!ok) {
        error_setg(errp, "the server does not offer a PCI device; point "
                   "'socket' to a pci-epc");
    }
    return ok;
}

/* *@reply is valid and its info checked against @index on success. */
static const VfuRegionInfo *query_region(EpfLink *l, unsigned index,
                                         EpwMsg **reply, Error **errp)
{
    VfuRegionInfo in = { .argsz = sizeof(in), .index = index };
    const VfuRegionInfo *out;
    int ret = ask(l, VFU_CMD_GET_REGION_INFO, &in, sizeof(in), sizeof(in),
                  sizeof(in), reply);

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

static bool check_bar(EpfLink *l, unsigned bar, uint64_t size, Error **errp)
{
    uint32_t reg = pci_get_long(l->config + PCI_BASE_ADDRESS_0 + bar * 4);
    bool is64 = (reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
                PCI_BASE_ADDRESS_MEM_TYPE_64;
    uint64_t max = is64 || l->is_virtual ? EPF_BAR64_SIZE_MAX :
                                           EPF_BAR32_SIZE_MAX;
    bool upper = bar > 0 && l->bar[bar - 1].size &&
                 (l->bar[bar - 1].type & PCI_BASE_ADDRESS_MEM_TYPE_64);

    if (!size) {
        return true;
    }
    if (upper) {
        error_setg(errp, "BAR %u of the endpoint is the upper half of BAR %u",
                   bar, bar - 1);
    } else if (reg & PCI_BASE_ADDRESS_SPACE_IO) {
        error_setg(errp, "BAR %u of the endpoint is an I/O BAR; only memory "
                   "BARs are supported", bar);
    } else if (!is64 && (reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK)) {
        error_setg(errp, "BAR %u of the endpoint has a reserved type", bar);
    } else if (is64 && bar == EPF_NUM_BARS - 1) {
        error_setg(errp, "BAR %u of the endpoint cannot be 64 bits wide", bar);
    } else if (!is_power_of_2(size) || size < EPF_BAR_SIZE_MIN || size > max) {
        error_setg(errp, "BAR %u of the endpoint has size 0x%" PRIx64
                   "; it must be a power of two from 0x%x to 0x%" PRIx64,
                   bar, size, EPF_BAR_SIZE_MIN, max);
    } else {
        return true;
    }
    return false;
}

/* Without room the BAR is still reached by messages. */
static void reserve_bar(EpfLink *l, unsigned bar)
{
    EpfBar *b = &l->bar[bar];
    Error *err = NULL;

    b->mem = ep_mem_reserve(b->size, &err);
    if (!b->mem) {
        epf_client_report(l->client, "BAR %u is reached by messages, which is "
                          "slow: %s", bar, error_get_pretty(err));
        error_free(err);
    }
}

static void set_bar(EpfLink *l, unsigned bar, uint64_t size)
{
    EpfBar *b = &l->bar[bar];

    b->size = size;
    b->type = pci_get_long(l->config + PCI_BASE_ADDRESS_0 + bar * 4) &
              (PCI_BASE_ADDRESS_MEM_TYPE_MASK | PCI_BASE_ADDRESS_MEM_PREFETCH);
    if (QEMU_IS_ALIGNED(size, qemu_real_host_page_size())) {
        reserve_bar(l, bar);
    }
}

static bool query_bar(EpfLink *l, unsigned bar, Error **errp)
{
    EpwMsg *reply = NULL;
    const VfuRegionInfo *info = query_region(l, bar, &reply, errp);
    bool present = info && info->size;
    bool ok = info && check_bar(l, bar, info->size, errp);

    if (ok && present) {
        set_bar(l, bar, info->size);
    }
    epw_msg_free(reply);
    if (!ok || !present) {
        return ok;
    }
    for (unsigned i = 0; i < MAP_TRIES; i++) {
        unsigned revoked = epf_areas_revoked(l, bar);

        epf_areas_query(l, bar, revoked);
        if (epf_areas_revoked(l, bar) == revoked) {
            trace_epf_query_bar(l->generation, bar, l->bar[bar].size,
                                l->bar[bar].type);
            return true;
        }
    }
    error_setg(errp, "BAR %u of the endpoint does not come to rest", bar);
    return false;
}

static bool read_config(EpfLink *l, Error **errp)
{
    uint32_t chunk = MIN(epf_link_caps(l).max_xfer, 1024);
    uint32_t at = 0;

    if (chunk < 4) {
        error_setg(errp, "the server takes at most %u bytes in a message; "
                   "4 are needed", chunk);
        return false;
    }
    while (at < l->config_size) {
        uint32_t n = MIN(chunk, l->config_size - at);
        VfuRegionRw rw = {
            .offset = at, .region = VFU_REGION_CONFIG, .count = n,
        };
        size_t want = sizeof(rw) + n;
        EpwMsg *reply = NULL;
        int ret = ask(l, VFU_CMD_REGION_READ, &rw, sizeof(rw), want, want,
                      &reply);

        if (ret) {
            error_setg_errno(errp, -ret, "cannot read the endpoint's "
                             "configuration space");
            return false;
        }
        memcpy(l->config + at, reply->payload + sizeof(rw), n);
        epw_msg_free(reply);
        at += n;
    }
    return true;
}

static bool query_config(EpfLink *l, Error **errp)
{
    EpwMsg *reply = NULL;
    const VfuRegionInfo *info = query_region(l, VFU_REGION_CONFIG, &reply,
                                             errp);

    if (!info) {
        return false;
    }
    l->config_size = MIN(info->size, PCIE_CONFIG_SPACE_SIZE);
    epw_msg_free(reply);
    if (l->config_size != PCI_CONFIG_SPACE_SIZE &&
        l->config_size != PCIE_CONFIG_SPACE_SIZE) {
        error_setg(errp, "the endpoint's configuration space has %u bytes; "
                   "it must have 256 or 4096", l->config_size);
        return false;
    }
    if (!read_config(l, errp)) {
        return false;
    }
    l->is_virtual = pci_get_word(l->config + PCI_VENDOR_ID) == 0xffff;
    if (l->is_virtual && !epf_client_function(l->client)) {
        error_setg(errp, "the endpoint's vendor ID is 0xffff, which means no "
                   "device; set one in the function");
        return false;
    }
    if ((l->config[PCI_HEADER_TYPE] & ~PCI_HEADER_TYPE_MULTI_FUNCTION) !=
        PCI_HEADER_TYPE_NORMAL) {
        error_setg(errp, "the endpoint's header type 0x%02x is not that of an "
                   "endpoint", l->config[PCI_HEADER_TYPE]);
        return false;
    }
    if (l->config[PCI_INTERRUPT_PIN] > PCI_NUM_PINS) {
        error_setg(errp, "the endpoint's interrupt pin %u does not exist",
                   l->config[PCI_INTERRUPT_PIN]);
        return false;
    }
    return true;
}

static bool query_irqs(EpfLink *l, Error **errp)
{
    for (unsigned i = VFU_IRQ_INTX; i <= VFU_IRQ_MSIX; i++) {
        VfuIrqInfo in = { .argsz = sizeof(in), .index = i };
        const VfuIrqInfo *out;
        EpwMsg *reply = NULL;
        int ret = ask(l, VFU_CMD_GET_IRQ_INFO, &in, sizeof(in), sizeof(in),
                      sizeof(in), &reply);

        if (ret) {
            error_setg_errno(errp, -ret, "the endpoint does not describe "
                             "interrupt kind %u", i);
            return false;
        }
        out = (const VfuIrqInfo *)reply->payload;
        if (out->index == i && (out->flags & VFU_IRQ_INFO_EVENTFD)) {
            l->irqs[i] = MIN(out->count, PCI_MSIX_FLAGS_QSIZE + 1);
        }
        epw_msg_free(reply);
    }
    return true;
}

bool epf_query(EpfLink *l, Error **errp)
{
    if (!query_info(l, errp) || !query_config(l, errp)) {
        return false;
    }
    for (unsigned bar = 0; bar < EPF_NUM_BARS; bar++) {
        if (!query_bar(l, bar, errp)) {
            return false;
        }
    }
    return query_irqs(l, errp);
}
