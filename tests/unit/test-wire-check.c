/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of wire/check: every malformed message that the layouts give
 *
 * A table has a row with the layout of each command, and loops derive the
 * messages from it. Payloads are allocated to the byte, so that the address
 * sanitizer sees a check that reads further.
 */
#include "qemu/osdep.h"
#include "wire-test.h"

#define ALL VFU_EP_FEATURES_ALL
#define MAX_XFER 4096

typedef enum Kind {
    END,
    ANY,            /* whatever the peer likes */
    ARGSZ,          /* at least the value in the example */
    ARGSZ_EXACT,    /* exactly that */
    ZERO,           /* reserved: 0 */
    FLAGS,          /* every bit outside mask is refused */
    ENUM,           /* mask has a bit for every legal value */
    NONZERO,
    FUNCTIONS,      /* 0, or a mask with bit 0 */
} Kind;

typedef struct Field {
    Kind kind;
    unsigned size;
    uint64_t mask;
} Field;

typedef struct Layout {
    const char *name;
    uint16_t cmd;
    EpwRole role;
    unsigned feature;
    unsigned max_fds;
    size_t longest;         /* payload; 0: exactly the example */
    size_t len;             /* of the example */
    const void *example;
    Field fields[8];
} Layout;


/* REGION_WRITE_MULTI with one write */
typedef struct OneWrite {
    VfuRegionWrites head;
    VfuRegionWrite write;
} OneWrite;

static const Layout layouts[] = {
    { "VERSION", VFU_CMD_VERSION, EPW_SERVER, 0, 0, 4 + EPW_MAX_JSON,
      sizeof(VfuVersion), &(const VfuVersion) { 0, 1 },
      { { ANY, 2 }, { ANY, 2 } } },
    { "DMA_MAP", VFU_CMD_DMA_MAP, EPW_SERVER, 0, 1, 0,
      sizeof(VfuDmaMap), &(const VfuDmaMap) { 32, 3, 0x1000, 0x2000, 0x3000 },
      { { ARGSZ, 4 }, { FLAGS, 4, 3 }, { ANY, 8 }, { ANY, 8 },
        { NONZERO, 8 } } },
    { "DMA_UNMAP", VFU_CMD_DMA_UNMAP, EPW_SERVER, 0, 0, 0,
      sizeof(VfuDmaUnmap), &(const VfuDmaUnmap) { 24, 0, 0x2000, 0x3000 },
      { { ARGSZ, 4 }, { FLAGS, 4, 0 }, { ANY, 8 }, { NONZERO, 8 } } },
    { "DMA_UNMAP all", VFU_CMD_DMA_UNMAP, EPW_SERVER, 0, 0, 0,
      sizeof(VfuDmaUnmap), &(const VfuDmaUnmap) { 24, VFU_DMA_UNMAP_ALL },
      { { ARGSZ, 4 }, { FLAGS, 4, 2 }, { ZERO, 8 }, { ZERO, 8 } } },
    { "GET_INFO", VFU_CMD_GET_INFO, EPW_SERVER, 0, 0, 0,
      sizeof(VfuDeviceInfo), &(const VfuDeviceInfo) { 16 },
      { { ARGSZ, 4 }, { ANY, 4 }, { ANY, 4 }, { ANY, 4 } } },
    { "GET_REGION_INFO", VFU_CMD_GET_REGION_INFO, EPW_SERVER, 0, 0, 65536,
      sizeof(VfuRegionInfo), &(const VfuRegionInfo) { 32, 0, 7 },
      { { ARGSZ, 4 }, { ANY, 4 }, { ANY, 4 }, { ANY, 4 }, { ANY, 8 },
        { ANY, 8 } } },
    { "GET_REGION_IO_FDS", VFU_CMD_GET_REGION_IO_FDS, EPW_SERVER, 0, 0, 0,
      sizeof(VfuRegionIoFds), &(const VfuRegionIoFds) { 16 },
      { { ARGSZ, 4 }, { ZERO, 4 }, { ANY, 4 }, { ZERO, 4 } } },
    { "GET_IRQ_INFO", VFU_CMD_GET_IRQ_INFO, EPW_SERVER, 0, 0, 0,
      sizeof(VfuIrqInfo), &(const VfuIrqInfo) { 16 },
      { { ARGSZ, 4 }, { ANY, 4 }, { ANY, 4 }, { ANY, 4 } } },
    /* with descriptors its count is not free: test_set_irqs() */
    { "SET_IRQS", VFU_CMD_SET_IRQS, EPW_SERVER, 0, 0, 0,
      sizeof(VfuSetIrqs), &(const VfuSetIrqs) { 20, 0x21, VFU_IRQ_MSI, 1, 2 },
      { { ARGSZ, 4 }, { FLAGS, 4, 0x21 }, { ENUM, 4, 0x1f }, { ANY, 4 },
        { NONZERO, 4 } } },
    { "REGION_READ", VFU_CMD_REGION_READ, EPW_SERVER, 0, 0, 0,
      sizeof(VfuRegionRw), &(const VfuRegionRw) { 8, 0, 4 },
      { { ANY, 8 }, { ANY, 4 }, { NONZERO, 4 } } },
    { "DMA_READ", VFU_CMD_DMA_READ, EPW_CLIENT, 0, 0, 0,
      sizeof(VfuDmaRw), &(const VfuDmaRw) { 0x1000, 4 },
      { { ANY, 8 }, { NONZERO, 8 } } },
    { "DEVICE_RESET", VFU_CMD_DEVICE_RESET, EPW_SERVER, 0, 0, 0, 0, NULL },
    { "EP_LINK up", VFU_CMD_EP_LINK, EPW_CLIENT, VFU_EP_FEATURE_LINK, 0, 0,
      sizeof(VfuEpLink), &(const VfuEpLink) { 24, 5, VFU_EP_LINK_UP, 4, 1 },
      { { ARGSZ_EXACT, 4 }, { NONZERO, 4 }, { ENUM, 4, 2 },
        { ENUM, 2, 0x7e }, { ENUM, 2, 0x100010116 }, { FUNCTIONS, 4 },
        { ZERO, 4 } } },
    /* the number of writes says how long it is: test_region_writes() */
    { "REGION_WRITE_MULTI", VFU_CMD_REGION_WRITE_MULTI, EPW_SERVER, 0, 0, 0,
      sizeof(OneWrite), &(const OneWrite) { { 1 }, { 8, 0, 4 } },
      { { ENUM, 8, 2 }, { ANY, 8 }, { ANY, 4 }, { ENUM, 4, 0x1fe },
        { ANY, 8 } } },
    { "EP_LINK down", VFU_CMD_EP_LINK, EPW_CLIENT, VFU_EP_FEATURE_LINK, 0, 0,
      sizeof(VfuEpLink), &(const VfuEpLink) { 24, 5, VFU_EP_LINK_DOWN },
      { { ARGSZ_EXACT, 4 }, { ANY, 4 }, { ENUM, 4, 1 }, { ZERO, 2 },
        { ZERO, 2 }, { ZERO, 4 }, { ZERO, 4 } } },
    { "EP_RESET", VFU_CMD_EP_RESET, EPW_SERVER, VFU_EP_FEATURE_RESET, 0, 0,
      sizeof(VfuEpReset), &(const VfuEpReset) { 16, 5, VFU_EP_RESET_FLR },
      { { ARGSZ_EXACT, 4 }, { ANY, 4 }, { ENUM, 4, 0xe }, { ZERO, 4 } } },
    { "EP_REMAP", VFU_CMD_EP_REMAP, EPW_CLIENT, VFU_EP_FEATURE_REMAP, 0, 0,
      sizeof(VfuEpRemap), &(const VfuEpRemap) { 16, 5, 2 },
      { { ARGSZ_EXACT, 4 }, { ANY, 4 }, { ENUM, 4, 0x3f }, { ZERO, 4 } } },
    { "EP_INTX", VFU_CMD_EP_INTX, EPW_CLIENT, VFU_EP_FEATURE_INTX, 0, 0,
      sizeof(VfuEpIntx), &(const VfuEpIntx) { 16, 5, 1 },
      { { ARGSZ_EXACT, 4 }, { ANY, 4 }, { ENUM, 4, 7 }, { ZERO, 4 } } },
    { "EP_FAULT", VFU_CMD_EP_FAULT, EPW_CLIENT, VFU_EP_FEATURE_FAULT, 0, 0,
      sizeof(VfuEpFault), &(const VfuEpFault) { 24, 5, 0x1000, 1 },
      { { ARGSZ_EXACT, 4 }, { ANY, 4 }, { ANY, 8 }, { ENUM, 4, 3 },
        { ZERO, 4 } } },
    { "EP_AREAS", VFU_CMD_EP_AREAS, EPW_SERVER, VFU_EP_FEATURE_AREAS, 0, 0,
      sizeof(VfuEpAreas), &(const VfuEpAreas) { 16, 5, 2 },
      { { ARGSZ_EXACT, 4 }, { ANY, 4 }, { ENUM, 4, 0x3f }, { ZERO, 4 } } },
};

static int check(EpwRole role, unsigned features, uint16_t cmd,
                 uint32_t flags, const void *p, size_t n, unsigned nfds)
{
    g_autofree uint8_t *copy = n ? g_malloc(n) : NULL;
    EpwMsg m = {
        .hdr = { .command = cmd, .size = sizeof(m.hdr) + n, .flags = flags },
        .payload = copy,
        .nfds = nfds,
    };

    if (n) {
        memcpy(copy, p, n);
    }
    return epw_check_command(role, &m, features, MAX_XFER);
}

static int check_example(const Layout *l, const void *p, size_t n)
{
    return check(l->role, ALL, l->cmd, 0, p, n, 0);
}

static void test_example(const void *data)
{
    const Layout *l = data;
    EpwRole other = l->role == EPW_SERVER ? EPW_CLIENT : EPW_SERVER;

    g_assert_cmpint(check_example(l, l->example, l->len), ==, 0);
    g_assert_cmpint(check(other, ALL, l->cmd, 0, l->example, l->len, 0), ==,
                    ENOSYS);
    g_assert_cmpint(check(l->role, ALL & ~l->feature, l->cmd, 0, l->example,
                          l->len, 0), ==, l->feature ? ENOSYS : 0);
    g_assert_cmpint(check(l->role, l->feature, l->cmd, 0, l->example,
                          l->len, 0), ==, 0);
}

static void test_header(const void *data)
{
    const Layout *l = data;

    for (uint32_t type = 1; type <= VFU_FLAG_TYPE_MASK; type++) {
        g_assert_cmpint(check(l->role, ALL, l->cmd, type, l->example, l->len,
                              0), ==, EINVAL);
    }
    /* the other bits are nothing to a command */
    for (int bit = 4; bit < 32; bit++) {
        g_assert_cmpint(check(l->role, ALL, l->cmd, 1u << bit, l->example,
                              l->len, 0), ==, 0);
    }
}

static void test_length(const void *data)
{
    const Layout *l = data;
    size_t longest = l->longest ?: l->len;
    g_autofree uint8_t *p = g_malloc0(70000);

    if (l->len) {
        memcpy(p, l->example, l->len);
    }
    for (size_t n = 0; n < 70000; n += n < 200 ? 1 : 61) {
        g_assert_cmpint(check_example(l, p, n), ==,
                        n >= l->len && n <= longest ? 0 : EINVAL);
    }
    g_assert_cmpint(check_example(l, p, longest), ==, 0);
    g_assert_cmpint(check_example(l, p, longest + 1), ==, EINVAL);
}

static void test_fds(const void *data)
{
    const Layout *l = data;

    for (unsigned n = 0; n <= EPW_MAX_FDS + 1; n++) {
        g_assert_cmpint(check(l->role, ALL, l->cmd, 0, l->example, l->len, n),
                        ==, n > l->max_fds ? EINVAL : 0);
    }
}

/* Sets the @f of @p to @v and checks. */
static void try_field(const Layout *l, size_t at, unsigned size, uint64_t v,
                      bool good)
{
    g_autofree uint8_t *p = g_memdup2(l->example, l->len);
    int want = good ? 0 : EINVAL;

    memcpy(p + at, &v, size);
    if (check_example(l, p, l->len) != want) {
        g_error("%s: offset %zu value 0x%" PRIx64 ": not %d", l->name, at, v,
                want);
    }
}

static void try_all(const Layout *l, size_t at, const Field *f)
{
    uint64_t example = 0;
    uint64_t max = f->size == 8 ? UINT64_MAX : (1ull << (8 * f->size)) - 1;

    memcpy(&example, (const uint8_t *)l->example + at, f->size);
    try_field(l, at, f->size, example, true);
    switch (f->kind) {
    case ARGSZ:
    case ARGSZ_EXACT:
        for (uint64_t v = 0; v < example; v++) {
            try_field(l, at, f->size, v, false);
        }
        try_field(l, at, f->size, example + 1, f->kind == ARGSZ);
        try_field(l, at, f->size, max, f->kind == ARGSZ);
        break;
    case ZERO:
        for (unsigned bit = 0; bit < 8 * f->size; bit++) {
            try_field(l, at, f->size, 1ull << bit, false);
        }
        break;
    case FLAGS:
        for (unsigned bit = 0; bit < 8 * f->size; bit++) {
            if (!(f->mask & (1ull << bit))) {
                try_field(l, at, f->size, example | (1ull << bit), false);
            }
        }
        break;
    case ENUM:
        for (uint64_t v = 0; v < 64; v++) {
            try_field(l, at, f->size, v, f->mask & (1ull << v));
        }
        try_field(l, at, f->size, max, false);
        try_field(l, at, f->size, max / 2 + 1, false);
        break;
    case NONZERO:
        try_field(l, at, f->size, 0, false);
        try_field(l, at, f->size, 1, true);
        break;
    case FUNCTIONS:
        try_field(l, at, f->size, 0, true);
        try_field(l, at, f->size, 0xff, true);
        try_field(l, at, f->size, 2, false);
        break;
    default:
        try_field(l, at, f->size, 0, true);
        try_field(l, at, f->size, 9, true);
        break;
    }
}

static void test_fields(const void *data)
{
    const Layout *l = data;
    size_t at = 0;

    for (const Field *f = l->fields; f->kind != END; f++) {
        try_all(l, at, f);
        at += f->size;
    }
    g_assert_cmpuint(at, ==, l->len);   /* the row describes every byte */
}

/* ---- What depends on more than one member ---- */

static void test_unknown(void)
{
    uint8_t p[64] = { 64 };

    for (uint32_t cmd = 0; cmd <= UINT16_MAX; cmd++) {
        bool known = (cmd >= VFU_CMD_VERSION && cmd <= VFU_CMD_DEVICE_RESET) ||
                     cmd == VFU_CMD_REGION_WRITE_MULTI ||
                     (cmd >= VFU_CMD_EP_LINK && cmd <= VFU_CMD_EP_FAULT);
        int s = check(EPW_SERVER, ALL, cmd, 0, p, sizeof(p), 0);
        int c = check(EPW_CLIENT, ALL, cmd, 0, p, sizeof(p), 0);

        g_assert_true(known == (s != ENOSYS || c != ENOSYS));
        g_assert_true(s == ENOSYS || c == ENOSYS);
        g_assert_true(known == !!strcmp(epw_command_name(cmd),
                                        "unknown command"));
    }
}

static void test_version_nul(void)
{
    g_autofree char *p = g_malloc0(8192);

    memset(p + 4, ' ', 8188);
    for (size_t n = 5; n < 200; n++) {
        g_assert_cmpint(check(EPW_SERVER, 0, VFU_CMD_VERSION, 0, p, n, 0),
                        ==, EINVAL);
    }
    for (size_t n = 4 + EPW_MAX_JSON; n < 4 + EPW_MAX_JSON + 2; n++) {
        p[n - 1] = '\0';
        g_assert_cmpint(check(EPW_SERVER, 0, VFU_CMD_VERSION, 0, p, n, 0),
                        ==, n > 4 + EPW_MAX_JSON ? EINVAL : 0);
    }
}

static void test_dma_map(void)
{
    static const struct {
        uint64_t offset, address, size;
        int err;
    } rows[] = {
        { 0, 0, UINT64_MAX, 0 },
        { 0, 1, UINT64_MAX, EINVAL },
        { 1, 0, UINT64_MAX, EINVAL },
        { 0, UINT64_MAX, 1, EINVAL },
        { UINT64_MAX, 0, 1, EINVAL },
        { 0, UINT64_MAX - 0xfff, 0x1000, EINVAL },
        { UINT64_MAX - 0xfff, 0, 0x1000, EINVAL },
        { 0, UINT64_MAX - 0x1000, 0x1000, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        VfuDmaMap p = { 32, 3, rows[i].offset, rows[i].address, rows[i].size };

        g_assert_cmpint(check(EPW_SERVER, 0, VFU_CMD_DMA_MAP, 0, &p,
                              sizeof(p), 0), ==, rows[i].err);
    }
    /* 4 asks to map the descriptor; 8 to read and write it, which we do not */
    for (uint32_t flags = 0; flags < 32; flags++) {
        VfuDmaMap p = { 32, flags, 0, 0, 4096 };

        for (unsigned nfds = 0; nfds <= 1; nfds++) {
            g_assert_cmpint(check(EPW_SERVER, 0, VFU_CMD_DMA_MAP, 0, &p,
                                  sizeof(p), nfds), ==,
                            (flags & 3) && flags < (nfds ? 8 : 4) ? 0 :
                            EINVAL);
        }
    }
}

static void test_dma_unmap(void)
{
    static const struct {
        uint64_t address, size;
        int err;
    } rows[] = {
        { 0, UINT64_MAX, 0 },
        { 1, UINT64_MAX, 0 },           /* ends at 2^64 */
        { 2, UINT64_MAX, EINVAL },
        { UINT64_MAX, 1, 0 },
        { UINT64_MAX, 2, EINVAL },
        { 1ull << 63, 1ull << 63, 0 },
        { 1ull << 63, (1ull << 63) + 1, EINVAL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        VfuDmaUnmap p = { 24, 0, rows[i].address, rows[i].size };

        g_assert_cmpint(check(EPW_SERVER, 0, VFU_CMD_DMA_UNMAP, 0, &p,
                              sizeof(p), 0), ==, rows[i].err);
    }
}

static int check_region_writes(uint64_t count, unsigned there,
                               const VfuRegionWrite *last)
{
    size_t n = sizeof(VfuRegionWrites) + there * sizeof(VfuRegionWrite);
    g_autofree VfuRegionWrites *p = g_malloc0(n);
    VfuRegionWrite *w = (void *)(p + 1);

    p->count = count;
    for (unsigned i = 0; i < there; i++) {
        w[i] = i + 1 < there ? (VfuRegionWrite) { 8 * i, 2, 8 } : *last;
    }
    return check(EPW_SERVER, 0, VFU_CMD_REGION_WRITE_MULTI, 0, p, n, 0);
}

static void test_region_writes(void)
{
    static const VfuRegionWrite good = { 0, 2, 4 };
    static const struct {
        VfuRegionWrite last;
        int err;
    } rows[] = {
        { { UINT64_MAX - 8, 0, 8 }, 0 },
        { { UINT64_MAX - 7, 0, 8 }, EINVAL },
        { { UINT64_MAX, 0, 1 }, EINVAL },
        { { 0, UINT32_MAX, 1 }, 0 },    /* the server looks at the region */
        { { 0, 0, 0 }, EINVAL },
        { { 0, 0, 9 }, EINVAL },
        { { 0, 0, UINT32_MAX }, EINVAL },
    };

    for (unsigned n = 1; n <= VFU_MAX_WRITES + 2; n++) {
        g_assert_cmpint(check_region_writes(n, n, &good), ==,
                        n <= VFU_MAX_WRITES ? 0 : EINVAL);
        g_assert_cmpint(check_region_writes(n - 1, n, &good), ==, EINVAL);
        g_assert_cmpint(check_region_writes(n + 1, n, &good), ==, EINVAL);
    }
    /* numbers whose product with the size of a write wraps to its size */
    for (uint64_t n = 1; n; n <<= 1) {
        g_assert_cmpint(check_region_writes(n + 1, 1, &good), ==, EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (unsigned n = 1; n <= VFU_MAX_WRITES; n += 199) {
            g_assert_cmpint(check_region_writes(n, n, &rows[i].last), ==,
                            rows[i].err);
        }
    }
}

static int check_set_irqs(const VfuSetIrqs *s, size_t data, unsigned nfds)
{
    g_autofree uint8_t *p = g_malloc0(sizeof(*s) + data);

    memcpy(p, s, sizeof(*s));
    return check(EPW_SERVER, 0, VFU_CMD_SET_IRQS, 0, p, sizeof(*s) + data,
                 nfds);
}

/* The rules in prose order, one question at a time */
static bool set_irqs_legal(const VfuSetIrqs *s, size_t data, unsigned nfds)
{
    bool none = s->flags & 1, boolean = s->flags & 2, eventfd = s->flags & 4;
    bool mask = s->flags & 8, unmask = s->flags & 16, trigger = s->flags & 32;

    if (none + boolean + eventfd != 1 || mask + unmask + trigger != 1) {
        return false;
    }
    if (s->count == 0) {
        return none && trigger && s->start == 0 && !data && !nfds;
    }
    if (s->index > 4 || (s->index > 2 && !trigger)) {
        return false;
    }
    if ((uint64_t)s->start + s->count > UINT32_MAX) {
        return false;
    }
    if (data != (boolean ? s->count : 0)) {
        return false;
    }
    return nfds == 0 || (eventfd && nfds == s->count);
}

static void test_set_irqs(void)
{
    static const uint32_t starts[] = { 0, 1, 2047, UINT32_MAX - 2,
                                       UINT32_MAX - 1, UINT32_MAX };
    static const uint32_t counts[] = { 0, 1, 2, 16, 17 };
    unsigned legal = 0;

    for (uint32_t flags = 0; flags < 64; flags++) {
        for (uint32_t i = 0; i < 5 * ARRAY_SIZE(starts) * ARRAY_SIZE(counts);
             i++) {
            VfuSetIrqs s = {
                .flags = flags,
                .index = i % 5,
                .start = starts[i / 5 % ARRAY_SIZE(starts)],
                .count = counts[i / 5 / ARRAY_SIZE(starts)],
            };

            for (size_t data = 0; data <= 18; data++) {
                for (unsigned nfds = 0; nfds <= EPW_MAX_FDS; nfds++) {
                    bool want = set_irqs_legal(&s, data, nfds);

                    s.argsz = 20 + data;
                    g_assert_cmpint(check_set_irqs(&s, data, nfds), ==,
                                    want ? 0 : EINVAL);
                    legal += want;
                }
            }
        }
    }
    g_assert_cmpuint(legal, >, 100);
}

static void test_set_irqs_argsz(void)
{
    VfuSetIrqs s = { 0, VFU_IRQ_DATA_BOOL | VFU_IRQ_ACTION_TRIGGER,
                     VFU_IRQ_MSIX, 0, 8 };

    for (s.argsz = 0; s.argsz < 40; s.argsz++) {
        g_assert_cmpint(check_set_irqs(&s, 8, 0), ==,
                        s.argsz < 28 ? EINVAL : 0);
    }
    s.count = UINT32_MAX;
    g_assert_cmpint(check_set_irqs(&s, 8, 0), ==, EINVAL);
    s.argsz = UINT32_MAX;
    g_assert_cmpint(check_set_irqs(&s, 8, 0), ==, EINVAL);
}

static int check_rw(EpwRole role, uint16_t cmd, const void *head, size_t data)
{
    g_autofree uint8_t *p = g_malloc0(16 + data);

    memcpy(p, head, 16);
    return check(role, 0, cmd, 0, p, 16 + data, 0);
}

static void test_region_rw(void)
{
    static const uint32_t counts[] = { 0, 1, 2, 3, 4, 5, 8, 4095, 4096, 4097,
                                       UINT32_MAX };

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        VfuRegionRw p = { 0, 0, counts[i] };
        int err = !p.count ? EINVAL : p.count > MAX_XFER ? E2BIG : 0;

        g_assert_cmpint(check_rw(EPW_SERVER, VFU_CMD_REGION_READ, &p, 0), ==,
                        err);
        g_assert_cmpint(check_rw(EPW_SERVER, VFU_CMD_REGION_READ, &p, 1), ==,
                        EINVAL);
        if (p.count > 8192) {
            continue;
        }
        for (int d = p.count ? -1 : 0; d <= 1; d++) {
            g_assert_cmpint(check_rw(EPW_SERVER, VFU_CMD_REGION_WRITE, &p,
                                     p.count + d), ==, d ? EINVAL : err);
        }
    }
    for (uint64_t end = 0; end < 3; end++) {
        VfuRegionRw p = { UINT64_MAX - 4 + end, 0, 4 };

        g_assert_cmpint(check_rw(EPW_SERVER, VFU_CMD_REGION_READ, &p, 0), ==,
                        end ? EINVAL : 0);
        g_assert_cmpint(check_rw(EPW_SERVER, VFU_CMD_REGION_WRITE, &p, 4), ==,
                        end ? EINVAL : 0);
    }
}

static void test_dma_rw(void)
{
    static const uint64_t counts[] = { 0, 1, 4096, 4097, 1ull << 32,
                                       (1ull << 32) + 4, UINT64_MAX };

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        VfuDmaRw p = { 0, counts[i] };
        int err = !p.count ? EINVAL : p.count > MAX_XFER ? E2BIG : 0;
        size_t data = MIN(p.count, 8192);

        g_assert_cmpint(check_rw(EPW_CLIENT, VFU_CMD_DMA_READ, &p, 0), ==,
                        err);
        g_assert_cmpint(check_rw(EPW_CLIENT, VFU_CMD_DMA_WRITE, &p, data), ==,
                        data == p.count ? err : EINVAL);
        g_assert_cmpint(check_rw(EPW_CLIENT, VFU_CMD_DMA_WRITE, &p, data + 1),
                        ==, EINVAL);
        /* what a 32-bit reading of count would take */
        g_assert_cmpint(check_rw(EPW_CLIENT, VFU_CMD_DMA_WRITE, &p,
                                 (uint32_t)p.count % 8192), !=,
                        p.count >> 32 ? 0 : -1);
    }
    for (uint64_t end = 0; end < 3; end++) {
        VfuDmaRw p = { UINT64_MAX - 4 + end, 4 };

        g_assert_cmpint(check_rw(EPW_CLIENT, VFU_CMD_DMA_READ, &p, 0), ==,
                        end ? EINVAL : 0);
    }
}

static void test_reply(void)
{
    EpwMsg m = {
        .hdr = { .command = VFU_CMD_GET_INFO, .size = 16 + 16,
                 .flags = VFU_FLAG_REPLY },
    };

    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_GET_INFO, 16, 16), ==, 0);
    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_GET_INFO, 0, 64), ==, 0);
    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_GET_INFO, 17, 64), ==, EINVAL);
    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_GET_INFO, 0, 15), ==, EINVAL);
    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_DMA_MAP, 16, 16), ==, EINVAL);
    m.hdr.flags = VFU_FLAG_COMMAND;
    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_GET_INFO, 16, 16), ==, EINVAL);

    m.hdr.flags = VFU_FLAG_REPLY | VFU_FLAG_ERROR;
    m.hdr.error = ENODEV;
    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_GET_INFO, 0, 0), ==, ENODEV);
    m.hdr.error = 0;
    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_GET_INFO, 0, 0), ==, EIO);
    m.hdr.error = 4096;
    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_GET_INFO, 0, 0), ==, EIO);
    m.hdr.error = -EINVAL;
    g_assert_cmpint(epw_check_reply(&m, VFU_CMD_GET_INFO, 0, 0), ==, EIO);
}

static void test_region_name(void)
{
    g_assert_cmpstr(epw_region_name(VFU_REGION_BAR5), ==, "BAR5");
    g_assert_cmpstr(epw_region_name(VFU_REGION_CONFIG), ==, "config");
    g_assert_cmpstr(epw_region_name(VFU_NUM_REGIONS), ==, "unknown region");
}

static void test_first_bytes(void)
{
    const uint8_t data[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

    g_assert_cmphex(epw_first_bytes(data, 0), ==, 0);
    g_assert_cmphex(epw_first_bytes(data, 3), ==, 0x030201);
    g_assert_cmphex(epw_first_bytes(data, 9), ==, 0x0807060504030201);
}

static void add(const Layout *l, const char *what, GTestDataFunc fn)
{
    g_autofree char *name = g_strdelimit(g_strdup(l->name), " ", '-');
    g_autofree char *path = g_strdup_printf("/epw/check/%s/%s", name, what);

    g_test_add_data_func(path, l, fn);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        const Layout *l = &layouts[i];

        add(l, "example", test_example);
        add(l, "header", test_header);
        add(l, "length", test_length);
        add(l, "fds", test_fds);
        add(l, "fields", test_fields);
    }
    g_test_add_func("/epw/check/unknown", test_unknown);
    g_test_add_func("/epw/check/VERSION/nul", test_version_nul);
    g_test_add_func("/epw/check/DMA_MAP/ranges", test_dma_map);
    g_test_add_func("/epw/check/DMA_UNMAP/ranges", test_dma_unmap);
    g_test_add_func("/epw/check/REGION_WRITE_MULTI/writes",
                    test_region_writes);
    g_test_add_func("/epw/check/SET_IRQS/rules", test_set_irqs);
    g_test_add_func("/epw/check/SET_IRQS/argsz", test_set_irqs_argsz);
    g_test_add_func("/epw/check/REGION_RW/data", test_region_rw);
    g_test_add_func("/epw/check/DMA_RW/data", test_dma_rw);
    g_test_add_func("/epw/check/reply", test_reply);
    g_test_add_func("/epw/check/region-name", test_region_name);
    g_test_add_func("/epw/check/first-bytes", test_first_bytes);
    return g_test_run();
}
