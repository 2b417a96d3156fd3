/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn: one connection of a client, and the replies on it
 *
 *   state      event                                    next
 *   ---------  ---------------------------------------  ---------
 *   (new)      the server has no client                 HANDSHAKE
 *   (new)      the server has a client                  REFUSED
 *   HANDSHAKE  VERSION with "link" was answered         EXTENDED
 *   HANDSHAKE  VERSION without "link" and the link is   PLAIN
 *              enabled: the link is up, VERSION will
 *              be answered
 *   any        the session was closed                   OVER
 *
 * Whatever else happens in HANDSHAKE and REFUSED ends the session: VERSION that
 * cannot be answered, another command, or no command until the deadline.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/server/conn.h"
#include "hw/pci-ep/server/source.h"
#include "hw/pci-ep/trace.h"

/* The states that may follow each state, as bits */
static const unsigned conn_next_states[] = {
    [EPC_CONN_HANDSHAKE] = BIT(EPC_CONN_PLAIN) | BIT(EPC_CONN_EXTENDED) |
                           BIT(EPC_CONN_OVER),
    [EPC_CONN_REFUSED] = BIT(EPC_CONN_OVER),
    [EPC_CONN_PLAIN] = BIT(EPC_CONN_OVER),
    [EPC_CONN_EXTENDED] = BIT(EPC_CONN_OVER),
    [EPC_CONN_OVER] = 0,
};

void epc_conn_set_state(EpcConn *c, EpcConnState state)
{
    if (!(conn_next_states[c->state] & BIT(state))) {
        trace_pci_epc_server_illegal(c->s->device, c->s->func, "connection",
                                     c->state, state);
        return;
    }
    c->state = state;
}

/* ---- Lifetime ---- */

EpcConn *epc_conn_hold(EpcServer *s)
{
    s->conn->users++;
    return s->conn;
}

void epc_conn_release(EpcConn *c)
{
    EpcServer *s = c->s;

    QEMU_LOCK_GUARD(&s->lock);
    if (--c->users == 0 && c->state == EPC_CONN_OVER) {
        epc_server_wake(s);
    }
}

/* Runs in the main loop when the client had a deadline's time for VERSION. */
static gboolean conn_version_late(void *opaque)
{
    EpcConn *c = opaque;
    EpcServer *s = c->s;

    QEMU_LOCK_GUARD(&s->lock);
    if (epc_conn_expects_version(c->state)) {
        g_autofree char *why = g_strdup_printf("no VERSION within %u ms",
                                               s->deadline_ms);

        epw_session_shutdown(c->session, why);
    }
    return G_SOURCE_REMOVE;
}

EpcConn *epc_conn_new(EpcServer *s, int fd, const EpwOps *ops)
{
    EpwConfig cfg = {
        .name = s->name,
        .device = s->device,
        .func = s->func,
        .role = EPW_SERVER,
        .deadline_ms = s->deadline_ms,
        .messages = &s->messages,
    };
    EpcConn *c = g_new0(EpcConn, 1);

    c->s = s;
    c->state = s->conn ? EPC_CONN_REFUSED : EPC_CONN_HANDSHAKE;
    c->version_timer = epc_source_run(g_timeout_source_new(s->deadline_ms),
                                      conn_version_late, c);
    QLIST_INSERT_HEAD(&s->conns, c, next);
    s->nconns++;
    if (!s->conn) {
        s->conn = c;
    }
    c->session = epw_session_new(fd, &cfg, ops, c);
    return c;
}

void epc_conn_free(EpcConn *c)
{
    epc_source_drop(&c->version_timer);
    epw_session_free(c->session);
    g_free(c);
}

EpcConn *epc_conn_pop_over(EpcServer *s)
{
    EpcConn *c;

    QEMU_LOCK_GUARD(&s->lock);
    QLIST_FOREACH(c, &s->conns, next) {
        if (c->state == EPC_CONN_OVER && !c->users) {
            QLIST_REMOVE(c, next);
            s->nconns--;
            return c;
        }
    }
    return NULL;
}

/* ---- Replies ---- */

void epc_request_reply(EpcRequest *r, const void *p, size_t len)
{
    struct iovec iov = { (void *)p, len };

    epw_reply(r->t, &iov, len ? 1 : 0, NULL, 0);
}

void epc_request_finish(EpcRequest *r, int err)
{
    if (err) {
        epw_reply_error(r->t, err);
    } else {
        epc_request_reply(r, NULL, 0);
    }
}
