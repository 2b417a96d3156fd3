/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scripted endpoint: the server role of the link, for tests of the bridge
 *
 * Runs in a thread of the test. It answers like a well-behaved endpoint from
 * the tables below, unless the test's hook takes a command over, and logs all
 * it received.
 */
#ifndef TESTS_QTEST_PCI_EP_SERVER_H
#define TESTS_QTEST_PCI_EP_SERVER_H

#include "hw/pci-ep/vfio-user-proto.h"

#define EPS_TIMEOUT_MS 10000
#define EPS_MAX_FDS 80
#define EPS_MAX_PARTS 65  /* one more than allowed */

typedef struct EpServer EpServer;

typedef struct EpsMsg {
    VfuHeader hdr;
    uint8_t *payload;
    size_t len;
    int fds[EPS_MAX_FDS];
    unsigned nfds;
} EpsMsg;

/* True: the hook has answered, or wants no answer. Server thread. */
typedef bool EpsHook(EpServer *s, const EpsMsg *m, void *opaque);

typedef struct EpsBar {
    uint64_t size;
    int fd;             /* -1: by message */
    uint64_t offset;
    uint8_t *data;      /* all of @fd, or what messages reach */
} EpsBar;

/* What EP_AREAS and GET_REGION_IO_FDS tell of a BAR; the test's descriptors */
typedef struct EpsParts {
    bool listed;        /* else one area: the BAR, when it is shared */
    unsigned areas;
    unsigned area_fds;
    unsigned bells;
    unsigned bell_fds;
    VfuEpArea area[EPS_MAX_PARTS];
    VfuRegionIoFd bell[EPS_MAX_PARTS];
    int area_fd[EPS_MAX_FDS];
    int bell_fd[EPS_MAX_FDS];
} EpsParts;

struct EpServer {
    char *path;
    unsigned features;
    uint32_t functions; /* with "func" */
    uint32_t max_fds;

    /* the device; change it with the link down, or under lock */
    uint8_t config[4096];
    uint32_t config_size;
    EpsBar bar[6];
    EpsParts parts[6];  /* with VFU_EP_FEATURE_AREAS in features */
    uint32_t irqs[VFU_NUM_IRQS];
    EpsHook *hook;
    void *hook_opaque;

    /* private */
    GMutex lock;
    GCond cond;
    GThread *thread;
    GQueue log;         /* EpsMsg, commands and replies in order of arrival */
    int listener;
    int conn;
    unsigned conns;
    bool agreed;
    bool stop;
    uint16_t next_id;
    uint32_t generation;
};

/* A function with six BARs, PM, PCIe with FLR, 4 MSI and 8 MSI-X vectors */
EpServer *eps_new(void);
void eps_free(EpServer *s);
/* Adds a part to a BAR, for one that was listed or is from now on. */
void eps_add_area(EpServer *s, unsigned bar, uint64_t offset, uint64_t size,
                  unsigned fd_index, uint64_t fd_offset);
void eps_add_bell(EpServer *s, unsigned bar, uint64_t offset,
                  unsigned fd_index);
/* All of that in one step, while the link is up */
void eps_set_parts(EpServer *s, unsigned bar, const EpsParts *parts);
/* A file that may be passed as memory; *@data: all of it */
int eps_memory(size_t size, uint8_t fill, uint8_t **data);
/* From now on the socket exists. */
void eps_listen(EpServer *s);
void eps_disconnect(EpServer *s);

void eps_set_bar(EpServer *s, unsigned bar, uint32_t reg, uint64_t size,
                 bool shared);
/* Fresh memory behind a BAR, filled with @fill */
void eps_retarget(EpServer *s, unsigned bar, bool shared, uint8_t fill);

/* Sends; no wait. The id is returned. */
uint16_t eps_send(EpServer *s, uint16_t cmd, uint32_t flags,
                  const void *payload, size_t len);
/* Sends and waits for the reply: 0 or the errno in it; -1: disconnected. */
int eps_call(EpServer *s, uint16_t cmd, const void *payload, size_t len,
             void *reply, size_t reply_len);
/* In pci-ep-server-areas.c */
void eps_answer_areas(EpServer *s, const EpsMsg *m);
void eps_answer_io_fds(EpServer *s, const EpsMsg *m);
/* Answers a command, for hooks */
void eps_reply(EpServer *s, const EpsMsg *m, const void *payload, size_t len,
               const int *fds, unsigned nfds);
void eps_error(EpServer *s, const EpsMsg *m, uint32_t err);

void eps_wait_connected(EpServer *s);
int eps_link_up(EpServer *s);
int eps_link_down(EpServer *s);
int eps_remap(EpServer *s, unsigned bar);

/* Commands logged so far */
unsigned eps_count(EpServer *s, uint16_t cmd);
/* Waits until there are @n of them and returns the last; stays the server's */
const EpsMsg *eps_wait(EpServer *s, uint16_t cmd, unsigned n);
/* The @n-th, from 0; NULL: not there */
const EpsMsg *eps_nth(EpServer *s, uint16_t cmd, unsigned n);
void eps_clear_log(EpServer *s);

#endif /* TESTS_QTEST_PCI_EP_SERVER_H */
