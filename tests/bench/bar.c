/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bar RESOURCE NAME SIZE LOOPS SAMPLES
 *
 * Runs in the host guest.  RESOURCE is the resourceN file of a BAR in sysfs.
 * Prints a line for each sample: ns of LOOPS times NAME on the BAR, and of the
 * same loop on memory of this guest.  A sample of the one follows a sample of
 * the other, so that both see the same load of the machine.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_SIZE (16u << 20)
#define PAGE 4096

static char *local;

typedef void Loop(void *p, size_t size, unsigned loops);

/* One loop for all sizes: memcpy() takes another way for each. */
static void copy(void *to, const void *from, size_t size)
{
    /* volatile: the compiler must not make this a memcpy() */
    volatile uint64_t *t = to;
    const uint64_t *f = from;

    for (; size >= 8; size -= 8) {
        *t++ = *f++;
    }
    if (size >= 4) {
        *(volatile uint32_t *)t = *(const uint32_t *)f; /* volatile: as above */
    }
}

static void bulk_read(void *p, size_t size, unsigned loops)
{
    for (unsigned i = 0; i < loops; i++) {
        copy(local, p, size);
    }
}

static void bulk_write(void *p, size_t size, unsigned loops)
{
    for (unsigned i = 0; i < loops; i++) {
        copy(p, local, size);
    }
}

static void word_read(void *p, size_t size, unsigned loops)
{
    for (unsigned i = 0; i < loops; i++) {
        /* volatile: each access is one of eight bytes, and none goes away */
        volatile uint64_t *w = p;

        for (size_t n = size / 8; n; n--) {
            (void)*w++;
        }
    }
}

static void word_write(void *p, size_t size, unsigned loops)
{
    for (unsigned i = 0; i < loops; i++) {
        /* volatile: each access is one of eight bytes, and none goes away */
        volatile uint64_t *w = p;

        for (size_t n = size / 8; n; n--) {
            *w++ = n;
        }
    }
}

static const struct {
    const char *name;
    Loop *loop;
} names[] = {
    { "bulk_read", bulk_read },
    { "bulk_write", bulk_write },
    { "word_read", word_read },
    { "word_write", word_write },
};

static Loop *find_loop(const char *name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(names[i].name, name)) {
            return names[i].loop;
        }
    }
    return NULL;
}

static uint64_t timed(Loop *loop, void *p, size_t size, unsigned loops)
{
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    loop(p, size, loops);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a.tv_sec) * 1000000000ull + b.tv_nsec - a.tv_nsec;
}

/*
 * The three memories lie so that neither pair of them meets in the same place
 * of a direct-mapped TLB, and that the BAR and its yardstick are equal in that.
 */
static bool place(int fd, char **bar, char **ram)
{
    const size_t stride = 2 * MAX_SIZE;
    uintptr_t mask = stride - 1;
    const int rw = PROT_READ | PROT_WRITE;
    const int own = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_FIXED;
    char *p = mmap(NULL, 4 * stride, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);

    if (p == MAP_FAILED) {
        return false;
    }
    p = (char *)(((uintptr_t)p + mask) & ~mask);
    *bar = p;
    *ram = p + stride;
    local = p + 2 * stride + 33 * PAGE;
    return mmap(*bar, MAX_SIZE, rw, MAP_SHARED | MAP_FIXED, fd, 0) == *bar &&
           mmap(*ram, MAX_SIZE, rw, own, -1, 0) == *ram &&
           mmap(local, MAX_SIZE, rw, own, -1, 0) == local;
}

int main(int argc, char **argv)
{
    unsigned size = argc == 6 ? atoi(argv[3]) : 0;
    unsigned loops = argc == 6 ? atoi(argv[4]) : 0;
    unsigned samples = argc == 6 ? atoi(argv[5]) : 0;
    Loop *loop = argc == 6 ? find_loop(argv[2]) : NULL;
    char *bar, *ram;
    struct stat st;
    int fd;

    if (!loop || !size || size > MAX_SIZE || !loops) {
        fprintf(stderr, "usage: bar RESOURCE NAME SIZE LOOPS SAMPLES\n");
        return 2;
    }
    fd = open(argv[1], O_RDWR);
    if (fd < 0 || fstat(fd, &st) || st.st_size < MAX_SIZE) {
        fprintf(stderr, "%s: not a BAR of %u bytes\n", argv[1], MAX_SIZE);
        return 1;
    }
    if (!place(fd, &bar, &ram)) {
        fprintf(stderr, "cannot map %s and memory beside it: %s\n", argv[1],
                strerror(errno));
        return 1;
    }

    timed(loop, bar, size, 1);
    timed(loop, ram, size, 1);
    while (samples--) {
        uint64_t b = timed(loop, bar, size, loops);
        uint64_t r = timed(loop, ram, size, loops);

        printf("%llu %llu\n", (unsigned long long)b, (unsigned long long)r);
    }
    return 0;
}
