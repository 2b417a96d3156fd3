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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_SIZE (16u << 20)

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

/* Memory with its pages in place */
static void *memory(void)
{
    void *p = mmap(NULL, MAX_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

int main(int argc, char **argv)
{
    unsigned size = argc == 6 ? atoi(argv[3]) : 0;
    unsigned loops = argc == 6 ? atoi(argv[4]) : 0;
    unsigned samples = argc == 6 ? atoi(argv[5]) : 0;
    Loop *loop = argc == 6 ? find_loop(argv[2]) : NULL;
    void *bar, *ram;
    struct stat st;
    int fd;

    if (!loop || !size || size > MAX_SIZE || !loops) {
        fprintf(stderr, "usage: bar RESOURCE NAME SIZE LOOPS SAMPLES\n");
        return 2;
    }
    fd = open(argv[1], O_RDWR);
    if (fd < 0 || fstat(fd, &st) || (size_t)st.st_size < size) {
        fprintf(stderr, "%s: not a BAR of %u bytes\n", argv[1], size);
        return 1;
    }
    bar = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bar == MAP_FAILED) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    local = memory();
    ram = memory();
    if (!local || !ram) {
        fprintf(stderr, "not enough memory in the guest\n");
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
