/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for something to happen, and proving that something did not
 */
#ifndef TESTS_QTEST_PCI_EP_WAIT_H
#define TESTS_QTEST_PCI_EP_WAIT_H

#include "libqtest.h"

#define WAIT_MS         10000   /* a deadline that must not expire */
#define WAIT_STEP_US    1000

/*
 * Returns @time, in any unit, for the QEMU under test.  PCI_EP_TIME_FACTOR in
 * the environment, 1 to WAIT_MAX_FACTOR, says how much slower than a plain one
 * that is: scripts/build/run-tests sets it for each sanitizer.  A test scales
 * the deadline that it gives to a device, and the limit of what the device may
 * take, so that their proportion stays.  It does not scale how long a requested
 * fault or a peer that it plays holds something up.
 */
#define WAIT_MAX_FACTOR 100
int64_t wait_scaled(int64_t time);

/*
 * wait_until(COND, FORMAT, ...): evaluates COND every millisecond until it is
 * true. After WAIT_MS the test fails and says that it waited for the text; only
 * then are the arguments of FORMAT evaluated, so they may say what is there.
 */
#define wait_until(cond, ...) wait_until_ms(WAIT_MS, cond, __VA_ARGS__)
#define wait_until_ms(ms, cond, ...)                                        \
    do {                                                                    \
        gint64 wait_end_ = wait_deadline(ms);                               \
                                                                            \
        while (!(cond)) {                                                   \
            if (!wait_step(wait_end_)) {                                    \
                wait_failed(__FILE__, __LINE__, __VA_ARGS__);               \
            }                                                               \
        }                                                                   \
    } while (0)

/* For loops that need more than a condition; @ms is scaled here. */
gint64 wait_deadline(unsigned ms);
/* Sleeps for WAIT_STEP_US. False if @end has passed. */
bool wait_step(gint64 end);
void wait_failed(const char *file, int line, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4) G_GNUC_NORETURN;

/*
 * Returns when the main loop of the machine has done what was pending at the
 * call: it has called the handlers of eventfds that were signalled and run the
 * bottom halves that were scheduled, by it or by another thread. What such a
 * bottom half schedules in turn is done too. Timers and threads are not waited
 * for.
 *
 * The main loop takes one qtest command each time around. The first time it may
 * have polled an eventfd before it was signalled, the second time it calls the
 * handler, the third time the bottom half that the handler scheduled, the
 * fourth time the one that this scheduled. The fifth answer comes after all of
 * that.
 */
void fence_main_loop(QTestState *q);

/*
 * Asks the monitor all the time during @us. Returns the longest time that it
 * took to answer, in microseconds.
 */
gint64 wait_monitor(QTestState *q, gint64 us);

#endif /* TESTS_QTEST_PCI_EP_WAIT_H */
