/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of shared/fault.c
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci-ep/shared/fault.h"

enum { FAIL, DELAY, DOWN };

static const EpFaultKind kinds[] = {
    [FAIL] = { "dma-fail" },
    [DELAY] = { "dma-delay", .keys = BIT(EP_FAULT_US) | BIT(EP_FAULT_JITTER) },
    [DOWN] = { "link-down", .now = true, .keys = BIT(EP_FAULT_MS) },
};

static unsigned seen_count;

static void seen(void *opaque, const char *kind, uint32_t function,
                 uint64_t at)
{
    seen_count++;
}

static EpFaults *faults_new(void)
{
    seen_count = 0;
    return ep_faults_new(kinds, G_N_ELEMENTS(kinds), seen, NULL);
}

/* Arms @text, which is a good request. */
static void arm(EpFaults *faults, const char *text)
{
    EpFault fault;
    bool now;

    g_assert_true(ep_faults_request(faults, text, &now, &fault, &error_abort));
    g_assert_false(now);
}

/* Refused, with a message that has @part in it */
static void refuse(EpFaults *faults, const char *text, const char *part)
{
    g_autofree char *message = NULL;
    Error *err = NULL;
    EpFault fault;
    bool now;

    g_assert_false(ep_faults_request(faults, text, &now, &fault, &err));
    g_assert_nonnull(err);
    message = g_strdup(error_get_pretty(err));
    error_free(err);
    if (!strstr(message, part)) {
        g_error("\"%s\": \"%s\" lacks \"%s\"", text, message, part);
    }
    g_assert_cmpuint(ep_faults_armed(faults), ==, 0);
}

/* How many of @chances happen */
static unsigned count_hits(EpFaults *faults, unsigned kind, uint32_t function,
                           unsigned chances)
{
    unsigned hits = 0;
    EpFault fault;

    for (unsigned i = 0; i < chances; i++) {
        hits += ep_faults_hit(faults, kind, function, i, &fault);
    }
    return hits;
}

static void test_request(void)
{
    EpFaults *faults = faults_new();
    g_autofree char *text = NULL;
    EpFault fault;
    bool now;

    arm(faults, "dma-fail");
    arm(faults, "kind=dma-delay,us=7,count=0x10,function=3");
    text = ep_faults_armed_text(faults);
    g_assert_cmpstr(text, ==, "dma-fail;dma-delay,count=16,function=3,us=7");
    g_assert_cmpuint(ep_faults_armed(faults), ==, BIT(FAIL) | BIT(DELAY));

    g_assert_true(ep_faults_request(faults, "link-down,ms=20", &now, &fault,
                                    &error_abort));
    g_assert_true(now);
    g_assert_cmpuint(fault.kind, ==, DOWN);
    g_assert_cmpuint(fault.value[EP_FAULT_MS], ==, 20);
    g_assert_cmpuint(ep_faults_armed(faults), ==, BIT(FAIL) | BIT(DELAY));

    arm(faults, "clear");
    g_assert_cmpuint(ep_faults_armed(faults), ==, 0);
    ep_faults_free(faults);
}

static void test_refused(void)
{
    EpFaults *faults = faults_new();

    refuse(faults, "", "no fault ''");
    refuse(faults, "nothing", "no fault 'nothing'");
    refuse(faults, "dma-fail,us=1", "has no key 'us'");
    refuse(faults, "link-down,count=2", "has no key 'count'");
    refuse(faults, "dma-fail,chance=0", "from 1 to 100");
    refuse(faults, "dma-fail,chance=101", "from 1 to 100");
    refuse(faults, "dma-fail,count=", "is not a number");
    refuse(faults, "dma-fail,count=-1", "is not a number");
    refuse(faults, "dma-fail,count=1x", "is not a number");
    refuse(faults, "dma-fail,count.a=1", "not a single value");
    refuse(faults, "dma-fail,,", "arameter");
    refuse(faults, "clear,us=1", "no fault 'clear'");
    ep_faults_free(faults);
}

static void test_bound(void)
{
    EpFaults *faults = faults_new();
    Error *err = NULL;
    EpFault fault;
    bool now;

    for (unsigned i = 0; i < EP_FAULTS_MAX_ARMED; i++) {
        arm(faults, "dma-fail");
    }
    g_assert_false(ep_faults_request(faults, "dma-fail", &now, &fault, &err));
    g_assert_nonnull(err);
    error_free(err);
    g_assert_cmpuint(count_hits(faults, FAIL, 0, 1000), ==,
                     EP_FAULTS_MAX_ARMED);
    g_assert_cmpuint(ep_faults_armed(faults), ==, 0);
    ep_faults_free(faults);
}

static void test_count(void)
{
    EpFaults *faults = faults_new();
    EpFault fault;

    g_assert_cmpuint(count_hits(faults, FAIL, 0, 10), ==, 0);
    arm(faults, "dma-fail,count=3,after=2");
    g_assert_false(ep_faults_hit(faults, DELAY, 0, 0, &fault));
    g_assert_false(ep_faults_hit(faults, FAIL, 0, 0, &fault));
    g_assert_false(ep_faults_hit(faults, FAIL, 0, 0, &fault));
    g_assert_true(ep_faults_hit(faults, FAIL, 0, 0, &fault));
    g_assert_cmpuint(count_hits(faults, FAIL, 0, 10), ==, 2);
    g_assert_cmpuint(ep_faults_armed(faults), ==, 0);

    arm(faults, "dma-fail,count=0");
    g_assert_cmpuint(count_hits(faults, FAIL, 0, 5000), ==, 5000);
    arm(faults, "clear");
    g_assert_cmpuint(count_hits(faults, FAIL, 0, 10), ==, 0);
    ep_faults_free(faults);
}

static void test_function(void)
{
    EpFaults *faults = faults_new();

    arm(faults, "dma-fail,function=2,count=0");
    g_assert_cmpuint(count_hits(faults, FAIL, 1, 10), ==, 0);
    g_assert_cmpuint(count_hits(faults, FAIL, 2, 10), ==, 10);
    ep_faults_free(faults);
}

/* The same seed gives the same chances and delays. */
static void test_seed(void)
{
    EpFaults *faults = faults_new();
    uint32_t delays[2][50];

    for (unsigned run = 0; run < 2; run++) {
        EpFault fault;

        ep_faults_seed(faults, 1234);
        arm(faults, "clear");
        arm(faults, "dma-delay,us=100,jitter=50,chance=30,count=0");
        for (unsigned i = 0; i < G_N_ELEMENTS(delays[0]); i++) {
            delays[run][i] = 0;
            if (ep_faults_hit(faults, DELAY, 0, i, &fault)) {
                delays[run][i] = fault.value[EP_FAULT_US];
                g_assert_cmpuint(delays[run][i], >=, 100);
                g_assert_cmpuint(delays[run][i], <=, 150);
            }
        }
    }
    g_assert_cmpmem(delays[0], sizeof(delays[0]), delays[1],
                    sizeof(delays[1]));
    arm(faults, "clear");
    arm(faults, "dma-fail,chance=30,count=0");
    g_assert_cmpuint(count_hits(faults, FAIL, 0, 10000), >, 2700);
    g_assert_cmpuint(count_hits(faults, FAIL, 0, 10000), <, 3300);
    ep_faults_free(faults);
}

static void test_log(void)
{
    EpFaults *faults = faults_new();
    g_autofree char *empty = ep_faults_log(faults);
    g_autofree char *text = NULL;
    g_autofree char *full = NULL;
    EpFault fault;

    g_assert_cmpstr(empty, ==, "[]");
    arm(faults, "dma-fail,count=0");
    ep_faults_record(faults, DOWN, EP_FAULT_EVERY, 0);
    g_assert_true(ep_faults_hit(faults, FAIL, 5, 77, &fault));
    text = ep_faults_log(faults);
    g_assert_true(strstr(text, "\"fault\": \"link-down\", \"function\": null"));
    g_assert_true(strstr(text, "\"fault\": \"dma-fail\", \"function\": 5, "
                         "\"at\": 77}]"));
    g_assert_cmpuint(seen_count, ==, 2);

    g_assert_cmpuint(count_hits(faults, FAIL, 5, EP_FAULTS_MAX_LOG), ==,
                     EP_FAULTS_MAX_LOG);
    full = ep_faults_log(faults);
    g_assert_null(strstr(full, "link-down"));
    ep_faults_free(faults);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fault/request", test_request);
    g_test_add_func("/fault/refused", test_refused);
    g_test_add_func("/fault/bound", test_bound);
    g_test_add_func("/fault/count", test_count);
    g_test_add_func("/fault/function", test_function);
    g_test_add_func("/fault/seed", test_seed);
    g_test_add_func("/fault/log", test_log);
    return g_test_run();
}
