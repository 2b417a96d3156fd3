/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmap-pair LOOPS SAMPLES
 *
 * The yardstick for mapping host memory: what the two system calls cost in a
 * process that does nothing else.  Prints ns of LOOPS pairs for each sample.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SPACE (16u << 20)
#define PAGE 4096u

static int sample(char *at, size_t page, int memory, int ones, unsigned loops)
{
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned i = 0; i < loops; i++) {
        if (mmap(at, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                 memory, SPACE - page) == MAP_FAILED ||
            mmap(at, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
                 ones, 0) == MAP_FAILED) {
            return -1;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%llu\n", (b.tv_sec - a.tv_sec) * 1000000000ull +
           b.tv_nsec - a.tv_nsec);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned loops = argc == 3 ? atoi(argv[1]) : 0;
    unsigned samples = argc == 3 ? atoi(argv[2]) : 0;
    size_t page = PAGE;
    int memory = memfd_create("memory", MFD_CLOEXEC);
    int ones = memfd_create("ones", MFD_CLOEXEC);
    char *at;

    if (!loops) {
        fprintf(stderr, "usage: mmap-pair LOOPS SAMPLES\n");
        return 2;
    }
    if (memory < 0 || ones < 0 || ftruncate(memory, SPACE) ||
        ftruncate(ones, SPACE)) {
        perror("memfd");
        return 1;
    }
    at = mmap(NULL, SPACE, PROT_READ | PROT_WRITE, MAP_PRIVATE, ones, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    while (samples--) {
        if (sample(at, page, memory, ones, loops)) {
            perror("mmap");
            return 1;
        }
    }
    return 0;
}
