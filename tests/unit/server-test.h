/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The owner and the client of a server under test: the owner logs what the
 * server asks, and the client sends and expects messages
 */
#ifndef TESTS_UNIT_SERVER_TEST_H
#define TESTS_UNIT_SERVER_TEST_H

#include "qemu/thread.h"
#include "hw/pci-ep/server/server.h"

#define TEST_DEADLINE_MS    1000
#define TEST_SPEED          3
#define TEST_WIDTH          4
#define TEST_BAR0_SIZE      4096    /* has memory that can be mapped */
#define TEST_BAR2_SIZE      8192    /* has none */
#define TEST_MSIX           40      /* vectors; MSI: 4, INTx: 1 */
#define TEST_MSIX_LIMIT 2048   /* vectors of any function */
#define TEST_MAX_FDS        80      /* in a reply */

typedef struct TestServer {
    char *dir;
    char *path;
    EpcServer *s;

    QemuMutex lock;
    GString *log;           /* "link1 reset1 ", cleared by expect_log() */
    bool stays;             /* a plain client stays, and the link is down */
    int dones;              /* calls of test_done() */
    int remaps;             /* of test_remapped(), and its last argument */
    int remap_err;
    int map_result;         /* of dma_map */
    int memfd;              /* behind BAR0 */
    uint64_t memfd_offset;
    uint8_t bar2[TEST_BAR2_SIZE];
    uint8_t config[4096];
    void (*in_region_info)(struct TestServer *t);   /* called once */
    EpcArea area[VFU_EP_MAX_AREAS];     /* of each BAR */
    unsigned nareas;
    EpcIoFd io[EPC_SERVER_MAX_IO_FDS];
    unsigned nios;
    void (*in_areas)(struct TestServer *t);         /* called each time */
    void (*in_io_fds)(struct TestServer *t);
    bool takes;             /* accesses to BARs, and they wait here */
    GQueue taken;           /* EpcAccess */
} TestServer;

TestServer *test_server_new(void);
void test_server_free(TestServer *t);

/* Completions for epc_server_disable() and _remap(), with the TestServer */
void test_done(void *opaque);
void test_remapped(void *opaque, int err);

/* Runs the main loop until @cond; fails the test when that takes too long. */
void test_turn(void);
#define WAIT_FOR(cond)                                                      \
    do {                                                                    \
        int64_t end_ = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;        \
        while (!(cond)) {                                                   \
            if (g_get_monotonic_time() > end_) {                            \
                g_error("%s:%d: waited in vain for %s", __FILE__, __LINE__, \
                        #cond);                                             \
            }                                                               \
            test_turn();                                                    \
        }                                                                   \
    } while (0)

/* Waits until the owner was asked exactly @text since the last time. */
void expect_log(TestServer *t, const char *text);

/* ---- The client: a blocking socket ---- */

typedef struct TestReply {
    VfuHeader hdr;
    uint8_t payload[8192];
    size_t len;             /* of the payload */
    int fd;                 /* the first one; -1: none */
    int fds[TEST_MAX_FDS];  /* all */
    unsigned nfds;
} TestReply;

#define TEST_VERSION_PLAIN                                                  \
    "{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, "          \
    "\"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, "            \
    "\"migration\": {\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, "   \
    "\"write_multiple\": true}}"

int test_connect(TestServer *t);
void test_send(int sock, uint16_t cmd, uint32_t flags, const void *p, size_t n,
               const int *fds, unsigned nfds);

/* One message, of either type; false at the end of the connection. */
bool test_recv(int sock, TestReply *r);
void test_reply_close(TestReply *r);

/* Sends a command, expects its reply: the errno in it. */
int test_call(int sock, uint16_t cmd, const void *p, size_t n, const int *fds,
              unsigned nfds, TestReply *r);

/* The same when only the errno matters */
int test_errno(int sock, uint16_t cmd, const void *p, size_t n);

void test_send_version(int sock, const char *json);
int test_version(int sock, const char *json);
void expect_eof(int sock);

/* Expects a command of the server, of @n bytes payload, and answers @err. */
void test_serve(int sock, uint16_t cmd, void *p, size_t n, int err);
void test_answer(int sock, const VfuHeader *hdr, int err, const void *p,
                 size_t n);

/* A client with the extension; the second: with the link up. */
char *test_version_ep(const char *features, unsigned max_fds);
int test_attach(TestServer *t);
int test_attach_up(TestServer *t, uint32_t *generation);
int test_attach_with(TestServer *t, const char *features, unsigned max_fds,
                     uint32_t *generation);

/* Answers EP_LINK and checks it; returns its generation. */
uint32_t test_serve_link(int sock, uint32_t state);

/* Commands of a client that expects success */
int test_set_irqs(int sock, uint32_t flags, uint32_t index, uint32_t start,
                  uint32_t count, const int *fds, unsigned nfds);
void test_region_info(int sock, uint32_t index, VfuRegionInfo *info, int *fd);

#endif /* TESTS_UNIT_SERVER_TEST_H */
