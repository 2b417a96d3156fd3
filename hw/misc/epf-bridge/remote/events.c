/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events: what the reader thread of a session does with messages of the
 * endpoint
 *
 * Everything here runs in the reader thread, which alone changes
 * EpfConnection.remote.  There is one exception: when VERSION cannot be sent,
 * the connection thread runs epf_events_version(), with an error.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/thread.h"
#include "hw/misc/epf-bridge/remote/areas.h"
#include "hw/misc/epf-bridge/remote/events.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/remote/state.h"
#include "hw/misc/epf-bridge/trace.h"

/* ---- The link ---- */

static void epf_events_link_up(EpfConnection *c, uint32_t generation,
                               unsigned speed, unsigned width,
                               uint32_t functions)
{
    EpfRemote *r = epf_remote_new(c, c->device, c->func, generation);
    bool up;

    r->speed = speed;
    r->width = width;
    r->functions = functions;
    WITH_QEMU_LOCK_GUARD(&c->lock) {
        /* In CLOSED the session is about to end. */
        up = c->state == EPF_NO_LINK && epf_connection_step(c, EPF_DESCRIBING);
        if (up) {
            c->remote = r;
        }
    }
    if (up) {
        trace_epf_bridge_link_up(r->device, r->func, r->generation, speed,
                                 width);
    } else {
        epf_remote_unref(r);
    }
}

static void epf_events_link_down(EpfConnection *c, const char *why)
{
    EpfRemote *r;

    WITH_QEMU_LOCK_GUARD(&c->lock) {
        r = c->remote;
    }
    if (!r) {
        return;
    }
    /*
     * It dies before it is taken from the connection: a thread that finds no
     * remote any more must not reach memory of this one.
     */
    epf_areas_kill(r);
    WITH_QEMU_LOCK_GUARD(&c->lock) {
        c->remote = NULL;
        if (c->state != EPF_CLOSED) {
            epf_connection_step(c, EPF_NO_LINK);
        }
    }
    trace_epf_bridge_link_down(r->device, r->func, r->generation, why);
    epf_remote_unref(r);
    c->ops->changed(c->opaque);
}

/* Returns the remote, referenced, if it has this generation, else NULL. */
static EpfRemote *epf_events_remote(EpfConnection *c, uint32_t generation)
{
    QEMU_LOCK_GUARD(&c->lock);
    return c->remote && c->remote->generation == generation ?
           epf_remote_ref(c->remote) : NULL;
}

/* Returns the functions that @m names, or 0 if this one is not among them. */
static uint32_t epf_events_functions(EpfConnection *c, EpwSession *s,
                                     const VfuEpLink *m)
{
    bool several = epw_session_caps(s).features & VFU_EP_FEATURE_FUNC;
    uint32_t functions = several ? m->functions : BIT(0);

    if ((functions & BIT(0)) && (functions & BIT(c->func)) &&
        functions <= MAKE_64BIT_MASK(0, EPF_MAX_FUNCTIONS)) {
        return functions;
    }
    epf_connection_report(c, "is it a socket of another endpoint?",
                          "the endpoint at '%s' has no function %u, but "
                          "functions 0x%" PRIx32, c->path, c->func, functions);
    return 0;
}

static void epf_events_on_link(EpfConnection *c, EpwSession *s,
                               const VfuEpLink *m, EpwRequest *req)
{
    uint32_t functions;
    EpfRemote *r;

    if (m->state == VFU_EP_LINK_UP) {
        functions = epf_events_functions(c, s, m);
        if (!functions) {
            epw_reply_error(req, EINVAL);
            return;
        }
        epf_events_link_down(c, "the endpoint trained it again");
        /* The endpoint refuses to be described before it has this reply. */
        epw_reply(req, NULL, 0, NULL, 0);
        epf_events_link_up(c, m->generation, m->speed, m->width, functions);
    } else {
        r = epf_events_remote(c, m->generation);
        if (!r) {
            epw_reply_error(req, ESTALE);
            return;
        }
        epf_remote_unref(r);
        epf_events_link_down(c, "the endpoint took it down");
        epw_reply(req, NULL, 0, NULL, 0);
    }
}

/* ---- Other messages ---- */

static void epf_events_on_remap(EpfConnection *c, const VfuEpRemap *m,
                                EpwRequest *req)
{
    EpfRemote *r = epf_events_remote(c, m->generation);
    bool shown;

    if (!r) {
        epw_reply_error(req, ESTALE);
        return;
    }
    trace_epf_bridge_remap(r->device, r->func, r->generation, m->region);
    epf_areas_revoke(r, m->region);
    epw_reply(req, NULL, 0, NULL, 0);

    WITH_QEMU_LOCK_GUARD(&c->lock) {
        shown = c->state == EPF_SHOWN;
    }
    /* Before SHOWN the connection thread sees the revision and asks again. */
    if (shown) {
        epf_areas_refetch(r, m->region);
    }
    epf_remote_unref(r);
}

static void epf_events_on_dma(EpfConnection *c, const EpwMsg *msg,
                              EpwRequest *req)
{
    EpfRemote *r;

    WITH_QEMU_LOCK_GUARD(&c->lock) {
        r = c->remote ? epf_remote_ref(c->remote) : NULL;
    }
    if (!r) {
        epw_reply_error(req, ENODEV);
        return;
    }
    c->ops->dma(c->opaque, r, (const VfuDmaRw *)msg->payload,
                msg->hdr.command == VFU_CMD_DMA_WRITE, req);
    epf_remote_unref(r);
}

static void epf_events_on_intx(EpfConnection *c, const VfuEpIntx *m)
{
    EpfRemote *r = epf_events_remote(c, m->generation);

    if (!r) {
        return;
    }
    trace_epf_bridge_intx(r->device, r->func, r->generation, m->level);
    if (m->level != VFU_EP_INTX_DEASSERT) {
        qatomic_or(&r->intx, EPF_INTX_LEVEL | EPF_INTX_ASSERTED);
    }
    if (m->level != VFU_EP_INTX_ASSERT) {
        qatomic_and(&r->intx, ~EPF_INTX_LEVEL);
    }
    c->ops->changed(c->opaque);
    epf_remote_unref(r);
}

static void epf_events_on_fault(EpfConnection *c, const VfuEpFault *m)
{
    EpfRemote *r = epf_events_remote(c, m->generation);

    if (r) {
        trace_epf_bridge_fault(r->device, r->func, r->generation, m->write,
                               m->address);
        c->ops->fault(c->opaque, r, m->address, m->write);
        epf_remote_unref(r);
    }
}

static void epf_events_on_command(EpwSession *s, EpwMsg *msg, EpwRequest *req,
                                  void *opaque)
{
    EpfConnection *c = opaque;
    const void *p = msg->payload;

    switch (msg->hdr.command) {
    case VFU_CMD_EP_LINK:
        epf_events_on_link(c, s, p, req);
        break;
    case VFU_CMD_EP_REMAP:
        epf_events_on_remap(c, p, req);
        break;
    case VFU_CMD_EP_INTX:
        epf_events_on_intx(c, p);
        epw_reply(req, NULL, 0, NULL, 0);
        break;
    case VFU_CMD_EP_FAULT:
        epf_events_on_fault(c, p);
        epw_reply(req, NULL, 0, NULL, 0);
        break;
    case VFU_CMD_DMA_READ:
    case VFU_CMD_DMA_WRITE:
        epf_events_on_dma(c, msg, req);
        break;
    default:
        epw_reply_error(req, ENOSYS);
        break;
    }
}

/* ---- The session ---- */

/* Returns false when the session was over already. */
static bool epf_events_close(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    return c->state != EPF_CLOSED && epf_connection_step(c, EPF_CLOSED);
}

static void epf_events_lost(EpfConnection *c, const char *why)
{
    EpfRemote *r;

    WITH_QEMU_LOCK_GUARD(&c->lock) {
        r = c->remote ? epf_remote_ref(c->remote) : NULL;
    }
    if (r) {
        c->ops->lost(c->opaque, r, why);
        epf_remote_unref(r);
    }
}

static void epf_events_on_closed(EpwSession *s, const char *why, void *opaque)
{
    EpfConnection *c = opaque;

    trace_epf_bridge_closed(c->device, c->func, why);
    if (epf_events_close(c)) {
        /*
         * When an endpoint ends, one warning for all its functions is enough.
         */
        epf_connection_report(c->first ?: c, NULL, "%s", why);
        epf_events_lost(c, why);
    }
    epf_events_link_down(c, why);
}

const EpwOps epf_events_session_ops = {
    .command = epf_events_on_command,
    .closed = epf_events_on_closed,
};

static Error *epf_events_version_error(EpfConnection *c, int err)
{
    Error *local_err = NULL;

    if (err == -EBUSY) {
        error_setg(&local_err, "the endpoint at '%s' serves another host",
                   c->path);
        error_append_hint(&local_err, "End that host first.\n");
    } else if (err == -ENODEV) {
        error_setg(&local_err, "the endpoint at '%s' serves this host only "
                   "once its link is up", c->path);
    } else {
        error_setg(&local_err, "the server at '%s' refuses vfio-user %d.%d: "
                   "%s", c->path, VFU_VERSION_MAJOR, VFU_VERSION_MINOR,
                   strerror(-err));
        error_append_hint(&local_err,
                          "Use endpoint and bridge of the same version.\n");
    }
    return local_err;
}

void epf_events_version(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    EpfConnection *c = opaque;
    Error *local_err = NULL;
    EpwCaps caps;

    if (err == -ENOTCONN) {
        return;
    }
    if (err) {
        local_err = epf_events_version_error(c, err);
    } else if (!epw_version_accept(reply->payload, epw_msg_len(reply),
                                   EPF_CONNECTION_FEATURES, &caps,
                                   &local_err)) {
        error_prepend(&local_err, "the server at '%s': ", c->path);
    }
    if (local_err) {
        epf_connection_report_err(c, local_err);
        epf_events_close(c);
        return;
    }

    epw_session_set_caps(s, &caps);
    trace_epf_bridge_agreed(c->device, c->func, caps.features, caps.max_fds,
                            caps.max_xfer);
    WITH_QEMU_LOCK_GUARD(&c->lock) {
        c->backoff_ms = EPF_BACKOFF_MIN_MS;
        if (c->state == EPF_NEGOTIATING) {
            epf_connection_step(c, EPF_NO_LINK);
        }
    }
    if (!(caps.features & VFU_EP_FEATURE_LINK)) {
        /* The link of a plain vfio-user server is up while it is connected. */
        epf_events_link_up(c, 0, 1, 1, BIT(c->func));
    }
}
