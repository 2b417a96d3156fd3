/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw check: is a message well formed?
 *
 * One row per command.  Where stock clients disagree about a member of the base
 * protocol (argsz with or without the header, members that only a reply fills
 * in), the table takes all of them; of the extension it takes exactly what
 * vfio-user-proto.h says.  Reserved header flags and the error member of a
 * command are ignored, as every known peer does.
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "hw/pci-ep/epw.h"

/* A request for region information may come with room for the answer. */
#define MAX_REGION_INFO (64 * 1024)

typedef struct EpwRule {
    uint16_t cmd;
    EpwRole role;           /* who receives it */
    unsigned feature;       /* must be agreed; 0: base protocol */
    const char *name;
    uint32_t min, max;      /* payload bytes */
    unsigned max_fds;
    int (*check)(const EpwMsg *m, uint32_t max_xfer);
} EpwRule;

static bool wraps64(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum);
}

static int check_version(const EpwMsg *m, uint32_t max_xfer)
{
    size_t n = epw_msg_len(m);

    return n > sizeof(VfuVersion) && m->payload[n - 1] ? EINVAL : 0;
}

static int check_dma_map(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuDmaMap *p = (const void *)m->payload;

    if (p->argsz < sizeof(*p) ||
        !p->flags || (p->flags & ~(VFU_DMA_READ | VFU_DMA_WRITE)) ||
        !p->size || wraps64(p->address, p->size) ||
        wraps64(p->offset, p->size)) {
        return EINVAL;
    }
    return 0;
}

static int check_dma_unmap(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuDmaUnmap *p = (const void *)m->payload;

    if (p->argsz < sizeof(*p)) {
        return EINVAL;
    }
    if (p->flags == VFU_DMA_UNMAP_ALL) {
        return p->address || p->size ? EINVAL : 0;
    }
    /* a range may end at 2^64, hence the last byte and not the end */
    if (p->flags || !p->size || wraps64(p->address, p->size - 1)) {
        return EINVAL;
    }
    return 0;
}

static int check_info(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuDeviceInfo *p = (const void *)m->payload;

    return p->argsz < sizeof(*p) ? EINVAL : 0;
}

static int check_region_info(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuRegionInfo *p = (const void *)m->payload;

    return p->argsz < sizeof(*p) ? EINVAL : 0;
}

static int check_region_io_fds(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuRegionIoFds *p = (const void *)m->payload;

    return p->argsz < sizeof(*p) || p->flags || p->count ? EINVAL : 0;
}

static int check_irq_info(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuIrqInfo *p = (const void *)m->payload;

    return p->argsz < sizeof(*p) ? EINVAL : 0;
}

static int check_set_irqs(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuSetIrqs *p = (const void *)m->payload;
    uint32_t data = p->flags & VFU_IRQ_DATA_MASK;
    uint32_t action = p->flags & VFU_IRQ_ACTIONS;
    uint32_t extra = data == VFU_IRQ_DATA_BOOL ? p->count : 0;
    uint32_t end;

    if (ctpop32(data) != 1 || ctpop32(action) != 1 ||
        p->flags != (data | action)) {
        return EINVAL;
    }
    if (epw_msg_len(m) - sizeof(*p) != extra ||
        p->argsz < epw_msg_len(m)) {
        return EINVAL;
    }
    if (p->index >= VFU_NUM_IRQS ||
        (p->index >= VFU_IRQ_ERR && action != VFU_IRQ_ACTION_TRIGGER) ||
        __builtin_add_overflow(p->start, p->count, &end)) {
        return EINVAL;
    }
    /* count 0 turns the whole index off and nothing else */
    if (!p->count && (p->start || data != VFU_IRQ_DATA_NONE ||
                      action != VFU_IRQ_ACTION_TRIGGER)) {
        return EINVAL;
    }
    /* no descriptor with EVENTFD detaches the range */
    if (m->nfds && (data != VFU_IRQ_DATA_EVENTFD || m->nfds != p->count)) {
        return EINVAL;
    }
    return 0;
}

/* @data: bytes that follow the fixed part in the message */
static int check_count(uint64_t start, uint64_t count, size_t data, bool write,
                       uint32_t max_xfer)
{
    if (!count || wraps64(start, count) || data != (write ? count : 0)) {
        return EINVAL;
    }
    return count > max_xfer ? E2BIG : 0;
}

static int check_region_rw(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuRegionRw *p = (const void *)m->payload;

    return check_count(p->offset, p->count, epw_msg_len(m) - sizeof(*p),
                       m->hdr.command == VFU_CMD_REGION_WRITE, max_xfer);
}

static int check_dma_rw(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuDmaRw *p = (const void *)m->payload;

    return check_count(p->address, p->count, epw_msg_len(m) - sizeof(*p),
                       m->hdr.command == VFU_CMD_DMA_WRITE, max_xfer);
}

static int check_ep_link(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuEpLink *p = (const void *)m->payload;

    if (p->argsz != sizeof(*p) || p->reserved) {
        return EINVAL;
    }
    switch (p->state) {
    case VFU_EP_LINK_DOWN:
        return p->speed || p->width ? EINVAL : 0;
    case VFU_EP_LINK_UP:
        if (!p->generation || p->speed < 1 || p->speed > 6 ||
            p->width > 32 || ctpop16(p->width) != 1) {
            return EINVAL;
        }
        return 0;
    default:
        return EINVAL;
    }
}

static int check_ep_reset(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuEpReset *p = (const void *)m->payload;

    if (p->argsz != sizeof(*p) || p->reserved ||
        p->kind < VFU_EP_RESET_HOT || p->kind > VFU_EP_RESET_FLR) {
        return EINVAL;
    }
    return 0;
}

static int check_ep_remap(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuEpRemap *p = (const void *)m->payload;

    if (p->argsz != sizeof(*p) || p->reserved ||
        p->region > VFU_REGION_BAR5) {
        return EINVAL;
    }
    return 0;
}

static int check_ep_intx(const EpwMsg *m, uint32_t max_xfer)
{
    const VfuEpIntx *p = (const void *)m->payload;

    return p->argsz != sizeof(*p) || p->reserved || p->level > 1 ? EINVAL : 0;
}

#define RULE(cmd_, role_, feature_, ...) \
    { VFU_CMD_##cmd_, EPW_##role_, feature_, #cmd_, __VA_ARGS__ }
#define EXACT(type) sizeof(type), sizeof(type)
/* check_count() bounds the data; EPW_MAX_MSG bounds the message */
#define DATA(type) sizeof(type), EPW_MAX_MSG

static const EpwRule rules[] = {
    RULE(VERSION, SERVER, 0, sizeof(VfuVersion),
         sizeof(VfuVersion) + EPW_MAX_JSON, 0, check_version),
    RULE(DMA_MAP, SERVER, 0, EXACT(VfuDmaMap), 1, check_dma_map),
    RULE(DMA_UNMAP, SERVER, 0, EXACT(VfuDmaUnmap), 0, check_dma_unmap),
    RULE(GET_INFO, SERVER, 0, EXACT(VfuDeviceInfo), 0, check_info),
    RULE(GET_REGION_INFO, SERVER, 0, sizeof(VfuRegionInfo), MAX_REGION_INFO,
         0, check_region_info),
    RULE(GET_REGION_IO_FDS, SERVER, 0, EXACT(VfuRegionIoFds), 0,
         check_region_io_fds),
    RULE(GET_IRQ_INFO, SERVER, 0, EXACT(VfuIrqInfo), 0, check_irq_info),
    RULE(SET_IRQS, SERVER, 0, DATA(VfuSetIrqs), EPW_MAX_FDS, check_set_irqs),
    RULE(REGION_READ, SERVER, 0, EXACT(VfuRegionRw), 0, check_region_rw),
    RULE(REGION_WRITE, SERVER, 0, DATA(VfuRegionRw), 0, check_region_rw),
    RULE(DMA_READ, CLIENT, 0, EXACT(VfuDmaRw), 0, check_dma_rw),
    RULE(DMA_WRITE, CLIENT, 0, DATA(VfuDmaRw), 0, check_dma_rw),
    RULE(DEVICE_RESET, SERVER, 0, 0, 0, 0, NULL),
    RULE(EP_LINK, CLIENT, VFU_EP_FEATURE_LINK, EXACT(VfuEpLink), 0,
         check_ep_link),
    RULE(EP_RESET, SERVER, VFU_EP_FEATURE_RESET, EXACT(VfuEpReset), 0,
         check_ep_reset),
    RULE(EP_REMAP, CLIENT, VFU_EP_FEATURE_REMAP, EXACT(VfuEpRemap), 0,
         check_ep_remap),
    RULE(EP_INTX, CLIENT, VFU_EP_FEATURE_INTX, EXACT(VfuEpIntx), 0,
         check_ep_intx),
};

static const EpwRule *find_rule(uint16_t cmd)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        if (rules[i].cmd == cmd) {
            return &rules[i];
        }
    }
    return NULL;
}

const char *epw_command_name(uint16_t cmd)
{
    const EpwRule *r = find_rule(cmd);

    return r ? r->name : "unknown command";
}

int epw_check_command(EpwRole role, const EpwMsg *m, unsigned features,
                      uint32_t max_xfer)
{
    const EpwRule *r = find_rule(m->hdr.command);
    size_t n = epw_msg_len(m);

    if ((m->hdr.flags & VFU_FLAG_TYPE_MASK) != VFU_FLAG_COMMAND) {
        return EINVAL;
    }
    if (!r || r->role != role || (features & r->feature) != r->feature) {
        return ENOSYS;
    }
    if (n < r->min || n > r->max || m->nfds > r->max_fds) {
        return EINVAL;
    }
    return r->check ? r->check(m, max_xfer) : 0;
}

int epw_check_reply(const EpwMsg *m, uint16_t cmd, size_t min, size_t want)
{
    size_t n = epw_msg_len(m);

    if ((m->hdr.flags & VFU_FLAG_TYPE_MASK) != VFU_FLAG_REPLY ||
        m->hdr.command != cmd) {
        return EINVAL;
    }
    if (m->hdr.flags & VFU_FLAG_ERROR) {
        return m->hdr.error >= 1 && m->hdr.error <= 4095 ? m->hdr.error : EIO;
    }
    return n < min || n > want ? EINVAL : 0;
}
