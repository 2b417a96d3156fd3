/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw frame: messages and file descriptors over one non-blocking UNIX socket
 *
 * A received descriptor shares its open file with the peer, so nothing here
 * touches its flags.  The header is read on its own: a read that stops at the
 * end of a message never picks up the descriptors of the next one.
 */
#include "qemu/osdep.h"
#include "qemu/queue.h"
#include "hw/pci-ep/epw.h"

#include <glib-unix.h>
#include <sys/socket.h>

/* What a queued descriptor weighs against EPW_MAX_QUEUED */
#define FD_WEIGHT 4096

typedef struct EpwOut {
    QSIMPLEQ_ENTRY(EpwOut) next;
    size_t len;
    size_t off;
    unsigned nfds;          /* not yet sent; 0 once the first byte is out */
    int fds[EPW_MAX_FDS];
    uint8_t data[];
} EpwOut;

struct EpwFrame {
    int fd;

    /* receiving */
    int rx_err;
    EpwMsg *rx;
    size_t rx_got;          /* bytes of rx, header included */

    /* sending */
    int tx_err;
    size_t queued;
    QSIMPLEQ_HEAD(, EpwOut) out;
};

typedef union EpwControl {
    struct cmsghdr align;
    char buf[CMSG_SPACE(sizeof(int) * EPW_MAX_FDS)];
} EpwControl;

static void close_fds(const int *fds, unsigned nfds)
{
    for (unsigned i = 0; i < nfds; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

void epw_msg_free(EpwMsg *m)
{
    if (m) {
        close_fds(m->fds, m->nfds);
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

static size_t out_weight(const EpwOut *o)
{
    return sizeof(*o) + o->len + (size_t)o->nfds * FD_WEIGHT;
}

static void out_drop(EpwFrame *f, EpwOut *o)
{
    QSIMPLEQ_REMOVE_HEAD(&f->out, next);
    close_fds(o->fds, o->nfds);
    g_free(o);
}

void epw_frame_free(EpwFrame *f)
{
    EpwOut *o;

    if (!f) {
        return;
    }
    while ((o = QSIMPLEQ_FIRST(&f->out))) {
        out_drop(f, o);
    }
    epw_msg_free(f->rx);
    close(f->fd);
    g_free(f);
}

/*
 * ------------------------------------------------------------------------
 * Receiving
 */

/* Moves the descriptors of @mh to @m; all of them, whatever is returned. */
static int take_fds(EpwMsg *m, struct msghdr *mh, bool in_header)
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
            if (in_header && m->nfds < EPW_MAX_FDS) {
                m->fds[m->nfds++] = fd;
            } else {
                close(fd);
                err = in_header ? -EMFILE : -EBADMSG;
            }
        }
    }
    if (!err && (mh->msg_flags & MSG_CTRUNC)) {
        err = in_header ? -EMFILE : -EBADMSG;
    }
    return err;
}

/* One recvmsg of the rest of the header, or else of the payload */
static int rx_step(EpwFrame *f)
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
    err = take_fds(m, &mh, in_header);
    if (err) {
        return err;
    }
    if (n == 0) {
        return -ECONNRESET;
    }
    f->rx_got += n;
    return 0;
}

/* The header is whole: can the rest be believed? */
static int rx_begin_payload(EpwMsg *m)
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
        err = rx_step(f);
        if (err == -EAGAIN) {
            return 0;
        }
        if (!err && f->rx_got == sizeof(f->rx->hdr)) {
            err = rx_begin_payload(f->rx);
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

/*
 * ------------------------------------------------------------------------
 * Sending
 */

/* Bytes sent, 0 when the socket is full, or negative errno */
static ssize_t tx_step(EpwFrame *f, struct iovec *iov, int niov,
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
    if (n < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return 0;
        }
        /* EINVAL is for mistakes of the caller, which leave the stream whole */
        return errno == EINVAL ? -EIO : -errno;
    }
    return n;
}

/* Queues what is left of @iov after @done bytes. */
static int tx_queue(EpwFrame *f, const struct iovec *iov, int niov,
                    size_t total, size_t done, const int *fds, unsigned nfds)
{
    size_t room = sizeof(EpwOut) + total - done + (size_t)nfds * FD_WEIGHT;
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

            close_fds(o->fds, o->nfds);
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
    f->queued += out_weight(o);
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
        sent = tx_step(f, v, niov + 1, fds, nfds);
        if (sent < 0) {
            f->tx_err = sent;
            return sent;
        }
        if (sent == total) {
            return 0;
        }
    }
    f->tx_err = tx_queue(f, v, niov + 1, total, sent, fds, sent ? 0 : nfds);
    return f->tx_err;
}

int epw_frame_flush(EpwFrame *f)
{
    EpwOut *o;

    while (!f->tx_err && (o = QSIMPLEQ_FIRST(&f->out))) {
        struct iovec iov = { o->data + o->off, o->len - o->off };
        ssize_t n = tx_step(f, &iov, 1, o->fds, o->nfds);

        if (n < 0) {
            f->tx_err = n;
        } else if (n == 0) {
            return 0;
        } else {
            if (o->nfds) {
                close_fds(o->fds, o->nfds);
                f->queued -= (size_t)o->nfds * FD_WEIGHT;
                o->nfds = 0;
            }
            o->off += n;
            if (o->off == o->len) {
                f->queued -= out_weight(o);
                out_drop(f, o);
            }
        }
    }
    return f->tx_err;
}

bool epw_frame_pending(const EpwFrame *f)
{
    return !QSIMPLEQ_EMPTY(&f->out);
}

int epw_frame_fd(const EpwFrame *f)
{
    return f->fd;
}
