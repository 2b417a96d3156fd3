/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Uses BAR 0 of pci-epf-trap-test:
 *
 *   trap-load DEVICE banked COUNT         writes select and reads banked
 *   trap-load DEVICE slots THREADS COUNT  writes and reads slots, each thread
 *                                         its own ones, with all widths
 *   trap-load DEVICE status               writes 0 to status and waits for it
 *   trap-load DEVICE read OFFSET          prints 32 bits and the milliseconds
 *   trap-load DEVICE until-ones           reads count until it reads all ones
 *
 * DEVICE is the directory of the function in sysfs. A wrong value ends the
 * program with status 1.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define BAR_SIZE    0x10000
#define SELECT      0x00
#define BANKED      0x04
#define STATUS      0x08
#define COUNT       0x10
#define SLOTS       0x100
#define SLOT_COUNT  64

static uint8_t *bar;
static unsigned threads, rounds;

/*
 * The register at an offset of the BAR, as a pointer. It is one of a device,
 * hence volatile.
 */
#define REGISTER(word_t, offset) (*(volatile word_t *)(bar + (offset)))

static uint32_t load(unsigned offset)
{
    return REGISTER(uint32_t, offset);
}

static void store(unsigned offset, uint32_t value)
{
    REGISTER(uint32_t, offset) = value;
}

static void wrong(const char *what, unsigned n, uint64_t seen,
                  uint64_t expected)
{
    fprintf(stderr, "%s %u reads 0x%llx, expected 0x%llx\n", what, n,
            (unsigned long long)seen, (unsigned long long)expected);
    exit(1);
}

static unsigned now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void use_banked(unsigned count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t seen;

        store(SELECT, i);
        seen = load(BANKED);
        if (seen != i * 0x01000193 + 1) {
            wrong("banked", i, seen, i * 0x01000193 + 1);
        }
    }
}

/* Stores a value and reads it back with the same width. */
#define USE_SLOT(type, n, value)                                    \
    do {                                                            \
        type seen, stored = (value);                                \
                                                                    \
        REGISTER(type, SLOTS + (n) * 8) = stored;                   \
        seen = REGISTER(type, SLOTS + (n) * 8);                     \
        if (seen != stored) {                                       \
            wrong("slot", n, seen, stored);                         \
        }                                                           \
    } while (0)

static void use_slot(unsigned n, uint64_t value)
{
    USE_SLOT(uint8_t, n, value);
    USE_SLOT(uint16_t, n, value);
    USE_SLOT(uint32_t, n, value);
    USE_SLOT(uint64_t, n, value);
}

static void *use_slots(void *first)
{
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned n = (uintptr_t)first; n < SLOT_COUNT; n += threads) {
            use_slot(n, 0x0101010101010101ull * (i + n + 1));
        }
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t id[SLOT_COUNT];

    for (uintptr_t n = 0; n < threads; n++) {
        if (pthread_create(&id[n], NULL, use_slots, (void *)n)) {
            perror("pthread_create");
            exit(1);
        }
    }
    for (unsigned n = 0; n < threads; n++) {
        pthread_join(id[n], NULL);
    }
}

static void map_bar(const char *device)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/resource0", device);
    fd = open(path, O_RDWR | O_SYNC);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    bar = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bar == MAP_FAILED) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    unsigned since;

    if (argc < 3) {
        fprintf(stderr, "usage: trap-load DEVICE WHAT ...\n");
        return 2;
    }
    map_bar(argv[1]);
    since = now_ms();
    if (!strcmp(what, "banked") && argc == 4) {
        use_banked(atoi(argv[3]));
        printf("%u ms\n", now_ms() - since);
    } else if (!strcmp(what, "slots") && argc == 5) {
        threads = atoi(argv[3]);
        rounds = atoi(argv[4]);
        run_threads();
        printf("%u ms\n", now_ms() - since);
    } else if (!strcmp(what, "status") && argc == 3) {
        unsigned reads = 0;

        store(STATUS, 0);
        while (load(STATUS)) {
            reads++;
        }
        printf("%u ms, not done %u times\n", now_ms() - since, reads);
    } else if (!strcmp(what, "read") && argc == 4) {
        uint32_t seen = load(atoi(argv[3]));

        printf("0x%x %u\n", seen, now_ms() - since);
    } else if (!strcmp(what, "until-ones") && argc == 3) {
        uint32_t last = 0, seen;

        while ((seen = load(COUNT)) != UINT32_MAX) {
            if (seen != last + 1 && last) {
                wrong("count", last, seen, last + 1);
            }
            last = seen;
        }
        printf("ones after %u\n", last);
    } else {
        fprintf(stderr, "unknown: %s\n", what);
        return 2;
    }
    return 0;
}
