/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire: vfio-user messages over a UNIX socket
 *
 * Bytes and file descriptors come in, validated messages go out, for both ends
 * of the link.  Each layer can be used without the ones below it in this list:
 *
 *   frame    frame.c            one non-blocking socket: assembles messages,
 *                               passes descriptors, bounds what is queued
 *   check    check.c            says whether a message is well formed, from one
 *                               table and without state
 *   version  version.c, json.c  the JSON of VERSION, and what was agreed
 *   session  session.c, io.c,   a reader thread, calls with a deadline, replies,
 *            call.c, output.c,   posted messages
 *            reply.c
 *
 * All of them give descriptors of the peer to closer.c, see wire/closer.h.
 *
 * The layers need GLib and libqemuutil (threads, Error) only, so unit tests and
 * fuzzers build them without a VM.  They do not trust the peer: whatever bytes
 * and descriptors arrive, the worst result is that the session is closed.
 */
#ifndef HW_PCI_EP_WIRE_WIRE_H
#define HW_PCI_EP_WIRE_WIRE_H

#include "qemu/stats64.h"
#include "hw/pci-ep/vfio-user-proto.h"

#define EPW_MAX_FDS     80          /* descriptors in one message */
/*
 * What a server tells a client without our extension to send at most.  A larger
 * number is refused by QEMU 10.2, VFIO_USER_MAX_MAX_FDS in
 * hw/vfio-user/proxy.c.
 */
#define EPW_PLAIN_MAX_FDS   16
#define EPW_MAX_XFER    (1u << 20)  /* data bytes in one message */
/*
 * The least that a peer must accept in one message, so that one access of a CPU
 * is one message with one deadline
 */
#define EPW_MIN_XFER    8
#define EPW_MAX_MSG     (EPW_MAX_XFER + 64)
#define EPW_MAX_IOV     63          /* elements of one outgoing payload */
#define EPW_MAX_JSON    4096        /* bytes of the JSON of VERSION, with NUL */

/* Bytes that may wait for a slow peer; more end the session. */
#define EPW_MAX_QUEUED  (8u << 20)

/*
 * What a descriptor that waits with them counts for, in bytes. So 256 may wait,
 * as the table of descriptors belongs to the other peers of the process too.
 */
#define EPW_FD_WEIGHT   (32u << 10)

/* Bytes of the payload of epw_post_last() */
#define EPW_MAX_LAST    32

/*
 * Requests of the peer without a reply; the next one waits in the socket.
 * REGION_WRITE_MULTI counts as the number of its writes.
 */
#define EPW_MAX_REQUESTS 1024

/* Calls of this side without a reply; more fail with -ENOBUFS. */
#define EPW_MAX_CALLS   4096

/* ---- Messages ---- */

typedef struct EpwMsg {
    VfuHeader hdr;
    uint8_t *payload;       /* epw_msg_len() bytes, 8-byte aligned, or NULL */
    /* Close-on-exec.  Whoever keeps a descriptor stores -1 in its place. */
    int fds[EPW_MAX_FDS];
    unsigned nfds;
} EpwMsg;

static inline size_t epw_msg_len(const EpwMsg *m)
{
    return m->hdr.size - sizeof(m->hdr);
}

/*
 * Frees @m, which may be NULL, and has the descriptors that are in it closed
 * soon, see epw_close().
 */
void epw_msg_free(EpwMsg *m);

/* ---- frame ---- */

typedef struct EpwFrame EpwFrame;

/*
 * Takes ownership of @fd and makes it non-blocking.  The receiving functions
 * (recv, partial) and the sending ones (send, flush, pending) share no state,
 * so one thread may receive while another one sends.  The caller makes sure
 * that no two threads receive at a time, nor send.
 */
EpwFrame *epw_frame_new(int fd);
/* Frees @f, which may be NULL, and has the socket closed soon. */
void epw_frame_free(EpwFrame *f);

/*
 * Reads what the socket has.  Returns 1 with a whole message in *@msg, which
 * the caller frees, or 0 while there is none.  A negative errno means that the
 * connection is over:
 *
 *   -ECONNRESET  end of file
 *   -EBADMSG     a header after which no message can be found (a size below 16
 *                or above EPW_MAX_MSG, an unknown type), or descriptors on a
 *                byte of the payload, or other ancillary data
 *   -EMFILE      descriptors were lost (MSG_CTRUNC), are too many, leave too
 *                few to this process, or would be closed too late
 *   other        what recvmsg() returned
 *
 * Descriptors that come with any byte of the header belong to the message.
 */
int epw_frame_recv(EpwFrame *f, EpwMsg **msg);

/*
 * Returns true when a message has begun and is not whole.  The caller runs a
 * deadline then.
 */
bool epw_frame_partial(const EpwFrame *f);

/*
 * Sends header and payload as one message with @fds on its first byte, and
 * queues what the socket does not accept.  The caller keeps @fds: queued ones
 * are duplicated.  Returns 0, -EINVAL (@hdr->size is not the size of the
 * message, or too many elements or descriptors), -ENOBUFS (more than
 * EPW_MAX_QUEUED would wait), or what sendmsg() or dup() returned.
 */
int epw_frame_send(EpwFrame *f, const VfuHeader *hdr, const struct iovec *iov,
                   int niov, const int *fds, unsigned nfds);

/* Sends queued bytes.  Returns 0 or a negative errno. */
int epw_frame_flush(EpwFrame *f);

/*
 * Returns true when bytes are queued.  Then the caller polls for POLLOUT,
 * unless the queue is stalled.
 */
bool epw_frame_pending(const EpwFrame *f);
/*
 * Returns true when the socket may take bytes, but the kernel takes no more
 * descriptors of this user until peers have received some (ETOOMANYREFS).  The
 * caller flushes again after a pause then.
 */
bool epw_frame_stalled(const EpwFrame *f);
/* Returns the bytes that the socket has accepted so far. */
uint64_t epw_frame_sent(const EpwFrame *f);
int epw_frame_fd(const EpwFrame *f);

/* ---- check ---- */

typedef enum EpwRole {
    EPW_SERVER,     /* the endpoint: receives commands of the client */
    EPW_CLIENT,     /* the host: receives commands of the server */
} EpwRole;

/*
 * Checks the command @m that @role received: sizes, argsz, flags, reserved
 * members, wrap-around, the number of descriptors.  It does not look at state.
 * @features are the agreed VFU_EP_FEATURE_*.  Returns 0 or the errno to answer:
 * EINVAL malformed; ENOSYS an unknown command, one for the other role, or one
 * that was not agreed; E2BIG more data than @max_xfer.
 */
int epw_check_command(EpwRole role, const EpwMsg *m, unsigned features,
                      uint32_t max_xfer);

/*
 * Checks the reply @m to a command @cmd that asked for at least @min and at
 * most @want bytes of payload.  Returns 0, EINVAL when it is malformed, or the
 * errno of an error reply (EIO when that is no errno).
 */
int epw_check_reply(const EpwMsg *m, uint16_t cmd, size_t min, size_t want);

/*
 * Returns true when @fd is an eventfd.  KVM accepts nothing else for an event,
 * and a pipe could block whoever writes to it.
 */
bool epw_is_eventfd(int fd);

/* Returns a name for messages such as "DMA_MAP", or "unknown command". */
const char *epw_command_name(uint16_t cmd);
/* Returns a name for trace events such as "BAR0", or "unknown region". */
const char *epw_region_name(unsigned region);
/* Returns the first 8 bytes of @data as a little-endian number, for traces. */
uint64_t epw_first_bytes(const void *data, size_t len);

/* ---- version ---- */

typedef struct EpwCaps {
    uint16_t minor;
    unsigned features;      /* VFU_EP_FEATURE_*; 0 means plain vfio-user */
    uint32_t max_fds;       /* the limits of the peer, but at most ours */
    uint32_t max_xfer;
} EpwCaps;

/*
 * Returns the payload of the client's VERSION (VfuVersion, JSON, NUL), which
 * the caller frees with g_free().
 */
uint8_t *epw_version_offer(unsigned features, size_t *len);

/*
 * For the server: parses the payload of the client's VERSION and sets @caps to
 * what is agreed; features are those that are offered and in @supported.
 * Returns the payload of the reply, never longer than the request, which is
 * what a stock QEMU accepts.  Returns NULL with @errp set when VERSION is to be
 * refused.
 */
uint8_t *epw_version_answer(const uint8_t *p, size_t n, unsigned supported,
                            EpwCaps *caps, size_t *len, Error **errp);

/* For the client: parses the server's reply to an offer of @offered. */
bool epw_version_accept(const uint8_t *p, size_t n, unsigned offered,
                        EpwCaps *caps, Error **errp);

/* ---- session ---- */

typedef struct EpwSession EpwSession;
typedef struct EpwRequest EpwRequest;   /* a command that awaits a reply */

typedef struct EpwOps {
    /*
     * A command arrived that passed epw_check_command(); the session answers
     * the others.  Called in the reader thread without the lock of the session;
     * must not block and must not take the BQL.  @request is answered exactly
     * once, with epw_reply() or epw_reply_error(), now or later, in any thread.
     * @msg is freed when this returns.
     */
    void (*command)(EpwSession *s, EpwMsg *msg, EpwRequest *request,
                    void *opaque);

    /*
     * The connection ended and all calls have failed.  Called once in the
     * reader thread, as the last callback.  @why is for messages, such as "peer
     * closed the connection" or "no answer to DMA_UNMAP within 1000 ms".  May
     * be NULL.
     */
    void (*closed)(EpwSession *s, const char *why, void *opaque);
} EpwOps;

typedef struct EpwConfig {
    const char *name;       /* of the thread */
    EpwRole role;
    unsigned deadline_ms;   /* of calls and of begun messages; not 0 */

    /*
     * Counts whole messages, good or bad: commands and replies that were
     * received, and those that were sent or queued.  A message that ends the
     * session because it cannot be sent counts too.  Several sessions may share
     * the counter, which is used until epw_session_free() returns; any thread
     * may read it with stat64_get().  May be NULL.
     */
    Stat64 *messages;

    /* For trace events: name of the device, NULL for @name; function number */
    const char *device;
    unsigned func;
} EpwConfig;

/*
 * Takes ownership of the connected socket @fd and starts the reader thread,
 * whose callbacks may come before this returns.  Never returns NULL: closed()
 * reports an error.
 */
EpwSession *epw_session_new(int fd, const EpwConfig *cfg, const EpwOps *ops,
                            void *opaque);

/*
 * Sets what was agreed; called by whoever handled VERSION.  A server calls it
 * in its command(), a client in the EpwDone of VERSION or after epw_call() of
 * VERSION.  After that reply the session reads nothing until this is called.
 */
void epw_session_set_caps(EpwSession *s, const EpwCaps *caps);
EpwCaps epw_session_caps(EpwSession *s);

/*
 * Ends the session without waiting: pending calls fail, and closed() follows.
 * Called in any thread.  @why is copied; the first one counts.
 */
void epw_session_shutdown(EpwSession *s, const char *why);

/*
 * Whether the session ends: the peer has closed its socket, or this side gives
 * up.  closed() follows, when the reader thread comes to it.  Must not be called
 * after closed() has returned.
 */
bool epw_session_ends(EpwSession *s);

/*
 * Ends the session, waits for its reader thread and frees it; must not be
 * called in that thread.  Calls that wait in other threads fail.  A request
 * without a reply may still be answered once, which then has no effect.
 */
void epw_session_free(EpwSession *s);

/*
 * Sends a command and waits for its reply until the deadline, whose expiry ends
 * the session.  A reply that came in time counts, even if nobody could read it
 * before.  This thread may read the socket itself meanwhile.  Messages that came
 * before the reply are handled when this returns.  The caller frees *@reply;
 * @reply may be NULL.  Returns 0 or a negative errno: what the peer answered,
 * -ETIMEDOUT, -ENOTCONN when the session is closed, -ENOBUFS with more than
 * EPW_MAX_CALLS pending, -EINVAL when the command cannot be a message, -EDEADLK
 * in the reader thread.
 */
int epw_call(EpwSession *s, uint16_t cmd, const struct iovec *iov, int niov,
             const int *fds, unsigned nfds, EpwMsg **reply);

/*
 * The same, and calls @late when the answer is not there after @late_us
 * microseconds: without the lock of the session, in the calling thread.  @late
 * returns after how many microseconds it wants to be called again; 0: never.
 */
typedef int64_t EpwLate(void *opaque);
int epw_call_late(EpwSession *s, uint16_t cmd, const struct iovec *iov,
                  int niov, const int *fds, unsigned nfds, EpwMsg **reply,
                  int64_t late_us, EpwLate *late, void *opaque);

/*
 * Sends a command without waiting.  @done is called once, with the result that
 * epw_call() would return: in the reader thread, or before this returns when
 * the command cannot be sent.  @reply is NULL unless @err is 0, and is freed
 * when @done returns.  The same deadline applies.
 */
typedef void EpwDone(EpwSession *s, int err, EpwMsg *reply, void *opaque);
void epw_call_async(EpwSession *s, uint16_t cmd, const struct iovec *iov,
                    int niov, const int *fds, unsigned nfds, EpwDone *done,
                    void *opaque);

/*
 * Sends a command with NO_REPLY and @len bytes at @p. Returns 0 or a negative
 * errno: -EAGAIN when output waits and the command is dropped, -ENOTCONN.
 */
int epw_post(EpwSession *s, uint16_t cmd, const void *p, size_t len);
/*
 * The same, but while output waits the command is kept and sent last. It takes
 * the place of one that was kept before, so all commands of a session must be
 * of one kind, of which only the last one matters. @len is at most
 * EPW_MAX_LAST.
 */
int epw_post_last(EpwSession *s, uint16_t cmd, const void *p, size_t len);
/* Is a command of epw_post_last() kept now?  It may be sent at any moment. */
bool epw_post_last_waits(EpwSession *s);

/*
 * Answers @t with success, or with the positive errno @err.  Replies leave in
 * the order of their commands: an early one waits for those before it.  @t is
 * freed.  Called in any thread; the caller keeps @fds.
 */
void epw_reply(EpwRequest *t, const struct iovec *iov, int niov, const int *fds,
               unsigned nfds);
void epw_reply_error(EpwRequest *t, int err);

#endif /* HW_PCI_EP_WIRE_WIRE_H */
