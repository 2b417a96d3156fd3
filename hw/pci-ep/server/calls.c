/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server-call: what the owner asks of the client
 *
 * All of it is for clients with the extension only.  No lock is held while
 * epw_call_async() runs, since it may report a failure at once.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/epc-server-int.h"
#include "trace.h"

/*
 * With @r acknowledged nothing reaches the old memory; the owner goes on when
 * what the host does reaches the new one, too.  A client that asked for
 * doorbells asks again then; for that and its answer there is one deadline.
 */
static bool await_client(EpcRemap *r)
{
    if (r->awaits) {
        r->until = r->sent + r->s->deadline_ms * INT64_C(1000);
        g_source_set_ready_time(r->s->work, 0);
    }
    return r->awaits;
}

int64_t epc_server_end_remaps(EpcServer *s, int region)
{
    QTAILQ_HEAD(, EpcRemap) ended = QTAILQ_HEAD_INITIALIZER(ended);
    int64_t now = g_get_monotonic_time(), next_late = -1;
    EpcRemap *r, *next;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        QTAILQ_FOREACH_SAFE(r, &s->remaps, next, next) {
            if (r->until && (r->region == region || r->until <= now)) {
                QTAILQ_REMOVE(&s->remaps, r, next);
                QTAILQ_INSERT_TAIL(&ended, r, next);
            } else if (r->until && (next_late < 0 || r->until < next_late)) {
                next_late = r->until;
            }
        }
    }
    QTAILQ_FOREACH_SAFE(r, &ended, next, next) {
        r->done(r->opaque, 0);
        g_free(r);
    }
    return next_late;
}

/*
 * A refused or failed EP_REMAP ends the session, and its end the request.  One
 * that is stale belongs to a link that goes down: that ends it.
 */
static void remap_answered(EpwSession *es, int err, EpwMsg *reply, void *opaque)
{
    EpcRemap *r = opaque;
    EpcServer *s = r->s;
    bool finish, stay, shut;

    if (!err) {
        err = -epw_check_reply(reply, VFU_CMD_EP_REMAP, 0, 0);
    }
    trace_epc_server_remap(s->name, r->region, err);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        r->calling = false;
        stay = r->listed && (err || await_client(r));
        finish = r->listed && !stay;
        shut = err && (err != -ESTALE || s->link == EPS_UP);
        if (finish) {
            QTAILQ_REMOVE(&s->remaps, r, next);
        }
    }
    if (shut) {
        epw_session_shutdown(es, "EP_REMAP was not answered well");
    }
    if (finish) {
        r->done(r->opaque, 0);
    }
    if (!stay) {
        g_free(r);
    }
}

void epc_server_remap(EpcServer *s, unsigned region,
                      void (*done)(void *opaque, int err), void *opaque)
{
    VfuEpRemap msg = { .argsz = sizeof(msg), .region = region };
    struct iovec iov = { &msg, sizeof(msg) };
    EpcConn *c = NULL;
    EpcRemap *r = NULL;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        bool asked = s->conn && (s->conn->asked & (1u << region));

        s->remap_seq[region]++;
        if (asked && (s->link == EPS_UP || s->link == EPS_LOWERING)) {
            r = g_new0(EpcRemap, 1);
            r->s = s;
            r->region = region;
            r->done = done;
            r->opaque = opaque;
            r->listed = true;
            r->awaits = s->conn->asked_ios & (1u << region);
            QTAILQ_INSERT_TAIL(&s->remaps, r, next);
            if (s->link == EPS_UP) {
                r->calling = true;
                r->sent = g_get_monotonic_time();
                c = epc_conn_hold(s->conn);
                msg.generation = s->generation;
            }
        }
    }
    if (!r) {
        done(opaque, 0);
    } else if (c) {
        epw_call_async(c->session, VFU_CMD_EP_REMAP, &iov, 1, NULL, 0,
                       remap_answered, r);
        epc_conn_release(c);
    }
}

bool epc_server_intx(EpcServer *s, bool level)
{
    VfuEpIntx msg = { .argsz = sizeof(msg), .level = level };
    struct iovec iov = { &msg, sizeof(msg) };

    /* Sending does not block, and levels must not overtake each other. */
    QEMU_LOCK_GUARD(&s->lock);
    if (s->link != EPS_UP ||
        !(epw_session_caps(s->conn->session).features &
          VFU_EP_FEATURE_INTX)) {
        return false;
    }
    msg.generation = s->generation;
    return epw_post(s->conn->session, VFU_CMD_EP_INTX, &iov, 1) == 0;
}

void epc_server_fault(EpcServer *s, uint64_t address, bool write)
{
    VfuEpFault msg = {
        .argsz = sizeof(msg), .address = address, .write = write,
    };
    struct iovec iov = { &msg, sizeof(msg) };

    QEMU_LOCK_GUARD(&s->lock);
    if (s->link == EPS_UP && (epw_session_caps(s->conn->session).features &
                              VFU_EP_FEATURE_FAULT)) {
        msg.generation = s->generation;
        epw_post(s->conn->session, VFU_CMD_EP_FAULT, &iov, 1);
    }
}

/* ---- host memory by message ---- */

static int dma_chunk(EpcConn *c, uint16_t cmd, VfuDmaRw *rw, void *buf)
{
    struct iovec iov[2] = { { rw, sizeof(*rw) }, { buf, rw->count } };
    bool write = cmd == VFU_CMD_DMA_WRITE;
    size_t want = sizeof(*rw) + (write ? 0 : rw->count);
    EpwMsg *reply;
    int err;

    err = epw_call(c->session, cmd, iov, write ? 2 : 1, NULL, 0, &reply);
    if (err) {
        return err;
    }
    if (epw_check_reply(reply, cmd, want, want) ||
        memcmp(reply->payload, rw, sizeof(*rw))) {
        epw_session_shutdown(c->session, "malformed answer to DMA");
        err = -EBADMSG;
    } else if (!write) {
        memcpy(buf, reply->payload + sizeof(*rw), rw->count);
    }
    epw_msg_free(reply);
    return err;
}

static int dma(EpcServer *s, uint16_t cmd, uint64_t address, uint8_t *buf,
               uint32_t count)
{
    int64_t end = g_get_monotonic_time() + s->deadline_ms * INT64_C(1000);
    uint32_t max, done = 0;
    EpcConn *c;
    int err = 0;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->link != EPS_UP) {
            return -ENOTCONN;
        }
        if (s->conn->plain) {
            return -EOPNOTSUPP;
        }
        c = epc_conn_hold(s->conn);
    }
    max = epw_session_caps(c->session).max_xfer;
    while (!err && done < count) {
        VfuDmaRw rw = {
            .address = address + done,
            .count = MIN(MAX(max, 1), count - done),
        };

        if (g_get_monotonic_time() > end) {
            err = -ETIMEDOUT;
        } else {
            err = dma_chunk(c, cmd, &rw, buf + done);
        }
        done += rw.count;
    }
    epc_conn_release(c);
    return err;
}

int epc_server_dma_read(EpcServer *s, uint64_t address, void *buf,
                        uint32_t count)
{
    return dma(s, VFU_CMD_DMA_READ, address, buf, count);
}

int epc_server_dma_write(EpcServer *s, uint64_t address, const void *buf,
                         uint32_t count)
{
    return dma(s, VFU_CMD_DMA_WRITE, address, (uint8_t *)buf, count);
}

typedef struct EpcAsyncDma {
    VfuDmaRw rw;
    uint16_t cmd;
    EpcDmaDone *done;
    void *opaque;
} EpcAsyncDma;

static void async_dma_answered(EpwSession *es, int err, EpwMsg *reply,
                               void *opaque)
{
    EpcAsyncDma *d = opaque;
    bool write = d->cmd == VFU_CMD_DMA_WRITE;
    size_t want = sizeof(d->rw) + (write ? 0 : d->rw.count);

    if (!err && (epw_check_reply(reply, d->cmd, want, want) ||
                 memcmp(reply->payload, &d->rw, sizeof(d->rw)))) {
        epw_session_shutdown(es, "malformed answer to DMA");
        err = -EBADMSG;
    }
    d->done(d->opaque, err, err || write ? NULL : reply->payload + sizeof(d->rw),
            d->rw.count);
    g_free(d);
}

void epc_server_dma_async(EpcServer *s, bool is_write, uint64_t address,
                          const void *buf, uint32_t count, EpcDmaDone *done,
                          void *opaque)
{
    EpcAsyncDma *d;
    struct iovec iov[2];
    EpcConn *c = NULL;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->link == EPS_UP && !s->conn->plain) {
            c = epc_conn_hold(s->conn);
        }
    }
    if (!c) {
        done(opaque, -ENOTCONN, NULL, count);
        return;
    }
    count = MIN(count, MAX(epw_session_caps(c->session).max_xfer, 1));
    d = g_new0(EpcAsyncDma, 1);
    d->cmd = is_write ? VFU_CMD_DMA_WRITE : VFU_CMD_DMA_READ;
    d->rw = (VfuDmaRw) { .address = address, .count = count };
    d->done = done;
    d->opaque = opaque;
    iov[0] = (struct iovec) { &d->rw, sizeof(d->rw) };
    iov[1] = (struct iovec) { (void *)buf, count };
    epw_call_async(c->session, d->cmd, iov, is_write ? 2 : 1, NULL, 0,
                   async_dma_answered, d);
    epc_conn_release(c);
}

bool epc_server_takes_dma(EpcServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->conn && !s->conn->plain;
}

void epc_server_drop(EpcServer *s, const char *why)
{
    EpcConn *c = NULL;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->conn) {
            c = epc_conn_hold(s->conn);
        }
    }
    if (c) {
        epw_session_shutdown(c->session, why);
        epc_conn_release(c);
    }
}
