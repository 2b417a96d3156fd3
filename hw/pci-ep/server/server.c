/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server: connections of clients, and the calls of the owner
 *
 * Locks, outermost first: BQL, op_lock, the owner's lock, EpcServer.lock, the
 * lock of the session. The main loop holds the BQL, reader threads never do.
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <sys/socket.h>
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "hw/pci-ep/server/commands.h"
#include "hw/pci-ep/server/conn.h"
#include "hw/pci-ep/server/link.h"
#include "hw/pci-ep/server/listen.h"
#include "hw/pci-ep/server/remap.h"
#include "hw/pci-ep/server/source.h"
#include "hw/pci-ep/shared/socket.h"
#include "hw/pci-ep/trace.h"
#include "hw/pci-ep/wire/closer.h"

/* A client, and others that get EBUSY and may come back later */
#define EPC_SERVER_MAX_CONNS 5
/* When the main loop tries again: to take op_lock, to accept a client */
#define SERVER_AGAIN_US 5000

/* ---- Callbacks of the session, in its reader thread ---- */

/*
 * The link of a plain client comes up with its VERSION. Returns false when the
 * link may not come up now. The client is refused then.
 */
static bool server_attach_plain(EpcConn *c) EP_REQUIRES(&c->s->op_lock);
static bool server_attach_plain(EpcConn *c)
{
    EpcServer *s = c->s;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!s->enabled || s->link != EPC_SERVER_LINK_DOWN) {
            return false;
        }
        epc_conn_set_state(c, EPC_CONN_PLAIN);
    }
    epc_server_link_up_plain(s);
    return true;
}

/*
 * Returns the payload of the answer to VERSION and its length, or NULL when the
 * client is refused; then *@err is the errno to answer and *@why the reason for
 * the log.
 */
static uint8_t *server_version_answer(EpcConn *c, const EpwMsg *m,
                                      EpwCaps *caps, size_t *len, int *err,
                                      char **why)
    EP_REQUIRES(&c->s->op_lock);
static uint8_t *server_version_answer(EpcConn *c, const EpwMsg *m,
                                      EpwCaps *caps, size_t *len, int *err,
                                      char **why)
{
    size_t n = epw_msg_len(m);
    Error *bad = NULL;
    uint8_t *answer;

    answer = epw_version_answer(m->payload, n, EPC_SERVER_FEATURES, caps, len,
                                &bad);
    if (answer && caps->features && !(caps->features & VFU_EP_FEATURE_LINK)) {
        /* The other features need generations, which come with link states. */
        g_free(answer);
        answer = epw_version_answer(m->payload, n, 0, caps, len, &bad);
    }
    if (!answer) {
        *err = EINVAL;
        /* error_get_pretty() is without the hint of epw_version_answer(). */
        *why = g_strdup_printf("VERSION refused: %s; use versions of both "
                               "sides that agree", error_get_pretty(bad));
        error_free(bad);
        return NULL;
    }
    if (!caps->features && !server_attach_plain(c)) {
        *err = ENODEV;
        *why = g_strdup("the link is down, and the client cannot wait for it");
        g_free(answer);
        return NULL;
    }
    return answer;
}

static void server_conn_version(EpcConn *c, EpwSession *es, EpwMsg *m,
                                EpwRequest *t)
    EP_REQUIRES(&c->s->op_lock);
static void server_conn_version(EpcConn *c, EpwSession *es, EpwMsg *m,
                                EpwRequest *t)
{
    g_autofree uint8_t *answer = NULL;
    g_autofree char *why = NULL;
    EpcServer *s = c->s;
    EpcConnState state;
    struct iovec iov;
    EpwCaps caps;
    int err;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        state = c->state;
    }
    if (state == EPC_CONN_REFUSED) {
        epw_reply_error(t, EBUSY);
        epw_session_shutdown(es, "another client is attached");
        return;
    }
    if (state != EPC_CONN_HANDSHAKE) {
        epw_reply_error(t, EINVAL);
        return;
    }
    answer = server_version_answer(c, m, &caps, &iov.iov_len, &err, &why);
    if (!answer) {
        epw_reply_error(t, err);
        epw_session_shutdown(es, why);
        return;
    }
    epw_session_set_caps(es, &caps);
    iov.iov_base = answer;
    epw_reply(t, &iov, 1, NULL, 0);
    /* After the reply, since EXTENDED allows EP_LINK to be sent */
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (caps.features) {
            c->features = caps.features;
            epc_conn_set_state(c, EPC_CONN_EXTENDED);
        }
    }
}

static void server_conn_command(EpwSession *es, EpwMsg *m, EpwRequest *t,
                                void *opaque)
{
    EpcConn *c = opaque;
    EpcServer *s = c->s;

    if (m->hdr.command != VFU_CMD_VERSION) {
        QEMU_LOCK_GUARD(&s->op_lock);
        epc_server_command(c, m, t);
        return;
    }
    WITH_QEMU_LOCK_GUARD(&s->op_lock) {
        server_conn_version(c, es, m, t);
    }
    epc_server_link_next(s);
}

static void server_conn_closed(EpwSession *es, const char *why, void *opaque)
{
    EpcConn *c = opaque;
    EpcServer *s = c->s;
    bool down = false, stayed = false;

    trace_pci_epc_server_disconnect(s->device, s->func, why);
    WITH_QEMU_LOCK_GUARD(&s->op_lock) {
        WITH_QEMU_LOCK_GUARD(&s->lock) {
            if (s->conn == c && s->link != EPC_SERVER_LINK_DOWN) {
                s->link = EPC_SERVER_LINK_LOWERING;
                down = true;
            } else if (s->conn == c) {
                stayed = c->state == EPC_CONN_PLAIN;
                s->conn = NULL;
            }
        }
        if (down) {
            epc_server_link_down(s, -ETIMEDOUT, true);
        } else if (stayed) {
            s->ops->link(s->opaque, EPC_SERVER_DOWN);
        }
    }
    QEMU_LOCK_GUARD(&s->lock);
    epc_conn_set_state(c, EPC_CONN_OVER);
    epc_server_wake(s);
}

static const EpwOps server_conn_ops = {
    .command = server_conn_command,
    .closed = server_conn_closed,
};

/* ---- Sources of the main loop, which holds the BQL ---- */

/*
 * Serves the connected socket @fd, which it takes over, or closes it when there
 * are too many connections.
 */
static void server_accept(EpcServer *s, int fd)
{
    QEMU_LOCK_GUARD(&s->lock);
    if (s->nconns == EPC_SERVER_MAX_CONNS) {
        epw_close(fd);
        return;
    }
    trace_pci_epc_server_connect(s->device, s->func, s->conn);
    epc_conn_new(s, fd, &server_conn_ops);
}

static void server_accept_start(EpcServer *s);

/* The pause after an error is over. */
static gboolean server_accept_again(void *opaque)
{
    EpcServer *s = opaque;

    epc_source_drop(&s->accept_source);
    server_accept_start(s);
    return G_SOURCE_REMOVE;
}

static void server_accept_pause(EpcServer *s, unsigned ms)
{
    epc_source_drop(&s->accept_source);
    s->accept_source = epc_source_run(g_timeout_source_new(ms),
                                      server_accept_again, s);
}

/*
 * A client that has closed its socket may connect again before the reader
 * thread of that socket has seen the end. It is accepted after that then, and
 * refused only if that takes longer than the deadline.
 */
static bool server_accept_waits(EpcServer *s)
{
    int64_t now = g_get_monotonic_time();

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!s->conn || !epw_session_ends(s->conn->session)) {
            s->accept_until = 0;
            return false;
        }
    }
    if (!s->accept_until) {
        s->accept_until = now + s->deadline_ms * INT64_C(1000);
    }
    return now < s->accept_until;
}

static gboolean server_accept_ready(int listen_fd, GIOCondition condition,
                                    void *opaque)
{
    EpcServer *s = opaque;
    uid_t uid;
    int fd;

    if (epw_closer_full()) {
        warn_report_once("%s: no new client, since descriptors that peers "
                         "passed cannot be closed in time", s->name);
        server_accept_pause(s, s->deadline_ms);
        return G_SOURCE_REMOVE;
    }
    if (server_accept_waits(s)) {
        server_accept_pause(s, SERVER_AGAIN_US / 1000);
        return G_SOURCE_REMOVE;
    }
    fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 && ep_socket_peer_allowed(fd, &uid)) {
        server_accept(s, fd);
    } else if (fd >= 0) {
        epw_close(fd);
        warn_report_once("%s: refused a client of user %u; both QEMUs must run "
                         "as the same user", s->name, (unsigned)uid);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* Most likely this process is out of descriptors: do not spin. */
        server_accept_pause(s, s->deadline_ms);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void server_accept_start(EpcServer *s)
{
    GSource *source = g_unix_fd_source_new(s->listen_fd, G_IO_IN);

    s->accept_source = epc_source_run(source,
                                      G_SOURCE_FUNC(server_accept_ready), s);
}

/*
 * Makes the socket again if somebody has removed its file.  Otherwise no host
 * would find this endpoint any more, and nobody would be told.
 */
static void server_restore_socket(EpcServer *s)
{
    Error *err = NULL;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!s->check_socket) {
            return;
        }
        s->check_socket = false;
    }
    if (epc_server_can_be_found(s)) {
        return;
    }
    epc_source_drop(&s->accept_source);
    epc_server_unlisten(s);
    if (epc_server_listen(s, &err)) {
        server_accept_start(s);
    } else {
        error_prepend(&err, "%s: no host can connect: ", s->name);
        warn_report_err(err);
    }
}

/*
 * Ends the session with a client that has not answered EP_LINK up and EP_LINK
 * down within one deadline of epc_server_disable(). Returns when the deadline
 * expires (monotonic us), or -1 when there is none.
 */
static int64_t server_drop_slow(EpcServer *s)
{
    EpcConn *c;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (QSIMPLEQ_EMPTY(&s->disable_waiters) || !s->disable_until) {
            return -1;
        }
        if (s->disable_until > g_get_monotonic_time()) {
            return s->disable_until;
        }
        c = s->conn ? epc_conn_hold(s) : NULL;
    }
    if (c) {
        epw_session_shutdown(c->session, "EP_LINK was not answered in time");
        epc_conn_release(c);
    }
    return -1;
}

/* Of two times, of which -1 is none, the earlier one */
static int64_t server_earlier(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* What reader threads leave to the main loop, see epc_server_wake() */
static gboolean server_work(void *opaque)
{
    EpcServer *s = opaque;
    int64_t late, again = -1;
    EpcConn *c;

    server_restore_socket(s);
    if (!epc_server_link_settle_plain(s)) {
        again = g_get_monotonic_time() + SERVER_AGAIN_US;
    }
    while ((c = epc_conn_pop_over(s))) {
        epc_conn_free(c);
    }
    late = server_earlier(epc_remaps_end_waiting(s, EPC_REMAPS_LATE),
                          server_drop_slow(s));
    late = server_earlier(late, again);
    /* If a reader has called epc_server_wake() meanwhile, that comes first. */
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (late >= 0 && g_source_get_ready_time(s->work_source) < 0) {
            g_source_set_ready_time(s->work_source, late);
        }
    }
    return G_SOURCE_CONTINUE;
}

static gboolean server_work_dispatch(GSource *source, GSourceFunc func,
                                     void *opaque)
{
    /* Before the work, so that no wake-up during the work is lost */
    g_source_set_ready_time(source, -1);
    return func(opaque);
}

static GSourceFuncs server_work_funcs = {
    .dispatch = server_work_dispatch,
};

/* ---- Calls of the owner ---- */

EpcServer *epc_server_new(const EpcServerConfig *cfg, const EpcServerOps *ops,
                          void *opaque, Error **errp)
{
    EpcServer *s = g_new0(EpcServer, 1);

    s->ops = ops;
    s->opaque = opaque;
    s->path = g_strdup(cfg->path ?: "");
    s->name = g_strdup(cfg->name);
    s->device = g_strdup(cfg->device ?: cfg->name);
    s->func = cfg->func;
    s->deadline_ms = MAX(cfg->deadline_ms, 1);
    s->speed = cfg->speed;
    s->width = cfg->width;
    stat64_init(&s->messages, 0);
    s->listen_fd = -1;
    if (!epc_server_listen(s, errp)) {
        g_free(s->path);
        g_free(s->name);
        g_free(s->device);
        g_free(s);
        return NULL;
    }
    qemu_mutex_init(&s->op_lock);
    qemu_mutex_init(&s->lock);
    qemu_mutex_lock(&s->lock);
    QLIST_INIT(&s->conns);
    QSIMPLEQ_INIT(&s->disable_waiters);
    QTAILQ_INIT(&s->remaps);
    qemu_mutex_unlock(&s->lock);
    s->work_source = epc_source_run(
        g_source_new(&server_work_funcs, sizeof(GSource)), server_work, s);
    server_accept_start(s);
    return s;
}

static EpcConn *server_pop_conn(EpcServer *s)
{
    EpcConn *c;

    QEMU_LOCK_GUARD(&s->lock);
    c = QLIST_FIRST(&s->conns);
    if (c) {
        QLIST_REMOVE(c, next);
    }
    return c;
}

void epc_server_free(EpcServer *s)
{
    EpcConn *c;

    if (!s) {
        return;
    }
    epc_source_drop(&s->accept_source);
    epc_server_unlisten(s);

    /* No connection is added any more. The client's end ends the link. */
    while ((c = server_pop_conn(s))) {
        epc_conn_free(c);
    }
    epc_source_drop(&s->work_source);
    qemu_mutex_destroy(&s->lock);
    qemu_mutex_destroy(&s->op_lock);
    g_free(s->path);
    g_free(s->name);
    g_free(s->device);
    g_free(s);
}

void epc_server_enable(EpcServer *s, uint32_t functions)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->enabled = true;
        s->functions = functions;
        s->check_socket = true;
        epc_server_wake(s);
    }
    epc_server_link_next(s);
}

/*
 * The deadline of EP_LINK down would begin with the answer to EP_LINK up, so
 * server_drop_slow() limits the time for both.
 */
static void server_limit_disable(EpcServer *s) EP_REQUIRES(&s->lock);
static void server_limit_disable(EpcServer *s)
{
    s->disable_until = 0;
    if (s->link == EPC_SERVER_LINK_RAISING) {
        s->disable_until = g_get_monotonic_time() +
                           s->deadline_ms * INT64_C(1000);
        epc_server_wake(s);
    }
}

void epc_server_disable(EpcServer *s, void (*done)(void *opaque), void *opaque)
{
    bool down;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->enabled = false;
        down = s->link == EPC_SERVER_LINK_DOWN;
        if (!down) {
            EpcDisableWaiter *w = g_new0(EpcDisableWaiter, 1);

            if (QSIMPLEQ_EMPTY(&s->disable_waiters)) {
                server_limit_disable(s);
            }
            w->done = done;
            w->opaque = opaque;
            QSIMPLEQ_INSERT_TAIL(&s->disable_waiters, w, next);
        }
        if (s->link == EPC_SERVER_LINK_UP &&
            s->conn->state == EPC_CONN_PLAIN) {
            s->link = EPC_SERVER_LINK_LOWERING;
            epc_server_wake(s);
        }
    }
    if (down) {
        done(opaque);
    }
    epc_server_link_next(s);
}

uint64_t epc_server_messages(EpcServer *s)
{
    return stat64_get(&s->messages);
}

EP_NO_TSA /* The analysis does not know qemu_mutex_trylock(). */
bool epc_server_try_fence(EpcServer *s)
{
    if (qemu_mutex_trylock(&s->op_lock)) {
        return false;
    }
    qemu_mutex_unlock(&s->op_lock);
    return true;
}
