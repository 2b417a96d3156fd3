/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers and the length of a random test
 *
 * PCI_EP_SEED is the seed and PCI_EP_SECONDS the length. The seed is printed,
 * so that a run can be repeated. It fixes what each thread does, and not when.
 */
#ifndef TESTS_QTEST_PCI_EP_RANDOM_H
#define TESTS_QTEST_PCI_EP_RANDOM_H

#define RANDOM_SEED     1
#define RANDOM_SECONDS  20

/* One thread has its own. */
typedef struct Random {
    uint64_t state;
} Random;

/* Thread @n of a test; 0 is the test itself, which prints the seed. */
void random_init(Random *r, unsigned n);
/* When the test is to end, of g_get_monotonic_time() */
gint64 random_end(void);

/* A number below @below, which is not 0 */
uint32_t random_below(Random *r, uint32_t below);
/* True one time of @n */
bool random_once_in(Random *r, unsigned n);
/* Small numbers, edges of 2^n and any number */
uint64_t random_value(Random *r);

#define random_of(r, array) ((array)[random_below(r, G_N_ELEMENTS(array))])

#endif /* TESTS_QTEST_PCI_EP_RANDOM_H */
