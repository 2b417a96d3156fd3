/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check: says whether a message is well formed
 *
 * The table has one row per command.  Where stock clients disagree about a
 * member of the base protocol (argsz with or without the header, members that
 * only a reply fills in), the checks accept all of them; of the extension they
 * accept exactly what vfio-user-proto.h says.  Reserved header flags and the
 * error member of a command are ignored, as every known peer does.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "hw/pci-ep/wire/wire.h"

/* A request for region information may come with room for the answer. */
#define CHECK_MAX_REGION_INFO (64 * 1024)

typedef struct EpwRule {
    uint16_t cmd;
    EpwRole role;           /* who receives it */
    unsigned feature;       /* must be agreed; 0: base protocol */
    const char *name;
    uint32_t min, max;      /* payload bytes */
    unsigned max_fds;
    bool (*valid)(const EpwMsg *m);     /* NULL: always */
    uint64_t (*count)(const EpwMsg *m); /* data bytes, sent or asked for */
} EpwRule;

static bool check_wraps64(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum);
}

static bool check_version(const EpwMsg *m)
{
    size_t n = epw_msg_len(m);

    return n == sizeof(VfuVersion) || !m->payload[n - 1];
}

static bool check_dma_map(const EpwMsg *m)
{
    const VfuDmaMap *p = (const void *)m->payload;
    const uint32_t access = VFU_DMA_READ | VFU_DMA_WRITE;
    uint32_t known = access | (m->nfds ? VFU_DMA_MMAP : 0);

    return p->argsz >= sizeof(*p) &&
           (p->flags & access) && !(p->flags & ~known) &&
           p->size && !check_wraps64(p->address, p->size) &&
           !check_wraps64(p->offset, p->size);
}

static bool check_dma_unmap(const EpwMsg *m)
{
    const VfuDmaUnmap *p = (const void *)m->payload;

    if (p->argsz < sizeof(*p)) {
        return false;
    }
    if (p->flags == VFU_DMA_UNMAP_ALL) {
        return !p->address && !p->size;
    }
    /* A range may end at 2^64, so its last byte is checked and not its end. */
    return !p->flags && p->size && !check_wraps64(p->address, p->size - 1);
}

static bool check_info(const EpwMsg *m)
{
    const VfuDeviceInfo *p = (const void *)m->payload;

    return p->argsz >= sizeof(*p);
}

static bool check_region_info(const EpwMsg *m)
{
    const VfuRegionInfo *p = (const void *)m->payload;

    return p->argsz >= sizeof(*p);
}

static bool check_region_io_fds(const EpwMsg *m)
{
    const VfuRegionIoFds *p = (const void *)m->payload;

    return p->argsz >= sizeof(*p) && !p->flags && !p->count;
}

static bool check_irq_info(const EpwMsg *m)
{
    const VfuIrqInfo *p = (const void *)m->payload;

    return p->argsz >= sizeof(*p);
}

static bool check_set_irqs(const EpwMsg *m)
{
    const VfuSetIrqs *p = (const void *)m->payload;
    uint32_t data = p->flags & VFU_IRQ_DATA_MASK;
    uint32_t action = p->flags & VFU_IRQ_ACTIONS;
    uint32_t extra = data == VFU_IRQ_DATA_BOOL ? p->count : 0;
    uint32_t end;

    if (ctpop32(data) != 1 || ctpop32(action) != 1 ||
        p->flags != (data | action)) {
        return false;
    }
    if (epw_msg_len(m) - sizeof(*p) != extra ||
        p->argsz < epw_msg_len(m)) {
        return false;
    }
    if (p->index >= VFU_NUM_IRQS ||
        (p->index >= VFU_IRQ_ERR && action != VFU_IRQ_ACTION_TRIGGER) ||
        __builtin_add_overflow(p->start, p->count, &end)) {
        return false;
    }
    /* Count 0 is valid only to turn the whole index off. */
    if (!p->count && (p->start || data != VFU_IRQ_DATA_NONE ||
                      action != VFU_IRQ_ACTION_TRIGGER)) {
        return false;
    }
    /* EVENTFD without a descriptor detaches the range. */
    return !m->nfds ||
           (data == VFU_IRQ_DATA_EVENTFD && m->nfds == p->count);
}

/* @data is the number of bytes after the fixed part of the message. */
static bool check_range(uint64_t start, uint64_t count, size_t data,
                        bool write)
{
    return count && !check_wraps64(start, count) && data == (write ? count : 0);
}

static uint64_t check_count_region_rw(const EpwMsg *m)
{
    const VfuRegionRw *p = (const void *)m->payload;

    return p->count;
}

static bool check_region_rw(const EpwMsg *m)
{
    const VfuRegionRw *p = (const void *)m->payload;

    return check_range(p->offset, p->count, epw_msg_len(m) - sizeof(*p),
                       m->hdr.command == VFU_CMD_REGION_WRITE);
}

static bool check_region_writes(const EpwMsg *m)
{
    const VfuRegionWrites *p = (const void *)m->payload;
    const VfuRegionWrite *w = (const void *)(p + 1);

    if (!p->count || p->count > VFU_MAX_WRITES ||
        epw_msg_len(m) - sizeof(*p) != p->count * sizeof(*w)) {
        return false;
    }
    for (uint64_t i = 0; i < p->count; i++) {
        if (!w[i].count || w[i].count > sizeof(w[i].data) ||
            check_wraps64(w[i].offset, w[i].count)) {
            return false;
        }
    }
    return true;
}

static uint64_t check_count_dma_rw(const EpwMsg *m)
{
    const VfuDmaRw *p = (const void *)m->payload;

    return p->count;
}

static bool check_dma_rw(const EpwMsg *m)
{
    const VfuDmaRw *p = (const void *)m->payload;

    return check_range(p->address, p->count, epw_msg_len(m) - sizeof(*p),
                       m->hdr.command == VFU_CMD_DMA_WRITE);
}

static bool check_ep_link(const EpwMsg *m)
{
    const VfuEpLink *p = (const void *)m->payload;

    if (p->argsz != sizeof(*p) || p->reserved) {
        return false;
    }
    switch (p->state) {
    case VFU_EP_LINK_DOWN:
        return !p->speed && !p->width && !p->functions;
    case VFU_EP_LINK_UP:
        if (p->functions && !(p->functions & 1)) {
            return false;
        }
        return p->generation && p->speed >= 1 && p->speed <= 6 &&
               p->width <= 32 && ctpop16(p->width) == 1;
    default:
        return false;
    }
}

static bool check_ep_reset(const EpwMsg *m)
{
    const VfuEpReset *p = (const void *)m->payload;

    return p->argsz == sizeof(*p) && !p->reserved &&
           p->kind >= VFU_EP_RESET_HOT && p->kind <= VFU_EP_RESET_FLR;
}

static bool check_ep_remap(const EpwMsg *m)
{
    const VfuEpRemap *p = (const void *)m->payload;

    return p->argsz == sizeof(*p) && !p->reserved &&
           p->region <= VFU_REGION_BAR5;
}

static bool check_ep_intx(const EpwMsg *m)
{
    const VfuEpIntx *p = (const void *)m->payload;

    return p->argsz == sizeof(*p) && !p->reserved &&
           p->level <= VFU_EP_INTX_PULSE;
}

static bool check_ep_fault(const EpwMsg *m)
{
    const VfuEpFault *p = (const void *)m->payload;

    return p->argsz == sizeof(*p) && !p->reserved && p->write <= 1;
}

static bool check_ep_areas(const EpwMsg *m)
{
    const VfuEpAreas *p = (const void *)m->payload;

    return p->argsz == sizeof(*p) && !p->count &&
           p->region <= VFU_REGION_BAR5;
}

#define RULE(cmd_, role_, feature_, ...) \
    { VFU_CMD_##cmd_, EPW_##role_, feature_, #cmd_, __VA_ARGS__ }
/* The payload is a structure and nothing else. */
#define FIXED(cmd_, role_, feature_, type_, ...) \
    RULE(cmd_, role_, feature_, sizeof(type_), sizeof(type_), __VA_ARGS__)
/* A structure and data; EPW_MAX_MSG and the rule's functions bound the data. */
#define DATA(cmd_, role_, feature_, type_, ...) \
    RULE(cmd_, role_, feature_, sizeof(type_), EPW_MAX_MSG, __VA_ARGS__)

static const EpwRule rules[] = {
    RULE(VERSION, SERVER, 0, sizeof(VfuVersion),
         sizeof(VfuVersion) + EPW_MAX_JSON, 0, check_version),
    FIXED(DMA_MAP, SERVER, 0, VfuDmaMap, 1, check_dma_map),
    FIXED(DMA_UNMAP, SERVER, 0, VfuDmaUnmap, 0, check_dma_unmap),
    FIXED(GET_INFO, SERVER, 0, VfuDeviceInfo, 0, check_info),
    RULE(GET_REGION_INFO, SERVER, 0, sizeof(VfuRegionInfo),
         CHECK_MAX_REGION_INFO, 0, check_region_info),
    FIXED(GET_REGION_IO_FDS, SERVER, 0, VfuRegionIoFds, 0,
          check_region_io_fds),
    FIXED(GET_IRQ_INFO, SERVER, 0, VfuIrqInfo, 0, check_irq_info),
    DATA(SET_IRQS, SERVER, 0, VfuSetIrqs, EPW_MAX_FDS, check_set_irqs),
    FIXED(REGION_READ, SERVER, 0, VfuRegionRw, 0, check_region_rw,
          check_count_region_rw),
    DATA(REGION_WRITE, SERVER, 0, VfuRegionRw, 0, check_region_rw,
         check_count_region_rw),
    RULE(REGION_WRITE_MULTI, SERVER, 0,
         sizeof(VfuRegionWrites) + sizeof(VfuRegionWrite),
         sizeof(VfuRegionWrites) + VFU_MAX_WRITES * sizeof(VfuRegionWrite), 0,
         check_region_writes),
    FIXED(DMA_READ, CLIENT, 0, VfuDmaRw, 0, check_dma_rw, check_count_dma_rw),
    DATA(DMA_WRITE, CLIENT, 0, VfuDmaRw, 0, check_dma_rw, check_count_dma_rw),
    RULE(DEVICE_RESET, SERVER, 0, 0, 0, 0),
    FIXED(EP_LINK, CLIENT, VFU_EP_FEATURE_LINK, VfuEpLink, 0, check_ep_link),
    FIXED(EP_RESET, SERVER, VFU_EP_FEATURE_RESET, VfuEpReset, 0,
          check_ep_reset),
    FIXED(EP_REMAP, CLIENT, VFU_EP_FEATURE_REMAP, VfuEpRemap, 0,
          check_ep_remap),
    FIXED(EP_INTX, CLIENT, VFU_EP_FEATURE_INTX, VfuEpIntx, 0, check_ep_intx),
    FIXED(EP_FAULT, CLIENT, VFU_EP_FEATURE_FAULT, VfuEpFault, 0,
          check_ep_fault),
    FIXED(EP_AREAS, SERVER, VFU_EP_FEATURE_AREAS, VfuEpAreas, 0,
          check_ep_areas),
};

static const EpwRule *check_find_rule(uint16_t cmd)
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
    const EpwRule *r = check_find_rule(cmd);

    return r ? r->name : "unknown command";
}

const char *epw_region_name(unsigned region)
{
    static const char *const names[] = {
        "BAR0", "BAR1", "BAR2", "BAR3", "BAR4", "BAR5", "ROM", "config", "VGA",
    };

    QEMU_BUILD_BUG_ON(ARRAY_SIZE(names) != VFU_NUM_REGIONS);
    return region < ARRAY_SIZE(names) ? names[region] : "unknown region";
}

uint64_t epw_first_bytes(const void *data, size_t len)
{
    uint64_t value = 0;

    memcpy(&value, data, MIN(len, sizeof(value)));
    return le64_to_cpu(value);
}

static bool check_is_type(const EpwMsg *m, uint32_t type)
{
    return (m->hdr.flags & VFU_FLAG_TYPE_MASK) == type;
}

int epw_check_command(EpwRole role, const EpwMsg *m, unsigned features,
                      uint32_t max_xfer)
{
    const EpwRule *r = check_find_rule(m->hdr.command);
    size_t n = epw_msg_len(m);
    int err = 0;

    if (!r || r->role != role || (features & r->feature) != r->feature) {
        err = ENOSYS;
    } else if (!check_is_type(m, VFU_FLAG_COMMAND) ||
               n < r->min || n > r->max ||
               m->nfds > r->max_fds || (r->valid && !r->valid(m))) {
        err = EINVAL;
    } else if (r->count && r->count(m) > max_xfer) {
        err = E2BIG;
    }
    return err;
}

int epw_check_reply(const EpwMsg *m, uint16_t cmd, size_t min, size_t want)
{
    size_t n = epw_msg_len(m);
    int err = 0;

    if (!check_is_type(m, VFU_FLAG_REPLY) || m->hdr.command != cmd) {
        err = EINVAL;
    } else if (m->hdr.flags & VFU_FLAG_ERROR) {
        err = m->hdr.error >= 1 && m->hdr.error <= 4095 ? m->hdr.error : EIO;
    } else if (n < min || n > want) {
        err = EINVAL;
    }
    return err;
}

bool epw_is_eventfd(int fd)
{
    static const char kind[] = "anon_inode:[eventfd]";
    char path[64], target[sizeof(kind)];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, target, sizeof(target));
    return n == sizeof(kind) - 1 && !memcmp(target, kind, n);
}
