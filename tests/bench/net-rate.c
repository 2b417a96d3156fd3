/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-rate serve PORT, net-rate MODE ADDRESS PORT SECONDS: how much goes over a
 * TCP connection
 *
 * The client asks with one byte, which is the first letter of MODE:
 *
 *   send     writes for that time, and prints bytes per second
 *   receive  reads for that time, and prints bytes per second
 *   echo     exchanges one byte, and prints exchanges per second
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536

static char block[BLOCK];

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int socket_new(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))) {
        perror("socket");
        exit(1);
    }
    return fd;
}

static struct sockaddr_in address_of(const char *address, const char *port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(atoi(port)),
        .sin_addr.s_addr = inet_addr(address),
    };
}

/* ---- Server ---- */

/* Does what the client asked for once.  Returns false at its end. */
static bool answer_step(int fd, char what)
{
    switch (what) {
    case 's':
        return read(fd, block, BLOCK) > 0;
    case 'r':
        return write(fd, block, BLOCK) > 0;
    default:
        return read(fd, block, 1) == 1 && write(fd, block, 1) == 1;
    }
}

static void answer(int fd)
{
    bool more = true;
    char what;

    if (read(fd, &what, 1) != 1) {
        return;
    }
    while (more) {
        more = answer_step(fd, what);
    }
    /* All has arrived. */
    if (what == 's' && write(fd, &what, 1) != 1) {
        perror("the end of the connection");
    }
}

static int serve(const char *port)
{
    struct sockaddr_in at = address_of("0.0.0.0", port);
    int fd = socket_new();

    if (bind(fd, (void *)&at, sizeof(at)) || listen(fd, 8)) {
        perror(port);
        return 1;
    }
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int one = accept(fd, NULL, NULL), on = 1;

        if (one < 0) {
            continue;
        }
        if (!fork()) {
            setsockopt(one, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            answer(one);
            return 0;
        }
        close(one);
    }
}

/* ---- Client ---- */

/* Does what @what says once, and returns bytes or exchanges, 0 at the end. */
static ssize_t step(int fd, char what)
{
    switch (what) {
    case 's':
        return write(fd, block, BLOCK);
    case 'r':
        return read(fd, block, BLOCK);
    default:
        return write(fd, block, 1) == 1 ? read(fd, block, 1) : 0;
    }
}

static int run(char what, const char *address, const char *port, double time)
{
    struct sockaddr_in at = address_of(address, port);
    int fd = socket_new();
    double begin, end, sum = 0;
    ssize_t n;

    if (connect(fd, (void *)&at, sizeof(at)) || write(fd, &what, 1) != 1) {
        perror(address);
        return 1;
    }
    begin = seconds_now();
    end = begin + time;
    while (seconds_now() < end) {
        n = step(fd, what);
        if (n <= 0) {
            perror("the connection");
            return 1;
        }
        sum += n;
    }
    if (what == 's') {
        shutdown(fd, SHUT_WR);
        n = read(fd, block, 1);
        if (n != 1) {
            perror("the end of the connection");
            return 1;
        }
    }
    printf("%.0f\n", sum / (seconds_now() - begin));
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && !strcmp(argv[1], "serve")) {
        return serve(argv[2]);
    }
    if (argc != 5) {
        fprintf(stderr, "usage: net-rate serve PORT\n"
                "       net-rate send|receive|echo ADDRESS PORT SECONDS\n");
        return 2;
    }
    return run(*argv[1], argv[2], argv[3], atof(argv[4]));
}
