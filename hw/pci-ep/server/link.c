/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * link: the state of the link of a server
 *
 * The link has four states.  "enabled" is what the owner wants between
 * epc_server_enable() and epc_server_disable(); it begins only when nobody
 * waits for an earlier epc_server_disable() any more. The owner may change it
 * at any time, but at most one EP_LINK is unanswered at any time.
 *
 *   state     event                        action                    next
 *   --------  ---------------------------  ------------------------  --------
 *   DOWN      enabled, client with "link"  new generation, EP_LINK   RAISING
 *             attached                     up
 *   DOWN      enabled, plain client        new generation, link(UP)  UP
 *             sends VERSION, or is there
 *             (from the main loop)
 *   RAISING   answered, enabled            link(UP)                  UP
 *   RAISING   answered, not enabled        EP_LINK down              LOWERING
 *   UP        not enabled                  EP_LINK down (none to a   LOWERING
 *                                          plain client)
 *   LOWERING  answered (plain: at once,    link(DOWN) after          DOWN
 *             from the main loop)          link(UP), then all done()
 *   any but   client closed, or a          the same, done() of a     DOWN
 *   DOWN      deadline expired             remap with -ETIMEDOUT
 *
 * A plain client stays attached after its link went down. It is told neither
 * that nor that the link comes up again, so the owner keeps what it has set.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/server/conn.h"
#include "hw/pci-ep/server/link.h"
#include "hw/pci-ep/server/remap.h"
#include "hw/pci-ep/trace.h"

static void link_answered(EpwSession *es, int err, EpwMsg *reply,
                          void *opaque);

static bool link_wanted(EpcServer *s) EP_REQUIRES(&s->lock);
static bool link_wanted(EpcServer *s)
{
    return s->enabled && QSIMPLEQ_EMPTY(&s->disable_waiters);
}

static void link_next_generation(EpcServer *s) EP_REQUIRES(&s->lock);
static void link_next_generation(EpcServer *s)
{
    /* 0 is no generation. */
    s->generation = s->generation == UINT32_MAX ? 1 : s->generation + 1;
}

static bool link_conn_joined(EpcServer *s) EP_REQUIRES(&s->lock);
static bool link_conn_joined(EpcServer *s)
{
    return s->conn && (s->conn->features & VFU_EP_FEATURE_FUNC);
}

void epc_server_link_next(EpcServer *s)
{
    VfuEpLink msg = { .argsz = sizeof(msg) };
    struct iovec iov = { &msg, sizeof(msg) };
    EpcConn *c;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        c = s->conn;
        if (!c || c->state != EPC_CONN_EXTENDED) {
            return;
        }
        if (s->link == EPC_SERVER_LINK_DOWN && s->enabled) {
            s->link = EPC_SERVER_LINK_RAISING;
            link_next_generation(s);
            msg.state = VFU_EP_LINK_UP;
            msg.speed = s->speed;
            msg.width = s->width;
            msg.functions = link_conn_joined(s) ? s->functions : 0;
        } else if (s->link == EPC_SERVER_LINK_UP && !link_wanted(s)) {
            s->link = EPC_SERVER_LINK_LOWERING;
            msg.state = VFU_EP_LINK_DOWN;
        } else {
            return;
        }
        msg.generation = s->generation;
        epc_conn_hold(s);
    }
    trace_pci_epc_server_link(s->device, s->func, msg.generation,
                              msg.state ? "raising" : "lowering");
    epw_call_async(c->session, VFU_CMD_EP_LINK, &iov, 1, NULL, 0,
                   link_answered, c);
    epc_conn_release(c);
}

static void link_finish_waiters(EpcDisableWaiters *waiters)
{
    EpcDisableWaiter *w;

    while ((w = QSIMPLEQ_FIRST(waiters))) {
        QSIMPLEQ_REMOVE_HEAD(waiters, next);
        w->done(w->opaque);
        g_free(w);
    }
}

void epc_server_link_down(EpcServer *s, int err, bool gone)
{
    EpcDisableWaiters waiters = QSIMPLEQ_HEAD_INITIALIZER(waiters);
    uint32_t generation;
    bool reported, stays;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        reported = s->reported_up;
        s->reported_up = false;
        stays = !gone && s->conn->state == EPC_CONN_PLAIN;
        generation = s->generation;
    }
    if (reported) {
        s->ops->link(s->opaque, stays ? EPC_SERVER_DOWN_STAYS :
                                        EPC_SERVER_DOWN);
    }
    trace_pci_epc_server_link(s->device, s->func, generation, "down");
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->link = EPC_SERVER_LINK_DOWN;
        s->conn->bars_queried = 0;
        s->conn->doorbells_queried = 0;
        if (gone) {
            s->conn = NULL;
        }
        QSIMPLEQ_CONCAT(&waiters, &s->disable_waiters);
    }
    epc_remaps_end_all(s, err);
    link_finish_waiters(&waiters);
}

/* The client answered EP_LINK with success. */
static void link_settle(EpcServer *s)
{
    bool up = false, down, joined;
    uint32_t generation;

    QEMU_LOCK_GUARD(&s->op_lock);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        down = s->link == EPC_SERVER_LINK_LOWERING;
        if (s->link == EPC_SERVER_LINK_RAISING) {
            s->link = EPC_SERVER_LINK_UP;
            up = s->reported_up = link_wanted(s);
        }
        joined = link_conn_joined(s);
        generation = s->generation;
    }
    if (up) {
        trace_pci_epc_server_link(s->device, s->func, generation, "up");
        s->ops->link(s->opaque, joined ? EPC_SERVER_UP_JOINED : EPC_SERVER_UP);
    } else if (down) {
        epc_server_link_down(s, 0, false);
    }
}

static void link_answered(EpwSession *es, int err, EpwMsg *reply, void *opaque)
{
    EpcConn *c = opaque;

    if (!err) {
        err = -epw_check_reply(reply, VFU_CMD_EP_LINK, 0, 0);
    }
    if (err) {
        /* server_conn_closed() then takes the link down. */
        epw_session_shutdown(es, "EP_LINK was not answered well");
        return;
    }
    link_settle(c->s);
    epc_server_link_next(c->s);
}

/* ---- The link of a plain client ---- */

static EpcServerLink link_plain_next(EpcServer *s) EP_REQUIRES(&s->lock);
/* Returns the state that the link is to have, for now the one that it has. */
static EpcServerLink link_plain_next(EpcServer *s)
{
    if (s->conn && s->conn->state == EPC_CONN_PLAIN) {
        if (s->link == EPC_SERVER_LINK_LOWERING) {
            return EPC_SERVER_LINK_DOWN;
        }
        if (s->link == EPC_SERVER_LINK_DOWN && link_wanted(s)) {
            return EPC_SERVER_LINK_UP;
        }
    }
    return s->link;
}

void epc_server_link_up_plain(EpcServer *s)
{
    uint32_t generation;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->link = EPC_SERVER_LINK_UP;
        s->reported_up = true;
        link_next_generation(s);
        generation = s->generation;
    }
    trace_pci_epc_server_link(s->device, s->func, generation, "up");
    s->ops->link(s->opaque, EPC_SERVER_UP);
}

static bool link_plain_settled(EpcServer *s, EpcServerLink *next)
    EP_EXCLUDES(&s->lock);
static bool link_plain_settled(EpcServer *s, EpcServerLink *next)
{
    QEMU_LOCK_GUARD(&s->lock);
    *next = link_plain_next(s);
    return *next == s->link;
}

EP_NO_TSA /* The analysis does not know qemu_mutex_trylock(). */
bool epc_server_link_settle_plain(EpcServer *s)
{
    EpcServerLink next;

    if (link_plain_settled(s, &next)) {
        return true;
    }
    if (qemu_mutex_trylock(&s->op_lock)) {
        return false;
    }
    while (!link_plain_settled(s, &next)) {
        if (next == EPC_SERVER_LINK_UP) {
            epc_server_link_up_plain(s);
        } else {
            epc_server_link_down(s, 0, false);
        }
    }
    qemu_mutex_unlock(&s->op_lock);
    return true;
}

bool epc_server_client_stays(EpcServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->conn && s->conn->state == EPC_CONN_PLAIN;
}
