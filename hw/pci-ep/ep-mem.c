/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-mem: memory of the other guest, seen through file descriptors
 *
 * One sealed file of EP_MEM_PIECE bytes of 0xff serves every page without a
 * target.  The page at address A always maps offset A % EP_MEM_PIECE of it, so
 * that a page given back merges with its neighbours into one mapping again.
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/vfs.h>
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci-ep/ep-mem.h"

#define EP_MEM_PIECE            (2 * MiB)
#define EP_MEM_HUGETLBFS_MAGIC  0x958458f6

struct EpFile {
    unsigned refs;
    int fd;
    dev_t dev;
    ino_t ino;
};

static struct {
    GMutex lock;
    int ones_fd;        /* valid when ones_ready */
    bool ones_ready;
    uint64_t reserved;  /* bytes of all reservations */
} ep_mem;

/* ---- files of the peer ---- */

static bool ep_file_check(int fd, bool trust_unsealed, struct stat *st,
                          Error **errp)
{
    struct statfs fs;
    int seals;

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
    seals = fcntl(fd, F_GET_SEALS);
    if (!trust_unsealed && (seals < 0 || !(seals & F_SEAL_SHRINK))) {
        error_setg(errp, "memory file can be truncated by its owner: give the "
                   "peer QEMU memory-backend-memfd (sealed by default), or set "
                   "trust-unsealed-memory=on");
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

void ep_mem_advise(void *base, size_t size)
{
    /* Best effort: a kernel without one of them does not set it elsewhere. */
    madvise(base, size, MADV_DONTDUMP);
    madvise(base, size, MADV_DONTFORK);
    madvise(base, size, MADV_NOHUGEPAGE);
}

static bool ep_mem_ones(void *at, size_t size)
{
    char *p = at;
    char *end = p + size;

    while (p < end) {
        size_t offset = (uintptr_t)p % EP_MEM_PIECE;
        size_t n = MIN(EP_MEM_PIECE - offset, end - p);

        if (mmap(p, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED |
                 MAP_NORESERVE, ep_mem.ones_fd, offset) == MAP_FAILED) {
            return false;
        }
        p += n;
    }
    ep_mem_advise(at, size);
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

/* Called with the lock held. */
static void *ep_mem_reserve_locked(size_t size, Error **errp)
{
    void *at;

    if (!ep_mem_init_ones(errp)) {
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

void ep_mem_release(void *base, size_t size)
{
    if (!base) {
        return;
    }
    munmap(base, size);
    g_mutex_lock(&ep_mem.lock);
    ep_mem.reserved -= size;
    g_mutex_unlock(&ep_mem.lock);
}

int ep_mem_map(void *at, size_t size, const EpFile *f, uint64_t offset,
               bool writable)
{
    size_t page = qemu_real_host_page_size();
    int err;

    if (!size || !QEMU_IS_ALIGNED((uintptr_t)at | size | offset, page)) {
        return -EINVAL;
    }
    if (!ep_file_covers(f, offset, size)) {
        ep_mem_unmap(at, size);
        return -ERANGE;
    }
    if (mmap(at, size, PROT_READ | PROT_WRITE,
             (writable ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE) | MAP_FIXED,
             f->fd, offset) == MAP_FAILED) {
        err = -errno;
        /* A failing mmap may have removed what was there before. */
        ep_mem_unmap(at, size);
        return err;
    }
    madvise(at, size, MADV_DONTDUMP);
    return 0;
}

void ep_mem_unmap(void *at, size_t size)
{
    if (!ep_mem_ones(at, size)) {
        error_report("cannot give up the peer's memory: %s; raise "
                     "vm.max_map_count", strerror(errno));
        abort();
    }
}
