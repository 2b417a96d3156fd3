/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of linux/functions/virtio/vring: a driver that writes anything
 * to its ring at any time, also while the ring is read
 *
 * The input begins with all of the memory that the ring and its indirect
 * tables are in. The steps behind it change that memory and call the walker.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "fuzz.h"
#include "linux/functions/virtio/vring.h"

const char fuzz_name[] = "vring";
unsigned vring_compat_allocations = UINT_MAX;

#define MEM_SIZE    1024u
#define MAX_SIZE    16u             /* of a ring */
/* Where the parts are in the memory; the rest is for indirect tables. */
#define AT_DESC     0x000u
#define AT_AVAIL    0x100u
#define AT_USED     0x140u
#define AT_TABLES   0x200u

/* What the model says about a chain */
typedef struct FuzzChain {
    uint16_t head;
    unsigned n, nread;
    struct epf_vring_extent ext[MAX_SIZE];
} FuzzChain;

typedef struct FuzzRing {
    struct epf_vring r;
    struct epf_vring_config conf;
    uint64_t base;                  /* bus address of the memory */
    uint8_t mem[MEM_SIZE];
    unsigned reads, writes;         /* calls since the step began */
    /* A store of the driver in the middle of a call */
    bool late;
    uint8_t late_segment;
    uint16_t late_at;
    uint64_t late_value;
    uint8_t good_calls;             /* 0xff: no call fails */
    /* A model of what is in flight */
    bool taken[MAX_SIZE];
    bool used[MAX_SIZE];            /* and not flushed */
    unsigned nused;
    uint16_t avail_idx;             /* of the chain that is fetched next */
    FuzzChain chain[MAX_SIZE];      /* fetched, from @next on not taken */
    unsigned chains, next;
    bool known;                     /* @chain says what was fetched */
    uint16_t told;                  /* index of the used ring */
    unsigned unsignalled;
} FuzzRing;

enum {
    STEP_FETCH, STEP_USED, STEP_FLUSH, STEP_NOTIFY, STEP_WRITE, STEP_DESC,
    STEP_POST, STEP_LATE, STEP_FAIL, STEP_COUNT
};

/* ---- Memory ---- */

static uint8_t *ring_at(FuzzRing *f, uint64_t addr, uint32_t len)
{
    uint64_t off = addr - f->base;

    return off < MEM_SIZE && len <= MEM_SIZE - off ? f->mem + off : NULL;
}

static void store_late(FuzzRing *f, unsigned segment)
{
    if (f->late && f->late_segment == segment) {
        f->late = false;
        stq_le_p(f->mem + f->late_at % (MEM_SIZE - 7), f->late_value);
    }
}

/* The device writes nothing but the used ring. */
static void check_write(FuzzRing *f, const struct epf_vring_seg *s)
{
    uint64_t off = s->addr - f->conf.used;

    REQUIRE(off + s->len <= 6 + 8ull * f->conf.size);
}

static int ring_copy(FuzzRing *f, bool write,
                     const struct epf_vring_seg *segs, unsigned n)
{
    REQUIRE(n && n <= EPF_VRING_BURST);
    if (f->good_calls != 0xff && !f->good_calls--) {
        f->good_calls = 0xff;
        return -EIO;
    }
    for (unsigned i = 0; i < n; i++) {
        uint8_t *p = ring_at(f, segs[i].addr, segs[i].len);

        REQUIRE(segs[i].len &&
                segs[i].len <= EPF_VRING_BURST_DESCS * 16);
        store_late(f, i);
        if (!p) {
            REQUIRE(!write);
            return -EFAULT;
        }
        if (write) {
            check_write(f, &segs[i]);
            memcpy(p, segs[i].buf, segs[i].len);
        } else {
            memcpy(segs[i].buf, p, segs[i].len);
        }
    }
    store_late(f, n);
    return 0;
}

static int ring_read(void *data, const struct epf_vring_seg *segs,
                     unsigned n)
{
    FuzzRing *f = data;

    f->reads++;
    return ring_copy(f, false, segs, n);
}

static int ring_write(void *data, const struct epf_vring_seg *segs,
                      unsigned n)
{
    FuzzRing *f = data;

    f->writes++;
    return ring_copy(f, true, segs, n);
}

/* ---- What always holds ---- */

/* A negative result is an error of the memory, or a rule that is broken. */
static void check_result(FuzzRing *f, int ret, int max)
{
    REQUIRE(ret <= max);
    REQUIRE(ret >= 0 || ret == -EFAULT || ret == -EIO || ret == -EPROTO);
    REQUIRE((ret == -EPROTO) == (f->r.broken != NULL));
}

static void check_chain(FuzzRing *f, const struct epf_vring_chain *c)
{
    uint64_t read_len = 0, write_len = 0;

    REQUIRE(c->head < f->conf.size && !f->taken[c->head]);
    REQUIRE(c->nread + c->nwrite > 0);
    REQUIRE(c->nread + c->nwrite <= f->conf.size);
    for (unsigned i = 0; i < c->nread + c->nwrite; i++) {
        const struct epf_vring_extent *e = &c->ext[i];

        REQUIRE(e->len && e->addr + (e->len - 1) >= e->addr);
        *(i < c->nread ? &read_len : &write_len) += e->len;
    }
    REQUIRE(c->read_len == read_len && c->write_len == write_len);
    REQUIRE(read_len + write_len <= 1ull << 32);
}

/* Segments of any part of a chain have its bytes, one behind the other. */
static void check_slice(const struct epf_vring_chain *c, FuzzInput *in)
{
    bool write = fuzz_u8(in) & 1;
    uint64_t all = write ? c->write_len : c->read_len;
    uint64_t off = fuzz_value(in);
    uint32_t len = fuzz_value(in), sum = 0;
    struct epf_vring_seg segs[MAX_SIZE];
    int n = epf_vring_slice(c, write, off, NULL, len, segs, MAX_SIZE);

    REQUIRE((n >= 0) == (!len || (off < all && len <= all - off)));
    for (int i = 0; i < n; i++) {
        REQUIRE(segs[i].len && (uintptr_t)segs[i].buf == sum);
        sum += segs[i].len;
    }
    REQUIRE(n < 0 || sum == len);
}

/* ---- The model: what a fetch has to find ---- */

/* Adds a descriptor, and returns whether it may be there. */
static bool model_add(FuzzRing *f, FuzzChain *c, const uint8_t *d)
{
    uint64_t addr = ldq_le_p(d), total = 0;
    uint32_t len = ldl_le_p(d + 8);
    bool write = lduw_le_p(d + 12) & 2;

    if (!len || addr > UINT64_MAX - (len - 1) ||
        c->n == f->conf.size || (!write && c->n > c->nread)) {
        return false;
    }
    c->ext[c->n++] = (struct epf_vring_extent) { addr, len };
    c->nread += !write;
    for (unsigned i = 0; i < c->n; i++) {
        total += c->ext[i].len;
    }
    return total <= 1ull << 32;
}

/* Whether the indirect table of a chain is good; it is @table then. */
static bool model_table(FuzzRing *f, const FuzzChain *c, const uint8_t *d,
                        const uint8_t **table, unsigned *entries)
{
    uint32_t len = ldl_le_p(d + 8);

    if (!f->conf.indirect || lduw_le_p(d + 12) & 1 || !len || len % 16 ||
        len / 16 + c->n > f->conf.size) {
        return false;
    }
    *entries = len / 16;
    *table = ring_at(f, ldq_le_p(d), len);
    return *table;
}

static bool model_chain(FuzzRing *f, FuzzChain *c)
{
    const uint8_t *table = f->mem + AT_DESC;
    unsigned entries = f->conf.size, at = c->head;
    bool indirect = false;

    while (at < entries) {
        const uint8_t *d = table + at * 16;
        uint16_t flags = lduw_le_p(d + 12);

        if (flags & 4) {
            if (indirect || !model_table(f, c, d, &table, &entries)) {
                return false;
            }
            indirect = true;
            at = 0;
            continue;
        }
        if (!model_add(f, c, d)) {
            return false;
        }
        if (!(flags & 1)) {
            return true;
        }
        at = lduw_le_p(d + 14);
    }
    return false;
}

static bool model_busy(FuzzRing *f, uint16_t head)
{
    for (unsigned i = 0; i < f->chains; i++) {
        if (f->chain[i].head == head) {
            return true;
        }
    }
    return f->taken[head] || f->used[head];
}

/* Returns how many chains there are, or -1 if the fetch has to fail. */
static int model_fetch(FuzzRing *f)
{
    uint16_t n = lduw_le_p(f->mem + AT_AVAIL + 2) - f->avail_idx;

    f->chains = f->next = 0;
    if (n > f->conf.size) {
        return -1;
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned slot = (uint16_t)(f->avail_idx + i) % f->conf.size;
        FuzzChain c = { lduw_le_p(f->mem + AT_AVAIL + 4 + slot * 2) };

        if (c.head >= f->conf.size || model_busy(f, c.head) ||
            !model_chain(f, &c)) {
            return -1;
        }
        f->chain[f->chains++] = c;
    }
    return n;
}

static void check_model(FuzzRing *f, const struct epf_vring_chain *c)
{
    const FuzzChain *m = &f->chain[f->next];

    REQUIRE(c->head == m->head && c->nread == m->nread);
    REQUIRE(c->nread + c->nwrite == m->n);
    for (unsigned i = 0; i < m->n; i++) {
        REQUIRE(c->ext[i].addr == m->ext[i].addr);
        REQUIRE(c->ext[i].len == m->ext[i].len);
    }
}

/* ---- Steps ---- */

/* Fetches, and compares with the model unless something else happens too. */
static int fetch(FuzzRing *f)
{
    bool pending = f->next < f->chains, broken = f->r.broken;
    bool calm = !f->late && f->good_calls == 0xff;
    int want = 0, n;

    if (!pending) {
        want = model_fetch(f);
    }
    n = epf_vring_fetch(&f->r);
    check_result(f, n, f->conf.size);
    REQUIRE(f->reads <= 2 && !f->writes);
    if (broken) {
        REQUIRE(n == -EPROTO && !f->reads);
    } else if (pending) {
        REQUIRE(n == (int)(f->chains - f->next) && !f->reads);
        return n;
    } else if (calm) {
        REQUIRE(want < 0 ? n < 0 : n == want);
    }
    f->known = calm;
    f->chains = MAX(n, 0);
    f->avail_idx += f->chains;
    return n;
}

static void step_fetch(FuzzRing *f, FuzzInput *in)
{
    int n = fetch(f);
    unsigned want = fuzz_u8(in);
    struct epf_vring_chain c;

    while (want--) {
        int got = epf_vring_next(&f->r, &c);

        REQUIRE(got == (n > 0 ? 1 : f->r.broken ? -EPROTO : 0));
        if (got <= 0) {
            break;
        }
        check_chain(f, &c);
        if (f->known) {
            check_model(f, &c);
        }
        check_slice(&c, in);
        f->taken[c.head] = true;
        f->next++;
        n--;
    }
    REQUIRE(f->reads <= 2);
}

static void step_used(FuzzRing *f, FuzzInput *in)
{
    uint16_t head = fuzz_u8(in) % (MAX_SIZE + 1);
    bool taken = head < f->conf.size && f->taken[head];
    int err = epf_vring_used(&f->r, head, fuzz_u32(in));

    REQUIRE(err == (taken ? 0 : -EINVAL));
    if (taken) {
        f->taken[head] = false;
        f->used[head] = true;
        f->nused++;
    }
    REQUIRE(f->nused <= f->conf.size);
}

/* @wish: flags of the available ring, or used_event */
static bool model_interrupt(const FuzzRing *f, uint16_t wish)
{
    if (!f->conf.event_idx) {
        return !(wish & 1);
    }
    for (unsigned i = 1; i <= f->unsignalled; i++) {
        if ((uint16_t)(f->told - i) == wish) {
            return true;
        }
    }
    return false;
}

/* The result of a flush that wrote and read so often */
static void check_flush(FuzzRing *f, bool good, bool interrupt, bool calm,
                        uint16_t wish)
{
    if (good || f->reads) {
        f->told += f->nused;
        f->unsignalled += f->nused;
        REQUIRE(!calm || !f->nused ||
                lduw_le_p(f->mem + AT_USED + 2) == f->told);
        f->nused = 0;
        memset(f->used, 0, sizeof(f->used));
    }
    REQUIRE(good || !interrupt);
    if (good) {
        REQUIRE(!interrupt || f->unsignalled);
        REQUIRE(!calm || !f->unsignalled ||
                interrupt == model_interrupt(f, wish));
        f->unsignalled = 0;
    }
}

static uint16_t driver_wish(const FuzzRing *f)
{
    return lduw_le_p(f->mem + AT_AVAIL + (f->conf.event_idx ?
                                          4 + 2 * f->conf.size : 0));
}

static void step_flush(FuzzRing *f)
{
    bool interrupt = true;
    bool calm = !f->late;
    uint16_t wish = driver_wish(f);
    int err = epf_vring_flush(&f->r, &interrupt);

    REQUIRE(err == 0 || err == -EIO);
    REQUIRE(f->reads <= 1 && f->writes == (f->nused ? 1 : 0));
    check_flush(f, !err, interrupt, calm, wish);
}

static void step_finish(FuzzRing *f)
{
    bool interrupt = true;
    bool calm = !f->late && f->good_calls == 0xff;
    bool broken = f->r.broken;
    uint16_t wish = driver_wish(f);
    uint16_t n = lduw_le_p(f->mem + AT_AVAIL + 2) - f->avail_idx;
    bool more = f->next < f->chains || n;
    int ret = epf_vring_finish(&f->r, &interrupt);

    REQUIRE(f->reads <= 1 && f->writes <= 1);
    REQUIRE(ret == -EIO || ret == -EPROTO || ret == 0 || ret == 1);
    REQUIRE(ret == -EIO || (ret == -EPROTO) == (f->r.broken != NULL));
    check_flush(f, ret != -EIO, interrupt, calm, wish);
    if (calm && !broken) {
        REQUIRE(ret < 0 ? n > f->conf.size : ret == more);
    }
}

static void step_notify(FuzzRing *f, FuzzInput *in)
{
    uint8_t what = fuzz_u8(in);
    bool on = what & 1;
    bool calm = !f->late && f->good_calls == 0xff && !f->r.broken;
    uint16_t n = lduw_le_p(f->mem + AT_AVAIL + 2) - f->avail_idx;
    bool more = f->next < f->chains || n;
    int ret;

    if (what & 2) {
        step_finish(f);
        return;
    }
    ret = epf_vring_want_notify(&f->r, on);

    check_result(f, ret, on ? 1 : 0);
    REQUIRE(f->reads <= (on ? 1 : 0) && f->writes <= 1);
    if (calm && on) {
        REQUIRE(ret < 0 ? n > f->conf.size : ret == more);
    }
    if (calm && f->conf.event_idx && f->reads) {
        REQUIRE(lduw_le_p(f->mem + AT_USED + 4 + f->conf.size * 8) ==
                f->avail_idx);
    }
}

static void step_write(FuzzRing *f, FuzzInput *in)
{
    uint16_t at = fuzz_u8(in) | (fuzz_u8(in) & 3) << 8;

    stw_le_p(f->mem + MIN(at, MEM_SIZE - 2), fuzz_value(in));
}

/* A descriptor in the ring's table or in the memory for indirect tables */
static void step_desc(FuzzRing *f, FuzzInput *in)
{
    uint8_t i = fuzz_u8(in);
    uint8_t form = fuzz_u8(in);
    uint8_t *d = f->mem + (i & 0x80 ? AT_TABLES + (i & 31) * 16 :
                                      AT_DESC + (i & 15) * 16);

    stq_le_p(d, form & 0x80 ? f->base + AT_TABLES + (fuzz_u8(in) & 31) * 16 :
                              fuzz_value(in));
    stl_le_p(d + 8, form & 0x80 ? (fuzz_u8(in) & 31) * 16 : fuzz_value(in));
    stw_le_p(d + 12, form & 7);
    stw_le_p(d + 14, fuzz_u8(in) & 31);
}

static void step_post(FuzzRing *f, FuzzInput *in)
{
    uint8_t *avail = f->mem + AT_AVAIL;
    uint16_t idx = lduw_le_p(avail + 2);

    stw_le_p(avail + 4 + idx % f->conf.size * 2, fuzz_u8(in) & 31);
    stw_le_p(avail + 2, idx + 1);
}

static void step_late(FuzzRing *f, FuzzInput *in)
{
    f->late = true;
    f->late_segment = fuzz_u8(in) & 3;
    f->late_at = fuzz_u8(in) | (fuzz_u8(in) & 3) << 8;
    f->late_value = fuzz_u64(in);
}

static void run_step(FuzzRing *f, FuzzInput *in)
{
    f->reads = f->writes = 0;
    switch (fuzz_u8(in) % STEP_COUNT) {
    case STEP_FETCH:
        step_fetch(f, in);
        break;
    case STEP_USED:
        step_used(f, in);
        break;
    case STEP_FLUSH:
        step_flush(f);
        break;
    case STEP_NOTIFY:
        step_notify(f, in);
        break;
    case STEP_WRITE:
        step_write(f, in);
        break;
    case STEP_DESC:
        step_desc(f, in);
        break;
    case STEP_POST:
        step_post(f, in);
        break;
    case STEP_LATE:
        step_late(f, in);
        break;
    default:
        f->good_calls = fuzz_u8(in) & 3;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree FuzzRing *f = g_new0(FuzzRing, 1);
    struct epf_vring_mem mem = { ring_read, ring_write, f };
    FuzzInput in = { data, size };
    uint8_t kind = fuzz_u8(&in);
    unsigned image = fuzz_u8(&in) * 4;

    /* The last addresses are where sums wrap. */
    f->base = kind & 0x80 ? -(uint64_t)MEM_SIZE : 0x7f0000000000;
    f->good_calls = 0xff;
    f->conf = (struct epf_vring_config) {
        .size = 1 << kind % 5, .desc = f->base + AT_DESC,
        .avail = f->base + AT_AVAIL, .used = f->base + AT_USED,
        .indirect = kind & 0x20, .event_idx = kind & 0x40,
    };
    for (unsigned i = 0; i < image; i++) {
        f->mem[i] = fuzz_u8(&in);
    }
    REQUIRE(epf_vring_init(&f->r, &f->conf, &mem) == 0);
    while (in.left) {
        run_step(f, &in);
    }
    epf_vring_destroy(&f->r);
    return 0;
}

/* ---- Inputs ---- */

/* An address 2^n, or one of the last */
static void add_address(FuzzBytes *out)
{
    if (fuzz_random(16)) {
        fuzz_add_u8(out, 0x40 | fuzz_random(64));
    } else {
        fuzz_add_u8(out, 0x80);
        fuzz_add_u8(out, 0xf0 | fuzz_random(16));
    }
}

/* A chain that is right as a rule, from the descriptor @first on */
static void add_chain(FuzzBytes *out, unsigned first, unsigned n,
                      unsigned flags)
{
    unsigned readable = fuzz_random(n + 1);

    for (unsigned i = 0; i < n; i++) {
        unsigned good = (i + 1 < n ? 1 : flags) | (i < readable ? 0 : 2);

        fuzz_add_u8(out, STEP_DESC);
        fuzz_add_u8(out, first + i);
        fuzz_add_u8(out, fuzz_random(24) ? good : fuzz_random(8));
        add_address(out);
        /* A length 2^n, which may be 2^32 and so 0 */
        fuzz_add_u8(out, 0x40 | fuzz_random(fuzz_random(8) ? 28 : 33));
        fuzz_add_u8(out, fuzz_random(24) ? (first + i + 1) & 31 :
                                           fuzz_random(32));
    }
}

static void add_table(FuzzBytes *out, unsigned head)
{
    unsigned n = 1 + fuzz_random(8), at = fuzz_random(32 - n);

    /* The next of a table counts from its begin. */
    add_chain(out, 0x80, n, 0);
    fuzz_add_u8(out, STEP_DESC);
    fuzz_add_u8(out, head);
    fuzz_add_u8(out, 0x80 | 4);
    fuzz_add_u8(out, fuzz_random(8) ? 0 : at);
    fuzz_add_u8(out, n);
    fuzz_add_u8(out, 0);
}

static void add_request(FuzzBytes *out)
{
    unsigned head = fuzz_random(16);

    if (fuzz_random(3)) {
        add_chain(out, head, 1 + fuzz_random(4), 0);
    } else {
        add_table(out, head);
    }
    fuzz_add_u8(out, STEP_POST);
    fuzz_add_u8(out, head);
    if (!fuzz_random(16)) {
        /* The available index becomes a small number. */
        fuzz_add_u8(out, STEP_WRITE);
        fuzz_add_u8(out, (AT_AVAIL + 2) & 0xff);
        fuzz_add_u8(out, (AT_AVAIL + 2) >> 8);
        fuzz_add_u8(out, fuzz_random(64));
    }
    if (!fuzz_random(6)) {
        fuzz_add_u8(out, STEP_LATE);
        fuzz_add_random(out, 11);
    }
    fuzz_add_u8(out, STEP_FETCH);
    fuzz_add_u8(out, fuzz_random(4));
    fuzz_add_random(out, 6);
    if (fuzz_random(3)) {
        fuzz_add_u8(out, STEP_USED);
        fuzz_add_u8(out, head);
        fuzz_add_random(out, 4);
        fuzz_add_u8(out, STEP_FLUSH);
    }
}

void fuzz_generate(FuzzBytes *out)
{
    unsigned image = fuzz_random(3) ? 0 : fuzz_random(256);

    fuzz_add_u8(out, fuzz_random(256));
    fuzz_add_u8(out, image);
    fuzz_add_random(out, image * 4);
    for (unsigned i = 1 + fuzz_random(20); i; i--) {
        if (fuzz_random(3)) {
            add_request(out);
        } else {
            fuzz_add_u8(out, fuzz_random(STEP_COUNT));
            fuzz_add_random(out, 1 + fuzz_random(8));
        }
    }
}
