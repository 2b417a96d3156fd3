/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remap: takes the memory behind a BAR back from the client
 *
 * Once the client has acknowledged EP_REMAP it no longer reaches the old
 * memory. A client that asked for the doorbells of the BAR will ask for them
 * again, and only then does everything that the host does reach the new target.
 * So done() waits for that question as well. For the acknowledgement and the
 * question together the client has one deadline.
 *
 *   state            event                              next
 *   ---------------  ---------------------------------  ---------------
 *   (new)            the link is up: EP_REMAP is sent   SENT
 *   (new)            the link is being taken down       WAITS_LINK_DOWN
 *   SENT             acknowledged, no doorbells         ENDED
 *   SENT             acknowledged, doorbells            WAITS_DOORBELLS
 *   SENT             EP_REMAP fails: the session ends,  WAITS_LINK_DOWN
 *                    but not after ESTALE while the
 *                    link is being taken down
 *   WAITS_DOORBELLS  the client asked for doorbells,    ENDED
 *                    or is late
 *   any              the link is down                   ENDED
 *
 * Whoever moves a remap to ENDED takes it off the list and calls done(). The
 * error is -ETIMEDOUT when the client was lost before it acknowledged EP_REMAP,
 * otherwise 0: a client that acknowledged that the link is down reaches
 * nothing. The call of EP_REMAP refers to a remap in SENT, so remap_answered()
 * frees that one even if it has ended before. Any other remap is freed when it
 * ends.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/server/conn.h"
#include "hw/pci-ep/server/remap.h"
#include "hw/pci-ep/trace.h"

typedef enum EpcRemapState {
    REMAP_SENT,
    REMAP_WAITS_DOORBELLS,
    REMAP_WAITS_LINK_DOWN,
    REMAP_ENDED,
} EpcRemapState;

/* The states that may follow each state, as bits */
static const unsigned remap_next_states[] = {
    [REMAP_SENT] = BIT(REMAP_WAITS_DOORBELLS) | BIT(REMAP_WAITS_LINK_DOWN) |
                   BIT(REMAP_ENDED),
    [REMAP_WAITS_DOORBELLS] = BIT(REMAP_ENDED),
    [REMAP_WAITS_LINK_DOWN] = BIT(REMAP_ENDED),
    [REMAP_ENDED] = 0,
};

struct EpcRemap {
    EpcServer *s;
    unsigned region;
    uint32_t generation;        /* of the session when the remap began */
    void (*done)(void *opaque, int err);
    void *opaque;
    bool doorbells;             /* the client asked for doorbells of the BAR */
    int64_t sent;               /* EP_REMAP; monotonic us */

    /* EpcServer.lock guards the rest. */
    QTAILQ_ENTRY(EpcRemap) next;
    EpcRemapState state;
    int64_t doorbell_deadline;  /* of WAITS_DOORBELLS; monotonic us */
};

typedef QTAILQ_HEAD(, EpcRemap) EpcRemapList;

/* Goes to @state. Returns false when the table does not allow it. */
static bool remap_set_state(EpcServer *s, EpcRemap *r, EpcRemapState state)
    EP_REQUIRES(&s->lock);
static bool remap_set_state(EpcServer *s, EpcRemap *r, EpcRemapState state)
{
    if (!(remap_next_states[r->state] & BIT(state))) {
        trace_pci_epc_server_illegal(s->device, s->func, "remap", r->state,
                                     state);
        return false;
    }
    r->state = state;
    return true;
}

/*
 * Takes @r off the list of remaps; then the caller calls done(). @r must be on
 * the list. All states there may go to ENDED, and a remap in ENDED is not
 * there.
 */
static void remap_end(EpcServer *s, EpcRemap *r) EP_REQUIRES(&s->lock);
static void remap_end(EpcServer *s, EpcRemap *r)
{
    QTAILQ_REMOVE(&s->remaps, r, next);
    remap_set_state(s, r, REMAP_ENDED);
}

static void remap_wait_doorbells(EpcServer *s, EpcRemap *r)
    EP_REQUIRES(&s->lock);
static void remap_wait_doorbells(EpcServer *s, EpcRemap *r)
{
    if (remap_set_state(s, r, REMAP_WAITS_DOORBELLS)) {
        r->doorbell_deadline = r->sent + s->deadline_ms * INT64_C(1000);
        /* server_work() computes its next wake-up anew. */
        epc_server_wake(s);
    }
}

int64_t epc_remaps_end_waiting(EpcServer *s, int region)
{
    EpcRemapList ended = QTAILQ_HEAD_INITIALIZER(ended);
    int64_t now = g_get_monotonic_time(), next_late = -1;
    EpcRemap *r, *next;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        QTAILQ_FOREACH_SAFE(r, &s->remaps, next, next) {
            if (r->state != REMAP_WAITS_DOORBELLS) {
                continue;
            }
            if (r->region == region || r->doorbell_deadline <= now) {
                remap_end(s, r);
                QTAILQ_INSERT_TAIL(&ended, r, next);
            } else if (next_late < 0 || r->doorbell_deadline < next_late) {
                next_late = r->doorbell_deadline;
            }
        }
    }
    QTAILQ_FOREACH_SAFE(r, &ended, next, next) {
        r->done(r->opaque, 0);
        g_free(r);
    }
    return next_late;
}

void epc_remaps_end_all(EpcServer *s, int err)
{
    for (;;) {
        void (*done)(void *, int);
        void *opaque;
        bool acknowledged, answered;
        EpcRemap *r;

        WITH_QEMU_LOCK_GUARD(&s->lock) {
            r = QTAILQ_FIRST(&s->remaps);
            if (!r) {
                return;
            }
            acknowledged = r->state == REMAP_WAITS_DOORBELLS;
            answered = r->state != REMAP_SENT;
            done = r->done;
            opaque = r->opaque;
            remap_end(s, r);
            if (answered) {
                g_free(r);
            }
        }
        done(opaque, acknowledged ? 0 : err);
    }
}

/*
 * Any failure ends the session but one: ESTALE while the link is being taken
 * down. The end of the link then ends the remap.
 */
static void remap_answered(EpwSession *es, int err, EpwMsg *reply, void *opaque)
{
    EpcRemap *r = opaque;
    EpcServer *s = r->s;
    bool had_ended, success = false, shut;

    if (!err) {
        err = -epw_check_reply(reply, VFU_CMD_EP_REMAP, 0, 0);
    }
    trace_pci_epc_server_remap_done(s->device, s->func, r->generation,
                                    r->region, err);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        had_ended = r->state == REMAP_ENDED;
        if (had_ended) {
            /* epc_remaps_end_all() called done() already. */
        } else if (err) {
            remap_set_state(s, r, REMAP_WAITS_LINK_DOWN);
        } else if (r->doorbells) {
            remap_wait_doorbells(s, r);
        } else {
            remap_end(s, r);
            success = true;
        }
        shut = err && (err != -ESTALE || s->link == EPC_SERVER_LINK_UP);
    }
    if (shut) {
        epw_session_shutdown(es, "EP_REMAP was not answered well");
    }
    if (success) {
        r->done(r->opaque, 0);
    }
    if (success || had_ended) {
        g_free(r);
    }
}

/* Adds a remap to the list. Returns NULL when the client has no memory. */
static EpcRemap *remap_new(EpcServer *s, unsigned region,
                           void (*done)(void *opaque, int err), void *opaque)
    EP_REQUIRES(&s->lock);
static EpcRemap *remap_new(EpcServer *s, unsigned region,
                           void (*done)(void *opaque, int err), void *opaque)
{
    bool up = s->link == EPC_SERVER_LINK_UP;
    EpcRemap *r;

    if (!s->conn || !(s->conn->bars_queried & BIT(region)) ||
        !(up || s->link == EPC_SERVER_LINK_LOWERING)) {
        return NULL;
    }
    r = g_new0(EpcRemap, 1);
    r->s = s;
    r->region = region;
    r->generation = s->generation;
    r->done = done;
    r->opaque = opaque;
    r->doorbells = s->conn->doorbells_queried & BIT(region);
    r->sent = g_get_monotonic_time();
    r->state = up ? REMAP_SENT : REMAP_WAITS_LINK_DOWN;
    QTAILQ_INSERT_TAIL(&s->remaps, r, next);
    return r;
}

void epc_server_remap(EpcServer *s, unsigned region,
                      void (*done)(void *opaque, int err), void *opaque)
{
    VfuEpRemap msg = { .argsz = sizeof(msg), .region = region };
    struct iovec iov = { &msg, sizeof(msg) };
    EpcConn *c = NULL;
    EpcRemap *r;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->remap_count[region]++;
        r = remap_new(s, region, done, opaque);
        if (r && r->state == REMAP_SENT) {
            c = epc_conn_hold(s);
            msg.generation = r->generation;
        }
    }
    if (!r) {
        done(opaque, 0);
    } else if (c) {
        trace_pci_epc_server_remap(s->device, s->func, msg.generation, region);
        /* Without the lock: remap_answered() may be called at once. */
        epw_call_async(c->session, VFU_CMD_EP_REMAP, &iov, 1, NULL, 0,
                       remap_answered, r);
        epc_conn_release(c);
    }
}
