/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * calls: commands to the endpoint on behalf of a remote
 *
 * The time that a caller waits is bounded twice: for each call by the deadline
 * of the session, and for an endpoint that always answers just in time by
 * epf_remote_waited().
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/state.h"
#include "hw/misc/epf-bridge/remote/wait.h"
#include "hw/misc/epf-bridge/trace.h"

/* ---- The session of a remote ---- */

/* Keeps the session from being freed; NULL when @r is dead. */
static EpwSession *epf_calls_get_session(EpfRemote *r)
{
    EpfConnection *c = r->connection;

    QEMU_LOCK_GUARD(&c->lock);
    if (epf_remote_dead(r) || c->remote != r || !c->session) {
        return NULL;
    }
    c->users++;
    return c->session;
}

static void epf_calls_put_session(EpfRemote *r)
{
    EpfConnection *c = r->connection;

    QEMU_LOCK_GUARD(&c->lock);
    /* The connection thread waits for that only when the session is over. */
    if (--c->users == 0 && !c->session) {
        qemu_cond_broadcast(&c->cond);
    }
}

/* ---- Calls ---- */

static bool epf_calls_lost_patience(EpfConnection *c, int64_t since)
{
    EpfConnection *first = c->first ?: c;

    QEMU_LOCK_GUARD(&first->lock);
    return ep_patience_count(&first->patience, &since, g_get_monotonic_time());
}

void epf_remote_end(EpfRemote *r, const char *why)
{
    EpfConnection *c = r->connection;

    QEMU_LOCK_GUARD(&c->lock);
    if (c->session && c->remote == r) {
        epw_session_shutdown(c->session, why);
    }
}

void epf_remote_sent(EpfRemote *r, int err, const EpwMsg *reply)
{
    if (err == -ENOBUFS && !reply) {
        epf_remote_end(r, "the endpoint leaves too many messages unanswered, "
                       "so that one that it needs could not be sent");
    }
}

void epf_remote_waited(EpfRemote *r, int64_t since)
{
    if (bql_locked() && epf_calls_lost_patience(r->connection, since)) {
        epf_remote_end(r, "the endpoint answers too slowly and held up this "
                       "guest; " EP_PATIENCE_ADVICE);
    }
}

int epf_remote_call(EpfRemote *r, uint16_t cmd, const struct iovec *iov,
                    int niov, const int *fds, unsigned nfds, EpwMsg **reply)
{
    EpwSession *s = epf_calls_get_session(r);
    int64_t since;
    int ret;

    if (!s) {
        if (reply) {
            *reply = NULL;
        }
        return -ENOTCONN;
    }
    since = g_get_monotonic_time();
    ret = epw_call_late(s, cmd, iov, niov, fds, nfds, reply,
                        EPF_WAIT_WITH_BQL_US, epf_wait_late, r);
    epf_calls_put_session(r);
    epf_wait_over(r);
    epf_remote_waited(r, since);
    return ret;
}

void epf_remote_call_async(EpfRemote *r, uint16_t cmd, const struct iovec *iov,
                           int niov, const int *fds, unsigned nfds,
                           EpwDone *done, void *opaque)
{
    EpwSession *s = epf_calls_get_session(r);

    if (!s) {
        done(NULL, -ENOTCONN, NULL, opaque);
        return;
    }
    epw_call_async(s, cmd, iov, niov, fds, nfds, done, opaque);
    epf_calls_put_session(r);
}

/* ---- Regions ---- */

static void epf_calls_trace_write(EpfRemote *r, unsigned region,
                                  uint64_t offset, const void *buf,
                                  uint32_t len)
{
    trace_epf_bridge_write(r->device, r->func, r->generation,
                           epw_region_name(region), offset, len,
                           epw_first_bytes(buf, len));
}

static void epf_calls_trace_done(EpfRemote *r, int err)
{
    trace_epf_bridge_write_done(r->device, r->func, r->generation, err);
}

bool epf_remote_read(EpfRemote *r, unsigned region, uint64_t offset,
                     void *buf, uint32_t len)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = len };
    struct iovec iov = { .iov_base = &rw, .iov_len = sizeof(rw) };
    size_t want = sizeof(rw) + len;
    EpwMsg *reply = NULL;
    const VfuRegionRw *got;
    bool ok = false;

    trace_epf_bridge_read(r->device, r->func, r->generation,
                          epw_region_name(region), offset, len);
    memset(buf, 0xff, len);
    if (!epf_remote_call(r, VFU_CMD_REGION_READ, &iov, 1, NULL, 0, &reply) &&
        !epw_check_reply(reply, VFU_CMD_REGION_READ, want, want)) {
        got = (const VfuRegionRw *)reply->payload;
        ok = got->offset == offset && got->region == region &&
             got->count == len;
    }
    if (ok) {
        memcpy(buf, reply->payload + sizeof(rw), len);
    }
    epw_msg_free(reply);
    trace_epf_bridge_read_done(r->device, r->func, r->generation,
                               epw_region_name(region), offset, len,
                               epw_first_bytes(buf, len), ok);
    return ok;
}

void epf_remote_write(EpfRemote *r, unsigned region, uint64_t offset,
                      const void *buf, uint32_t len)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = len };
    struct iovec iov[2] = {
        { .iov_base = &rw, .iov_len = sizeof(rw) },
        { .iov_base = (void *)buf, .iov_len = len },
    };

    int err;

    epf_calls_trace_write(r, region, offset, buf, len);
    err = epf_remote_call(r, VFU_CMD_REGION_WRITE, iov, 2, NULL, 0, NULL);
    epf_remote_sent(r, err, NULL);
    epf_calls_trace_done(r, err);
}

static void epf_calls_settled(EpwSession *s, int err, EpwMsg *reply,
                              void *opaque)
{
    epf_remote_sent(opaque, err, reply);
    epf_calls_trace_done(opaque, err);
    epf_wait_end(opaque);
}

void epf_remote_write_settled(EpfRemote *r, unsigned region, uint64_t offset,
                              const void *buf, uint32_t len)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = len };
    struct iovec iov[2] = {
        { .iov_base = &rw, .iov_len = sizeof(rw) },
        { .iov_base = (void *)buf, .iov_len = len },
    };

    epf_calls_trace_write(r, region, offset, buf, len);
    epf_remote_call_async(r, VFU_CMD_REGION_WRITE, iov, 2, NULL, 0,
                          epf_calls_settled, epf_wait_begin(r));
    epf_wait_settle(r);
}

static void epf_calls_posted(EpwSession *s, int err, EpwMsg *reply,
                             void *opaque)
{
    EpfRemote *r = opaque;

    epf_remote_sent(r, err, reply);
    epf_calls_trace_done(r, err);
    qatomic_dec(&r->posted);
    epf_remote_unref(r);
}

void epf_remote_post(EpfRemote *r, unsigned region, uint64_t offset,
                     const void *buf, uint32_t len)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = len };
    struct iovec iov[2] = {
        { .iov_base = &rw, .iov_len = sizeof(rw) },
        { .iov_base = (void *)buf, .iov_len = len },
    };

    if (qatomic_read(&r->posted) >= EPF_MAX_POSTED) {
        epf_remote_write_settled(r, region, offset, buf, len);
        return;
    }
    qatomic_inc(&r->posted);
    epf_calls_trace_write(r, region, offset, buf, len);
    epf_remote_call_async(r, VFU_CMD_REGION_WRITE, iov, 2, NULL, 0,
                          epf_calls_posted, epf_remote_ref(r));
}

/* ---- Resets ---- */

static void epf_calls_reset_done(EpwSession *s, int err, EpwMsg *reply,
                                 void *opaque)
{
    EpfRemote *r = opaque;

    epf_remote_sent(r, err, reply);
    trace_epf_bridge_reset_done(r->device, r->func, r->generation, err);
    epf_remote_unref(r);
}

void epf_remote_reset(EpfRemote *r, unsigned kind)
{
    VfuEpReset m = {
        .argsz = sizeof(m), .generation = r->generation, .kind = kind,
    };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };

    trace_epf_bridge_reset(r->device, r->func, r->generation, kind);
    if (epf_remote_caps(r).features & VFU_EP_FEATURE_RESET) {
        epf_remote_call_async(r, VFU_CMD_EP_RESET, &iov, 1, NULL, 0,
                              epf_calls_reset_done, epf_remote_ref(r));
    } else {
        epf_remote_call_async(r, VFU_CMD_DEVICE_RESET, NULL, 0, NULL, 0,
                              epf_calls_reset_done, epf_remote_ref(r));
    }
}

/* ---- The connection of a remote ---- */

EpwCaps epf_remote_caps(EpfRemote *r)
{
    EpwSession *s = epf_calls_get_session(r);
    EpwCaps caps = { .max_fds = 1, .max_xfer = VFU_DEFAULT_MAX_XFER };

    if (s) {
        caps = epw_session_caps(s);
        epf_calls_put_session(r);
    }
    return caps;
}

unsigned epf_remote_deadline(const EpfRemote *r)
{
    return r->connection->deadline_ms;
}

bool epf_remote_trusts_unsealed(const EpfRemote *r)
{
    return r->connection->trust_unsealed;
}

void epf_remote_changed(EpfRemote *r)
{
    r->connection->ops->changed(r->connection->opaque);
}

void epf_remote_count_interrupt(EpfRemote *r)
{
    stat64_add(&r->connection->interrupts, 1);
}
