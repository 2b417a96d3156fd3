/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of shared/patience.c
 */
#include "qemu/osdep.h"
#include "hw/pci-ep/shared/patience.h"

#define LIMIT 1000

/* Counts a wait of @us that ends at @now. */
static bool count(EpPatience *p, int64_t now, int64_t us)
{
    int64_t since = now - us;

    return ep_patience_count(p, &since, now);
}

static EpPatience patience_new(void)
{
    EpPatience p;

    ep_patience_init(&p, LIMIT, EP_PATIENCE_TOLERATED(LIMIT));
    return p;
}

static void test_one_wait(void)
{
    EpPatience p = patience_new();

    g_assert_false(count(&p, 1000000, LIMIT - 1));
    p = patience_new();
    g_assert_true(count(&p, 1000000, LIMIT));
}

/* Answers that take just less than what is counted never add up. */
static void test_tolerated(void)
{
    EpPatience p = patience_new();

    for (unsigned i = 1; i < 1000; i++) {
        g_assert_false(count(&p, 1000000 + i * 99, 99));
    }
    ep_patience_init(&p, LIMIT, EP_PATIENCE_STRICT(LIMIT));
    for (unsigned i = 1; i < 1000; i++) {
        if (count(&p, 1000000 + i * 99, 99)) {
            return;
        }
    }
    g_assert_not_reached();
}

/* Each answer comes in time, but the next request waits again at once. */
static void test_just_in_time(void)
{
    EpPatience p = patience_new();
    int64_t now = 1000000;

    /* Each step adds 500 and, but for the first, leaks 50. */
    g_assert_false(count(&p, now, 500));
    g_assert_false(count(&p, now + 500, 500));
    g_assert_true(count(&p, now + 1000, 500));
    /* The bucket is empty afterwards. */
    g_assert_false(count(&p, now + 1500, 500));
}

static void test_idle_time_forgives(void)
{
    EpPatience p = patience_new();
    int64_t now = 1000000;

    g_assert_false(count(&p, now, 900));
    g_assert_false(count(&p, now + 9000, 900));
    g_assert_true(count(&p, now + 9000 + 100, 200));

    /* A tenth of the time for ever */
    p = patience_new();
    for (unsigned i = 1; i < 1000; i++) {
        g_assert_false(count(&p, now + i * 5000, 500));
    }
}

/* One wait in several steps counts once as a whole. */
static void test_steps(void)
{
    EpPatience p = patience_new();
    int64_t now = 1000000, since = now;

    g_assert_false(ep_patience_count(&p, &since, now + 50));
    g_assert_cmpint(since, ==, now);
    g_assert_false(ep_patience_count(&p, &since, now + 600));
    g_assert_cmpint(since, ==, now + 600);
    g_assert_false(ep_patience_count(&p, &since, now + 650));
    g_assert_cmpint(since, ==, now + 600);
    g_assert_true(ep_patience_count(&p, &since, now + 1150));
}

static void test_init_empties(void)
{
    EpPatience p = patience_new();

    g_assert_false(count(&p, 1000000, 900));
    ep_patience_init(&p, LIMIT, EP_PATIENCE_TOLERATED(LIMIT));
    g_assert_false(count(&p, 1000000, 900));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/patience/one-wait", test_one_wait);
    g_test_add_func("/patience/tolerated", test_tolerated);
    g_test_add_func("/patience/just-in-time", test_just_in_time);
    g_test_add_func("/patience/idle-time-forgives", test_idle_time_forgives);
    g_test_add_func("/patience/steps", test_steps);
    g_test_add_func("/patience/init-empties", test_init_empties);
    return g_test_run();
}
