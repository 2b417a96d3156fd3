/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * peer-mem: memory of the other guest, mapped from file descriptors
 *
 * One sealed file of EP_MEM_PIECE bytes of 0xff backs every page without a
 * target. A mapping of it covers at most one piece of a reservation, which is
 * an aligned span of EP_MEM_PIECE bytes.
 *
 * The mapping is private and writable, so the kernel has to promise memory for
 * it. With vm.overcommit_memory=2 or RLIMIT_DATA it may refuse. Then a shared
 * mapping of a second file of ones takes its place, for which no promise is
 * needed: the peer's memory must go in any case. What a guest writes there is
 * seen in all such pages of the process, until the file is filled anew for the
 * next ones.
 *
 * The kernel limits the number of mappings of a process, and a guest must not
 * be able to use them up. Pages that the guest wrote do not merge with their
 * neighbours again, so ep_mem_unmap() replaces the whole gap around the pages,
 * up to the next page with a target or the end of the piece. Then every gap in
 * a piece is one mapping. There are at most twice as many mappings as targets,
 * and one for each piece. All reservations together get a part of the kernel's
 * limit.
 *
 * With mlockall(MCL_FUTURE) the kernel allocates all pages of a mapping at
 * once: a copy of each page of ones, and all memory that the peer has not used
 * yet. So mappings are made where nobody sees them, unlocked, and moved.
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/vfs.h>
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "qemu/memfd.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/pci-ep/wire/closer.h"
#include "hw/pci-ep/wire/locks.h"

#define EP_MEM_PIECE            (2 * MiB)
#define EP_MEM_HUGETLBFS_MAGIC  0x958458f6
#define EP_MEM_SEAL_TRIES       10

/* The kernel's limit on mappings, and its default */
#define EP_MEM_LIMIT_FILE       "/proc/sys/vm/max_map_count"
#define EP_MEM_LIMIT            65530

struct EpFile {
    int fd;
    dev_t dev;
    ino_t ino;
};

typedef struct EpSpace {
    QLIST_ENTRY(EpSpace) next;
    char *base;
    size_t size;
    unsigned long *live;    /* bitmap of the pages that have a target */
    unsigned long *first;   /* bitmap of those where a mapping begins */
} EpSpace;

static struct {
    /* Held while mappings change; no other lock is taken under it. */
    QemuMutex lock;
    int ones_fd EP_GUARDED_BY(&lock);       /* valid when ones_ready */
    int scratch_fd EP_GUARDED_BY(&lock);    /* the same, not sealed */
    bool ones_ready EP_GUARDED_BY(&lock);
    bool locked EP_GUARDED_BY(&lock);       /* mmap() locks and allocates */
    uint64_t reserved EP_GUARDED_BY(&lock); /* bytes of all reservations */
    uint64_t targets EP_GUARDED_BY(&lock);  /* mappings of files in them */
    uint64_t limit EP_GUARDED_BY(&lock);    /* of mappings; 0: not known yet */
    QLIST_HEAD(, EpSpace) spaces EP_GUARDED_BY(&lock);
} ep_mem;

__attribute__((constructor))
static void ep_mem_init_lock(void)
{
    qemu_mutex_init(&ep_mem.lock);
}

/* ---- Files of the peer ---- */

bool ep_file_sealed(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK);
}

static bool ep_file_check(int fd, bool trust_unsealed, struct stat *st,
                          Error **errp)
{
    struct statfs fs;

    ERRP_GUARD();
    /*
     * The seals are checked first, because that asks no file system. The peer
     * may serve the file system itself, and then it need not answer.
     */
    if (!trust_unsealed && !ep_file_sealed(fd)) {
        error_setg(errp, "memory file can be truncated by its owner");
        error_append_hint(errp, "Give the peer QEMU memory-backend-memfd "
                          "(sealed by default), or set "
                          "trust-unsealed-memory=on.\n");
        return false;
    }
    if (fstat(fd, st) < 0) {
        error_setg_errno(errp, errno, "cannot inspect the memory file of the "
                         "peer");
    } else if (!S_ISREG(st->st_mode) || st->st_size < 1) {
        error_setg(errp, "the memory that the peer shares is not a file with "
                   "contents");
    } else if (fstatfs(fd, &fs) < 0) {
        error_setg_errno(errp, errno, "cannot inspect the file system of the "
                         "peer's memory file");
    } else if (fs.f_type == EP_MEM_HUGETLBFS_MAGIC) {
        error_setg(errp, "huge pages of the peer cannot be mapped one by one");
    } else {
        return true;
    }
    error_append_hint(errp, "Give the peer QEMU memory-backend-memfd with "
                      "hugetlb=off.\n");
    return false;
}

EpFile *ep_file_new(int fd, bool trust_unsealed, Error **errp)
{
    struct stat st;
    EpFile *f;

    if (!ep_file_check(fd, trust_unsealed, &st, errp)) {
        epw_close(fd);
        return NULL;
    }
    f = g_new0(EpFile, 1);
    f->fd = fd;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return f;
}

void ep_file_free(EpFile *f)
{
    if (f) {
        epw_close(f->fd);
        g_free(f);
    }
}

void ep_file_free_copy(EpFile *f)
{
    if (fcntl(f->fd, F_GET_SEALS) >= 0) {
        close(f->fd);
        g_free(f);
    } else {
        ep_file_free(f);
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

/* ---- Mappings in a process that locks its memory ---- */

/*
 * Returns whether mmap() allocates the pages of each new mapping, as it does
 * after mlockall(MCL_FUTURE).
 */
static bool ep_mem_is_locked(void)
{
    size_t page = qemu_real_host_page_size();
    unsigned char resident = 0;
    void *p = mmap(NULL, page, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        return false;
    }
    if (mincore(p, page, &resident) < 0) {
        resident = 0;
    }
    munmap(p, page);
    return resident & 1;
}

/*
 * Moves a mapping to @at that was made elsewhere without access, so that no
 * page of it was allocated. What was at @at is replaced at once, since a guest
 * may be accessing it.
 */
static bool ep_mem_map_unlocked(char *at, size_t size, int flags, int fd,
                                uint64_t offset)
{
    void *p = mmap(NULL, size, PROT_NONE, flags, fd, offset);
    int err;

    if (p == MAP_FAILED) {
        return false;
    }
    if (munlock(p, size) == 0 &&
        mprotect(p, size, PROT_READ | PROT_WRITE) == 0 &&
        mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) !=
        MAP_FAILED) {
        return true;
    }
    err = errno;
    munmap(p, size);
    errno = err;
    return false;
}

/*
 * Replaces what is at @at by a mapping of @fd, and allocates no page of it.
 * Returns false with errno, and then there may be nothing at @at.
 */
static bool ep_mem_replace(char *at, size_t size, int flags, int fd,
                           uint64_t offset) EP_REQUIRES(&ep_mem.lock);
static bool ep_mem_replace(char *at, size_t size, int flags, int fd,
                           uint64_t offset)
{
    if (ep_mem.locked) {
        return ep_mem_map_unlocked(at, size, flags, fd, offset);
    }
    return mmap(at, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd,
                offset) != MAP_FAILED;
}

/* ---- Pages without a target ---- */

/*
 * Fills the file @fd with 0xff. Returns false with errno. Allocates nothing,
 * since memory may be short.
 */
static bool ep_mem_fill(int fd)
{
    uint8_t ones[4096];
    size_t at = 0;

    memset(ones, 0xff, sizeof(ones));
    while (at < EP_MEM_PIECE) {
        ssize_t n = pwrite(fd, ones, MIN(sizeof(ones), EP_MEM_PIECE - at), at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
    }
    return true;
}

/*
 * Adds @seals. Returns false with errno. The kernel refuses F_SEAL_WRITE while
 * anybody else holds a reference to a page, which a kernel thread may do for a
 * moment (memfd_wait_for_pins(), which waits for about a third of a second).
 */
static bool ep_mem_seal(int fd, int seals)
{
    int ret, tries = EP_MEM_SEAL_TRIES;

    do {
        ret = fcntl(fd, F_ADD_SEALS, seals);
    } while (ret < 0 && errno == EBUSY && --tries);
    return ret == 0;
}

/* Makes a file of ones with @seals. Returns -1 with @errp set on failure. */
static int ep_mem_new_ones(const char *name, int seals, Error **errp)
{
    int fd = qemu_memfd_create(name, EP_MEM_PIECE, false, 0,
                               F_SEAL_SHRINK | F_SEAL_GROW, errp);

    if (fd >= 0 && (!ep_mem_fill(fd) || !ep_mem_seal(fd, seals))) {
        error_setg_errno(errp, errno, "cannot fill a memory file");
        close(fd);
        return -1;
    }
    return fd;
}

/* Makes the files of ones, unless that was done. */
static bool ep_mem_init_ones(Error **errp) EP_REQUIRES(&ep_mem.lock);
static bool ep_mem_init_ones(Error **errp)
{
    int ones, scratch;

    if (ep_mem.ones_ready) {
        return true;
    }
    ones = ep_mem_new_ones("pci-ep-ones", F_SEAL_WRITE | F_SEAL_SEAL, errp);
    if (ones < 0) {
        return false;
    }
    scratch = ep_mem_new_ones("pci-ep-scratch", F_SEAL_SEAL, errp);
    if (scratch < 0) {
        close(ones);
        return false;
    }
    ep_mem.ones_fd = ones;
    ep_mem.scratch_fd = scratch;
    ep_mem.ones_ready = true;
    return true;
}

/* Maps a file of ones. Returns false with errno. */
static bool ep_mem_map_ones(char *at, size_t size, int fd, int flags)
    EP_REQUIRES(&ep_mem.lock);
static bool ep_mem_map_ones(char *at, size_t size, int fd, int flags)
{
    char *end = at + size;

    while (at < end) {
        size_t offset = (uintptr_t)at % EP_MEM_PIECE;
        size_t n = MIN(EP_MEM_PIECE - offset, end - at);

        if (!ep_mem_replace(at, n, flags, fd, offset)) {
            return false;
        }
        at += n;
    }
    return true;
}

static bool ep_mem_ones(char *at, size_t size) EP_REQUIRES(&ep_mem.lock);
static bool ep_mem_ones(char *at, size_t size)
{
    return ep_mem_map_ones(at, size, ep_mem.ones_fd,
                           MAP_PRIVATE | MAP_NORESERVE);
}

/* The same when the kernel promises no more memory */
static bool ep_mem_shared_ones(char *at, size_t size)
    EP_REQUIRES(&ep_mem.lock);
static bool ep_mem_shared_ones(char *at, size_t size)
{
    return ep_mem_fill(ep_mem.scratch_fd) &&
           ep_mem_map_ones(at, size, ep_mem.scratch_fd, MAP_SHARED);
}

/* Returns address space without content, aligned to EP_MEM_PIECE, or NULL. */
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

/*
 * Returns the number of mappings that all reservations may have. A quarter of
 * the kernel's limit is left to the rest of QEMU.
 */
static uint64_t ep_mem_limit(void) EP_REQUIRES(&ep_mem.lock);
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

/*
 * Returns true when @targets more mappings of files and a reservation of @bytes
 * keep the limit. Every target may have a gap behind it.
 */
static bool ep_mem_has_room(uint64_t targets, uint64_t bytes)
    EP_REQUIRES(&ep_mem.lock);
static bool ep_mem_has_room(uint64_t targets, uint64_t bytes)
{
    return 2 * (ep_mem.targets + targets) +
           DIV_ROUND_UP(ep_mem.reserved + bytes, EP_MEM_PIECE) <=
           ep_mem_limit();
}

static void *ep_mem_reserve_locked(size_t size, Error **errp)
    EP_REQUIRES(&ep_mem.lock);
static void *ep_mem_reserve_locked(size_t size, Error **errp)
{
    EpSpace *space;
    void *at;

    ERRP_GUARD();
    if (!ep_mem_init_ones(errp)) {
        return NULL;
    }
    if (size <= EP_MEM_MAX_RESERVED && !ep_mem_has_room(0, size)) {
        error_setg(errp, "windows and BARs of this QEMU need more mappings "
                   "than the system allows");
        error_append_hint(errp, "Make them smaller, or raise "
                          "vm.max_map_count.\n");
        return NULL;
    }
    if (size > EP_MEM_MAX_RESERVED - ep_mem.reserved) {
        error_setg(errp, "windows and BARs of this QEMU would exceed %" PRIu64
                   " GiB", (uint64_t)(EP_MEM_MAX_RESERVED / GiB));
        return NULL;
    }
    ep_mem.locked = ep_mem_is_locked();
    at = ep_mem_find_space(size);
    if (!at || !ep_mem_ones(at, size)) {
        error_setg_errno(errp, errno, "cannot reserve %zu bytes of address "
                         "space", size);
        error_append_hint(errp, "Make the window or the BAR smaller, or raise "
                          "vm.max_map_count.\n");
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
    if (!size || !QEMU_IS_ALIGNED(size, qemu_real_host_page_size())) {
        error_setg(errp, "%zu bytes is not a multiple of the page size, %zu",
                   size, (size_t)qemu_real_host_page_size());
        return NULL;
    }
    QEMU_LOCK_GUARD(&ep_mem.lock);
    return ep_mem_reserve_locked(size, errp);
}

/* Returns the reservation that contains the whole range, or NULL. */
static EpSpace *ep_mem_space(const char *at, size_t size)
    EP_REQUIRES(&ep_mem.lock);
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
    QEMU_LOCK_GUARD(&ep_mem.lock);
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
}

/* ---- Targets ---- */

/*
 * Takes the target from the pages [@first, @end) in the books. The rest of a
 * target that goes on behind them becomes a mapping of its own.
 */
static void ep_mem_forget(EpSpace *space, size_t first, size_t end)
    EP_REQUIRES(&ep_mem.lock);
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

/* Makes the range read all ones, with the whole gap around it. */
static void ep_mem_clear(EpSpace *space, size_t offset, size_t size)
    EP_REQUIRES(&ep_mem.lock);
static void ep_mem_clear(EpSpace *space, size_t offset, size_t size)
{
    size_t page = qemu_real_host_page_size();
    size_t first = offset / page, end = (offset + size) / page;
    size_t piece = EP_MEM_PIECE / page;
    size_t low = QEMU_ALIGN_DOWN(first, piece);
    size_t high = MIN(QEMU_ALIGN_UP(end, piece), space->size / page);
    char *at;

    ep_mem_forget(space, first, end);
    while (first > low && !test_bit(first - 1, space->live)) {
        first--;
    }
    while (end < high && !test_bit(end, space->live)) {
        end++;
    }
    at = space->base + first * page;
    if (!ep_mem_ones(at, (end - first) * page) &&
        !ep_mem_shared_ones(at, (end - first) * page)) {
        /*
         * Neither a guest nor a peer can reach this. The shared mapping needs
         * no promise of memory and no new address space. It replaces at least
         * one other one, and ep_mem_has_room() has kept a mapping for each gap
         * and for each piece, so the kernel's limit is not in the way. What
         * remains is a kernel without memory for its own structures. Going on
         * would leave the guest with access to revoked memory of the peer.
         */
        error_report("cannot give up the peer's memory: %s", strerror(errno));
        abort();
    }
}

static int ep_mem_set(EpSpace *space, size_t offset, size_t size,
                      const EpFile *f, uint64_t file_offset, bool writable)
    EP_REQUIRES(&ep_mem.lock);
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
    } else if (!ep_mem_replace(at, size, flags, f->fd, file_offset)) {
        err = -errno;
    } else {
        ep_mem_forget(space, offset / page, (offset + size) / page);
        bitmap_set(space->live, offset / page, size / page);
        set_bit(offset / page, space->first);
        ep_mem.targets++;
        madvise(at, size, MADV_DONTDUMP);
        return 0;
    }
    /* An mmap() that failed may have removed the mapping that was there. */
    ep_mem_clear(space, offset, size);
    return err;
}

int ep_mem_map(void *at, size_t size, const EpFile *f, uint64_t offset,
               bool writable)
{
    EpSpace *space;

    if (!size || !QEMU_IS_ALIGNED((uintptr_t)at | size | offset,
                                  qemu_real_host_page_size())) {
        return -EINVAL;
    }
    QEMU_LOCK_GUARD(&ep_mem.lock);
    space = ep_mem_space(at, size);
    if (!space) {
        return -EINVAL;
    }
    return ep_mem_set(space, (char *)at - space->base, size, f, offset,
                      writable);
}

void ep_mem_unmap(void *at, size_t size)
{
    EpSpace *space;

    QEMU_LOCK_GUARD(&ep_mem.lock);
    space = ep_mem_space(at, size);
    if (space) {
        ep_mem_clear(space, (char *)at - space->base, size);
    }
}
