/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw, the endpoint wire: vfio-user messages over a UNIX socket
 *
 * Bytes and file descriptors in, validated messages out, for both ends of the
 * link.  Three layers, each usable without the one above:
 *
 *   frame    (epw-frame.c)    one non-blocking socket: reassembly, fd passing,
 *                             bounded output queue
 *   check    (epw-check.c)    is this message well formed? one table, no state
 *   version  (epw-version.c, epw-json.c)  the JSON of VERSION, and what both
 *                             sides agreed
 *   session  (epw-session.c, epw-token.c)  a reader thread, replies by token,
 *                             calls with a deadline
 *
 * Depends on GLib and libqemuutil (threads, Error) only, so the unit
 * tests and fuzzers build it without a VM.  Nothing here trusts the peer:
 * whatever bytes and descriptors arrive, the worst result is a closed session.
 */
#ifndef HW_PCI_EP_EPW_H
#define HW_PCI_EP_EPW_H

#include "qemu/stats64.h"
#include "hw/pci-ep/vfio-user-proto.h"

#define EPW_MAX_FDS     80          /* descriptors in one message */
#define EPW_MAX_XFER    (1u << 20)  /* data bytes in one message */
#define EPW_MAX_MSG     (EPW_MAX_XFER + 64)
#define EPW_MAX_IOV     63          /* pieces of one outgoing payload */
#define EPW_MAX_JSON    4096        /* bytes of the JSON of VERSION, with NUL */

/* Bytes waiting for a slow peer; more ends the session */
#define EPW_MAX_QUEUED  (8u << 20)

/* Commands awaiting their reply; the peer's next one waits in the socket */
#define EPW_MAX_TOKENS  1024

/* Calls awaiting their reply; more fail with -EBUSY */
#define EPW_MAX_CALLS   4096

/*
 * ------------------------------------------------------------------------
 * Messages
 */
typedef struct EpwMsg {
    VfuHeader hdr;
    uint8_t *payload;       /* epw_msg_len() bytes, 8-byte aligned, or NULL */
    int fds[EPW_MAX_FDS];   /* close-on-exec; who keeps one stores -1 here */
    unsigned nfds;
} EpwMsg;

static inline size_t epw_msg_len(const EpwMsg *m)
{
    return m->hdr.size - sizeof(m->hdr);
}

/* Frees @m and closes the descriptors still in it.  NULL is fine. */
void epw_msg_free(EpwMsg *m);

/*
 * ------------------------------------------------------------------------
 * frame
 */
typedef struct EpwFrame EpwFrame;

/*
 * Takes ownership of @fd and makes it non-blocking.  Receiving (recv, partial)
 * and sending (send, flush, pending) share no state: one thread may do the one
 * while another does the other.  Within each half the caller serialises.
 */
EpwFrame *epw_frame_new(int fd);
void epw_frame_free(EpwFrame *f);

/*
 * Reads what is there.  1: *@msg is a whole message (caller frees).  0: nothing
 * whole yet.  Negative errno: the connection is over; -ECONNRESET end of file,
 * -EBADMSG a header that cannot be resynchronised (size below 16 or above
 * EPW_MAX_MSG, a type that is neither command nor reply) or descriptors on a
 * payload byte or other ancillary data, -EMFILE descriptors were lost
 * (MSG_CTRUNC) or too many, else what recvmsg said.  Descriptors that come
 * with any byte of the header belong to the message.
 */
int epw_frame_recv(EpwFrame *f, EpwMsg **msg);

/* True when a message has begun and is not whole: run a deadline on it. */
bool epw_frame_partial(const EpwFrame *f);

/*
 * Sends header and payload as one message with @fds on its first byte, or
 * queues what the socket does not take; @fds are duplicated when queued, the
 * caller keeps its own.  A queued descriptor counts as a page in the bound.
 * 0, or -EINVAL (@hdr->size is not what follows, too many pieces or fds),
 * -ENOBUFS (queue bound), or what sendmsg or dup said.
 */
int epw_frame_send(EpwFrame *f, const VfuHeader *hdr, const struct iovec *iov,
                   int niov, const int *fds, unsigned nfds);

/* Sends queued bytes.  0 or negative errno. */
int epw_frame_flush(EpwFrame *f);

/* True when there are queued bytes: poll for POLLOUT. */
bool epw_frame_pending(const EpwFrame *f);
int epw_frame_fd(const EpwFrame *f);

/*
 * ------------------------------------------------------------------------
 * check
 */
typedef enum EpwRole {
    EPW_SERVER,     /* endpoint: receives C>S commands */
    EPW_CLIENT,     /* host: receives S>C commands */
} EpwRole;

/*
 * Is @m, a command received by @role, well formed?  Looks at sizes, argsz,
 * flags, reserved members, wrap-around, descriptor count; not at state.
 * @features: agreed VFU_EP_FEATURE_*.  0, or the errno to answer: EINVAL
 * malformed, ENOSYS unknown command or not this role's or not agreed, E2BIG
 * data above @max_xfer.
 */
int epw_check_command(EpwRole role, const EpwMsg *m, unsigned features,
                      uint32_t max_xfer);

/*
 * The same for the reply @m to a command @cmd that asked for @want payload
 * bytes at most and at least @min.  An error reply yields the peer's errno (EIO
 * when that is no errno).
 */
int epw_check_reply(const EpwMsg *m, uint16_t cmd, size_t min, size_t want);

/* KVM takes nothing else for an event, and a pipe could block a writer. */
bool epw_is_eventfd(int fd);

/* For people: "DMA_MAP"; "unknown command" for one that is not in the table. */
const char *epw_command_name(uint16_t cmd);

/*
 * ------------------------------------------------------------------------
 * version
 */
typedef struct EpwCaps {
    uint16_t minor;
    unsigned features;      /* VFU_EP_FEATURE_*; 0 means plain vfio-user */
    uint32_t max_fds;       /* the peer's limits, clamped to ours */
    uint32_t max_xfer;
} EpwCaps;

/* Payload of the client's VERSION (VfuVersion, JSON, NUL).  g_free() it. */
uint8_t *epw_version_offer(unsigned features, size_t *len);

/*
 * Server: parses the client's VERSION payload, sets @caps to what is agreed
 * (features: offered and in @supported) and returns the reply payload, never
 * longer than a stock QEMU allows (its own request).  NULL with @errp on a
 * payload to refuse.
 */
uint8_t *epw_version_answer(const uint8_t *p, size_t n, unsigned supported,
                            EpwCaps *caps, size_t *len, Error **errp);

/* Client: parses the server's reply to an offer of @offered. */
bool epw_version_accept(const uint8_t *p, size_t n, unsigned offered,
                        EpwCaps *caps, Error **errp);

/*
 * ------------------------------------------------------------------------
 * session
 */
typedef struct EpwSession EpwSession;
typedef struct EpwToken EpwToken;   /* a received command awaiting its reply */

typedef struct EpwOps {
    /*
     * A command that passed epw_check_command() (others are answered by the
     * session).  Reader thread, no session lock held.  Must not block and must
     * not take the BQL.  @token is answered exactly once with epw_reply() or
     * epw_reply_error(), now or later, from any thread.  @msg is freed on
     * return; descriptors to keep are taken out by storing -1.
     */
    void (*command)(EpwSession *s, EpwMsg *msg, EpwToken *token, void *opaque);

    /*
     * The connection ended.  Reader thread, once, last callback.  @why is for
     * people: "peer closed the connection", "no answer to DMA_UNMAP within
     * 1000 ms".  All calls have failed by now.  May be NULL.
     */
    void (*closed)(EpwSession *s, const char *why, void *opaque);
} EpwOps;

typedef struct EpwConfig {
    const char *name;       /* of the thread */
    EpwRole role;
    unsigned deadline_ms;   /* of calls and of begun messages; not 0 */

    /*
     * Counts whole messages, commands and replies, good or bad: received, and
     * sent or queued; one that ends the session because it cannot be sent
     * counts too.  Used until epw_session_free() returns; several sessions may
     * share it.  stat64_get() reads it from any thread.  NULL: not counted.
     */
    Stat64 *messages;
} EpwConfig;

/*
 * Takes ownership of the connected socket @fd.  The reader thread runs when
 * this returns; callbacks may come before.  Never NULL: what goes wrong is told
 * to closed().
 */
EpwSession *epw_session_new(int fd, const EpwConfig *cfg, const EpwOps *ops,
                            void *opaque);

/*
 * What was agreed; set by whoever handled VERSION.  A server sets it in its
 * command(), a client in the EpwDone of VERSION or after epw_call(VERSION):
 * from that reply on the session reads nothing until this was called.
 */
void epw_session_set_caps(EpwSession *s, const EpwCaps *caps);
EpwCaps epw_session_caps(EpwSession *s);

/*
 * Ends the session: pending calls fail, closed() follows.  Any thread, does not
 * wait.  @why is copied; the first one counts.
 */
void epw_session_shutdown(EpwSession *s, const char *why);

/*
 * epw_session_shutdown() if needed, waits for the reader thread, frees.  Not
 * from the reader thread.  Calls that wait in other threads fail, tokens that
 * are still out stay good for their one answer, which goes nowhere.
 */
void epw_session_free(EpwSession *s);

/*
 * Sends a command and waits for its reply, at most the deadline; expiry ends
 * the session.  Not from the reader thread (-EDEADLK).  *@reply (may be NULL)
 * is the reply, caller frees.  0, or a negative errno: -EXXX as answered by the
 * peer, -ETIMEDOUT, -ENOTCONN when the session is or gets closed, -EBUSY above
 * EPW_MAX_CALLS, -EINVAL when the command cannot be a message.
 */
int epw_call(EpwSession *s, uint16_t cmd, const struct iovec *iov, int niov,
             const int *fds, unsigned nfds, EpwMsg **reply);

/*
 * Sends a command, @done is called once from the reader thread (or from this
 * function's caller when sending fails) with the reply (NULL unless err is 0;
 * freed after return) and err as in epw_call().  The same deadline applies.
 */
typedef void EpwDone(EpwSession *s, int err, EpwMsg *reply, void *opaque);
void epw_call_async(EpwSession *s, uint16_t cmd, const struct iovec *iov,
                    int niov, const int *fds, unsigned nfds, EpwDone *done,
                    void *opaque);

/* Sends a command with NO_REPLY.  0 or negative errno. */
int epw_post(EpwSession *s, uint16_t cmd, const struct iovec *iov, int niov);

/*
 * Answers.  Replies leave in the order of their commands: one that completes
 * early waits for those before it.  The token is gone after the call.
 */
void epw_reply(EpwToken *t, const struct iovec *iov, int niov, const int *fds,
               unsigned nfds);
void epw_reply_error(EpwToken *t, int err);     /* positive errno */

#endif /* HW_PCI_EP_EPW_H */
