/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bar-load DEVICE SETTLED: uses the memory BARs of a PCI function, also after the
 * function has died and the kernel has removed it, until a terminating signal
 * comes. DEVICE is the function's directory in sysfs.
 *
 * The lower half of each BAR is written and read back. The upper half is written
 * once and then only read. A word of a BAR that works reads what was written
 * last. Once the device is dead a word reads all ones. A word of the upper half
 * that has read all ones must never read anything else. Any other value ends
 * the program with status 1.
 *
 * The program creates the file SETTLED when all words have read all ones,
 * written or not, for SETTLE rounds in a row. From then on every word that reads
 * something else is an error. SIGTERM ends the program: with status 0 once it
 * has settled, otherwise with status 1. Linux 7.2 does not revoke the mapping of
 * a resourceN file when it removes the device. Where it does, an access is
 * SIGBUS, which ends the program with status 0.
 *
 * BAR 0 and BAR 1 must be there. BAR 0 has registers of the function, so only its
 * first word is used, as pci_endpoint_test does.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BARS    6
#define STEP    52              /* bytes between two words that are used */
#define SETTLE  20              /* rounds */
#define ONES    UINT32_MAX

typedef struct Bar {
    /* volatile: memory of a device */
    volatile uint32_t *words;
    size_t used;                /* bytes from the start that are used */
    bool *dead;                 /* by word of the upper half: read all ones */
    bool any_dead;
} Bar;

static Bar bars[BARS];
static sigjmp_buf revoked;
static volatile sig_atomic_t stop;

static void on_bus_error(int signal)
{
    (void)signal;
    siglongjmp(revoked, 1);
}

static void on_stop(int signal)
{
    (void)signal;
    stop = 1;
}

static void bar_map(const char *device, int n)
{
    char path[256];
    struct stat st;
    void *words;
    int fd;

    snprintf(path, sizeof(path), "%s/resource%d", device, n);
    fd = open(path, O_RDWR | O_SYNC);
    if (fd < 0 && n > 1) {
        return; /* no such BAR */
    }
    if (fd < 0 || fstat(fd, &st)) {
        perror(path);
        exit(1);
    }
    words = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (words == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    bars[n].words = words;
    bars[n].used = n ? (size_t)st.st_size : sizeof(uint32_t);
    bars[n].dead = calloc(bars[n].used / STEP + 1, sizeof(bool));
    if (!bars[n].dead) {
        perror("calloc");
        exit(1);
    }
}

/* What the word at @offset holds in round @round, never all ones */
static uint32_t pattern(int n, size_t offset, uint32_t round)
{
    return (uint32_t)n << 28 | ((uint32_t)offset & 0xfffff) << 8 |
           (round & 0x7f);
}

static void wrong(int n, size_t offset, uint32_t seen, const char *expected)
{
    fprintf(stderr, "BAR %d offset 0x%zx reads 0x%08x, expected %s\n", n,
            offset, seen, expected);
    exit(1);
}

static void bar_fill_upper_half(int n)
{
    size_t offset;

    for (offset = bars[n].used / 2 / STEP * STEP + STEP;
         offset < bars[n].used; offset += STEP) {
        bars[n].words[offset / 4] = pattern(n, offset, 0);
    }
}

/* Returns the number of words that do not read all ones. */
static unsigned bar_use_lower_half(int n, uint32_t round)
{
    size_t end = bars[n].used / 2 / STEP * STEP, offset;
    unsigned alive = 0;

    for (offset = 0; offset <= end; offset += STEP) {
        bars[n].words[offset / 4] = pattern(n, offset, round);
    }
    for (offset = 0; offset <= end; offset += STEP) {
        uint32_t seen = bars[n].words[offset / 4];

        if (seen != ONES) {
            alive++;
            if (seen != pattern(n, offset, round)) {
                wrong(n, offset, seen, "what was written, or all ones");
            }
        }
    }
    return alive;
}

/* The same */
static unsigned bar_read_upper_half(int n)
{
    unsigned alive = 0;
    size_t offset;

    for (offset = bars[n].used / 2 / STEP * STEP + STEP;
         offset < bars[n].used; offset += STEP) {
        uint32_t seen = bars[n].words[offset / 4];

        if (seen == ONES) {
            bars[n].dead[offset / STEP] = true;
            bars[n].any_dead = true;
            continue;
        }
        alive++;
        if (bars[n].dead[offset / STEP]) {
            wrong(n, offset, seen, "all ones, as before");
        }
        if (seen != pattern(n, offset, 0)) {
            wrong(n, offset, seen, "what was written once, or all ones");
        }
    }
    return alive;
}

/* Returns the number of rounds in a row in which nothing but ones was read. */
static unsigned use_until_stopped(const char *settled)
{
    unsigned quiet = 0;
    uint32_t round;
    int n;

    for (n = 0; n < BARS; n++) {
        bar_fill_upper_half(n);
    }
    for (round = 1; !stop; round++) {
        unsigned alive = 0;

        for (n = 0; n < BARS; n++) {
            if (bars[n].words) {
                alive += bar_use_lower_half(n, round);
                alive += bar_read_upper_half(n);
            }
        }
        if (alive && quiet >= SETTLE) {
            fprintf(stderr, "%u words do not read all ones any more\n", alive);
            exit(1);
        }
        quiet = alive ? 0 : quiet + 1;
        if (quiet == SETTLE) {
            close(open(settled, O_WRONLY | O_CREAT, 0600));
        }
    }
    return quiet;
}

/* Returns the number of BARs that have read all ones. */
static int count_dead(void)
{
    int n, dead = 0;

    for (n = 0; n < BARS; n++) {
        dead += bars[n].any_dead;
    }
    return dead;
}

int main(int argc, char **argv)
{
    struct sigaction bus_error = { .sa_handler = on_bus_error };
    struct sigaction term = { .sa_handler = on_stop };
    int n;

    if (argc != 3) {
        fprintf(stderr, "usage: bar-load DEVICE SETTLED\n");
        return 2;
    }
    for (n = 0; n < BARS; n++) {
        bar_map(argv[1], n);
    }
    sigaction(SIGBUS, &bus_error, NULL);
    sigaction(SIGTERM, &term, NULL);
    if (!sigsetjmp(revoked, 1) && use_until_stopped(argv[2]) < SETTLE) {
        fprintf(stderr, "%d BARs have read all ones\n", count_dead());
        return 1;
    }
    printf("dead: %d BARs have read all ones\n", count_dead());
    return 0;
}
