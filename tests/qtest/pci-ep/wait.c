/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for something to happen, and proving that something did not
 */
#include "qemu/osdep.h"
#include "wait.h"

#define FENCE_COMMANDS  5

int64_t wait_scaled(int64_t time)
{
    const char *text = getenv("PCI_EP_TIME_FACTOR");
    guint64 factor = 1;

    if (text) {
        g_assert_true(g_ascii_string_to_unsigned(text, 10, 1, WAIT_MAX_FACTOR,
                                                 &factor, NULL));
    }
    return time * factor;
}

gint64 wait_deadline(unsigned ms)
{
    return g_get_monotonic_time() + wait_scaled(ms) * 1000;
}

bool wait_step(gint64 end)
{
    g_usleep(WAIT_STEP_US);
    return g_get_monotonic_time() < end;
}

void wait_failed(const char *file, int line, const char *fmt, ...)
{
    g_autofree char *what = NULL;
    va_list ap;

    va_start(ap, fmt);
    what = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_error("%s:%d: waited in vain for %s", file, line, what);
}

void fence_main_loop(QTestState *q)
{
    for (unsigned i = 0; i < FENCE_COMMANDS; i++) {
        qtest_readb(q, 0);
    }
}

gint64 wait_monitor(QTestState *q, gint64 us)
{
    gint64 end = g_get_monotonic_time() + us;
    gint64 worst = 0, since;

    for (since = g_get_monotonic_time(); since < end;
         since = g_get_monotonic_time()) {
        qtest_qmp_assert_success(q, "{ 'execute': 'query-status' }");
        worst = MAX(worst, g_get_monotonic_time() - since);
        g_usleep(10000);
    }
    return worst;
}
