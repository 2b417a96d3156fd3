/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * connection: the bridge's side of the link to one remote function
 *
 *   state          event                                      next
 *   -------------  -----------------------------------------  -----------
 *   IDLE           the bridge wants the function              CONNECTING
 *   CONNECTING     the bridge does not want the function      IDLE
 *   CONNECTING     the socket is connected                    NEGOTIATING
 *   NEGOTIATING    the endpoint accepts VERSION               NO_LINK
 *   NO_LINK        the endpoint brings its link up            DESCRIBING
 *   DESCRIBING     the description is complete                SHOWN
 *   DESCRIBING     the description is refused                 REFUSED
 *   DESCRIBING,    the endpoint takes its link down           NO_LINK
 *   SHOWN, REFUSED
 *   NEGOTIATING    the session ends, the endpoint refuses     CLOSED
 *   to REFUSED     VERSION, or the bridge does not want the
 *                  function
 *   CLOSED         the connection thread has freed the        CONNECTING
 *                  session
 *
 * An endpoint that trains its link again without taking it down goes through
 * NO_LINK.  In CLOSED the state does not follow EP_LINK any more: a link-up is
 * ignored, a link-down ends the remote.  Until the connection thread has ended
 * the session, the reader thread handles all other messages as before, such as
 * DMA.
 *
 * Three threads work for a connection.  The reader thread of the session never
 * blocks and reacts to what the endpoint says (remote/events.c).  The
 * connection thread, here, is the only one that waits for the endpoint in order
 * to connect and to describe it.  The worker does DMA that needs the BQL
 * (dma/worker.c).
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/thread.h"
#include "hw/pci-ep/shared/socket.h"
#include "hw/pci-ep/wire/closer.h"
#include "hw/misc/epf-bridge/remote/areas.h"
#include "hw/misc/epf-bridge/remote/connection.h"
#include "hw/misc/epf-bridge/remote/describe.h"
#include "hw/misc/epf-bridge/remote/events.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/remote/state.h"
#include "hw/misc/epf-bridge/trace.h"

#include <sys/socket.h>

/* ---- States ---- */

static const char *const epf_connection_state_names[] = {
    [EPF_IDLE] = "IDLE",
    [EPF_CONNECTING] = "CONNECTING",
    [EPF_NEGOTIATING] = "NEGOTIATING",
    [EPF_NO_LINK] = "NO_LINK",
    [EPF_DESCRIBING] = "DESCRIBING",
    [EPF_SHOWN] = "SHOWN",
    [EPF_REFUSED] = "REFUSED",
    [EPF_CLOSED] = "CLOSED",
};

/* The states that may follow each state, as bits */
static const unsigned epf_connection_next[] = {
    [EPF_IDLE] = BIT(EPF_CONNECTING),
    [EPF_CONNECTING] = BIT(EPF_IDLE) | BIT(EPF_NEGOTIATING),
    [EPF_NEGOTIATING] = BIT(EPF_NO_LINK) | BIT(EPF_CLOSED),
    [EPF_NO_LINK] = BIT(EPF_DESCRIBING) | BIT(EPF_CLOSED),
    [EPF_DESCRIBING] = BIT(EPF_SHOWN) | BIT(EPF_REFUSED) | BIT(EPF_NO_LINK) |
                       BIT(EPF_CLOSED),
    [EPF_SHOWN] = BIT(EPF_NO_LINK) | BIT(EPF_CLOSED),
    [EPF_REFUSED] = BIT(EPF_NO_LINK) | BIT(EPF_CLOSED),
    [EPF_CLOSED] = BIT(EPF_CONNECTING),
};

bool epf_connection_step(EpfConnection *c, EpfState to)
{
    const char *before = epf_connection_state_names[c->state];
    const char *after = epf_connection_state_names[to];

    if (!(epf_connection_next[c->state] & BIT(to))) {
        trace_epf_bridge_state_illegal(c->device, c->func, before, after);
        return false;
    }
    trace_epf_bridge_state(c->device, c->func, before, after);
    c->state = to;
    qemu_cond_broadcast(&c->cond);
    return true;
}

static bool epf_connection_in_session(EpfConnection *c) EP_REQUIRES(&c->lock);
static bool epf_connection_in_session(EpfConnection *c)
{
    return c->state >= EPF_NEGOTIATING && c->state <= EPF_REFUSED;
}

void epf_connection_want(EpfConnection *c, bool wanted)
{
    QEMU_LOCK_GUARD(&c->lock);
    c->wanted = wanted;
    if (!wanted && epf_connection_in_session(c)) {
        epf_connection_step(c, EPF_CLOSED);
    }
    qemu_cond_broadcast(&c->cond);
}

bool epf_connection_connected(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    return c->session && c->state >= EPF_NO_LINK && c->state <= EPF_REFUSED;
}

EpfRemote *epf_connection_get_remote(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    return c->state == EPF_SHOWN ? epf_remote_ref(c->remote) : NULL;
}

uint64_t epf_connection_messages(EpfConnection *c)
{
    return stat64_get(&c->messages);
}

uint64_t epf_connection_interrupts(EpfConnection *c)
{
    return stat64_get(&c->interrupts);
}

/* ---- The connection thread: to connect ---- */

static bool epf_connection_check_peer(EpfConnection *c, int fd)
{
    uid_t uid;

    if (ep_socket_peer_allowed(fd, &uid)) {
        return true;
    }
    epf_connection_report(c, "run both sides as the same user",
                          "the server at '%s' runs as user %d", c->path,
                          (int)uid);
    return false;
}

/* Has there been no endpoint for so long that the user should know? */
static bool epf_connection_is_absent(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    return c->absent_ms >= EPF_ABSENT_MS;
}

/* Returns a connected socket, or -1 for another try later. */
static int epf_connection_connect(EpfConnection *c)
{
    struct sockaddr_un un;
    int fd, err;

    if (epw_closer_full()) {
        epf_connection_report(c, "end the endpoint that does not let them go",
                              "descriptors that endpoints passed cannot be "
                              "closed in time");
        return -1;
    }
    ep_socket_fill_address(c->path, &un);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        epf_connection_report(c, NULL, "cannot create a socket: %s",
                              strerror(errno));
        return -1;
    }
    if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
        err = errno;
        /*
         * The socket or its directory is not there yet, nobody listens on the
         * socket, or its queue is full: as a rule all of these pass.
         */
        if (err != ENOENT && err != ECONNREFUSED && err != EAGAIN) {
            epf_connection_report(c, NULL, "cannot connect to '%s': %s",
                                  c->path, strerror(err));
        } else if (epf_connection_is_absent(c)) {
            epf_connection_report(c, "start the endpoint's QEMU; if it runs, "
                                  "its socket file was removed, and the "
                                  "endpoint makes it again when its link is "
                                  "started", "no endpoint listens on '%s'",
                                  c->path);
        }
        epw_close(fd);
        return -1;
    }
    if (!epf_connection_check_peer(c, fd)) {
        epw_close(fd);
        return -1;
    }
    trace_epf_bridge_connect(c->device, c->func, c->path);
    return fd;
}

/* ---- The connection thread: a session ---- */

static void epf_connection_offer_version(EpfConnection *c, EpwSession *s)
{
    size_t len;
    g_autofree uint8_t *offer = epw_version_offer(EPF_CONNECTION_FEATURES,
                                                  &len);
    struct iovec iov = { .iov_base = offer, .iov_len = len };

    epw_call_async(s, VFU_CMD_VERSION, &iov, 1, NULL, 0, epf_events_version,
                   c);
}

/* Returns a remote to be described, referenced; NULL: the session is over. */
static EpfRemote *epf_connection_wait_remote(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    while (c->state != EPF_DESCRIBING && c->state != EPF_CLOSED) {
        qemu_cond_wait(&c->cond, &c->lock);
    }
    return c->state == EPF_DESCRIBING ? epf_remote_ref(c->remote) : NULL;
}

static void epf_connection_describe(EpfConnection *c, EpfRemote *r)
{
    Error *err = NULL;
    bool ok = epf_describe(r, &err);
    bool current;

    WITH_QEMU_LOCK_GUARD(&c->lock) {
        current = c->state == EPF_DESCRIBING && c->remote == r;
        if (current) {
            epf_connection_step(c, ok ? EPF_SHOWN : EPF_REFUSED);
        }
    }
    if (!ok && epf_remote_dead(r)) {
        error_free(err);
    } else if (!ok) {
        epf_connection_report_err(c, err);
    } else if (current) {
        c->ops->changed(c->opaque);
        /* The reader thread asks again after EP_REMAP from SHOWN on only. */
        epf_areas_refetch_revoked(r);
    }
}

static void epf_connection_run(EpfConnection *c, int fd)
{
    EpwConfig cfg = {
        .name = c->name, .device = c->device, .func = c->func,
        .role = EPW_CLIENT, .deadline_ms = c->deadline_ms,
        .messages = &c->messages,
    };
    EpwSession *s = epw_session_new(fd, &cfg, &epf_events_session_ops, c);
    EpfRemote *r;

    WITH_QEMU_LOCK_GUARD(&c->lock) {
        c->session = s;
    }
    epf_connection_offer_version(c, s);
    while ((r = epf_connection_wait_remote(c))) {
        epf_connection_describe(c, r);
        epf_remote_unref(r);
    }

    epw_session_shutdown(s, "closed");
    WITH_QEMU_LOCK_GUARD(&c->lock) {
        c->session = NULL;
        while (c->users) {
            qemu_cond_wait(&c->cond, &c->lock);
        }
    }
    epw_session_free(s);
}

/* ---- The connection thread ---- */

static void epf_connection_wait_wanted(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    if (!c->wanted && c->state == EPF_CONNECTING) {
        epf_connection_step(c, EPF_IDLE);
    }
    while (!c->wanted) {
        qemu_cond_wait(&c->cond, &c->lock);
    }
    if (c->state == EPF_IDLE) {
        epf_connection_step(c, EPF_CONNECTING);
        c->backoff_ms = EPF_BACKOFF_MIN_MS;
    }
}

/* Returns false when the bridge has lost interest in the meantime. */
static bool epf_connection_begin(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    c->absent_ms = 0;
    ep_patience_init(&c->patience, c->deadline_ms * INT64_C(1000),
                     EP_PATIENCE_TOLERATED(c->deadline_ms * INT64_C(1000)));
    return c->wanted && epf_connection_step(c, EPF_NEGOTIATING);
}

static void epf_connection_end(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    epf_connection_step(c, EPF_CONNECTING);
}

/* An accepted VERSION has reset the pause to its minimum. */
static void epf_connection_pause(EpfConnection *c)
{
    unsigned ms;

    WITH_QEMU_LOCK_GUARD(&c->lock) {
        ms = c->backoff_ms;
        c->absent_ms += ms;
        c->backoff_ms = MIN(ms * 2, EPF_BACKOFF_MAX_MS);
    }
    g_usleep(ms * 1000);
}

static void *epf_connection_thread(void *opaque)
{
    EpfConnection *c = opaque;

    for (;;) {
        int fd;

        epf_connection_wait_wanted(c);
        fd = epf_connection_connect(c);
        if (fd >= 0 && epf_connection_begin(c)) {
            epf_connection_run(c, fd);
            epf_connection_end(c);
        } else if (fd >= 0) {
            epw_close(fd);
        }
        epf_connection_pause(c);
    }
    return NULL;
}

/* ---- Life ---- */

EpfConnection *epf_connection_new(const EpfConnectionConfig *cfg,
                                  const EpfConnectionOps *ops, void *opaque)
{
    EpfConnection *c = g_new0(EpfConnection, 1);

    qemu_mutex_init(&c->lock);
    qemu_cond_init(&c->cond);
    c->path = g_strdup(cfg->path);
    c->device = g_strdup(cfg->device);
    c->name = g_strdup(cfg->name);
    c->deadline_ms = cfg->deadline_ms;
    c->trust_unsealed = cfg->trust_unsealed;
    c->func = cfg->func;
    c->first = cfg->first;
    c->ops = ops;
    c->opaque = opaque;
    stat64_init(&c->messages, 0);
    stat64_init(&c->interrupts, 0);
    WITH_QEMU_LOCK_GUARD(&c->lock) {
        c->backoff_ms = EPF_BACKOFF_MIN_MS;
        c->warned = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                          NULL);
    }
    return c;
}

void epf_connection_start(EpfConnection *c)
{
    QemuThread thread;

    qemu_thread_create(&thread, c->name, epf_connection_thread, c,
                       QEMU_THREAD_DETACHED);
}
