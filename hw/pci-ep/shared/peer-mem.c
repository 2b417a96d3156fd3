/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-mem: memory of the other guest, seen through file descriptors
 *
 * One sealed file of EP_MEM_PIECE bytes of 0xff serves every page without a
 * target, a piece of a reservation at a time.
 *
 * The kernel limits the number of mappings of a process, and a guest must not
 * be able to use them up: pages that it wrote do not merge with their neighbours
 * again.  So whoever gives up pages replaces the whole gap around them, up to
 * the next page with a target or the end of the piece.  Then every gap is one
 * mapping, and there are at most twice as many as targets, and one per piece.
 * Those of all reservations together get a part of what the kernel allows.
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/vfs.h>
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/memfd.h"
#include "qemu/queue.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci-ep/ep-mem.h"

#define EP_MEM_PIECE            (2 * MiB)
#define EP_MEM_HUGETLBFS_MAGIC  0x958458f6

/* The kernel's limit on mappings, and its default */
#define EP_MEM_LIMIT_FILE       "/proc/sys/vm/max_map_count"
#define EP_MEM_LIMIT            65530

struct EpFile {
    unsigned refs;
    int fd;
    dev_t dev;
    ino_t ino;
};

typedef struct EpSpace {
    QLIST_ENTRY(EpSpace) next;
    char *base;
    size_t size;
    unsigned long *live;    /* pages that have a target */
    unsigned long *first;   /* of them those where a mapping begins */
} EpSpace;

static struct {
    GMutex lock;
    int ones_fd;        /* valid when ones_ready */
    bool ones_ready;
    uint64_t reserved;  /* bytes of all reservations */
    uint64_t targets;   /* mappings of files, in all reservations */
    uint64_t limit;     /* for all mappings here; 0: not known yet */
    QLIST_HEAD(, EpSpace) spaces;
} ep_mem;

/* ---- files of the peer ---- */

static bool ep_file_check(int fd, bool trust_unsealed, struct stat *st,
                          Error **errp)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct statfs fs;

    /*
     * First, since it asks no file system: one that the peer serves itself
     * need not answer.
     */
    if (!trust_unsealed && (seals < 0 || !(seals & F_SEAL_SHRINK))) {
        error_setg(errp, "memory file can be truncated by its owner: give the "
                   "peer QEMU memory-backend-memfd (sealed by default), or set "
                   "trust-unsealed-memory=on");
        return false;
    }
    if (fstat(fd, st) < 0) {
        error_setg_errno(errp, errno, "cannot inspect the memory file of the "
                         "peer QEMU: restart it");
        return false;
    }
    if (!S_ISREG(st->st_mode) || st->st_size < 1) {
        error_setg(errp, "what the peer shares as memory is not a file with "
                   "contents: give the peer QEMU memory-backend-memfd");
        return false;
    }
    if (fstatfs(fd, &fs) < 0) {
        error_setg_errno(errp, errno, "cannot inspect the file system of the "
                         "peer's memory file: give the peer QEMU "
                         "memory-backend-memfd");
        return false;
    }
    if (fs.f_type == EP_MEM_HUGETLBFS_MAGIC) {
        error_setg(errp, "huge pages of the peer cannot be mapped one by one: "
                   "give the peer QEMU memory-backend-memfd with hugetlb=off");
        return false;
    }
    return true;
}

EpFile *ep_file_new(int fd, bool trust_unsealed, Error **errp)
{
    struct stat st;
    EpFile *f;

    if (!ep_file_check(fd, trust_unsealed, &st, errp)) {
        close(fd);
        return NULL;
    }
    f = g_new0(EpFile, 1);
    f->refs = 1;
    f->fd = fd;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return f;
}

EpFile *ep_file_ref(EpFile *f)
{
    qatomic_inc(&f->refs);
    return f;
}

void ep_file_unref(EpFile *f)
{
    if (f && qatomic_fetch_dec(&f->refs) == 1) {
        close(f->fd);
        g_free(f);
    }
}

int ep_file_fd(const EpFile *f)
{
    return f->fd;
}

bool ep_file_same(const EpFile *a, const EpFile *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

bool ep_file_covers(const EpFile *f, uint64_t offset, uint64_t size)
{
    struct stat st;
    uint64_t end;

    return !uadd64_overflow(offset, size, &end) &&
           fstat(f->fd, &st) == 0 && end <= (uint64_t)st.st_size;
}

/* ---- pages without a target ---- */

static bool ep_mem_fill(int fd)
{
    g_autofree uint8_t *ones = g_malloc(EP_MEM_PIECE);
    size_t at = 0;

    memset(ones, 0xff, EP_MEM_PIECE);
    while (at < EP_MEM_PIECE) {
        ssize_t n = pwrite(fd, ones + at, EP_MEM_PIECE - at, at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
    }
    return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) == 0;
}

/* Called with the lock held. */
static bool ep_mem_init_ones(Error **errp)
{
    int fd;

    if (ep_mem.ones_ready) {
        return true;
    }
    fd = qemu_memfd_create("pci-ep-ones", EP_MEM_PIECE, false, 0,
                           F_SEAL_SHRINK | F_SEAL_GROW, errp);
    if (fd < 0) {
        return false;
    }
    if (!ep_mem_fill(fd)) {
        error_setg_errno(errp, errno, "cannot fill a memory file: "
                         "free some memory");
        close(fd);
        return false;
    }
    ep_mem.ones_fd = fd;
    ep_mem.ones_ready = true;
    return true;
}

static bool ep_mem_ones(char *at, size_t size)
{
    char *end = at + size;

    while (at < end) {
        size_t offset = (uintptr_t)at % EP_MEM_PIECE;
        size_t n = MIN(EP_MEM_PIECE - offset, end - at);

        if (mmap(at, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED |
                 MAP_NORESERVE, ep_mem.ones_fd, offset) == MAP_FAILED) {
            return false;
        }
        at += n;
    }
    return true;
}

/* Address space without content, aligned to EP_MEM_PIECE. */
static void *ep_mem_find_space(size_t size)
{
    uint64_t total;
    char *base, *at;

    if (uadd64_overflow(size, EP_MEM_PIECE, &total)) {
        return NULL;
    }
    base = mmap(NULL, total, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    at = QEMU_ALIGN_PTR_UP(base, EP_MEM_PIECE);
    if (at > base) {
        munmap(base, at - base);
    }
    munmap(at + size, total - size - (at - base));
    return at;
}

/* A quarter is for the rest of QEMU, and for gaps in targets. */
static uint64_t ep_mem_limit(void)
{
    g_autofree char *text = NULL;
    uint64_t n = 0;

    if (!ep_mem.limit) {
        if (g_file_get_contents(EP_MEM_LIMIT_FILE, &text, NULL, NULL)) {
            n = g_ascii_strtoull(text, NULL, 10);
        }
        ep_mem.limit = (n ?: EP_MEM_LIMIT) / 4 * 3;
    }
    return ep_mem.limit;
}

/* Is there room for as many more?  Every target may have a gap behind it. */
static bool ep_mem_has_room(uint64_t targets, uint64_t bytes)
{
    return 2 * (ep_mem.targets + targets) +
           DIV_ROUND_UP(ep_mem.reserved + bytes, EP_MEM_PIECE) <=
           ep_mem_limit();
}

/* Called with the lock held. */
static void *ep_mem_reserve_locked(size_t size, Error **errp)
{
    EpSpace *space;
    void *at;

    if (!ep_mem_init_ones(errp)) {
        return NULL;
    }
    if (size <= EP_MEM_MAX_RESERVED && !ep_mem_has_room(0, size)) {
        error_setg(errp, "windows and BARs of this QEMU need more mappings "
                   "than the system allows: make them smaller, or raise "
                   "vm.max_map_count");
        return NULL;
    }
    if (size > EP_MEM_MAX_RESERVED - ep_mem.reserved) {
        error_setg(errp, "windows and BARs of this QEMU would exceed %" PRIu64
                   " GiB: make the window or the BAR smaller",
                   (uint64_t)(EP_MEM_MAX_RESERVED / GiB));
        return NULL;
    }
    at = ep_mem_find_space(size);
    if (!at || !ep_mem_ones(at, size)) {
        error_setg_errno(errp, errno, "cannot reserve %zu bytes of address "
                         "space: make the window or the BAR smaller, or raise "
                         "vm.max_map_count", size);
        if (at) {
            munmap(at, size);
        }
        return NULL;
    }
    space = g_new0(EpSpace, 1);
    space->base = at;
    space->size = size;
    space->live = bitmap_new(size / qemu_real_host_page_size());
    space->first = bitmap_new(size / qemu_real_host_page_size());
    QLIST_INSERT_HEAD(&ep_mem.spaces, space, next);
    ep_mem.reserved += size;
    return at;
}

void *ep_mem_reserve(size_t size, Error **errp)
{
    void *at;

    if (!size || !QEMU_IS_ALIGNED(size, qemu_real_host_page_size())) {
        error_setg(errp, "%zu bytes is not a multiple of the page size: use a "
                   "multiple of %zu bytes", size,
                   (size_t)qemu_real_host_page_size());
        return NULL;
    }
    g_mutex_lock(&ep_mem.lock);
    at = ep_mem_reserve_locked(size, errp);
    g_mutex_unlock(&ep_mem.lock);
    return at;
}

/* Called with the lock held.  The reservation that has all of the range. */
static EpSpace *ep_mem_space(const char *at, size_t size)
{
    EpSpace *space;

    QLIST_FOREACH(space, &ep_mem.spaces, next) {
        if (at >= space->base && at - space->base < space->size &&
            size <= space->size - (at - space->base)) {
            return space;
        }
    }
    return NULL;
}

void ep_mem_release(void *base, size_t size)
{
    EpSpace *space;

    if (!base) {
        return;
    }
    g_mutex_lock(&ep_mem.lock);
    space = ep_mem_space(base, size);
    if (space) {
        munmap(space->base, space->size);
        ep_mem.reserved -= space->size;
        ep_mem.targets -= bitmap_count_one(space->first, space->size /
                                           qemu_real_host_page_size());
        QLIST_REMOVE(space, next);
        g_free(space->live);
        g_free(space->first);
        g_free(space);
    }
    g_mutex_unlock(&ep_mem.lock);
}

/* ---- targets; all with the lock held ---- */

/* Pages [@first, @end) have no target any more; one may go on behind them. */
static void ep_mem_forget(EpSpace *space, size_t first, size_t end)
{
    size_t pages = space->size / qemu_real_host_page_size();

    ep_mem.targets -= bitmap_count_one_with_offset(space->first, first,
                                                   end - first);
    bitmap_clear(space->first, first, end - first);
    bitmap_clear(space->live, first, end - first);
    if (end < pages && test_bit(end, space->live) &&
        !test_and_set_bit(end, space->first)) {
        ep_mem.targets++;
    }
}

static void ep_mem_clear(EpSpace *space, size_t offset, size_t size)
{
    size_t page = qemu_real_host_page_size();
    size_t first = offset / page, end = (offset + size) / page;
    size_t piece = EP_MEM_PIECE / page;
    size_t low = QEMU_ALIGN_DOWN(first, piece);
    size_t high = MIN(QEMU_ALIGN_UP(end, piece), space->size / page);

    ep_mem_forget(space, first, end);
    while (first > low && !test_bit(first - 1, space->live)) {
        first--;
    }
    while (end < high && !test_bit(end, space->live)) {
        end++;
    }
    if (!ep_mem_ones(space->base + first * page, (end - first) * page)) {
        error_report("cannot give up the peer's memory: %s; raise "
                     "vm.max_map_count", strerror(errno));
        abort();
    }
}

static int ep_mem_set(EpSpace *space, size_t offset, size_t size,
                      const EpFile *f, uint64_t file_offset, bool writable)
{
    size_t page = qemu_real_host_page_size();
    int flags = writable ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
    char *at = space->base + offset;
    int err;

    if (!ep_file_covers(f, file_offset, size)) {
        err = -ERANGE;
    } else if (!ep_mem_has_room(2, 0)) {    /* one cut in two, one new */
        err = -ENOSPC;
    } else if (mmap(at, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, f->fd,
                    file_offset) == MAP_FAILED) {
        err = -errno;
    } else {
        ep_mem_forget(space, offset / page, (offset + size) / page);
        bitmap_set(space->live, offset / page, size / page);
        set_bit(offset / page, space->first);
        ep_mem.targets++;
        madvise(at, size, MADV_DONTDUMP);
        return 0;
    }
    /* A failing mmap may have removed what was there before. */
    ep_mem_clear(space, offset, size);
    return err;
}

int ep_mem_map(void *at, size_t size, const EpFile *f, uint64_t offset,
               bool writable)
{
    EpSpace *space;
    int ret = -EINVAL;

    if (!size || !QEMU_IS_ALIGNED((uintptr_t)at | size | offset,
                                  qemu_real_host_page_size())) {
        return -EINVAL;
    }
    g_mutex_lock(&ep_mem.lock);
    space = ep_mem_space(at, size);
    if (space) {
        ret = ep_mem_set(space, (char *)at - space->base, size, f, offset,
                         writable);
    }
    g_mutex_unlock(&ep_mem.lock);
    return ret;
}

void ep_mem_unmap(void *at, size_t size)
{
    EpSpace *space;

    g_mutex_lock(&ep_mem.lock);
    space = ep_mem_space(at, size);
    if (space) {
        ep_mem_clear(space, (char *)at - space->base, size);
    }
    g_mutex_unlock(&ep_mem.lock);
}
