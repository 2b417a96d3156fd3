/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw tokens: received commands on their way to a reply
 *
 * Replies leave in the order of their commands.  An early one is kept, within
 * EPW_MAX_QUEUED.  A token holds a reference on its session, so answering after
 * the end of the session is harmless.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/iov.h"
#include "epw-internal.h"

/* What a descriptor of an early reply weighs against EPW_MAX_QUEUED */
#define FD_WEIGHT 4096

EpwToken *epw_token_new(EpwSession *s, const VfuHeader *hdr)
{
    EpwToken *t = g_new0(EpwToken, 1);

    t->s = s;
    t->id = hdr->id;
    t->cmd = hdr->command;
    t->queued = !(hdr->flags & VFU_FLAG_NO_REPLY);
    qatomic_inc(&s->refs);

    qemu_mutex_lock(&s->lock);
    s->ntokens++;
    if (t->queued) {
        QTAILQ_INSERT_TAIL(&s->tokens, t, next);
    }
    qemu_mutex_unlock(&s->lock);
    return t;
}

static size_t token_weight(const EpwToken *t)
{
    return sizeof(*t) + t->len + (size_t)t->nfds * FD_WEIGHT;
}

void epw_token_free(EpwToken *t)
{
    EpwSession *s = t->s;

    if (t->queued) {
        QTAILQ_REMOVE(&s->tokens, t, next);
    }
    if (t->answered) {
        s->stored -= token_weight(t);
    }
    for (unsigned i = 0; i < t->nfds; i++) {
        close(t->fds[i]);
    }
    if (s->ntokens-- == EPW_MAX_TOKENS) {
        epw_wake_reader(s);
    }
    g_free(t->data);
    g_free(t);
}

static void token_send(EpwToken *t, const struct iovec *iov, int niov,
                       const int *fds, unsigned nfds, int err)
{
    VfuHeader hdr = {
        .id = t->id,
        .command = t->cmd,
        .flags = VFU_FLAG_REPLY | (err ? VFU_FLAG_ERROR : 0),
        .error = err,
    };

    if (epw_send_locked(t->s, &hdr, iov, niov, fds, nfds) == -EINVAL) {
        epw_shutdown_locked(t->s, g_strdup_printf(
                                "the answer to %s is too long",
                                epw_command_name(t->cmd)));
    }
}

/* Keeps an early reply until those before it have left. */
static bool token_store(EpwToken *t, const struct iovec *iov, int niov,
                        const int *fds, unsigned nfds, int err)
{
    t->err = err;
    t->len = MIN(iov_size(iov, niov), EPW_MAX_MSG + 1);
    for (unsigned i = 0; i < nfds && i < EPW_MAX_FDS; i++) {
        int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

        if (fd < 0) {
            epw_shutdown_locked(t->s, epw_io_error(-errno, "keep a reply"));
            return false;
        }
        t->fds[t->nfds++] = fd;
    }
    if (t->s->stored + token_weight(t) > EPW_MAX_QUEUED) {
        EpwToken *first = QTAILQ_FIRST(&t->s->tokens);

        epw_shutdown_locked(t->s, g_strdup_printf(
                                "too many replies wait for the one to %s",
                                epw_command_name(first->cmd)));
        return false;
    }
    t->data = g_malloc(t->len);
    iov_to_buf(iov, niov, 0, t->data, t->len);
    t->answered = true;
    t->s->stored += token_weight(t);
    return true;
}

/* Sends the early replies whose turn has come; returns how many. */
static int tokens_advance(EpwSession *s)
{
    EpwToken *t;
    int n = 0;

    while ((t = QTAILQ_FIRST(&s->tokens)) && t->answered) {
        struct iovec iov = { t->data, t->len };

        token_send(t, &iov, 1, t->fds, t->nfds, t->err);
        epw_token_free(t);
        n++;
    }
    return n;
}

static void token_finish(EpwToken *t, const struct iovec *iov, int niov,
                         const int *fds, unsigned nfds, int err)
{
    EpwSession *s = t->s;
    int gone = 1;

    qemu_mutex_lock(&s->lock);
    if (!t->queued || s->closing) {
        epw_token_free(t);
    } else if (t == QTAILQ_FIRST(&s->tokens)) {
        token_send(t, iov, niov, fds, nfds, err);
        epw_token_free(t);
        gone += tokens_advance(s);
    } else if (token_store(t, iov, niov, fds, nfds, err)) {
        gone = 0;
    } else {
        epw_token_free(t);
    }
    qemu_mutex_unlock(&s->lock);
    epw_session_unref(s, gone);
}

void epw_reply(EpwToken *t, const struct iovec *iov, int niov, const int *fds,
               unsigned nfds)
{
    token_finish(t, iov, niov, fds, nfds, 0);
}

void epw_reply_error(EpwToken *t, int err)
{
    token_finish(t, NULL, 0, NULL, 0, err > 0 ? err : EIO);
}
