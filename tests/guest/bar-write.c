/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bar-write FILE OFFSET VALUE [OFFSET VALUE ...]: 32-bit writes to a BAR, which
 * is a resourceN file of sysfs, then prints what the first offset reads.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    /* volatile: registers of a device */
    volatile uint32_t *bar;
    unsigned offset, value, first = 0;
    struct stat st;
    int fd, i;

    if (argc < 4 || argc % 2) {
        fprintf(stderr, "usage: bar-write FILE OFFSET VALUE ...\n");
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
    for (i = 2; i < argc; i += 2) {
        if (sscanf(argv[i], "%i", (int *)&offset) != 1 ||
            sscanf(argv[i + 1], "%i", (int *)&value) != 1 ||
            offset % 4 || offset >= st.st_size) {
            fprintf(stderr, "%s %s: not in the BAR\n", argv[i], argv[i + 1]);
            return 2;
        }
        bar[offset / 4] = value;
        if (i == 2) {
            first = offset;
        }
    }
    printf("0x%x\n", bar[first / 4]);
    return 0;
}
