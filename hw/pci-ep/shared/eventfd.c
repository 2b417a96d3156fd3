/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-signal: an eventfd that the peer holds too
 *
 * The kernel itself signals eventfds without waiting, for instance when a
 * request of asynchronous I/O completes.  A read of nothing completes while it
 * is submitted.
 */
#include "qemu/osdep.h"
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/pci-ep/ep-signal.h"

/* Completions that wait to be collected, all of them done */
#define MAX_EVENTS 128

/* Other threads may use the room that one has made. */
#define MAX_TRIES 16

static struct {
    GMutex lock;        /* of the set-up */
    bool ready;
    aio_context_t ctx;
    int file;           /* to read nothing from */
} ep_sig;

bool ep_signal_init(Error **errp)
{
    bool ok;

    g_mutex_lock(&ep_sig.lock);
    if (!ep_sig.ready && syscall(SYS_io_setup, MAX_EVENTS, &ep_sig.ctx)) {
        error_setg_errno(errp, errno, "cannot set up asynchronous I/O, which "
                         "interrupts need: raise fs.aio-max-nr, and use a "
                         "kernel with CONFIG_AIO");
    } else if (!ep_sig.ready) {
        ep_sig.file = qemu_memfd_create("pci-ep-signal", 0, false, 0, 0, errp);
        ep_sig.ready = ep_sig.file >= 0;
        if (!ep_sig.ready) {
            syscall(SYS_io_destroy, ep_sig.ctx);
            ep_sig.ctx = 0;
        }
    }
    ok = ep_sig.ready;
    g_mutex_unlock(&ep_sig.lock);
    return ok;
}

static bool submit(struct iocb *cb)
{
    return syscall(SYS_io_submit, ep_sig.ctx, 1, &cb) == 1;
}

static void collect(void)
{
    struct io_event events[MAX_EVENTS];
    struct timespec now = { 0 };

    syscall(SYS_io_getevents, ep_sig.ctx, 0, MAX_EVENTS, events, &now);
}

bool ep_signal(int fd)
{
    struct iocb cb = {
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = ep_sig.file,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = fd,
    };

    for (unsigned i = 0; i < MAX_TRIES; i++) {
        if (submit(&cb)) {
            return true;
        }
        if (errno != EAGAIN) {
            return false;
        }
        collect();
    }
    return false;
}

bool ep_signal_take(int fd)
{
    uint64_t count;
    struct iovec iov = { &count, sizeof(count) };

    /* Whatever O_NONBLOCK says */
    return RETRY_ON_EINTR(preadv2(fd, &iov, 1, -1, RWF_NOWAIT)) ==
           sizeof(count);
}
