/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eventfd: signals an eventfd that the peer holds too
 *
 * The kernel itself signals an eventfd without waiting, for instance when a
 * request of asynchronous I/O completes.  A read of an empty file completes
 * while it is submitted.
 */
#include "qemu/osdep.h"
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "qemu/lockable.h"
#include "qemu/memfd.h"
#include "qemu/thread.h"
#include "qapi/error.h"
#include "hw/pci-ep/shared/eventfd.h"
#include "hw/pci-ep/wire/locks.h"

/* Completions that the kernel keeps until eventfd_collect() */
#define EVENTFD_MAX_EVENTS 128

/* Another thread may use the room that eventfd_collect() has made. */
#define EVENTFD_MAX_TRIES 16

static struct {
    /* Held by ep_eventfd_init(); no other lock is taken under it. */
    QemuMutex lock;
    bool ready EP_GUARDED_BY(&lock);
    /* Constant once ep_eventfd_init() has succeeded */
    aio_context_t ctx;
    int file;           /* empty */
} ep_eventfd;

__attribute__((constructor))
static void eventfd_init_lock(void)
{
    qemu_mutex_init(&ep_eventfd.lock);
}

bool ep_eventfd_init(Error **errp)
{
    ERRP_GUARD();
    QEMU_LOCK_GUARD(&ep_eventfd.lock);
    if (ep_eventfd.ready) {
        return true;
    }
    if (syscall(SYS_io_setup, EVENTFD_MAX_EVENTS, &ep_eventfd.ctx)) {
        error_setg_errno(errp, errno, "cannot set up asynchronous I/O, which "
                         "interrupts need");
        error_append_hint(errp, "Raise fs.aio-max-nr, and use a kernel with "
                          "CONFIG_AIO.\n");
        return false;
    }
    ep_eventfd.file = qemu_memfd_create("pci-ep-signal", 0, false, 0, 0, errp);
    if (ep_eventfd.file < 0) {
        syscall(SYS_io_destroy, ep_eventfd.ctx);
        ep_eventfd.ctx = 0;
        return false;
    }
    ep_eventfd.ready = true;
    return true;
}

static bool eventfd_submit(struct iocb *cb)
{
    return syscall(SYS_io_submit, ep_eventfd.ctx, 1, &cb) == 1;
}

static void eventfd_collect(void)
{
    struct io_event events[EVENTFD_MAX_EVENTS];
    struct timespec now = { 0 };

    syscall(SYS_io_getevents, ep_eventfd.ctx, 0, EVENTFD_MAX_EVENTS, events,
            &now);
}

bool ep_eventfd_signal(int fd)
{
    struct iocb cb = {
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = ep_eventfd.file,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = fd,
    };

    for (unsigned i = 0; i < EVENTFD_MAX_TRIES; i++) {
        if (eventfd_submit(&cb)) {
            return true;
        }
        if (errno != EAGAIN) {
            return false;
        }
        eventfd_collect();
    }
    return false;
}

bool ep_eventfd_read_nowait(int fd)
{
    uint64_t count;
    struct iovec iov = { &count, sizeof(count) };

    /* RWF_NOWAIT, because the peer may clear O_NONBLOCK at any moment */
    return RETRY_ON_EINTR(preadv2(fd, &iov, 1, -1, RWF_NOWAIT)) ==
           sizeof(count);
}
