/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * round-trips LOOPS SAMPLES
 *
 * The yardstick for a read by message: two processes that do nothing else, and
 * wake each other over a socket of the same kind.  Prints a line for each
 * sample: ns of LOOPS round trips.  Command and reply are as long as those of a
 * read of 32 bits.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COMMAND 32
#define REPLY   36

static int answer(int sock)
{
    char message[REPLY] = { 0 };

    while (recv(sock, message, COMMAND, MSG_WAITALL) == COMMAND) {
        if (send(sock, message, REPLY, 0) != REPLY) {
            break;
        }
    }
    return 0;
}

/* Returns ns, or 0 when the other process is gone. */
static uint64_t sample(int sock, unsigned loops)
{
    char message[REPLY] = { 0 };
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned i = 0; i < loops; i++) {
        if (send(sock, message, COMMAND, 0) != COMMAND ||
            recv(sock, message, REPLY, MSG_WAITALL) != REPLY) {
            return 0;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a.tv_sec) * 1000000000ull + b.tv_nsec - a.tv_nsec;
}

int main(int argc, char **argv)
{
    unsigned loops = argc == 3 ? atoi(argv[1]) : 0;
    unsigned samples = argc == 3 ? atoi(argv[2]) : 0;
    int sv[2];
    pid_t pid;

    if (!loops || !samples) {
        fprintf(stderr, "usage: round-trips LOOPS SAMPLES\n");
        return 2;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv)) {
        perror("socketpair");
        return 1;
    }
    pid = fork();
    if (pid < 0) {
        perror("fork");
        return 1;
    }
    close(sv[pid ? 1 : 0]);
    if (!pid) {
        return answer(sv[1]);
    }
    sample(sv[0], loops);
    while (samples--) {
        uint64_t ns = sample(sv[0], loops);

        if (!ns) {
            fprintf(stderr, "the other process has ended\n");
            return 1;
        }
        printf("%llu\n", (unsigned long long)ns);
    }
    return 0;
}
