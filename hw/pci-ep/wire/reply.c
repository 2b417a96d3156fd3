/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reply: commands of the peer on their way to a reply
 *
 * Replies leave in the order of their commands.  A reply that comes before its
 * turn is kept, as long as all that are kept weigh no more than EPW_MAX_QUEUED.
 * A request holds a reference to its session, so a reply after the end of the
 * session is harmless.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/iov.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/wire/session-int.h"

/*
 * The accesses to regions in a message, at least 1. Its owner may keep each of
 * them for a while, so each counts against EPW_MAX_REQUESTS.
 */
static unsigned request_accesses(const VfuHeader *hdr)
{
    size_t len = hdr->size - sizeof(*hdr);

    if (hdr->command != VFU_CMD_REGION_WRITE_MULTI) {
        return 1;
    }
    return MAX(len / sizeof(VfuRegionWrite), 1);
}

EpwRequest *epw_request_new(EpwSession *s, const VfuHeader *hdr,
                            unsigned *features)
{
    EpwRequest *t = g_new0(EpwRequest, 1);

    t->s = s;
    t->id = hdr->id;
    t->cmd = hdr->command;
    t->accesses = request_accesses(hdr);
    t->queued = !(hdr->flags & VFU_FLAG_NO_REPLY);
    qatomic_inc(&s->refs);

    QEMU_LOCK_GUARD(&s->lock);
    *features = s->caps.features;
    s->nrequests += t->accesses;
    if (t->queued) {
        QTAILQ_INSERT_TAIL(&s->requests, t, next);
    }
    return t;
}

static size_t reply_weight(const EpwRequest *t)
{
    return sizeof(*t) + t->len + (size_t)t->nfds * EPW_FD_WEIGHT;
}

void epw_request_free(EpwSession *s, EpwRequest *t)
{
    bool full;

    if (t->queued) {
        QTAILQ_REMOVE(&s->requests, t, next);
    }
    if (t->answered) {
        s->stored -= reply_weight(t);
    }
    for (unsigned i = 0; i < t->nfds; i++) {
        close(t->fds[i]);
    }
    full = s->nrequests >= EPW_MAX_REQUESTS;
    s->nrequests -= t->accesses;
    if (full) {
        epw_session_arm(s);
    }
    g_free(t->data);
    g_free(t);
}

static void reply_send(EpwSession *s, EpwRequest *t, const struct iovec *iov,
                       int niov, const int *fds, unsigned nfds, int err)
    EP_REQUIRES(&s->lock);
static void reply_send(EpwSession *s, EpwRequest *t, const struct iovec *iov,
                       int niov, const int *fds, unsigned nfds, int err)
{
    VfuHeader hdr = {
        .id = t->id,
        .command = t->cmd,
        .flags = VFU_FLAG_REPLY | (err ? VFU_FLAG_ERROR : 0),
        .error = err,
    };

    if (epw_session_send(s, &hdr, iov, niov, fds, nfds) == -EINVAL) {
        epw_session_end(s, g_strdup_printf(
                                "the answer to %s is too long",
                                epw_command_name(t->cmd)));
    }
}

/*
 * Keeps a reply that comes before its turn.  Returns false when it cannot be
 * kept, which ends the session.
 */
static bool reply_store(EpwSession *s, EpwRequest *t, const struct iovec *iov,
                        int niov, const int *fds, unsigned nfds, int err)
    EP_REQUIRES(&s->lock);
static bool reply_store(EpwSession *s, EpwRequest *t, const struct iovec *iov,
                        int niov, const int *fds, unsigned nfds, int err)
{
    t->err = err;
    t->len = MIN(iov_size(iov, niov), EPW_MAX_MSG + 1);
    for (unsigned i = 0; i < nfds && i < EPW_MAX_FDS; i++) {
        int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

        if (fd < 0) {
            epw_session_end(s, epw_session_error(-errno, "keep a reply"));
            return false;
        }
        t->fds[t->nfds++] = fd;
    }
    if (s->stored + reply_weight(t) > EPW_MAX_QUEUED) {
        EpwRequest *first = QTAILQ_FIRST(&s->requests);

        epw_session_end(s, g_strdup_printf(
                                "too many replies wait for the one to %s",
                                epw_command_name(first->cmd)));
        return false;
    }
    t->data = g_malloc(t->len);
    iov_to_buf(iov, niov, 0, t->data, t->len);
    t->answered = true;
    s->stored += reply_weight(t);
    return true;
}

/* Sends the kept replies whose turn has come.  Returns their number. */
static int reply_advance(EpwSession *s) EP_REQUIRES(&s->lock);
static int reply_advance(EpwSession *s)
{
    EpwRequest *t;
    int n = 0;

    while ((t = QTAILQ_FIRST(&s->requests)) && t->answered) {
        struct iovec iov = { t->data, t->len };

        reply_send(s, t, &iov, 1, t->fds, t->nfds, t->err);
        epw_request_free(s, t);
        n++;
    }
    return n;
}

static void reply_finish(EpwRequest *t, const struct iovec *iov, int niov,
                         const int *fds, unsigned nfds, int err)
{
    EpwSession *s = t->s;
    int gone = 1;

    qemu_mutex_lock(&s->lock);
    if (!t->queued || s->closing) {
        epw_request_free(s, t);
    } else if (t == QTAILQ_FIRST(&s->requests)) {
        reply_send(s, t, iov, niov, fds, nfds, err);
        epw_request_free(s, t);
        gone += reply_advance(s);
    } else if (reply_store(s, t, iov, niov, fds, nfds, err)) {
        gone = 0;
    } else {
        epw_request_free(s, t);
    }
    qemu_mutex_unlock(&s->lock);
    epw_session_unref(s, gone);
}

void epw_reply(EpwRequest *t, const struct iovec *iov, int niov, const int *fds,
               unsigned nfds)
{
    reply_finish(t, iov, niov, fds, nfds, 0);
}

void epw_reply_error(EpwRequest *t, int err)
{
    reply_finish(t, NULL, 0, NULL, 0, err > 0 ? err : EIO);
}
