/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server: connections and the state of the link
 *
 * The link has four states.  "enabled" is what the owner wants, between
 * epc_server_enable() and epc_server_disable(), once nobody waits for an earlier
 * epc_server_disable() any more; it may change at any time, but only one EP_LINK
 * is on its way at any time.
 *
 *   state     event                        action                    next
 *   --------  ---------------------------  ------------------------  --------
 *   DOWN      enabled, client with "link"  new generation, EP_LINK   RAISING
 *             attached                     up
 *   DOWN      enabled, plain client        new generation, link(1)   UP
 *             sends VERSION
 *   RAISING   answered, enabled            link(1)                   UP
 *   RAISING   answered, not enabled        EP_LINK down              LOWERING
 *   UP        not enabled                  EP_LINK down (none to a   LOWERING
 *                                          plain client)
 *   LOWERING  answered (plain: at once,    link(0) after link(1),    DOWN
 *             from the main loop)          then all done()
 *   any but   client closed, or a          the same, done() of a     DOWN
 *   DOWN      deadline expired             remap with -ETIMEDOUT
 *
 * A plain client stays attached after its link went down, but is never up
 * again: it does not know that its DMA maps and eventfds were forgotten.
 *
 * Locks, outermost first: BQL, op_lock, the owner's, lock, the session's.  The
 * main loop holds the BQL, readers never do.  op_lock is held by whoever calls
 * ops; so epc_server_*() must not take it, since ops may call those.
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <sys/socket.h>
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "hw/pci-ep/epc-server-int.h"
#include "trace.h"

/* A client and those that are told to come back later. */
#define EPC_SERVER_MAX_CONNS 5

/* ---- connections ---- */

/* Has the main loop look after the server. */
static void server_wake(EpcServer *s)
{
    g_source_set_ready_time(s->work, 0);
}

EpcConn *epc_conn_hold(EpcConn *c)
{
    c->users++;
    return c;
}

void epc_conn_release(EpcConn *c)
{
    EpcServer *s = c->s;

    QEMU_LOCK_GUARD(&s->lock);
    if (--c->users == 0 && c->over) {
        server_wake(s);
    }
}

static void drop_source(GSource **source)
{
    g_source_destroy(*source);
    g_source_unref(*source);
    *source = NULL;
}

/* @source calls @func, of the type that it wants, in the main loop. */
static GSource *run_source(GSource *source, GSourceFunc func, void *opaque)
{
    g_source_set_callback(source, func, opaque, NULL);
    g_source_attach(source, NULL);
    return source;
}

/* The main loop, after it was removed from the list. */
static void conn_free(EpcConn *c)
{
    drop_source(&c->silence);
    epw_session_free(c->session);
    g_free(c);
}

static EpcConn *conn_pop_over(EpcServer *s)
{
    EpcConn *c;

    QEMU_LOCK_GUARD(&s->lock);
    QLIST_FOREACH(c, &s->conns, next) {
        if (c->over && !c->users) {
            QLIST_REMOVE(c, next);
            s->nconns--;
            return c;
        }
    }
    return NULL;
}

static gboolean conn_silent(void *opaque)
{
    EpcConn *c = opaque;
    EpcServer *s = c->s;

    QEMU_LOCK_GUARD(&s->lock);
    if (!c->ready) {
        g_autofree char *why = g_strdup_printf("no VERSION within %u ms",
                                               s->deadline_ms);

        epw_session_shutdown(c->session, why);
    }
    return G_SOURCE_REMOVE;
}

/* ---- link ---- */

static void link_answered(EpwSession *es, int err, EpwMsg *reply, void *opaque);

/* May the link be up?  Under lock. */
static bool link_wanted(EpcServer *s)
{
    return s->enabled && QSIMPLEQ_EMPTY(&s->dones);
}

/* Sends the EP_LINK that the state asks for, if any. */
static void link_next(EpcServer *s)
{
    VfuEpLink msg = { .argsz = sizeof(msg) };
    struct iovec iov = { &msg, sizeof(msg) };
    EpcConn *c;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        c = s->conn;
        if (!c || !c->ready || c->plain) {
            return;
        }
        if (s->link == EPS_DOWN && s->enabled) {
            s->link = EPS_RAISING;
            s->generation = s->generation == UINT32_MAX ? 1 :
                            s->generation + 1;
            msg.state = VFU_EP_LINK_UP;
            msg.speed = s->speed;
            msg.width = s->width;
            msg.functions = c->joined ? s->functions : 0;
        } else if (s->link == EPS_UP && !link_wanted(s)) {
            s->link = EPS_LOWERING;
            msg.state = VFU_EP_LINK_DOWN;
        } else {
            return;
        }
        msg.generation = s->generation;
        epc_conn_hold(c);
    }
    trace_epc_server_link(s->name, msg.state ? "raising" : "lowering",
                          msg.generation);
    epw_call_async(c->session, VFU_CMD_EP_LINK, &iov, 1, NULL, 0,
                   link_answered, c);
    epc_conn_release(c);
}

/* The link is down and op_lock held, so nobody adds any. */
static void finish_remaps(EpcServer *s, int err)
{
    for (;;) {
        void (*done)(void *, int);
        void *opaque;
        bool acked;
        EpcRemap *r;

        WITH_QEMU_LOCK_GUARD(&s->lock) {
            r = QTAILQ_FIRST(&s->remaps);
            if (!r) {
                return;
            }
            QTAILQ_REMOVE(&s->remaps, r, next);
            r->listed = false;
            done = r->done;
            opaque = r->opaque;
            acked = r->until;
            if (!r->calling) {
                g_free(r);
            }
        }
        done(opaque, acked ? 0 : err);
    }
}

static void finish_dones(EpcDones *dones)
{
    EpcDone *d;

    while ((d = QSIMPLEQ_FIRST(dones))) {
        QSIMPLEQ_REMOVE_HEAD(dones, next);
        d->done(d->opaque);
        g_free(d);
    }
}

/*
 * From LOWERING to DOWN.  @err is for the remaps that this decides.  @gone: the
 * client left as well.  Under op_lock; the owner's done() may call back.
 */
static void link_down(EpcServer *s, int err, bool gone)
{
    EpcDones dones = QSIMPLEQ_HEAD_INITIALIZER(dones);
    uint32_t generation;
    bool told, joined;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        told = s->told;
        s->told = false;
        joined = s->conn->joined;
        generation = s->generation;
    }
    if (told) {
        s->ops->link(s->opaque, false, joined);
    }
    trace_epc_server_link(s->name, "down", generation);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->link = EPS_DOWN;
        s->conn->asked = 0;
        s->conn->asked_ios = 0;
        if (gone) {
            s->conn = NULL;
        }
        QSIMPLEQ_CONCAT(&dones, &s->dones);
    }
    finish_remaps(s, err);
    finish_dones(&dones);
}

/* EP_LINK was answered well: by the reader. */
static void link_settle(EpcServer *s)
{
    bool up = false, down, joined;

    QEMU_LOCK_GUARD(&s->op_lock);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        down = s->link == EPS_LOWERING;
        if (s->link == EPS_RAISING) {
            s->link = EPS_UP;
            up = s->told = link_wanted(s);
        }
        joined = s->conn && s->conn->joined;
    }
    if (up) {
        trace_epc_server_link(s->name, "up", s->generation);
        s->ops->link(s->opaque, true, joined);
    } else if (down) {
        link_down(s, 0, false);
    }
}

static void link_answered(EpwSession *es, int err, EpwMsg *reply, void *opaque)
{
    EpcConn *c = opaque;

    if (!err) {
        err = -epw_check_reply(reply, VFU_CMD_EP_LINK, 0, 0);
    }
    if (err) {
        /* conn_closed() does the rest */
        epw_session_shutdown(es, "EP_LINK was not answered well");
        return;
    }
    link_settle(c->s);
    link_next(c->s);
}

/* A plain client does not need to let go. */
static void link_down_plain(EpcServer *s)
{
    bool down;

    QEMU_LOCK_GUARD(&s->op_lock);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        down = s->conn && s->conn->plain && s->link == EPS_LOWERING;
    }
    if (down) {
        link_down(s, 0, false);
    }
}

/* ---- session callbacks, reader thread ---- */

/* A plain client is up with its VERSION, or never. */
static bool plain_attach(EpcConn *c)
{
    EpcServer *s = c->s;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!s->enabled || s->link != EPS_DOWN) {
            return false;
        }
        s->link = EPS_UP;
        s->told = true;
        s->generation = s->generation == UINT32_MAX ? 1 : s->generation + 1;
        c->ready = true;
        c->plain = true;
    }
    trace_epc_server_link(s->name, "up", s->generation);
    s->ops->link(s->opaque, true, false);
    return true;
}

/* What to answer; NULL when the client is refused, which @err and @why tell. */
static uint8_t *version_answer(EpcConn *c, const EpwMsg *m, EpwCaps *caps,
                               size_t *len, int *err, char **why)
{
    Error *bad = NULL;
    uint8_t *answer;

    if (c->refused) {
        *err = EBUSY;
        *why = g_strdup("another client is attached");
        return NULL;
    }
    answer = epw_version_answer(m->payload, epw_msg_len(m),
                                EPC_SERVER_FEATURES, caps, len, &bad);
    if (answer && caps->features && !(caps->features & VFU_EP_FEATURE_LINK)) {
        /* Generations come with link states; nothing else works without. */
        g_free(answer);
        answer = epw_version_answer(m->payload, epw_msg_len(m), 0, caps, len,
                                    &bad);
    }
    if (!answer) {
        *err = EINVAL;
        *why = g_strdup_printf("VERSION refused: %s", error_get_pretty(bad));
        error_free(bad);
        return NULL;
    }
    if (!caps->features && !plain_attach(c)) {
        *err = ENODEV;
        *why = g_strdup("link is down and the client cannot wait for it");
        g_free(answer);
        return NULL;
    }
    return answer;
}

/* Under op_lock. */
static void conn_version(EpcConn *c, EpwSession *es, EpwMsg *m, EpwToken *t)
{
    g_autofree uint8_t *answer = NULL;
    g_autofree char *why = NULL;
    struct iovec iov;
    EpwCaps caps;
    int err;

    if (c->ready) {
        epw_reply_error(t, EINVAL);
        return;
    }
    answer = version_answer(c, m, &caps, &iov.iov_len, &err, &why);
    if (!answer) {
        epw_reply_error(t, err);
        epw_session_shutdown(es, why);
        return;
    }
    epw_session_set_caps(es, &caps);
    iov.iov_base = answer;
    epw_reply(t, &iov, 1, NULL, 0);
    WITH_QEMU_LOCK_GUARD(&c->s->lock) {
        c->ready = true;
        c->joined = caps.features & VFU_EP_FEATURE_FUNC;
    }
}

static void conn_command(EpwSession *es, EpwMsg *m, EpwToken *t, void *opaque)
{
    EpcConn *c = opaque;
    EpcServer *s = c->s;

    WITH_QEMU_LOCK_GUARD(&s->op_lock) {
        if (m->hdr.command == VFU_CMD_VERSION) {
            conn_version(c, es, m, t);
        } else if (c->ready) {
            epc_server_command(c, m, t);
            return;
        } else {
            epw_reply_error(t, EINVAL);
            epw_session_shutdown(es, "the first command was not VERSION");
        }
    }
    link_next(s);
}

static void conn_closed(EpwSession *es, const char *why, void *opaque)
{
    EpcConn *c = opaque;
    EpcServer *s = c->s;
    bool down = false;

    trace_epc_server_disconnect(s->name, why);
    WITH_QEMU_LOCK_GUARD(&s->op_lock) {
        WITH_QEMU_LOCK_GUARD(&s->lock) {
            if (s->conn == c && s->link != EPS_DOWN) {
                s->link = EPS_LOWERING;
                down = true;
            } else if (s->conn == c) {
                s->conn = NULL;
            }
        }
        if (down) {
            link_down(s, -ETIMEDOUT, true);
        }
    }
    QEMU_LOCK_GUARD(&s->lock);
    c->over = true;
    server_wake(s);
}

static const EpwOps conn_ops = {
    .command = conn_command,
    .closed = conn_closed,
};

/* ---- main loop: sources of GLib's default context, under the BQL ---- */

void epc_server_accept(EpcServer *s, int fd)
{
    EpwConfig cfg = {
        .name = s->name,
        .role = EPW_SERVER,
        .deadline_ms = s->deadline_ms,
        .messages = &s->messages,
    };
    EpcConn *c;

    QEMU_LOCK_GUARD(&s->lock);
    if (s->nconns == EPC_SERVER_MAX_CONNS) {
        close(fd);
        return;
    }
    c = g_new0(EpcConn, 1);
    c->s = s;
    c->refused = s->conn;
    c->silence = run_source(g_timeout_source_new(s->deadline_ms), conn_silent,
                            c);
    QLIST_INSERT_HEAD(&s->conns, c, next);
    s->nconns++;
    if (!c->refused) {
        s->conn = c;
    }
    trace_epc_server_connect(s->name, c->refused);
    /* The reader's first callback waits for the lock. */
    c->session = epw_session_new(fd, &cfg, &conn_ops, c);
}

static void listen_start(EpcServer *s);

static gboolean listen_again(void *opaque)
{
    EpcServer *s = opaque;

    drop_source(&s->accept);
    listen_start(s);
    return G_SOURCE_REMOVE;
}

static gboolean listen_ready(int listen_fd, GIOCondition condition,
                             void *opaque)
{
    EpcServer *s = opaque;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uid_t uid;

    if (fd >= 0 && epc_server_peer_allowed(fd, &uid)) {
        epc_server_accept(s, fd);
    } else if (fd >= 0) {
        close(fd);
        warn_report_once("%s: refused a client of user %u: run both QEMUs as "
                         "the same user", s->name, (unsigned)uid);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* Most likely out of descriptors: do not spin. */
        drop_source(&s->accept);
        s->accept = run_source(g_timeout_source_new(s->deadline_ms),
                               listen_again, s);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void listen_start(EpcServer *s)
{
    s->accept = run_source(g_unix_fd_source_new(s->listen_fd, G_IO_IN),
                           G_SOURCE_FUNC(listen_ready), s);
}

static gboolean work_run(void *opaque)
{
    EpcServer *s = opaque;
    int64_t late;
    EpcConn *c;

    link_down_plain(s);
    while ((c = conn_pop_over(s))) {
        conn_free(c);
    }
    /* Readers may have something new, and then ready time 0, meanwhile */
    late = epc_server_end_remaps(s, EPC_LATE_REMAPS);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (late >= 0 && g_source_get_ready_time(s->work) < 0) {
            g_source_set_ready_time(s->work, late);
        }
    }
    return G_SOURCE_CONTINUE;
}

static gboolean work_dispatch(GSource *source, GSourceFunc func, void *opaque)
{
    /* First, so that a wake-up from now on counts. */
    g_source_set_ready_time(source, -1);
    return func(opaque);
}

static GSourceFuncs work_funcs = {
    .dispatch = work_dispatch,
};

EpcServer *epc_server_new(const EpcServerConfig *cfg, const EpcServerOps *ops,
                          void *opaque, Error **errp)
{
    EpcServer *s = g_new0(EpcServer, 1);

    s->ops = ops;
    s->opaque = opaque;
    s->path = g_strdup(cfg->path ?: "");
    s->name = g_strdup(cfg->name);
    s->deadline_ms = MAX(cfg->deadline_ms, 1);
    s->speed = cfg->speed;
    s->width = cfg->width;
    stat64_init(&s->messages, 0);
    s->listen_fd = -1;
    if (!epc_server_listen(s, errp)) {
        g_free(s->path);
        g_free(s->name);
        g_free(s);
        return NULL;
    }
    qemu_mutex_init(&s->op_lock);
    qemu_mutex_init(&s->lock);
    QLIST_INIT(&s->conns);
    QSIMPLEQ_INIT(&s->dones);
    QTAILQ_INIT(&s->remaps);
    s->work = run_source(g_source_new(&work_funcs, sizeof(GSource)), work_run,
                         s);
    listen_start(s);
    return s;
}

void epc_server_free(EpcServer *s)
{
    EpcConn *c;

    if (!s) {
        return;
    }
    drop_source(&s->accept);
    epc_server_unlisten(s);

    /* Nobody adds to the list any more, and each close ends a link. */
    while ((c = QLIST_FIRST(&s->conns))) {
        QLIST_REMOVE(c, next);
        conn_free(c);
    }
    drop_source(&s->work);
    qemu_mutex_destroy(&s->lock);
    qemu_mutex_destroy(&s->op_lock);
    g_free(s->path);
    g_free(s->name);
    g_free(s);
}

/* ---- calls of the owner ---- */

void epc_server_enable(EpcServer *s, uint32_t functions)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->enabled = true;
        s->functions = functions;
    }
    link_next(s);
}

void epc_server_disable(EpcServer *s, void (*done)(void *opaque), void *opaque)
{
    bool down;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->enabled = false;
        down = s->link == EPS_DOWN;
        if (!down) {
            EpcDone *d = g_new0(EpcDone, 1);

            d->done = done;
            d->opaque = opaque;
            QSIMPLEQ_INSERT_TAIL(&s->dones, d, next);
        }
        if (s->link == EPS_UP && s->conn->plain) {
            s->link = EPS_LOWERING;
            server_wake(s);
        }
    }
    if (down) {
        done(opaque);
    }
    link_next(s);
}

bool epc_server_link_up(EpcServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->link == EPS_UP;
}

uint64_t epc_server_messages(EpcServer *s)
{
    return stat64_get(&s->messages);
}
