/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scripted host: the client role of the link, for tests of the controller
 *
 * Single threaded: what the endpoint sends waits in the socket until the test
 * asks for it.  Nothing is answered unless the test says so, and every wait has
 * a deadline.
 */
#ifndef TESTS_QTEST_PCI_EP_PEER_H
#define TESTS_QTEST_PCI_EP_PEER_H

#include "hw/pci-ep/vfio-user-proto.h"

#define PEP_TIMEOUT_MS  10000
#define PEP_MAX_FDS     80

typedef struct PepMsg {
    VfuHeader hdr;
    uint8_t *payload;
    size_t len;
    int fds[PEP_MAX_FDS];
    unsigned nfds;
} PepMsg;

/* ---- messages, either role ---- */

int pep_connect(const char *path);
/* False when the connection is gone. */
bool pep_send(int sock, const VfuHeader *hdr, const void *payload,
              const int *fds, unsigned nfds);
/* Raw bytes, to be malformed with */
bool pep_send_bytes(int sock, const void *data, size_t len);
/* NULL: the connection ended, or (@closed false) nothing came in time. */
PepMsg *pep_recv(int sock, unsigned timeout_ms, bool *closed);
void pep_msg_free(PepMsg *m);
/* A memfd that cannot shrink, and its memory */
int pep_memfd(size_t size, uint8_t **mem);
/* Waits until eventfd @fd was signalled; its count, 0: never */
uint64_t pep_wait_eventfd(int fd, unsigned timeout_ms);

/* ---- client ---- */

typedef struct PepClient {
    int sock;
    uint16_t next_id;
    GQueue commands;        /* PepMsg from the endpoint that wait */
    uint32_t generation;    /* of the last EP_LINK */
    uint32_t link_state;
    uint16_t speed, width;
    uint32_t functions;
} PepClient;

/* VERSION with @json (NULL: the extension with all features) */
PepClient *pep_attach(const char *path, const char *json);
/* The extension with areas too; takes @max_fds in a message */
PepClient *pep_attach_areas(const char *path, unsigned max_fds);
/* The same, but the caller wants the answer */
PepClient *pep_new(const char *path);
PepMsg *pep_version(PepClient *c, uint16_t major, const char *json);
void pep_free(PepClient *c);

/* Sends and waits for the reply; commands that come first are kept. */
PepMsg *pep_request(PepClient *c, uint16_t cmd, const void *payload,
                    size_t len, const int *fds, unsigned nfds);
/* The same: 0 and the reply's payload, else its errno. */
int pep_call(PepClient *c, uint16_t cmd, const void *payload, size_t len,
             void *reply, size_t reply_len);
int pep_call_fds(PepClient *c, uint16_t cmd, const void *payload, size_t len,
                 const int *fds, unsigned nfds);

/* The next command, which must be @cmd; the caller answers and frees. */
PepMsg *pep_command(PepClient *c, uint16_t cmd);
/* Nothing of that kind within @ms */
bool pep_quiet(PepClient *c, uint16_t cmd, unsigned ms);
void pep_answer(PepClient *c, const PepMsg *m, uint32_t err);
/* Waits until the endpoint closes the connection, dropping what it sends */
bool pep_wait_closed(PepClient *c, unsigned timeout_ms);

/* Waits for EP_LINK and answers it */
void pep_link(PepClient *c, uint32_t state);

int pep_region_info(PepClient *c, unsigned region, VfuRegionInfo *info,
                    int *fd);
int pep_read(PepClient *c, unsigned region, uint64_t offset, void *buf,
             uint32_t count);
int pep_write(PepClient *c, unsigned region, uint64_t offset, const void *buf,
              uint32_t count);
uint32_t pep_config(PepClient *c, unsigned offset, unsigned size);
void pep_set_config(PepClient *c, unsigned offset, unsigned size,
                    uint32_t val);
/* 0: absent */
unsigned pep_find_cap(PepClient *c, uint8_t id);
int pep_dma_map(PepClient *c, uint64_t addr, uint64_t size, int fd,
                uint64_t offset, uint32_t flags);
int pep_dma_unmap(PepClient *c, uint64_t addr, uint64_t size);
/* Attaches an eventfd to one vector */
int pep_set_irq(PepClient *c, unsigned index, unsigned n, int fd);
int pep_reset(PepClient *c, uint32_t kind);

/* ---- areas and doorbells (pci-ep-peer-areas.c) ---- */

typedef struct PepAreas {
    unsigned count, nfds;
    VfuEpArea area[VFU_EP_MAX_AREAS];
    int fds[PEP_MAX_FDS];
} PepAreas;

typedef struct PepIoFds {
    unsigned room;          /* that all would need */
    unsigned count, nfds;
    VfuRegionIoFd io[64];
    int fds[PEP_MAX_FDS];
} PepIoFds;

/* Ask and check what is the same in all answers; free the last one before. */
PepAreas *pep_areas(PepClient *c, unsigned bar);
void pep_areas_free(PepAreas *a);
PepIoFds *pep_io_fds(PepClient *c, unsigned bar);
void pep_io_fds_free(PepIoFds *f);

/* Memory of area @n; pep_unmap_area() it. */
uint8_t *pep_map_area(const PepAreas *a, unsigned n);
void pep_unmap_area(const PepAreas *a, unsigned n, uint8_t *mem);

/* What the host's QEMU does when its guest writes @value to doorbell @n */
void pep_ring(const PepIoFds *f, unsigned n, uint32_t value);

/* Expects EP_REMAP of @bar and answers it */
void pep_remap(PepClient *c, unsigned bar);

#endif /* TESTS_QTEST_PCI_EP_PEER_H */
