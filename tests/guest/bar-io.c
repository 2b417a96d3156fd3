/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bar-io FILE COMMAND...: accesses to a BAR, a resourceN file of sysfs.
 *
 *   wSIZE:OFFSET=VALUE  writes
 *   rSIZE:OFFSET        reads, and prints the value
 *   uSIZE:OFFSET=VALUE  reads until the value is there, 5 s at most
 *
 * SIZE is 1, 2, 4 or 8 bytes. Numbers may be hexadecimal.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 500

static uint8_t *bar;

/* volatile: registers of a device */
#define REGISTER(word_t, offset) (*(volatile word_t *)(bar + (offset)))

static uint64_t load(unsigned size, uint64_t offset)
{
    switch (size) {
    case 1:
        return REGISTER(uint8_t, offset);
    case 2:
        return REGISTER(uint16_t, offset);
    case 4:
        return REGISTER(uint32_t, offset);
    default:
        return REGISTER(uint64_t, offset);
    }
}

static void store(unsigned size, uint64_t offset, uint64_t value)
{
    switch (size) {
    case 1:
        REGISTER(uint8_t, offset) = value;
        break;
    case 2:
        REGISTER(uint16_t, offset) = value;
        break;
    case 4:
        REGISTER(uint32_t, offset) = value;
        break;
    default:
        REGISTER(uint64_t, offset) = value;
    }
}

static int until(unsigned size, uint64_t offset, uint64_t value)
{
    uint64_t seen = load(size, offset);

    for (int i = 0; seen != value && i < TRIES; i++) {
        usleep(10000);
        seen = load(size, offset);
    }
    if (seen == value) {
        return 0;
    }
    fprintf(stderr, "0x%" PRIx64 " reads 0x%" PRIx64 ", not 0x%" PRIx64 "\n",
            offset, seen, value);
    return 1;
}

static int run(const char *command, uint64_t bar_size)
{
    int64_t offset = 0, value = 0;
    unsigned size = 0;
    char what = 0;
    int n = sscanf(command, "%c%u:%" SCNi64 "=%" SCNi64, &what, &size, &offset,
                   &value);

    if (n != (what == 'r' ? 3 : 4) || !size || size > 8 || size & (size - 1) ||
        offset < 0 || offset % size || (uint64_t)offset + size > bar_size) {
        fprintf(stderr, "%s: no command\n", command);
        return 2;
    }
    switch (what) {
    case 'w':
        store(size, offset, value);
        return 0;
    case 'r':
        printf("0x%" PRIx64 "\n", load(size, offset));
        return 0;
    case 'u':
        return until(size, offset, value);
    default:
        fprintf(stderr, "%s: no command\n", command);
        return 2;
    }
}

int main(int argc, char **argv)
{
    struct stat st;
    int fd, ret = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: bar-io FILE COMMAND...\n");
        return 2;
    }
    fd = open(argv[1], O_RDWR | O_SYNC);
    if (fd < 0 || fstat(fd, &st)) {
        perror(argv[1]);
        return 1;
    }
    bar = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bar == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    for (int i = 2; i < argc && !ret; i++) {
        ret = run(argv[i], st.st_size);
    }
    return ret;
}
