/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake endpoint: the server role of the link, for tests of the bridge
 *
 * A thread of the test serves the socket. It answers as a well-behaved endpoint
 * would, from the tables below, unless the hook of the test takes a command
 * over. It logs every message that it receives.
 */
#ifndef TESTS_QTEST_PCI_EP_FAKE_ENDPOINT_H
#define TESTS_QTEST_PCI_EP_FAKE_ENDPOINT_H

#include "vfu-msg.h"
#include "wait.h"

#define FAKEEP_TIMEOUT_MS wait_scaled(10000)
#define FAKEEP_MAX_AREAS 65  /* one more than allowed */

typedef struct FakeEp FakeEp;

/*
 * Called by the thread of the server for each command. Returns true if the hook
 * has answered the command, or wants no answer to it.
 */
typedef bool FakeEpHook(FakeEp *s, const VfuMsg *m, void *opaque);

typedef struct FakeEpBar {
    uint64_t size;
    int fd;             /* -1 if the BAR is reached by message only */
    uint64_t offset;
    uint8_t *data;      /* all of @fd, or what messages reach */
} FakeEpBar;

/*
 * The answers to EP_AREAS and GET_REGION_IO_FDS for one BAR. The descriptors
 * belong to the test.
 */
typedef struct FakeEpLayout {
    bool listed;        /* if not, a shared BAR is one area */
    unsigned areas;
    unsigned area_fds;
    unsigned bells;
    unsigned bell_fds;
    VfuEpArea area[FAKEEP_MAX_AREAS];
    VfuRegionIoFd bell[FAKEEP_MAX_AREAS];
    int area_fd[VFU_MSG_MAX_FDS];
    int bell_fd[VFU_MSG_MAX_FDS];
} FakeEpLayout;

struct FakeEp {
    char *path;
    unsigned features;
    uint32_t functions; /* with "func" */
    uint32_t max_fds;

    /* The device. Change it while the link is down, or with the lock held. */
    uint8_t config[4096];
    uint32_t config_size;
    FakeEpBar bar[6];
    FakeEpLayout parts[6];  /* with VFU_EP_FEATURE_AREAS in features */
    uint32_t irqs[VFU_NUM_IRQS];
    FakeEpHook *hook;
    void *hook_opaque;

    /* Private to fake-endpoint.c */
    GMutex lock;
    GCond cond;
    GThread *thread;
    GQueue log;         /* VfuMsg, commands and replies in order of arrival */
    int listener;
    int conn;
    unsigned conns;
    bool agreed;
    bool stop;
    uint16_t next_id;
    uint32_t generation;
};

/*
 * A function with shared BARs 0, 2 (64 bits) and 4, BAR 1 by message, PM, PCIe
 * with FLR, 4 MSI and 8 MSI-X vectors. It does not listen yet.
 */
FakeEp *fakeep_new(void);
void fakeep_free(FakeEp *s);
/* Adds an area or a doorbell to the layout of a BAR, which becomes listed. */
void fakeep_add_area(FakeEp *s, unsigned bar, uint64_t offset, uint64_t size,
                     unsigned fd_index, uint64_t fd_offset);
void fakeep_add_bell(FakeEp *s, unsigned bar, uint64_t offset,
                     unsigned fd_index);
/* Replaces the layout of a BAR in one step, also while the link is up. */
void fakeep_set_layout(FakeEp *s, unsigned bar, const FakeEpLayout *parts);
/* A memfd that may be passed as memory. *@data is a mapping of all of it. */
int fakeep_memory(size_t size, uint8_t fill, uint8_t **data);
/* Makes the socket and starts the thread. */
void fakeep_listen(FakeEp *s);
void fakeep_disconnect(FakeEp *s);

void fakeep_set_bar(FakeEp *s, unsigned bar, uint32_t reg, uint64_t size,
                    bool shared);
/*
 * Puts new memory behind a BAR, filled with @fill. Sends nothing: see
 * fakeep_remap().
 */
void fakeep_retarget(FakeEp *s, unsigned bar, bool shared, uint8_t fill);

/* Sends a command, does not wait for the reply, and returns the id. */
uint16_t fakeep_send(FakeEp *s, uint16_t cmd, uint32_t flags,
                     const void *payload, size_t len);
/*
 * Sends a command and waits for the reply. Returns the error in it, which is 0
 * for success, or -1 if the connection ended.
 */
int fakeep_call(FakeEp *s, uint16_t cmd, const void *payload, size_t len,
                void *reply, size_t reply_len);

/* The default answers, in fake-endpoint-areas.c */
void fakeep_answer_areas(FakeEp *s, const VfuMsg *m);
void fakeep_answer_io_fds(FakeEp *s, const VfuMsg *m);
/* Answers a command from a hook. */
void fakeep_reply(FakeEp *s, const VfuMsg *m, const void *payload, size_t len,
                  const int *fds, unsigned nfds);
void fakeep_error(FakeEp *s, const VfuMsg *m, uint32_t err);

void fakeep_wait_connected(FakeEp *s);
int fakeep_link_up(FakeEp *s);
int fakeep_link_down(FakeEp *s);
int fakeep_remap(FakeEp *s, unsigned bar);

/* How many commands @cmd the log has */
unsigned fakeep_count(FakeEp *s, uint16_t cmd);
/*
 * Waits until the log has @n commands @cmd and returns the last of these. The
 * message belongs to the log.
 */
const VfuMsg *fakeep_wait(FakeEp *s, uint16_t cmd, unsigned n);
/* The command @cmd number @n of the log, from 0, or NULL */
const VfuMsg *fakeep_nth(FakeEp *s, uint16_t cmd, unsigned n);
void fakeep_clear_log(FakeEp *s);

#endif /* TESTS_QTEST_PCI_EP_FAKE_ENDPOINT_H */
