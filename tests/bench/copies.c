/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copies SIZE LOOPS SAMPLES [memfd]
 *
 * The yardstick for the DMA engine: memcpy() of the same amounts in a process
 * that does nothing else.  Prints ns of LOOPS copies for each sample.  "memfd":
 * between shared files of memory, as the RAM of the guests is, instead of memory
 * of its own.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SPACE (16u << 20)

static char *memory(int shared)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;
    char *p;

    if (shared) {
        flags = MAP_SHARED;
        fd = memfd_create("copies", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, SPACE)) {
            return NULL;
        }
    }
    p = mmap(NULL, SPACE, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    memset(p, 1, SPACE);
    return p;
}

static uint64_t sample(char *to, const char *from, size_t size, unsigned loops)
{
    size_t places = SPACE / size;
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned i = 0; i < loops; i++) {
        size_t at = i % places * size;

        memcpy(to + at, from + at, size);
        /* The compiler must not leave out what nobody looks at. */
        __asm__ __volatile__("" : : "r"(to) : "memory"); /* volatile: as said */
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a.tv_sec) * 1000000000ull + b.tv_nsec - a.tv_nsec;
}

int main(int argc, char **argv)
{
    unsigned size = argc >= 4 ? atoi(argv[1]) : 0;
    unsigned loops = argc >= 4 ? atoi(argv[2]) : 0;
    unsigned samples = argc >= 4 ? atoi(argv[3]) : 0;
    int shared = argc == 5 && !strcmp(argv[4], "memfd");
    char *to, *from;

    if (!size || size > SPACE || !loops || (argc == 5 && !shared) || argc > 5) {
        fprintf(stderr, "usage: copies SIZE LOOPS SAMPLES [memfd]\n");
        return 2;
    }
    to = memory(shared);
    from = memory(shared);
    if (!to || !from) {
        perror("memory");
        return 1;
    }
    sample(to, from, size, loops);
    while (samples--) {
        printf("%llu\n",
               (unsigned long long)sample(to, from, size, loops));
    }
    return 0;
}
