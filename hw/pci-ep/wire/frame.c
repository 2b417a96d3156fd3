/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame: messages and file descriptors over one non-blocking UNIX socket
 *
 * A received descriptor shares its open file with the peer, so nothing here
 * touches its flags.  The header is read on its own, and each read stops at the
 * end of its message, so that no read gets the descriptors of the next message.
 *
 * What recvmsg() cannot give to the process, because the control buffer or the
 * table of descriptors is full, it closes itself, and then this thread waits as
 * long as the peer wants. So the buffer has room for as many as one sendmsg()
 * can pass, and a part of the table is left alone.
 */
#include "qemu/osdep.h"
#include "qemu/queue.h"
#include "hw/pci-ep/wire/closer.h"
#include "hw/pci-ep/wire/wire.h"

#include <glib-unix.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* The most descriptors that one sendmsg() can pass: SCM_MAX_FD of the kernel */
#define FRAME_SCM_MAX_FD 253

/* The rest of a message that the socket did not accept */
typedef struct EpwOut {
    QSIMPLEQ_ENTRY(EpwOut) next;
    size_t len;             /* bytes of data */
    size_t off;             /* of them sent */
    unsigned nfds;          /* not yet sent; 0 once the first byte was sent */
    int fds[EPW_MAX_FDS];
    uint8_t data[];
} EpwOut;

struct EpwFrame {
    int fd;

    /* receiving */
    int rx_err;             /* 0, or what epw_frame_recv() returns for ever */
    EpwMsg *rx;             /* the message that has begun, or NULL */
    size_t rx_got;          /* bytes of it, header included */

    /* sending */
    int tx_err;             /* 0, or what sending returns for ever */
    bool tx_stalled;        /* the kernel takes no more descriptors */
    uint64_t tx_sent;       /* bytes */
    size_t queued;          /* weight of out */
    QSIMPLEQ_HEAD(, EpwOut) out;
};

QEMU_BUILD_BUG_ON(FRAME_SCM_MAX_FD < EPW_MAX_FDS);

typedef union EpwControl {
    struct cmsghdr align;
    char buf[CMSG_SPACE(sizeof(int) * FRAME_SCM_MAX_FD)];
} EpwControl;

/* Closes descriptors of this side, which were to be sent. */
static void frame_close_fds(const int *fds, unsigned nfds)
{
    for (unsigned i = 0; i < nfds; i++) {
        close(fds[i]);
    }
}

void epw_msg_free(EpwMsg *m)
{
    if (m) {
        for (unsigned i = 0; i < m->nfds; i++) {
            if (m->fds[i] >= 0) {
                epw_close(m->fds[i]);
            }
        }
        g_free(m->payload);
        g_free(m);
    }
}

EpwFrame *epw_frame_new(int fd)
{
    EpwFrame *f = g_new0(EpwFrame, 1);

    f->fd = fd;
    QSIMPLEQ_INIT(&f->out);
    if (!g_unix_set_fd_nonblocking(fd, true, NULL)) {
        f->rx_err = f->tx_err = -EBADF;
    }
    return f;
}

static size_t frame_out_weight(const EpwOut *o)
{
    return sizeof(*o) + o->len + (size_t)o->nfds * EPW_FD_WEIGHT;
}

static void frame_out_drop(EpwFrame *f, EpwOut *o)
{
    QSIMPLEQ_REMOVE_HEAD(&f->out, next);
    frame_close_fds(o->fds, o->nfds);
    g_free(o);
}

void epw_frame_free(EpwFrame *f)
{
    EpwOut *o;

    if (!f) {
        return;
    }
    while ((o = QSIMPLEQ_FIRST(&f->out))) {
        frame_out_drop(f, o);
    }
    epw_msg_free(f->rx);
    epw_close(f->fd);
    g_free(f);
}

/* ---- Receiving ---- */

/*
 * Returns false when the process has to close @fd at once: descriptors are
 * closed more slowly than they come, or the table has no room for the next
 * recvmsg().  The kernel gives out the lowest number that is free.
 */
static bool frame_may_keep(int fd)
{
    struct rlimit table;

    return epw_closer_takes(fd) &&
           (getrlimit(RLIMIT_NOFILE, &table) < 0 ||
            fd < table.rlim_cur - MIN(FRAME_SCM_MAX_FD, table.rlim_cur / 4));
}

/*
 * Moves the descriptors of @mh to @m, or closes them.  Returns 0 or a negative
 * errno; none is lost in either case.
 */
static int frame_take_fds(EpwMsg *m, struct msghdr *mh, bool in_header)
{
    struct cmsghdr *c;
    int err = 0;

    for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
        const unsigned char *p = CMSG_DATA(c);
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            err = -EBADMSG;
            continue;
        }
        for (size_t i = 0; i < n; i++, p += sizeof(int)) {
            int fd;

            memcpy(&fd, p, sizeof(fd));
            if (in_header && m->nfds < EPW_MAX_FDS && frame_may_keep(fd)) {
                m->fds[m->nfds++] = fd;
            } else {
                epw_close(fd);
                err = in_header ? -EMFILE : -EBADMSG;
            }
        }
    }
    if (!err && (mh->msg_flags & MSG_CTRUNC)) {
        err = in_header ? -EMFILE : -EBADMSG;
    }
    return err;
}

/* Calls recvmsg() once for the rest of the header, or of the payload. */
static int frame_rx_step(EpwFrame *f)
{
    EpwMsg *m = f->rx;
    bool in_header = f->rx_got < sizeof(m->hdr);
    EpwControl control;
    struct iovec iov;
    struct msghdr mh = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    ssize_t n;
    int err;

    if (in_header) {
        iov.iov_base = (uint8_t *)&m->hdr + f->rx_got;
        iov.iov_len = sizeof(m->hdr) - f->rx_got;
    } else {
        iov.iov_base = m->payload + f->rx_got - sizeof(m->hdr);
        iov.iov_len = m->hdr.size - f->rx_got;
    }

    n = RETRY_ON_EINTR(recvmsg(f->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    if (n < 0) {
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
    err = frame_take_fds(m, &mh, in_header);
    if (err) {
        return err;
    }
    if (n == 0) {
        return -ECONNRESET;
    }
    f->rx_got += n;
    return 0;
}

/* Checks the header, which is whole, and makes room for the payload. */
static int frame_rx_begin_payload(EpwMsg *m)
{
    uint32_t type = m->hdr.flags & VFU_FLAG_TYPE_MASK;

    if (m->hdr.size < sizeof(m->hdr) || m->hdr.size > EPW_MAX_MSG ||
        (type != VFU_FLAG_COMMAND && type != VFU_FLAG_REPLY)) {
        return -EBADMSG;
    }
    if (m->hdr.size > sizeof(m->hdr)) {
        m->payload = g_try_malloc(m->hdr.size - sizeof(m->hdr));
        if (!m->payload) {
            return -ENOMEM;
        }
    }
    return 0;
}

int epw_frame_recv(EpwFrame *f, EpwMsg **msg)
{
    *msg = NULL;
    while (!f->rx_err) {
        int err;

        if (!f->rx) {
            f->rx = g_new0(EpwMsg, 1);
            f->rx_got = 0;
        }
        err = frame_rx_step(f);
        if (err == -EAGAIN) {
            return 0;
        }
        if (!err && f->rx_got == sizeof(f->rx->hdr)) {
            err = frame_rx_begin_payload(f->rx);
        }
        if (err) {
            f->rx_err = err;
            epw_msg_free(f->rx);
            f->rx = NULL;
        } else if (f->rx_got >= sizeof(f->rx->hdr) &&
                   f->rx_got == f->rx->hdr.size) {
            *msg = f->rx;
            f->rx = NULL;
            return 1;
        }
    }
    return f->rx_err;
}

bool epw_frame_partial(const EpwFrame *f)
{
    return f->rx && f->rx_got;
}

/* ---- Sending ---- */

/*
 * Returns the bytes sent, 0 when the socket is full or the kernel takes no more
 * descriptors, or a negative errno.
 */
static ssize_t frame_tx_step(EpwFrame *f, struct iovec *iov, int niov,
                             const int *fds, unsigned nfds)
{
    EpwControl control;
    struct msghdr mh = { .msg_iov = iov, .msg_iovlen = niov };
    ssize_t n;

    if (nfds) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof(control));
        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    n = RETRY_ON_EINTR(sendmsg(f->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL));
    f->tx_stalled = n < 0 && errno == ETOOMANYREFS;
    if (n < 0) {
        if (f->tx_stalled || errno == EAGAIN || errno == EWOULDBLOCK) {
            return 0;
        }
        /* epw_frame_send() returns -EINVAL only before it has sent a byte. */
        return errno == EINVAL ? -EIO : -errno;
    }
    f->tx_sent += n;
    return n;
}

/* Queues the bytes of @iov after the first @done ones. */
static int frame_tx_queue(EpwFrame *f, const struct iovec *iov, int niov,
                          size_t total, size_t done, const int *fds,
                          unsigned nfds)
{
    size_t room = sizeof(EpwOut) + total - done + (size_t)nfds * EPW_FD_WEIGHT;
    EpwOut *o;
    uint8_t *p;

    if (f->queued + room > EPW_MAX_QUEUED) {
        return -ENOBUFS;
    }
    o = g_try_malloc(sizeof(EpwOut) + total - done);
    if (!o) {
        return -ENOMEM;
    }
    o->len = total - done;
    o->off = 0;
    for (o->nfds = 0; o->nfds < nfds; o->nfds++) {
        int fd = fcntl(fds[o->nfds], F_DUPFD_CLOEXEC, 0);

        if (fd < 0) {
            int err = -errno;

            frame_close_fds(o->fds, o->nfds);
            g_free(o);
            return err;
        }
        o->fds[o->nfds] = fd;
    }
    p = o->data;
    for (int i = 0; i < niov; i++) {
        size_t skip = MIN(done, iov[i].iov_len);
        size_t n = iov[i].iov_len - skip;

        if (n) {
            memcpy(p, (const uint8_t *)iov[i].iov_base + skip, n);
        }
        p += n;
        done -= skip;
    }
    QSIMPLEQ_INSERT_TAIL(&f->out, o, next);
    f->queued += frame_out_weight(o);
    return 0;
}

int epw_frame_send(EpwFrame *f, const VfuHeader *hdr, const struct iovec *iov,
                   int niov, const int *fds, unsigned nfds)
{
    struct iovec v[EPW_MAX_IOV + 1];
    size_t total = sizeof(*hdr);
    ssize_t sent = 0;

    if (f->tx_err) {
        return f->tx_err;
    }
    if (niov < 0 || niov > EPW_MAX_IOV || nfds > EPW_MAX_FDS) {
        return -EINVAL;
    }
    v[0] = (struct iovec) { (void *)hdr, sizeof(*hdr) };
    for (int i = 0; i < niov; i++) {
        v[i + 1] = iov[i];
        if (iov[i].iov_len > EPW_MAX_MSG - total) {
            return -EINVAL;
        }
        total += iov[i].iov_len;
    }
    if (total != hdr->size) {
        return -EINVAL;
    }

    if (QSIMPLEQ_EMPTY(&f->out)) {
        sent = frame_tx_step(f, v, niov + 1, fds, nfds);
        if (sent < 0) {
            f->tx_err = sent;
            return sent;
        }
        if (sent == total) {
            return 0;
        }
    }
    f->tx_err = frame_tx_queue(f, v, niov + 1, total, sent, fds,
                               sent ? 0 : nfds);
    return f->tx_err;
}

int epw_frame_flush(EpwFrame *f)
{
    EpwOut *o;

    while (!f->tx_err && (o = QSIMPLEQ_FIRST(&f->out))) {
        struct iovec iov = { o->data + o->off, o->len - o->off };
        ssize_t n = frame_tx_step(f, &iov, 1, o->fds, o->nfds);

        if (n < 0) {
            f->tx_err = n;
        } else if (n == 0) {
            return 0;
        } else {
            if (o->nfds) {
                frame_close_fds(o->fds, o->nfds);
                f->queued -= (size_t)o->nfds * EPW_FD_WEIGHT;
                o->nfds = 0;
            }
            o->off += n;
            if (o->off == o->len) {
                f->queued -= frame_out_weight(o);
                frame_out_drop(f, o);
            }
        }
    }
    return f->tx_err;
}

bool epw_frame_pending(const EpwFrame *f)
{
    return !QSIMPLEQ_EMPTY(&f->out);
}

bool epw_frame_stalled(const EpwFrame *f)
{
    return f->tx_stalled && epw_frame_pending(f);
}

uint64_t epw_frame_sent(const EpwFrame *f)
{
    return f->tx_sent;
}

int epw_frame_fd(const EpwFrame *f)
{
    return f->fd;
}
