/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers and the length of a random test
 */
#include "qemu/osdep.h"
#include "random.h"

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

void random_init(Random *r, unsigned n)
{
    uint64_t seed = from_env("PCI_EP_SEED", RANDOM_SEED);

    if (!n) {
        g_test_message("PCI_EP_SEED=%" PRIu64, seed);
    }
    /* Neighbouring seeds and threads must not begin alike. */
    r->state = (seed * 0x100 + n + 1) * 0x9e3779b97f4a7c15;
    r->state ^= r->state >> 29;
    r->state = r->state ?: 1;
}

gint64 random_end(void)
{
    return g_get_monotonic_time() +
           from_env("PCI_EP_SECONDS", RANDOM_SECONDS) * G_USEC_PER_SEC;
}

uint32_t random_below(Random *r, uint32_t below)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return (r->state >> 32) % below;
}

bool random_once_in(Random *r, unsigned n)
{
    return !random_below(r, n);
}

uint64_t random_value(Random *r)
{
    uint64_t v = 1ull << random_below(r, 64);

    switch (random_below(r, 4)) {
    case 0:
        return random_below(r, 16);
    case 1:
        return v;
    case 2:
        return v - 1 + random_below(r, 3);
    default:
        v = random_below(r, UINT32_MAX);
        return v << 32 | random_below(r, UINT32_MAX);
    }
}
