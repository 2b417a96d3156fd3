/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * calls: what the owner asks of the client
 *
 * INTx, faults and DMA need the extension, so a plain client gets none of them.
 * No lock is held around epw_call_async(), which may call back at once.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/server/conn.h"

/* Returns true when the link is up and @feature was agreed. */
static bool calls_agreed(EpcServer *s, unsigned feature) EP_REQUIRES(&s->lock);
static bool calls_agreed(EpcServer *s, unsigned feature)
{
    return s->link == EPC_SERVER_LINK_UP && (s->conn->features & feature);
}

/*
 * The message that waits is about the pin too, and it was asserted in that or
 * before this deassertion. If it is sent right now, the client only sees the
 * assertion twice.
 */
static uint32_t calls_intx_level(EpcServer *s, bool level)
    EP_REQUIRES(&s->lock);
static uint32_t calls_intx_level(EpcServer *s, bool level)
{
    if (level) {
        return VFU_EP_INTX_ASSERT;
    }
    return epw_post_last_waits(s->conn->session) ? VFU_EP_INTX_PULSE :
                                                   VFU_EP_INTX_DEASSERT;
}

bool epc_server_intx(EpcServer *s, bool level)
{
    VfuEpIntx msg = { .argsz = sizeof(msg) };

    /* Sent under the lock, so that levels do not overtake each other */
    QEMU_LOCK_GUARD(&s->lock);
    if (!calls_agreed(s, VFU_EP_FEATURE_INTX)) {
        return false;
    }
    msg.generation = s->generation;
    msg.level = calls_intx_level(s, level);
    return epw_post_last(s->conn->session, VFU_CMD_EP_INTX, &msg,
                         sizeof(msg)) == 0;
}

void epc_server_fault(EpcServer *s, uint64_t address, bool write)
{
    VfuEpFault msg = {
        .argsz = sizeof(msg), .address = address, .write = write,
    };

    QEMU_LOCK_GUARD(&s->lock);
    msg.generation = s->generation;
    if (calls_agreed(s, VFU_EP_FEATURE_FAULT)) {
        epw_post(s->conn->session, VFU_CMD_EP_FAULT, &msg, sizeof(msg));
    }
}

bool epc_server_tells_masks(EpcServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return calls_agreed(s, VFU_EP_FEATURE_MASK);
}

/* ---- Host memory by message ---- */

/* One message: reads or writes the range in @rw.  0 or negative errno. */
static int calls_dma_message(EpcConn *c, uint16_t cmd, VfuDmaRw *rw,
                             void *buf)
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

static int calls_dma(EpcServer *s, uint16_t cmd, uint64_t address,
                     uint8_t *buf, uint32_t count)
{
    int64_t end = g_get_monotonic_time() + s->deadline_ms * INT64_C(1000);
    uint32_t max, done = 0;
    EpcConn *c;
    int err = 0;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->link != EPC_SERVER_LINK_UP) {
            return -ENOTCONN;
        }
        if (s->conn->state == EPC_CONN_PLAIN) {
            return -EOPNOTSUPP;
        }
        c = epc_conn_hold(s);
    }
    max = epw_session_caps(c->session).max_xfer;
    while (!err && done < count) {
        VfuDmaRw rw = {
            .address = address + done,
            .count = MIN(max, count - done),
        };

        if (g_get_monotonic_time() > end) {
            err = -ETIMEDOUT;
        } else {
            err = calls_dma_message(c, cmd, &rw, buf + done);
        }
        done += rw.count;
    }
    epc_conn_release(c);
    return err;
}

int epc_server_dma_read(EpcServer *s, uint64_t address, void *buf,
                        uint32_t count)
{
    return calls_dma(s, VFU_CMD_DMA_READ, address, buf, count);
}

int epc_server_dma_write(EpcServer *s, uint64_t address, const void *buf,
                         uint32_t count)
{
    return calls_dma(s, VFU_CMD_DMA_WRITE, address, (uint8_t *)buf, count);
}

typedef struct EpcAsyncDma {
    VfuDmaRw rw;
    uint16_t cmd;
    EpcDmaDone *done;
    void *opaque;
} EpcAsyncDma;

static void calls_dma_answered(EpwSession *es, int err, EpwMsg *reply,
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
    d->done(d->opaque, err,
            err || write ? NULL : reply->payload + sizeof(d->rw), d->rw.count);
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
        if (s->link == EPC_SERVER_LINK_UP &&
            s->conn->state != EPC_CONN_PLAIN) {
            c = epc_conn_hold(s);
        }
    }
    if (!c) {
        done(opaque, -ENOTCONN, NULL, count);
        return;
    }
    count = MIN(count, epw_session_caps(c->session).max_xfer);
    d = g_new0(EpcAsyncDma, 1);
    d->cmd = is_write ? VFU_CMD_DMA_WRITE : VFU_CMD_DMA_READ;
    d->rw = (VfuDmaRw) { .address = address, .count = count };
    d->done = done;
    d->opaque = opaque;
    iov[0] = (struct iovec) { &d->rw, sizeof(d->rw) };
    iov[1] = (struct iovec) { (void *)buf, count };
    epw_call_async(c->session, d->cmd, iov, is_write ? 2 : 1, NULL, 0,
                   calls_dma_answered, d);
    epc_conn_release(c);
}

bool epc_server_takes_dma(EpcServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->conn && s->conn->state != EPC_CONN_PLAIN;
}

void epc_server_drop(EpcServer *s, const char *why)
{
    EpcConn *c = NULL;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->conn) {
            c = epc_conn_hold(s);
        }
    }
    if (c) {
        epw_session_shutdown(c->session, why);
        epc_conn_release(c);
    }
}
