/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of linux/functions/virtio/vring: chains that are used, interrupts
 * and notifications, and parts of a chain
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "vring-host.h"

unsigned vring_compat_allocations = UINT_MAX;

#define USED_IDX        (HOST_USED + 2)
#define AVAIL_EVENT(h)  (HOST_USED + 4 + (h)->conf.size * 8)
#define USED_EVENT(h)   (HOST_AVAIL + 4 + (h)->conf.size * 2)

/* Makes @n chains available, from @head on, and takes them all. */
static void post_and_take(Host *h, unsigned head, unsigned n)
{
    struct epf_vring_chain c;

    for (unsigned i = 0; i < n; i++) {
        host_post_one(h, head + i);
    }
    while (n) {
        g_assert_cmpint(epf_vring_fetch(&h->ring), >, 0);
        while (epf_vring_next(&h->ring, &c) == 1) {
            n--;
        }
    }
}

static void use(Host *h, uint16_t head, uint32_t len)
{
    g_assert_cmpint(epf_vring_used(&h->ring, head, len), ==, 0);
}

/* Whether the driver wants an interrupt */
static bool flush(Host *h)
{
    bool interrupt = true;

    g_assert_cmpint(epf_vring_flush(&h->ring, &interrupt), ==, 0);
    return interrupt;
}

static void check_elem(Host *h, unsigned i, uint32_t head, uint32_t len)
{
    g_assert_cmpuint(host_get32(h, HOST_USED + 4 + i * 8), ==, head);
    g_assert_cmpuint(host_get32(h, HOST_USED + 8 + i * 8), ==, len);
}

static void want(Host *h, bool on, int result)
{
    g_assert_cmpint(epf_vring_want_notify(&h->ring, on), ==, result);
}

/* ---- Elements ---- */

static void test_elements(void)
{
    Host *h = host_new(4);

    post_and_take(h, 0, 4);
    use(h, 2, 100);
    use(h, 0, 0);
    use(h, 3, UINT32_MAX);
    g_assert_cmpuint(h->writes, ==, 0);
    flush(h);
    g_assert_cmpuint(host_get16(h, USED_IDX), ==, 3);
    check_elem(h, 0, 2, 100);
    check_elem(h, 1, 0, 0);
    check_elem(h, 2, 3, UINT32_MAX);
    check_elem(h, 3, 0, 0);
    /* Over the end of the ring, while chain 1 is still in flight */
    post_and_take(h, 2, 2);
    use(h, 3, 5);
    use(h, 2, 6);
    use(h, 1, 7);
    flush(h);
    g_assert_cmpuint(h->writes, ==, 2);
    g_assert_cmpuint(host_get16(h, USED_IDX), ==, 6);
    check_elem(h, 3, 3, 5);
    check_elem(h, 0, 2, 6);
    check_elem(h, 1, 1, 7);
    check_elem(h, 2, 3, UINT32_MAX);
    host_free(h);
}

static void test_not_taken(void)
{
    Host *h = host_new(4);

    g_assert_cmpint(epf_vring_used(&h->ring, 0, 0), ==, -EINVAL);
    g_assert_cmpint(epf_vring_used(&h->ring, 4, 0), ==, -EINVAL);
    g_assert_cmpint(epf_vring_used(&h->ring, UINT16_MAX, 0), ==, -EINVAL);
    host_post_one(h, 0);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    g_assert_cmpint(epf_vring_used(&h->ring, 0, 0), ==, -EINVAL);
    post_and_take(h, 1, 1);
    use(h, 0, 0);
    g_assert_cmpint(epf_vring_used(&h->ring, 0, 0), ==, -EINVAL);
    flush(h);
    g_assert_cmpint(epf_vring_used(&h->ring, 0, 0), ==, -EINVAL);
    g_assert_cmpuint(host_get16(h, USED_IDX), ==, 1);
    host_free(h);
}

/* All writes are inside of the used ring, and the index is the last. */
static void check_write(Host *h, bool write, const struct epf_vring_seg *segs,
                        unsigned n)
{
    if (!write) {
        return;
    }
    g_assert_cmpuint(n, >=, 2);
    for (unsigned i = 0; i < n - 1; i++) {
        g_assert_cmphex(segs[i].addr, >=, HOST_USED + 4);
        g_assert_cmphex(segs[i].addr + segs[i].len, <=, AVAIL_EVENT(h));
    }
    g_assert_cmphex(segs[n - 1].addr, ==, USED_IDX);
    g_assert_cmpuint(segs[n - 1].len, ==, 2);
}

static void test_order(void)
{
    Host *h = host_new(4);

    h->after = check_write;
    for (unsigned i = 0; i < 20; i++) {
        post_and_take(h, 0, 3);
        use(h, 1, 0);
        use(h, 2, 0);
        use(h, 0, 0);
        flush(h);
    }
    host_free(h);
}

/* The index wraps at 65536. */
static void test_wrap(void)
{
    Host *h = host_new(1);

    for (unsigned i = 1; i <= 65540; i++) {
        post_and_take(h, 0, 1);
        use(h, 0, i);
        flush(h);
        g_assert_cmpuint(host_get16(h, USED_IDX), ==, i & 0xffff);
        check_elem(h, 0, 0, i);
    }
    host_free(h);
}

/* Neither elements nor the interrupt are lost when a call fails. */
static void test_fault(void)
{
    Host *h = host_new(4);
    bool interrupt = true;

    post_and_take(h, 0, 2);
    use(h, 0, 1);
    h->good_calls = 0;
    g_assert_cmpint(epf_vring_flush(&h->ring, &interrupt), ==, -EFAULT);
    g_assert_false(interrupt);
    use(h, 1, 2);
    h->good_calls = 1;
    g_assert_cmpint(epf_vring_flush(&h->ring, &interrupt), ==, -EFAULT);
    g_assert_false(interrupt);
    h->good_calls = NO_LIMIT;
    g_assert_cmpuint(host_get16(h, USED_IDX), ==, 2);
    check_elem(h, 0, 0, 1);
    check_elem(h, 1, 1, 2);
    g_assert_cmpuint(h->writes, ==, 2);
    want(h, true, 0);
    g_assert_true(flush(h));
    g_assert_false(flush(h));
    g_assert_cmpuint(h->writes, ==, 3);
    host_free(h);
}

/* ---- Interrupts ---- */

static void test_no_interrupt(void)
{
    Host *h = host_new(4);

    g_assert_false(flush(h));
    g_assert_cmpuint(h->reads, ==, 0);
    for (unsigned flags = 0; flags < 4; flags++) {
        host_set16(h, HOST_AVAIL, flags);
        /* Means nothing without VIRTIO_F_EVENT_IDX */
        host_set16(h, USED_EVENT(h), flags * 0x100);
        post_and_take(h, 0, 1);
        use(h, 0, 0);
        g_assert_cmpint(flush(h), ==, !(flags & 1));
    }
    host_free(h);
}

/* The driver changes its wish before it sees the index. */
static void wish_late(Host *h, bool write, const struct epf_vring_seg *segs,
                      unsigned n)
{
    if (write) {
        host_set16(h, HOST_AVAIL, 0);
    }
}

static void test_late_wish(void)
{
    Host *h = host_new(4);

    host_set16(h, HOST_AVAIL, 1);
    post_and_take(h, 0, 1);
    use(h, 0, 0);
    h->after = wish_late;
    g_assert_true(flush(h));
    host_free(h);
}

/* What section 2.7.7.2 says, for each element */
static bool event_reached(uint16_t old, unsigned n, uint16_t event)
{
    for (unsigned i = 0; i < n; i++) {
        if ((uint16_t)(old + i) == event) {
            return true;
        }
    }
    return false;
}

/* Uses @n chains of a ring whose indices are @old. */
static void check_event(Host *h, uint16_t old, unsigned n, uint16_t event)
{
    h->ring.avail_idx = h->ring.used_idx = old;
    host_set_avail(h, old);
    host_set16(h, USED_EVENT(h), event);
    post_and_take(h, 0, n);
    for (unsigned i = 0; i < n; i++) {
        use(h, i, 0);
    }
    g_assert_cmpint(flush(h), ==, event_reached(old, n, event));
}

/* Flushes of 1 to 4 elements around the positions where numbers wrap */
static void test_event(void)
{
    static const int near[] = {
        -32769, -32768, -32767, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6,
        32766, 32767, 32768,
    };
    Host *h = host_new_at(4, false, true);

    host_set16(h, HOST_AVAIL, 1);       /* means nothing */
    for (int off = -6; off <= 6; off++) {
        for (unsigned n = 1; n <= 4; n++) {
            for (unsigned i = 0; i < G_N_ELEMENTS(near); i++) {
                check_event(h, off, n, off + near[i]);
                check_event(h, 0x8000 + off, n, 0x8000 + off + near[i]);
            }
        }
    }
    host_free(h);
}

/* Elements that were told while the wish could not be read count as well. */
static void test_event_fault(void)
{
    Host *h = host_new_at(4, false, true);
    bool interrupt;

    host_set16(h, USED_EVENT(h), 1);
    post_and_take(h, 0, 3);
    use(h, 0, 0);
    g_assert_false(flush(h));
    use(h, 1, 0);
    h->good_calls = 1;
    g_assert_cmpint(epf_vring_flush(&h->ring, &interrupt), ==, -EFAULT);
    h->good_calls = NO_LIMIT;
    use(h, 2, 0);
    g_assert_true(flush(h));
    host_free(h);
}

/* ---- Notifications ---- */

static void test_flags(void)
{
    Host *h = host_new(4);

    host_set16(h, HOST_USED, 0xffff);
    want(h, true, 0);
    g_assert_cmpuint(host_get16(h, HOST_USED), ==, 0);
    want(h, false, 0);
    g_assert_cmpuint(host_get16(h, HOST_USED), ==, 1);
    g_assert_cmpuint(h->writes, ==, 2);
    want(h, false, 0);
    g_assert_cmpuint(h->writes, ==, 2);
    /* A write that fails is repeated. */
    h->good_calls = 0;
    want(h, true, -EFAULT);
    h->good_calls = NO_LIMIT;
    want(h, false, 0);
    g_assert_cmpuint(h->writes, ==, 4);
    want(h, true, 0);
    g_assert_cmpuint(host_get16(h, HOST_USED), ==, 0);
    h->good_calls = 0;
    want(h, true, -EFAULT);
    host_free(h);
}

static void test_avail_event(void)
{
    Host *h = host_new_at(4, false, true);

    want(h, false, 0);
    g_assert_cmpuint(h->reads + h->writes, ==, 0);
    for (unsigned i = 0; i < 0x10000 + 8; i++) {
        want(h, true, 0);
        g_assert_cmpuint(host_get16(h, AVAIL_EVENT(h)), ==, i & 0xffff);
        post_and_take(h, 0, 1);
        use(h, 0, 0);
        flush(h);
    }
    g_assert_cmpuint(host_get16(h, HOST_USED), ==, 0);
    host_free(h);
}

/* The driver makes a chain available before it sees the wish. */
static void post_late(Host *h, bool write, const struct epf_vring_seg *segs,
                      unsigned n)
{
    if (write) {
        h->after = NULL;
        host_post_one(h, 0);
    }
}

static void test_late_chain(const void *event_idx)
{
    Host *h = host_new_at(4, false, event_idx);
    struct epf_vring_chain c;

    want(h, false, 0);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 0);
    h->after = post_late;
    want(h, true, 1);
    want(h, true, 1);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    /* It was fetched and not taken. */
    want(h, true, 1);
    g_assert_cmpint(epf_vring_next(&h->ring, &c), ==, 1);
    want(h, true, 0);
    host_free(h);
}

static void test_jump(const void *event_idx)
{
    Host *h = host_new_at(4, false, event_idx);

    host_set_avail(h, 4);
    want(h, true, 1);
    host_set_avail(h, 5);
    want(h, true, -EPROTO);
    g_assert_nonnull(h->ring.broken);
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, -EPROTO);
    host_free(h);
}

/* ---- Both at once ---- */

static bool finish(Host *h, int result)
{
    bool interrupt = true;

    g_assert_cmpint(epf_vring_finish(&h->ring, &interrupt), ==, result);
    return interrupt;
}

/* One write, whose last segment is the wish, and one read */
static void check_finish(Host *h, bool write,
                         const struct epf_vring_seg *segs, unsigned n)
{
    uint64_t wish = h->conf.event_idx ? AVAIL_EVENT(h) : HOST_USED;

    if (write) {
        g_assert_cmpuint(n, ==, 3);
        g_assert_cmphex(segs[0].addr, ==, HOST_USED + 4);
        g_assert_cmphex(segs[1].addr, ==, USED_IDX);
        g_assert_cmphex(segs[2].addr, ==, wish);
    }
}

static void test_finish(const void *event_idx)
{
    Host *h = host_new_at(4, false, event_idx);

    want(h, false, 0);
    post_and_take(h, 0, 2);
    use(h, 1, 7);
    use(h, 0, 0);
    h->reads = h->writes = 0;
    h->after = check_finish;
    g_assert_true(finish(h, 0));
    g_assert_cmpuint(h->reads, ==, 1);
    g_assert_cmpuint(h->writes, ==, 1);
    h->after = NULL;
    check_elem(h, 0, 1, 7);
    g_assert_cmpuint(host_get16(h, USED_IDX), ==, 2);
    g_assert_cmpuint(host_get16(h, HOST_USED), ==, 0);
    g_assert_cmpuint(host_get16(h, AVAIL_EVENT(h)), ==, event_idx ? 2 : 0);
    /* No interrupt without a used element, nor when the driver wants none */
    g_assert_false(finish(h, 0));
    host_set16(h, HOST_AVAIL, 1);
    host_set16(h, USED_EVENT(h), 0);
    post_and_take(h, 0, 1);
    use(h, 0, 0);
    g_assert_false(finish(h, 0));
    host_free(h);
}

static void test_finish_more(const void *event_idx)
{
    Host *h = host_new_at(4, false, event_idx);
    struct epf_vring_chain c;

    post_and_take(h, 3, 1);
    use(h, 3, 0);
    h->after = post_late;
    g_assert_true(finish(h, 1));
    /* Fetched and not taken: elements are told all the same. */
    g_assert_cmpint(epf_vring_fetch(&h->ring), ==, 1);
    g_assert_false(finish(h, 1));
    g_assert_cmpint(epf_vring_next(&h->ring, &c), ==, 1);
    host_set_avail(h, 100);
    use(h, 0, 0);
    host_set16(h, USED_EVENT(h), 1);
    g_assert_true(finish(h, -EPROTO));
    g_assert_cmpuint(host_get16(h, USED_IDX), ==, 2);
    host_set_avail(h, 2);
    g_assert_false(finish(h, -EPROTO));
    host_free(h);
}

static void test_finish_fault(const void *event_idx)
{
    Host *h = host_new_at(4, false, event_idx);

    post_and_take(h, 0, 1);
    use(h, 0, 0);
    for (h->good_calls = 0; h->good_calls < 2;) {
        unsigned good = h->good_calls;

        g_assert_false(finish(h, -EFAULT));
        h->good_calls = good + 1;
    }
    h->good_calls = NO_LIMIT;
    g_assert_true(finish(h, 0));
    g_assert_cmpuint(host_get16(h, USED_IDX), ==, 1);
    host_free(h);
}

/* ---- Parts of a chain ---- */

static void test_slice(void)
{
    struct epf_vring_extent ext[] = {
        { 0x1000, 16 }, { 0x2000, 1 }, { 0x3000, 100 }, { 0x4000, 512 },
    };
    struct epf_vring_chain c = {
        .nread = 2, .nwrite = 2, .read_len = 17, .write_len = 612, .ext = ext,
    };
    struct epf_vring_seg segs[4] = { };
    uint8_t buf[700];

    g_assert_cmpint(epf_vring_slice(&c, false, 0, buf, 16, segs, 4), ==, 1);
    g_assert_cmphex(segs[0].addr, ==, 0x1000);
    g_assert_true(segs[0].buf == buf);
    g_assert_cmpuint(segs[0].len, ==, 16);
    g_assert_cmpint(epf_vring_slice(&c, false, 15, buf, 2, segs, 4), ==, 2);
    g_assert_cmphex(segs[0].addr, ==, 0x100f);
    g_assert_cmpuint(segs[0].len, ==, 1);
    g_assert_cmphex(segs[1].addr, ==, 0x2000);
    g_assert_true(segs[1].buf == buf + 1);
    g_assert_cmpuint(segs[1].len, ==, 1);
    g_assert_cmpint(epf_vring_slice(&c, false, 16, buf, 1, segs, 4), ==, 1);
    g_assert_cmphex(segs[0].addr, ==, 0x2000);
    g_assert_cmpint(epf_vring_slice(&c, true, 99, buf, 512, segs, 4), ==, 2);
    g_assert_cmphex(segs[0].addr, ==, 0x3063);
    g_assert_cmphex(segs[1].addr, ==, 0x4000);
    g_assert_cmpuint(segs[1].len, ==, 511);
    /* The last byte, nothing, too much, too many */
    g_assert_cmpint(epf_vring_slice(&c, true, 611, buf, 1, segs, 4), ==, 1);
    g_assert_cmphex(segs[0].addr, ==, 0x41ff);
    g_assert_cmpint(epf_vring_slice(&c, true, 612, buf, 0, segs, 4), ==, 0);
    g_assert_cmpint(epf_vring_slice(&c, true, 612, buf, 1, segs, 4), ==,
                    -EINVAL);
    g_assert_cmpint(epf_vring_slice(&c, false, 0, buf, 18, segs, 4), ==,
                    -EINVAL);
    g_assert_cmpint(epf_vring_slice(&c, false, UINT64_MAX, buf, 1, segs, 4),
                    ==, -EINVAL);
    g_assert_cmpint(epf_vring_slice(&c, false, 0, buf, 17, segs, 1), ==,
                    -ENOSPC);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vring-used/elements", test_elements);
    g_test_add_func("/vring-used/not-taken", test_not_taken);
    g_test_add_func("/vring-used/order", test_order);
    g_test_add_func("/vring-used/wrap", test_wrap);
    g_test_add_func("/vring-used/fault", test_fault);
    g_test_add_func("/vring-used/no-interrupt", test_no_interrupt);
    g_test_add_func("/vring-used/late-wish", test_late_wish);
    g_test_add_func("/vring-used/event", test_event);
    g_test_add_func("/vring-used/event-fault", test_event_fault);
    g_test_add_func("/vring-used/flags", test_flags);
    g_test_add_func("/vring-used/avail-event", test_avail_event);
    g_test_add_data_func("/vring-used/late-chain", NULL, test_late_chain);
    g_test_add_data_func("/vring-used/late-chain-event", "", test_late_chain);
    g_test_add_data_func("/vring-used/jump", NULL, test_jump);
    g_test_add_data_func("/vring-used/jump-event", "", test_jump);
    g_test_add_data_func("/vring-used/finish", NULL, test_finish);
    g_test_add_data_func("/vring-used/finish-event", "", test_finish);
    g_test_add_data_func("/vring-used/finish-more", NULL, test_finish_more);
    g_test_add_data_func("/vring-used/finish-more-event", "",
                         test_finish_more);
    g_test_add_data_func("/vring-used/finish-fault", NULL, test_finish_fault);
    g_test_add_data_func("/vring-used/finish-fault-event", "",
                         test_finish_fault);
    g_test_add_func("/vring-used/slice", test_slice);
    return g_test_run();
}
