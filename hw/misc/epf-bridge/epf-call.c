/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-call: commands to the endpoint on behalf of a link
 *
 * Callers are vCPUs and the main loop, mostly with the BQL held, so what they
 * may wait is bounded twice: each call by the deadline of the session, and an
 * endpoint that answers just in time again and again by epf_link_waited().
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "epf-client-int.h"
#include "trace.h"

static EpwSession *session_get(EpfLink *l)
{
    EpfClient *c = l->client;

    QEMU_LOCK_GUARD(&c->lock);
    if (epf_link_dead(l) || c->link != l || !c->session) {
        return NULL;
    }
    c->users++;
    return c->session;
}

static void session_put(EpfLink *l)
{
    EpfClient *c = l->client;

    QEMU_LOCK_GUARD(&c->lock);
    if (--c->users == 0) {
        qemu_cond_broadcast(&c->cond);
    }
}

/* Slower answers are counted, as a part of the deadline */
#define SLOW_PART 10

/* Of all functions, kept by that of function 0; over when a session ends for it */
static bool in_debt(EpfClient *c, int64_t now, int64_t waited)
{
    EpfClient *keeper = c->first ?: c;
    int64_t paid;
    bool over;

    QEMU_LOCK_GUARD(&keeper->lock);
    paid = (now - keeper->debt_at) / SLOW_PART;
    keeper->debt = MAX(0, keeper->debt - paid) + waited;
    keeper->debt_at = now;
    over = keeper->debt > keeper->deadline_ms * INT64_C(1000);
    if (over) {
        keeper->debt = 0;
    }
    return over;
}

void epf_link_waited(EpfLink *l, int64_t since)
{
    EpfClient *c = l->client;
    int64_t deadline = c->deadline_ms * INT64_C(1000);
    int64_t now = g_get_monotonic_time();
    int64_t waited = now - since;

    if (!bql_locked() || waited < deadline / SLOW_PART ||
        !in_debt(c, now, waited)) {
        return;
    }
    QEMU_LOCK_GUARD(&c->lock);
    if (c->session && c->link == l) {
        epw_session_shutdown(c->session, "the endpoint answers too slowly and "
                             "held up this guest; look at the load of the "
                             "machine, or raise 'deadline-ms'");
    }
}

int epf_link_call(EpfLink *l, uint16_t cmd, const struct iovec *iov, int niov,
                  const int *fds, unsigned nfds, EpwMsg **reply)
{
    EpwSession *s = session_get(l);
    int64_t since;
    int ret;

    if (!s) {
        if (reply) {
            *reply = NULL;
        }
        return -ENOTCONN;
    }
    since = g_get_monotonic_time();
    ret = epw_call(s, cmd, iov, niov, fds, nfds, reply);
    session_put(l);
    epf_link_waited(l, since);
    return ret;
}

void epf_link_call_async(EpfLink *l, uint16_t cmd, const struct iovec *iov,
                         int niov, const int *fds, unsigned nfds,
                         EpwDone *done, void *opaque)
{
    EpwSession *s = session_get(l);

    if (!s) {
        done(NULL, -ENOTCONN, NULL, opaque);
        return;
    }
    epw_call_async(s, cmd, iov, niov, fds, nfds, done, opaque);
    session_put(l);
}

EpwCaps epf_link_caps(EpfLink *l)
{
    EpwSession *s = session_get(l);
    EpwCaps caps = { .max_fds = 1, .max_xfer = VFU_DEFAULT_MAX_XFER };

    if (s) {
        caps = epw_session_caps(s);
        session_put(l);
    }
    return caps;
}

void epf_link_changed(EpfLink *l)
{
    l->client->changed(l->client->opaque);
}

bool epf_link_read(EpfLink *l, unsigned region, uint64_t offset,
                   void *buf, uint32_t len)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = len };
    struct iovec iov = { .iov_base = &rw, .iov_len = sizeof(rw) };
    size_t want = sizeof(rw) + len;
    EpwMsg *reply = NULL;
    const VfuRegionRw *r;
    bool ok = false;

    memset(buf, 0xff, len);
    if (epf_link_call(l, VFU_CMD_REGION_READ, &iov, 1, NULL, 0, &reply)) {
        return false;
    }
    if (!epw_check_reply(reply, VFU_CMD_REGION_READ, want, want)) {
        r = (const VfuRegionRw *)reply->payload;
        ok = r->offset == offset && r->region == region && r->count == len;
    }
    if (ok) {
        memcpy(buf, reply->payload + sizeof(rw), len);
    }
    epw_msg_free(reply);
    return ok;
}

void epf_link_write(EpfLink *l, unsigned region, uint64_t offset,
                    const void *buf, uint32_t len)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = len };
    struct iovec iov[2] = {
        { .iov_base = &rw, .iov_len = sizeof(rw) },
        { .iov_base = (void *)buf, .iov_len = len },
    };

    epf_link_call(l, VFU_CMD_REGION_WRITE, iov, 2, NULL, 0, NULL);
}

static void reset_done(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    EpfLink *l = opaque;

    trace_epf_call_reset_done(l->generation, err);
    epf_link_unref(l);
}

void epf_link_reset(EpfLink *l, unsigned kind)
{
    VfuEpReset r = {
        .argsz = sizeof(r), .generation = l->generation, .kind = kind,
    };
    struct iovec iov = { .iov_base = &r, .iov_len = sizeof(r) };

    trace_epf_call_reset(l->generation, kind);
    if (epf_link_caps(l).features & VFU_EP_FEATURE_RESET) {
        epf_link_call_async(l, VFU_CMD_EP_RESET, &iov, 1, NULL, 0,
                            reset_done, epf_link_ref(l));
    } else {
        epf_link_call_async(l, VFU_CMD_DEVICE_RESET, NULL, 0, NULL, 0,
                            reset_done, epf_link_ref(l));
    }
}
