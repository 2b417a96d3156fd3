/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of linux/functions/virtio/vring: chains that are available, and
 * rings that break the rules. test-vring-used.c tests the other direction.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "vring-host.h"

unsigned vring_compat_allocations = UINT_MAX;

/* ---- Begin ---- */

static int init_with(const struct epf_vring_config *c)
{
    struct epf_vring_mem mem = { };
    struct epf_vring r;
    int err = epf_vring_init(&r, c, &mem);

    if (!err) {
        epf_vring_destroy(&r);
    }
    return err;
}

static void test_size(void)
{
    struct epf_vring_config c = { 0, 0x10000, 0x20000, 0x30000 };

    for (unsigned size = 0; size <= UINT16_MAX; size++) {
        bool good = is_power_of_2(size) && size <= EPF_VRING_MAX_SIZE;

        c.size = size;
        g_assert_cmpint(init_with(&c), ==, good ? 0 : -EINVAL);
    }
}

static void test_addresses(void)
{
    static const struct {
        uint64_t desc, avail, used;
        int want;
    } cases[] = {
        { 0, 0, 0, 0 },
        { 8, 0, 0, -EINVAL },
        { 1, 0, 0, -EINVAL },
        { 0, 1, 0, -EINVAL },
        { 0, 2, 0, 0 },
        { 0, 0, 2, -EINVAL },
        { 0, 0, 4, 0 },
        /* The table takes 128 bytes, the rings 22 and 70. */
        { -128ull, 0, 0, 0 },
        { -112ull, 0, 0, -EINVAL },
        { 0, -22ull, 0, 0 },
        { 0, -20ull, 0, -EINVAL },
        { 0, 0, -72ull, 0 },
        { 0, 0, -68ull, -EINVAL },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct epf_vring_config c = {
            8, cases[i].desc, cases[i].avail, cases[i].used,
        };

        g_test_message("case %u", i);
        g_assert_cmpint(init_with(&c), ==, cases[i].want);
    }
}

static void test_memory(void)
{
    struct epf_vring_config c = { 8, 0, 0, 0, .indirect = true };
    unsigned n = 0;

    do {
        vring_compat_allocations = n++;
    } while (init_with(&c) == -ENOMEM);
    g_assert_cmpuint(n, ==, 10);
    vring_compat_allocations = 8;
    c.indirect = false;
    g_assert_cmpint(init_with(&c), ==, 0);
    vring_compat_allocations = UINT_MAX;
}

/* ---- Good chains ---- */

static void check_ext(const struct epf_vring_chain *c, unsigned i,
                      uint64_t addr, uint32_t len)
{
    g_assert_cmphex(c->ext[i].addr, ==, addr);
    g_assert_cmpuint(c->ext[i].len, ==, len);
}

static struct epf_vring_chain take(Host *h)
{
    struct epf_vring_chain c = { };

    g_assert_cmpint(epf_vring_next(&h->ring, &c), ==, 1);
    return c;
}

static void take_none(Host *h)
{
    struct epf_vring_chain c;

    g_assert_cmpint(epf_vring_next(&h->ring, &c), ==, 0);
}

static void complete(Host *h, uint16_t head)
{
    bool interrupt;

    g_assert_cmpint(epf_vring_used(&h->ring, head, 0), ==, 0);
    g_assert_cmpint(epf_vring_flush(&h->ring, &interrupt), ==, 0);
}

static void test_chain(void)
{
    Host *h = host_new(8);
    struct epf_vring_chain c;

    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 0);
    take_none(h);
    host_desc(h, 5, 0x1000, 16, NEXT, 2);
    host_desc(h, 2, 0x2000, 4096, NEXT, 7);
    host_desc(h, 7, UINT64_MAX, 1, NEXT | WRITE, 0);
    host_desc(h, 0, 0x3000, 0xfffffff0u - 4096 - 1, WRITE, 0);
    host_post(h, 5);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    c = take(h);
    take_none(h);
    g_assert_cmpuint(c.head, ==, 5);
    g_assert_cmpuint(c.nread, ==, 2);
    g_assert_cmpuint(c.nwrite, ==, 2);
    g_assert_cmpuint(c.read_len, ==, 4112);
    g_assert_cmpuint(c.write_len, ==, 0xfffffff0u - 4096);
    check_ext(&c, 0, 0x1000, 16);
    check_ext(&c, 1, 0x2000, 4096);
    check_ext(&c, 2, UINT64_MAX, 1);
    check_ext(&c, 3, 0x3000, 0xfffffff0u - 4096 - 1);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 0);
    host_free(h);
}

/* The whole queue in one chain, and 2^32 bytes exactly */
static void test_longest(void)
{
    Host *h = host_new(8);
    struct epf_vring_chain c;

    for (unsigned i = 0; i < 8; i++) {
        host_desc(h, i, 0, 1u << 29, i < 7 ? NEXT : 0, i + 1);
    }
    host_post(h, 0);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    c = take(h);
    g_assert_cmpuint(c.nread, ==, 8);
    g_assert_cmpuint(c.read_len, ==, 1ull << 32);
    host_free(h);
}

/* Section 2.7.5.3.2: buffers before the table, whose flag WRITE is ignored */
static void test_indirect(void)
{
    Host *h = host_new(4);
    struct epf_vring_chain c;

    host_desc(h, 0, 0x1000, 16, NEXT, 3);
    host_desc(h, 3, host_table(1), 48, INDIRECT | WRITE, 99);
    host_desc_at(h, host_table(1), 0x2000, 1, NEXT, 2);
    host_desc_at(h, host_table(1) + 32, 0x3000, 2, NEXT | WRITE, 1);
    host_desc_at(h, host_table(1) + 16, 0x4000, 3, WRITE, 2);
    host_post(h, 0);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    c = take(h);
    g_assert_cmpuint(c.nread, ==, 2);
    g_assert_cmpuint(c.nwrite, ==, 2);
    check_ext(&c, 0, 0x1000, 16);
    check_ext(&c, 1, 0x2000, 1);
    check_ext(&c, 2, 0x3000, 2);
    check_ext(&c, 3, 0x4000, 3);
    host_free(h);
}

/* ---- How much it costs ---- */

#define BURST 32

static void post_burst(Host *h, bool indirect)
{
    for (unsigned i = 0; i < BURST; i++) {
        uint64_t at = indirect ? host_table(i) : HOST_DESC + 3 * i * 16;
        unsigned first = indirect ? 0 : 3 * i;

        host_desc_at(h, at, 0x1000, 16, NEXT, first + 1);
        host_desc_at(h, at + 16, 0x2000, 4096, NEXT | WRITE, first + 2);
        host_desc_at(h, at + 32, 0x3000, 1, WRITE, 0);
        if (indirect) {
            host_desc(h, 3 * i, at, 48, INDIRECT, 0);
        }
        host_enter(h, 3 * i);
    }
    host_set_avail(h, h->avail_idx);
}

static void test_cost(const void *indirect)
{
    Host *h = host_new(128);
    bool interrupt;

    post_burst(h, indirect);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, BURST);
    g_assert_cmpuint(h->reads, ==, indirect ? 2 : 1);
    g_assert_cmpuint(h->read_segs, ==, indirect ? 3 + BURST : 3);
    for (unsigned i = 0; i < BURST; i++) {
        struct epf_vring_chain c = take(h);

        g_assert_cmpuint(c.head, ==, 3 * i);
        g_assert_cmpuint(c.nread, ==, 1);
        g_assert_cmpuint(c.nwrite, ==, 2);
        g_assert_cmpint(epf_vring_used(&h->ring, c.head, 4097), ==, 0);
    }
    g_assert_cmpuint(h->reads, ==, indirect ? 2 : 1);
    g_assert_cmpuint(h->writes, ==, 0);
    g_assert_cmpint(epf_vring_flush(&h->ring, &interrupt), ==, 0);
    g_assert_cmpuint(h->reads, ==, indirect ? 3 : 2);
    g_assert_cmpuint(h->writes, ==, 1);
    /* Nothing to do: one read, and nothing at all */
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 0);
    g_assert_cmpuint(h->reads, ==, indirect ? 4 : 3);
    g_assert_cmpint(epf_vring_flush(&h->ring, &interrupt), ==, 0);
    g_assert_cmpuint(h->reads, ==, indirect ? 4 : 3);
    g_assert_cmpuint(h->writes, ==, 1);
    host_free(h);
}

/* ---- Bounds of a burst ---- */

/* More chains than a burst has are fetched by several calls. */
static void test_many(void)
{
    Host *h = host_new(256);

    for (unsigned i = 0; i < 256; i++) {
        host_post_one(h, i);
    }
    for (unsigned i = 0; i < 256; i += EPF_VRING_BURST) {
        g_assert_cmpint(epf_vring_fetch(&h->ring), ==, EPF_VRING_BURST);
        for (unsigned k = 0; k < EPF_VRING_BURST; k++) {
            g_assert_cmpuint(take(h).head, ==, i + k);
        }
    }
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 0);
    host_free(h);
}

/* So are chains that have more descriptors together than a burst may have. */
static void test_long_chains(void)
{
    Host *h = host_new(256);
    unsigned heads = 0;

    for (unsigned i = 0; i < 20; i++) {
        for (unsigned k = 0; k < 256; k++) {
            host_desc_at(h, host_table(i) + k * 16, HOST_DATA + i, 1 + k,
                         k < 255 ? NEXT : 0, k + 1);
        }
        host_desc(h, i, host_table(i), 256 * 16, INDIRECT, 0);
        host_post(h, i);
    }
    for (int n; (n = epf_vring_fetch(&h->ring)); heads += n) {
        g_assert_cmpint(n, ==, MIN(20 - heads, EPF_VRING_BURST_DESCS / 256));
        for (int i = 0; i < n; i++) {
            struct epf_vring_chain c = take(h);

            g_assert_cmpuint(c.head, ==, heads + i);
            g_assert_cmpuint(c.nread, ==, 256);
            check_ext(&c, 255, HOST_DATA + heads + i, 256);
        }
    }
    g_assert_cmpuint(heads, ==, 20);
    host_free(h);
}

/* Indices wrap at 65536, and bursts where the ring ends. */
static void test_wrap(void)
{
    static const uint16_t sizes[] = { 1, 2, 8, 64, 128 };

    for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++) {
        uint16_t size = sizes[s];
        Host *h = host_new(size);
        unsigned done = 0, burst = 1;

        while (done < 70000) {
            unsigned n = MIN(burst++ % 5 + 1, size);

            for (unsigned i = 0; i < n; i++) {
                host_post_one(h, (done + i) % size);
            }
            g_assert_cmpint(epf_vring_fetch(&h->ring), ==, n);
            for (unsigned i = 0; i < n; i++, done++) {
                struct epf_vring_chain c = take(h);

                g_assert_cmpuint(c.head, ==, done % size);
                complete(h, c.head);
            }
            g_assert_cmpuint(host_get16(h, HOST_USED + 2), ==, done & 0xffff);
        }
        host_free(h);
    }
}

/* ---- Bad rings ---- */

typedef struct BadRing {
    const char *name;
    const char *rule;               /* what epf_vring.broken contains */
    void (*fill)(Host *h);
    bool no_indirect;
} BadRing;

static void fill_jump(Host *h)
{
    host_set_avail(h, h->avail_idx + 9);
}

static void fill_back(Host *h)
{
    host_set_avail(h, h->avail_idx - 1);
}

static void fill_head(Host *h)
{
    host_post(h, 8);
}

static void fill_next(Host *h)
{
    host_desc(h, 0, 0x1000, 1, NEXT, 8);
    host_post(h, 0);
}

static void fill_loop(Host *h)
{
    host_desc(h, 0, 0x1000, 1, NEXT, 1);
    host_desc(h, 1, 0x1000, 1, NEXT, 0);
    host_post(h, 0);
}

static void fill_self(Host *h)
{
    host_desc(h, 3, 0x1000, 1, NEXT | WRITE, 3);
    host_post(h, 3);
}

static void fill_empty(Host *h)
{
    host_desc(h, 0, 0x1000, 1, NEXT, 1);
    host_desc(h, 1, 0x1000, 0, 0, 0);
    host_post(h, 0);
}

static void fill_wrap(Host *h)
{
    host_desc(h, 0, UINT64_MAX, 2, 0, 0);
    host_post(h, 0);
}

static void fill_total(Host *h)
{
    host_desc(h, 0, 0, UINT32_MAX, NEXT, 1);
    host_desc(h, 1, 0, 2, WRITE, 0);
    host_post(h, 0);
}

static void fill_order(Host *h)
{
    host_desc(h, 0, 0x1000, 1, NEXT | WRITE, 1);
    host_desc(h, 1, 0x1000, 1, 0, 0);
    host_post(h, 0);
}

static void fill_twice(Host *h)
{
    host_post_one(h, 2);
    host_post_one(h, 2);
}

static void fill_in_flight(Host *h)
{
    host_post_one(h, 2);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    take(h);
    host_post_one(h, 2);
}

/* The driver was not told of the used chain yet. */
static void fill_not_told(Host *h)
{
    host_post_one(h, 2);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    take(h);
    g_assert_cmpint(epf_vring_used(&h->ring, 2, 0), ==, 0);
    host_post_one(h, 2);
}

/* A table of @len bytes behind @before buffers; its descriptors are a chain */
static void fill_table(Host *h, unsigned before, uint32_t len,
                       uint16_t flags)
{
    for (unsigned i = 0; i < before; i++) {
        host_desc(h, i, 0x1000, 1, NEXT, i + 1);
    }
    host_desc(h, before, host_table(0), len, INDIRECT | flags, 0);
    for (unsigned i = 0; i < len / 16; i++) {
        host_desc_at(h, host_table(0) + i * 16, 0x2000, 1,
                     (i + 1) * 16 < len ? NEXT : 0, i + 1);
    }
    host_post(h, 0);
}

static void fill_table_good(Host *h)
{
    fill_table(h, 0, 32, 0);
}

static void fill_table_next(Host *h)
{
    fill_table(h, 0, 32, NEXT);
}

static void fill_table_empty(Host *h)
{
    fill_table(h, 1, 0, 0);
}

static void fill_table_odd(Host *h)
{
    fill_table(h, 0, 40, 0);
}

static void fill_table_long(Host *h)
{
    fill_table(h, 0, 9 * 16, 0);
}

static void fill_table_behind(Host *h)
{
    fill_table(h, 3, 6 * 16, 0);
}

/* As many entries as 32 bits can say */
static void fill_table_huge(Host *h)
{
    host_desc(h, 0, host_table(0), 0xfffffff0, INDIRECT, 0);
    host_post(h, 0);
}

static void fill_table_wrap(Host *h)
{
    host_desc(h, 0, -16ull, 32, INDIRECT, 0);
    host_post(h, 0);
}

static void fill_table_in_table(Host *h)
{
    fill_table(h, 0, 32, 0);
    host_desc_at(h, host_table(0) + 16, host_table(1), 16, INDIRECT, 0);
}

static void fill_table_jump(Host *h)
{
    fill_table(h, 0, 32, 0);
    host_desc_at(h, host_table(0), 0x1000, 1, NEXT, 2);
}

static void fill_table_loop(Host *h)
{
    fill_table(h, 0, 32, 0);
    host_desc_at(h, host_table(0) + 16, 0x1000, 1, NEXT, 0);
}

static void fill_table_order(Host *h)
{
    fill_table(h, 0, 32, 0);
    host_desc_at(h, host_table(0), 0x1000, 1, NEXT | WRITE, 1);
}

static const BadRing bad_rings[] = {
    { "jump", "index jumped", fill_jump },
    { "back", "index jumped", fill_back },
    { "head", "head is behind", fill_head },
    { "next", "next is behind the table", fill_next },
    { "loop", "longer than the queue", fill_loop },
    { "self", "longer than the queue", fill_self },
    { "empty", "no bytes", fill_empty },
    { "wrap", "buffer ends behind", fill_wrap },
    { "total", "longer than 2^32", fill_total },
    { "order", "follows a writable", fill_order },
    { "twice", "in use already", fill_twice },
    { "in-flight", "in use already", fill_in_flight },
    { "not-told", "in use already", fill_not_told },
    { "indirect", "not negotiated", fill_table_good, .no_indirect = true },
    { "table-next", "INDIRECT and NEXT", fill_table_next },
    { "table-empty", "wrong length", fill_table_empty },
    { "table-odd", "wrong length", fill_table_odd },
    { "table-long", "table is too long", fill_table_long },
    { "table-behind", "table is too long", fill_table_behind },
    { "table-huge", "table is too long", fill_table_huge },
    { "table-wrap", "table ends behind", fill_table_wrap },
    { "table-in-table", "has another", fill_table_in_table },
    { "table-jump", "next is behind its table", fill_table_jump },
    { "table-loop", "longer than its table", fill_table_loop },
    { "table-order", "follows a writable", fill_table_order },
};

/* Also: nothing more is read, and what was taken before can be completed. */
static void test_bad(const void *opaque)
{
    const BadRing *bad = opaque;
    Host *h = host_new_at(8, !bad->no_indirect, false);
    struct epf_vring_chain c;
    bool interrupt;
    unsigned reads;

    host_post_one(h, 7);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    take(h);
    bad->fill(h);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, -EPROTO);
    g_assert_nonnull(h->ring.broken);
    g_test_message("%s", h->ring.broken);
    g_assert_nonnull(strstr(h->ring.broken, bad->rule));
    reads = h->reads;
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, -EPROTO);
    g_assert_cmpint(epf_vring_next(&h->ring, &c), ==, -EPROTO);
    g_assert_cmpint(epf_vring_want_notify(&h->ring, true), ==, -EPROTO);
    g_assert_cmpint(epf_vring_want_notify(&h->ring, false), ==, -EPROTO);
    g_assert_cmpuint(h->reads, ==, reads);
    g_assert_cmpint(epf_vring_used(&h->ring, 7, 0), ==, 0);
    g_assert_cmpint(epf_vring_flush(&h->ring, &interrupt), ==, 0);
    host_free(h);
}

/* The second chain is a loop, and is not followed behind the last extent. */
static void test_loop_bound(const void *indirect)
{
    const unsigned size = EPF_VRING_MAX_SIZE;
    Host *h = host_new(size);

    for (unsigned i = 0; i < size; i++) {
        host_desc_at(h, host_table(0) + i * 16, 0x1000, 1,
                     i < size - 1 ? NEXT : 0, i + 1);
        host_desc_at(h, host_table(4) + i * 16, 0x1000, 1, NEXT,
                     (i + 1) % size);
    }
    host_desc(h, 0, host_table(0), size * 16, INDIRECT, 0);
    if (indirect) {
        host_desc(h, 1, host_table(4), size * 16, INDIRECT, 0);
    } else {
        host_desc(h, 1, 0x1000, 1, NEXT, 1);
    }
    host_post(h, 0);
    host_post(h, 1);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, -EPROTO);
    g_assert_nonnull(strstr(h->ring.broken, "a chain is longer than"));
    host_free(h);
}

/* ---- Memory that fails or changes ---- */

/* Each read fails once; the call is repeated and gets the same chains. */
static void test_fault(void)
{
    for (unsigned good = 0; good < 2; good++) {
        Host *h = host_new(128);
        struct epf_vring_chain c;

        post_burst(h, true);
        h->good_calls = good;
        g_assert_cmpint(epf_vring_fetch(&h->ring), ==, -EFAULT);
        g_assert_null(h->ring.broken);
        g_assert_cmpint(epf_vring_next(&h->ring, &c), ==, 0);
        h->good_calls = NO_LIMIT;
        g_assert_cmpint(epf_vring_fetch(&h->ring), ==, BURST);
        g_assert_cmpuint(take(h).head, ==, 0);
        host_free(h);
    }
}

/* What was read was read for good: the host spoils it behind each read. */
static void spoil(Host *h, bool write, const struct epf_vring_seg *segs,
                  unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        memset(host_at(h, segs[i].addr, segs[i].len), 0xff, segs[i].len);
    }
}

static void test_changes(const void *indirect)
{
    Host *h = host_new(128);

    post_burst(h, indirect);
    h->after = spoil;
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, BURST);
    for (unsigned i = 0; i < BURST; i++) {
        struct epf_vring_chain c = take(h);

        g_assert_cmpuint(c.head, ==, 3 * i);
        check_ext(&c, 0, 0x1000, 16);
        check_ext(&c, 1, 0x2000, 4096);
        check_ext(&c, 2, 0x3000, 1);
    }
    host_free(h);
}

/* The index is read first, in a segment of 2 bytes, and descriptors last. */
static void check_index_first(Host *h, bool write,
                              const struct epf_vring_seg *segs, unsigned n)
{
    if (h->reads == 1) {
        g_assert_cmpuint(n, >=, 3);
        g_assert_cmphex(segs[0].addr, ==, HOST_AVAIL + 2);
        g_assert_cmpuint(segs[0].len, ==, 2);
        g_assert_cmphex(segs[1].addr, >=, HOST_AVAIL + 4);
        g_assert_cmphex(segs[n - 1].addr, ==, HOST_DESC);
    }
}

static void test_order(void)
{
    Host *h = host_new(8);

    host_post_one(h, 0);
    h->after = check_index_first;
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    host_free(h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vring/size", test_size);
    g_test_add_func("/vring/addresses", test_addresses);
    g_test_add_func("/vring/memory", test_memory);
    g_test_add_func("/vring/chain", test_chain);
    g_test_add_func("/vring/longest", test_longest);
    g_test_add_func("/vring/indirect", test_indirect);
    g_test_add_data_func("/vring/cost", NULL, test_cost);
    g_test_add_data_func("/vring/cost-indirect", "", test_cost);
    g_test_add_func("/vring/many", test_many);
    g_test_add_func("/vring/long-chains", test_long_chains);
    g_test_add_func("/vring/wrap", test_wrap);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_rings); i++) {
        g_autofree char *path = g_strdup_printf("/vring/bad/%s",
                                                bad_rings[i].name);

        g_test_add_data_func(path, &bad_rings[i], test_bad);
    }
    g_test_add_data_func("/vring/loop-bound", NULL, test_loop_bound);
    g_test_add_data_func("/vring/loop-bound-indirect", "", test_loop_bound);
    g_test_add_func("/vring/fault", test_fault);
    g_test_add_data_func("/vring/changes", NULL, test_changes);
    g_test_add_data_func("/vring/changes-indirect", "", test_changes);
    g_test_add_func("/vring/order", test_order);
    return g_test_run();
}
