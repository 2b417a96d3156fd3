/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * message-read RESOURCE LOOPS SAMPLES
 *
 * Runs in the host guest.  RESOURCE is the resourceN file of a BAR that is
 * reached by message, in sysfs.  Prints a line for each sample: ns of LOOPS
 * loads of 32 bits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096

/* volatile: each load is one access, and none goes away */
static uint64_t timed(const volatile uint32_t *bar, unsigned loops)
{
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned i = 0; i < loops; i++) {
        (void)*bar;
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a.tv_sec) * 1000000000ull + b.tv_nsec - a.tv_nsec;
}

int main(int argc, char **argv)
{
    unsigned loops = argc == 4 ? atoi(argv[2]) : 0;
    unsigned samples = argc == 4 ? atoi(argv[3]) : 0;
    void *bar;
    int fd;

    if (!loops || !samples) {
        fprintf(stderr, "usage: message-read RESOURCE LOOPS SAMPLES\n");
        return 2;
    }
    fd = open(argv[1], O_RDWR);
    bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    if (bar == MAP_FAILED) {
        fprintf(stderr, "cannot map %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    timed(bar, 1);
    while (samples--) {
        printf("%llu\n", (unsigned long long)timed(bar, loops));
    }
    return 0;
}
