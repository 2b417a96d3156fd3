/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * closer: gives up what a peer passed, in threads that may wait
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/lockable.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "hw/pci-ep/wire/closer.h"
#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/wire/wire.h"

/*
 * Bytes that one munmap() removes. The other threads of the process cannot
 * change mappings meanwhile, which takes about a millisecond.
 */
#define CLOSER_UNMAP_STEP (64 * MiB)

/* What one thread gives up */
typedef enum CloserLane {
    CLOSER_WAITS,           /* may wait for a peer */
    CLOSER_MEMORY,          /* takes time, and waits for nobody */
    CLOSER_LANES,
    CLOSER_NONE,            /* needs no thread */
} CloserLane;

/* A descriptor or, when @fd is -1, a mapping */
typedef struct CloserJob {
    QSIMPLEQ_ENTRY(CloserJob) next;
    int fd;
    void *at;
    size_t size;
} CloserJob;

typedef struct CloserQueue {
    QSIMPLEQ_HEAD(, CloserJob) jobs;
    unsigned count;         /* jobs, with the one that is being done */
    bool running;           /* there is a thread */
    QemuCond added;
} CloserQueue;

static struct {
    /* No other lock is taken under it. */
    QemuMutex lock;
    CloserQueue queue[CLOSER_LANES] EP_GUARDED_BY(&lock);
} epw_closer;

/* No other thread exists yet. */
__attribute__((constructor))
EP_NO_TSA
static void closer_init(void)
{
    qemu_mutex_init(&epw_closer.lock);
    for (unsigned i = 0; i < CLOSER_LANES; i++) {
        QSIMPLEQ_INIT(&epw_closer.queue[i].jobs);
        qemu_cond_init(&epw_closer.queue[i].added);
    }
}

static CloserLane closer_lane(int fd)
{
    if (epw_is_eventfd(fd)) {
        return CLOSER_NONE;
    }
    /* Only files in memory have seals. */
    return fcntl(fd, F_GET_SEALS) >= 0 ? CLOSER_MEMORY : CLOSER_WAITS;
}

static void closer_do(CloserJob *j)
{
    if (j->fd >= 0) {
        close(j->fd);
    }
    for (size_t done = 0; done < j->size; done += CLOSER_UNMAP_STEP) {
        munmap((char *)j->at + done, MIN(CLOSER_UNMAP_STEP, j->size - done));
    }
    g_free(j);
}

static CloserJob *closer_take(CloserQueue *q) EP_REQUIRES(&epw_closer.lock);
static CloserJob *closer_take(CloserQueue *q)
{
    CloserJob *j;

    while (!(j = QSIMPLEQ_FIRST(&q->jobs))) {
        qemu_cond_wait(&q->added, &epw_closer.lock);
    }
    QSIMPLEQ_REMOVE_HEAD(&q->jobs, next);
    return j;
}

static void *closer_run(void *opaque)
{
    CloserQueue *q = opaque;

    qemu_mutex_lock(&epw_closer.lock);
    for (;;) {
        CloserJob *j = closer_take(q);

        qemu_mutex_unlock(&epw_closer.lock);
        closer_do(j);
        qemu_mutex_lock(&epw_closer.lock);
        q->count--;
    }
    return NULL;
}

static void closer_add(CloserLane lane, int fd, void *at, size_t size)
{
    CloserJob *j = g_new0(CloserJob, 1);
    CloserQueue *q;

    j->fd = fd;
    j->at = at;
    j->size = size;
    QEMU_LOCK_GUARD(&epw_closer.lock);
    q = &epw_closer.queue[lane];
    QSIMPLEQ_INSERT_TAIL(&q->jobs, j, next);
    q->count++;
    if (!q->running) {
        QemuThread thread;

        q->running = true;
        qemu_thread_create(&thread, lane == CLOSER_WAITS ? "pci-ep-close" :
                           "pci-ep-unmap", closer_run, q,
                           QEMU_THREAD_DETACHED);
    }
    qemu_cond_signal(&q->added);
}

void epw_close(int fd)
{
    CloserLane lane = closer_lane(fd);

    if (lane == CLOSER_NONE) {
        close(fd);
    } else {
        closer_add(lane, fd, NULL, 0);
    }
}

void epw_unmap(void *at, size_t size)
{
    closer_add(CLOSER_MEMORY, -1, at, size);
}

static bool closer_lane_full(CloserLane lane)
{
    QEMU_LOCK_GUARD(&epw_closer.lock);
    return epw_closer.queue[lane].count >= EPW_CLOSER_MAX;
}

bool epw_closer_takes(int fd)
{
    CloserLane lane;

    if (!closer_lane_full(CLOSER_WAITS) && !closer_lane_full(CLOSER_MEMORY)) {
        return true;
    }
    lane = closer_lane(fd);
    return lane == CLOSER_NONE || !closer_lane_full(lane);
}

bool epw_closer_full(void)
{
    return closer_lane_full(CLOSER_WAITS);
}
