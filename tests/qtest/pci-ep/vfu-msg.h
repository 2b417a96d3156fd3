/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio-user messages as bytes on a socket
 *
 * All tests that play one end of a link use this: unit tests, the fuzz target
 * and qtests. It shares no code with hw/pci-ep/wire, which it tests.
 */
#ifndef TESTS_QTEST_PCI_EP_VFU_MSG_H
#define TESTS_QTEST_PCI_EP_VFU_MSG_H

#include "hw/pci-ep/vfio-user-proto.h"

#define VFU_MSG_MAX_FDS     80
#define VFU_MSG_MAX_PAYLOAD (2u << 20)  /* bytes */

/* Sending fails, and vfu_msg_recv() with this timeout ends, after 10 s. */
#define VFU_MSG_TIMEOUT_MS  10000
/* For a thread that serves until the test shuts its socket down */
#define VFU_MSG_FOREVER     (-1)

/*
 * A received message. It owns its descriptors: put -1 in place of one that you
 * keep, or set @nfds to 0 to keep all of them.
 */
typedef struct VfuMsg {
    VfuHeader hdr;
    uint8_t *payload;       /* followed by a byte of 0 */
    size_t len;             /* of the payload, in bytes */
    int fds[VFU_MSG_MAX_FDS];
    unsigned nfds;
} VfuMsg;

/* ---- Headers ---- */

/* The header of a command with @len bytes of payload */
VfuHeader vfu_msg_command(uint16_t id, uint16_t command, uint32_t flags,
                          size_t len);
/*
 * The header of the reply to @command. An @err other than 0 makes it an error
 * reply.
 */
VfuHeader vfu_msg_reply(const VfuHeader *command, uint32_t err, size_t len);
/*
 * Stores header and payload in @buf, which has room for hdr->size bytes.
 * Returns hdr->size.
 */
size_t vfu_msg_build(uint8_t *buf, const VfuHeader *hdr, const void *payload);

/* True if @hdr is a reply and not a command */
bool vfu_msg_is_reply(const VfuHeader *hdr);

/* ---- Payloads of an endpoint ---- */

/* What VERSION carries, in either direction. Free it. */
uint8_t *vfu_msg_version(uint16_t major, const char *json, size_t *len);
/* The answer to GET_INFO */
VfuDeviceInfo vfu_msg_device_info(void);
/* The answer to GET_IRQ_INFO in @m: @count vectors */
VfuIrqInfo vfu_msg_irq_info(const VfuMsg *m, uint32_t count);

/* ---- Sockets ---- */

void vfu_msg_socketpair(int sv[2]);
/* A socket that is connected to the listener at @path */
int vfu_msg_connect(const char *path);
/* The same, but -1 when so many wait to be accepted that this one had to wait */
int vfu_msg_try_connect(const char *path);

/*
 * Sends a message: hdr->size says how long @payload is, so a header that lies
 * needs vfu_msg_send_bytes(). False if the peer is gone or takes nothing for
 * VFU_MSG_TIMEOUT_MS.
 */
bool vfu_msg_send(int sock, const VfuHeader *hdr, const void *payload,
                  const int *fds, unsigned nfds);
/*
 * Sends @len bytes that need not be a message, with the descriptors attached to
 * the first of them. Fails as vfu_msg_send() does.
 */
bool vfu_msg_send_bytes(int sock, const void *data, size_t len,
                        const int *fds, unsigned nfds);

/*
 * Receives a message within @timeout_ms, or whenever it comes with
 * VFU_MSG_FOREVER. Returns NULL when the connection has ended (then *@closed is
 * true) and when nothing, or only a part, came in time. @closed may be NULL. A
 * header that cannot be right fails the test.
 */
VfuMsg *vfu_msg_recv(int sock, int timeout_ms, bool *closed);
/* Closes the descriptors too. @m may be NULL. */
void vfu_msg_free(VfuMsg *m);

/* ---- Descriptors ---- */

/*
 * Returns a TCP socket whose last close() waits for 20 s, because it has unsent
 * data and SO_LINGER, or until *@reader is closed.
 */
int vfu_msg_lingering(int *reader);

#endif /* TESTS_QTEST_PCI_EP_VFU_MSG_H */
