/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bar-toggle DEVICE BAR READERS COUNT: clears and sets Memory Space Enable of a PCI
 * function COUNT times while READERS processes read its BAR without pause.
 * DEVICE is the function's directory in sysfs. A read must return: what it
 * returns while the BAR is disabled is not looked at.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PCI_COMMAND         4
#define PCI_COMMAND_MEMORY  0x2
#define PAGE                4096

static void read_for_ever(const char *device, const char *bar)
{
    /* volatile: memory of a device */
    volatile const uint32_t *words;
    char path[256];
    struct stat st;
    size_t at;
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof(path), "%s/resource%s", device, bar);
    fd = open(path, O_RDWR | O_SYNC);
    if (fd < 0 || fstat(fd, &st) || st.st_size < PAGE) {
        perror(path);
        _exit(1);
    }
    words = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (words == MAP_FAILED) {
        perror("mmap");
        _exit(1);
    }
    for (at = 0;; at = (at + PAGE) % st.st_size) {
        words[at / sizeof(*words)];
    }
}

static void set_command(int config, uint16_t value)
{
    if (pwrite(config, &value, sizeof(value), PCI_COMMAND) != sizeof(value)) {
        perror("config");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    uint16_t command;
    char path[256];
    int config, readers, i;

    if (argc != 5) {
        fprintf(stderr, "usage: bar-toggle DEVICE BAR READERS COUNT\n");
        return 2;
    }
    snprintf(path, sizeof(path), "%s/config", argv[1]);
    config = open(path, O_RDWR);
    if (config < 0 || pread(config, &command, sizeof(command), PCI_COMMAND) !=
        sizeof(command)) {
        perror(path);
        return 1;
    }
    readers = atoi(argv[3]);
    for (i = 0; i < readers; i++) {
        if (!fork()) {
            read_for_ever(argv[1], argv[2]);
        }
    }
    for (i = 0; i < atoi(argv[4]); i++) {
        set_command(config, command & ~PCI_COMMAND_MEMORY);
        set_command(config, command | PCI_COMMAND_MEMORY);
    }
    if (readers && waitpid(-1, NULL, WNOHANG) != 0) {
        fprintf(stderr, "a reader ended\n");
        return 1;
    }
    return 0;
}
