/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake host: the client role of the link, for tests of the controller
 *
 * It has no thread: what the endpoint sends stays in the socket until the test
 * asks for it. The test answers each command itself. Every wait has a deadline,
 * which fails the test unless a function says otherwise.
 */
#ifndef TESTS_QTEST_PCI_EP_FAKE_HOST_H
#define TESTS_QTEST_PCI_EP_FAKE_HOST_H

#include "vfu-msg.h"
#include "wait.h"

#define FAKEHOST_TIMEOUT_MS  wait_scaled(10000)

/* A memfd that cannot shrink. *@mem is a mapping of all of it. */
int fakehost_memfd(size_t size, uint8_t **mem);
/* Waits for eventfd @fd. Returns its count, or 0 after @timeout_ms. */
uint64_t fakehost_wait_eventfd(int fd, unsigned timeout_ms);

/* ---- The session ---- */

typedef struct FakeHost {
    int sock;
    uint16_t next_id;
    GQueue commands;        /* VfuMsg that were received, not yet taken */
    uint32_t generation;    /* of the last EP_LINK */
    uint32_t link_state;
    uint16_t speed, width;
    uint32_t functions;
} FakeHost;

/*
 * Connects and agrees on a version with the capabilities @json. With NULL it
 * has the extension with all features but areas.  Tries again, as epf-bridge
 * does, while the server has not yet given up the host before: its guest may see
 * the link down earlier.
 */
FakeHost *fakehost_attach(const char *path, const char *json);
/* The same with areas. The host takes at most @max_fds in a message. */
FakeHost *fakehost_attach_areas(const char *path, unsigned max_fds);
/* Connects only; fakehost_version() sends VERSION and returns the reply. */
FakeHost *fakehost_new(const char *path);
VfuMsg *fakehost_version(FakeHost *c, uint16_t major, const char *json);
void fakehost_free(FakeHost *c);

/*
 * Sends a command and waits for the reply, which the caller frees. Commands of
 * the endpoint that come first are kept. NULL if the connection ended.
 */
VfuMsg *fakehost_request(FakeHost *c, uint16_t cmd, const void *payload,
                         size_t len, const int *fds, unsigned nfds);
/*
 * The same for a reply with @reply_len bytes of payload, which go to @reply.
 * Returns the error in the reply, which is 0 for success.
 */
int fakehost_call(FakeHost *c, uint16_t cmd, const void *payload, size_t len,
                  void *reply, size_t reply_len);
int fakehost_call_fds(FakeHost *c, uint16_t cmd, const void *payload,
                      size_t len, const int *fds, unsigned nfds);

/*
 * The next command, which must be @cmd, or any with 0. The caller answers it
 * and frees the message.
 */
VfuMsg *fakehost_command(FakeHost *c, uint16_t cmd);
/* The same; NULL if the endpoint closes the connection instead. */
VfuMsg *fakehost_command_or_closed(FakeHost *c, uint16_t cmd);
/*
 * A round trip on the session. All that the endpoint sent before its reply is
 * among the commands then.
 */
void fakehost_fence(FakeHost *c);
/* Waits @ms for anything to receive: a command, a reply, the end. */
bool fakehost_pending(FakeHost *c, unsigned ms);
/* Is a command @cmd among those that were received and not yet taken? */
bool fakehost_has_command(FakeHost *c, uint16_t cmd);
void fakehost_answer(FakeHost *c, const VfuMsg *m, uint32_t err);
/*
 * Waits until the endpoint closes the connection and drops what it sends
 * meanwhile. False after @timeout_ms.
 */
bool fakehost_wait_closed(FakeHost *c, unsigned timeout_ms);

/* Waits for EP_LINK, which must say @state, and answers it. */
void fakehost_link(FakeHost *c, uint32_t state);

int fakehost_region_info(FakeHost *c, unsigned region, VfuRegionInfo *info,
                         int *fd);
int fakehost_read(FakeHost *c, unsigned region, uint64_t offset, void *buf,
                  uint32_t count);
int fakehost_write(FakeHost *c, unsigned region, uint64_t offset,
                   const void *buf, uint32_t count);
uint32_t fakehost_config(FakeHost *c, unsigned offset, unsigned size);
void fakehost_set_config(FakeHost *c, unsigned offset, unsigned size,
                         uint32_t val);
/* The offset of a capability, or 0 */
unsigned fakehost_find_cap(FakeHost *c, uint8_t id);
int fakehost_dma_map(FakeHost *c, uint64_t addr, uint64_t size, int fd,
                     uint64_t offset, uint32_t flags);
int fakehost_dma_unmap(FakeHost *c, uint64_t addr, uint64_t size);
/* Attaches an eventfd to one vector */
int fakehost_set_irq(FakeHost *c, unsigned index, unsigned n, int fd);
int fakehost_reset(FakeHost *c, uint32_t kind);

/* ---- Areas and doorbells, in fake-host-areas.c ---- */

typedef struct FakeHostAreas {
    unsigned count, nfds;
    VfuEpArea area[VFU_EP_MAX_AREAS];
    int fds[VFU_MSG_MAX_FDS];
} FakeHostAreas;

typedef struct FakeHostIoFds {
    unsigned room;          /* entries that a complete answer needs */
    unsigned count, nfds;
    VfuRegionIoFd io[64];
    int fds[VFU_MSG_MAX_FDS];
} FakeHostIoFds;

/*
 * Ask about a BAR, and check what holds for every answer. Free an answer before
 * you ask about the same BAR again.
 */
FakeHostAreas *fakehost_areas(FakeHost *c, unsigned bar);
void fakehost_areas_free(FakeHostAreas *a);
FakeHostIoFds *fakehost_io_fds(FakeHost *c, unsigned bar);
void fakehost_io_fds_free(FakeHostIoFds *f);

/* Maps the memory of area @n, until fakehost_unmap_area(). */
uint8_t *fakehost_map_area(const FakeHostAreas *a, unsigned n);
void fakehost_unmap_area(const FakeHostAreas *a, unsigned n, uint8_t *mem);

/* Does what the host's QEMU does when its guest writes @value to a doorbell. */
void fakehost_ring(const FakeHostIoFds *f, unsigned n, uint32_t value);

/* Waits for EP_REMAP, which must name @bar, and answers it. */
void fakehost_remap(FakeHost *c, unsigned bar);

#endif /* TESTS_QTEST_PCI_EP_FAKE_HOST_H */
