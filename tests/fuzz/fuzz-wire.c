/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the wire: frame, check and version
 *
 * The first byte of the input picks what the rest is: bytes and descriptors
 * from a peer, or the payload of a VERSION.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "fuzz-epw.h"
#include "hw/pci-ep/epw.h"

#include <sys/socket.h>

#define REQUIRE(x) \
    do { \
        if (!(x)) { \
            __builtin_trap(); \
        } \
    } while (0)

/* A message that passed is what the layouts promise to its handler. */
static void check_accepted(const EpwMsg *m)
{
    size_t n = epw_msg_len(m);

    switch (m->hdr.command) {
    case VFU_CMD_DMA_MAP: {
        const VfuDmaMap *p = (const void *)m->payload;

        REQUIRE(n == sizeof(*p) && m->nfds <= 1 && p->size);
        REQUIRE(p->address + p->size > p->address);
        break;
    }
    case VFU_CMD_SET_IRQS: {
        const VfuSetIrqs *p = (const void *)m->payload;

        REQUIRE(n >= sizeof(*p) && (!m->nfds || m->nfds == p->count));
        REQUIRE(p->start + p->count >= p->start);
        break;
    }
    case VFU_CMD_REGION_WRITE: {
        const VfuRegionRw *p = (const void *)m->payload;

        REQUIRE(n == sizeof(*p) + p->count && p->count <= EPW_MAX_XFER);
        REQUIRE(p->offset + p->count > p->offset);
        break;
    }
    case VFU_CMD_DMA_WRITE: {
        const VfuDmaRw *p = (const void *)m->payload;

        REQUIRE(n == sizeof(*p) + p->count && p->count <= EPW_MAX_XFER);
        break;
    }
    default:
        REQUIRE(m->hdr.command == VFU_CMD_SET_IRQS || !m->nfds);
        break;
    }
}

/* False when the connection is over. */
static bool take_messages(EpwFrame *f, unsigned features)
{
    EpwMsg *m;
    int r;

    while ((r = epw_frame_recv(f, &m)) > 0) {
        uint8_t *p = m->payload;
        size_t n = epw_msg_len(m);

        REQUIRE(m->hdr.size >= sizeof(m->hdr) && m->hdr.size <= EPW_MAX_MSG);
        REQUIRE(m->nfds <= EPW_MAX_FDS && !p == !n);
        for (int role = EPW_SERVER; role <= EPW_CLIENT; role++) {
            if (epw_check_command(role, m, features, EPW_MAX_XFER) == 0) {
                check_accepted(m);
            }
        }
        epw_check_reply(m, m->hdr.command, 0, n);
        epw_msg_free(m);
    }
    return r == 0;
}

/* @n bytes in one sendmsg, with @nfds copies of the socket itself */
static void put(int sock, const uint8_t *p, size_t n, unsigned nfds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int) * 32)];
    } control = { };
    struct iovec iov = { (void *)p, n };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (nfds) {
        struct cmsghdr *c;

        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        for (unsigned i = 0; i < nfds; i++) {
            memcpy(CMSG_DATA(c) + i * sizeof(int), &sock, sizeof(int));
        }
    }
    /* the other end reads at once: the socket is never full */
    REQUIRE(sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) == n);
}

/*
 * Steps of a byte each with its top bit set, the number of descriptors, or not,
 * the length of the piece that follows.
 */
static void fuzz_frame(const uint8_t *p, size_t n, unsigned features)
{
    unsigned nfds = 0;
    bool open = true;
    EpwFrame *f;
    int sv[2];

    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
    f = epw_frame_new(sv[1]);
    while (n && open) {
        uint8_t step = *p++;
        size_t len;

        n--;
        if (step & 0x80) {
            nfds = step & 0x1f;
            continue;
        }
        len = MIN(step, n);
        if (len) {
            put(sv[0], p, len, nfds);
        }
        nfds = 0;
        p += len;
        n -= len;
        open = take_messages(f, features);
    }
    shutdown(sv[0], SHUT_WR);
    REQUIRE(!take_messages(f, features));
    epw_frame_free(f);
    close(sv[0]);
}

static void fuzz_version(const uint8_t *p, size_t n, unsigned features)
{
    Error *err = NULL;
    uint8_t *reply;
    EpwCaps caps;
    size_t len;

    REQUIRE(epw_version_accept(p, n, features, &caps, &err) == !err);
    error_free(err);
    err = NULL;
    reply = epw_version_answer(p, n, features, &caps, &len, &err);
    REQUIRE(!reply == !!err);
    error_free(err);
    if (reply) {
        EpwCaps client;

        REQUIRE(len <= sizeof(VfuVersion) + 194);
        REQUIRE(caps.max_fds <= EPW_MAX_FDS && caps.max_xfer <= EPW_MAX_XFER);
        REQUIRE((caps.features & ~features) == 0);
        REQUIRE(epw_version_accept(reply, len, features, &client, NULL));
        REQUIRE(client.features == caps.features);
        g_free(reply);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = NULL;
    unsigned features;

    if (size < 1) {
        return 0;
    }
    features = data[0] >> 4;
    /* to the byte, so that the address sanitizer sees what reads further */
    copy = g_memdup2(data + 1, size - 1);
    if (data[0] & 1) {
        fuzz_version(copy, size - 1, features);
    } else {
        fuzz_frame(copy, size - 1, features);
    }
    return 0;
}
