/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * To read and to make inputs of fuzz targets
 */
#include "qemu/osdep.h"
#include "fuzz.h"

/* ---- To read ---- */

/*
 * The first byte is the form: two of three forms have one or two bytes more, so
 * that a mutation of one byte changes one number.
 */
uint64_t fuzz_value(FuzzInput *in)
{
    uint8_t form = fuzz_u8(in);
    unsigned bit = form & 0x3f;

    switch (form >> 6) {
    case 0:
        return bit;
    case 1:
        return 1ull << bit;
    case 2:
        return (1ull << bit) + (int8_t)fuzz_u8(in);
    default:
        return (uint64_t)fuzz_u32(in) << (bit & 0x20);
    }
}

/* The number of open descriptors has settled when it is the same for so long */
#define FUZZ_SETTLED_MS 50

static unsigned input_count_fds(void)
{
    GDir *d = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    REQUIRE(d);
    while (g_dir_read_name(d)) {
        n++;
    }
    g_dir_close(d);
    return n;
}

unsigned fuzz_count_fds(void)
{
    unsigned n = input_count_fds();

    for (int same = 0; same < FUZZ_SETTLED_MS; same++) {
        unsigned now;

        g_usleep(1000);
        now = input_count_fds();
        if (now != n) {
            n = now;
            same = 0;
        }
    }
    return n;
}

void fuzz_check_fds(unsigned want)
{
    int64_t end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    unsigned have = input_count_fds();

    while (have != want && g_get_monotonic_time() < end) {
        g_usleep(100);
        have = input_count_fds();
    }
    if (have != want) {
        fprintf(stderr, "%u descriptors are open, not %u\n", have, want);
    }
    for (int fd = 0; have != want && fd < 1024; fd++) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
        g_autofree char *target = g_file_read_link(link, NULL);

        if (target) {
            fprintf(stderr, "%d -> %s\n", fd, target);
        }
    }
    REQUIRE(have == want);
}

/* ---- To make ---- */

static uint64_t input_state = 1;

void fuzz_seed(uint64_t seed)
{
    /* Neighbouring seeds must not begin alike. */
    seed = (seed + 1) * 0x9e3779b97f4a7c15;
    seed ^= seed >> 29;
    input_state = seed ?: 1;
}

uint32_t fuzz_random(uint32_t below)
{
    input_state ^= input_state << 13;
    input_state ^= input_state >> 7;
    input_state ^= input_state << 17;
    return (input_state >> 32) % below;
}

void fuzz_add(FuzzBytes *out, const void *p, size_t n)
{
    n = MIN(n, sizeof(out->data) - out->len);
    if (n) {
        memcpy(out->data + out->len, p, n);
    }
    out->len += n;
}

void fuzz_add_u8(FuzzBytes *out, uint8_t v)
{
    fuzz_add(out, &v, 1);
}

void fuzz_add_random(FuzzBytes *out, size_t n)
{
    while (n--) {
        fuzz_add_u8(out, fuzz_random(256));
    }
}
