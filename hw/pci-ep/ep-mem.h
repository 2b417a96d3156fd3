/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-mem: memory of the other guest, seen through file descriptors
 *
 * Both devices show the peer's memory to their guest inside ONE region that is
 * reserved once and never changes the memory topology: pages of it are replaced
 * with mmap(MAP_FIXED).  Pages without a target read all ones: they are a
 * private mapping of an all-ones file, never PROT_NONE, because a fault on
 * PROT_NONE would stop a KVM guest.
 *
 * All functions may be called from any thread without the BQL.
 */
#ifndef HW_PCI_EP_EP_MEM_H
#define HW_PCI_EP_EP_MEM_H

#include "qemu/units.h"

/* A descriptor received from the peer, reference counted, checked once. */
typedef struct EpFile EpFile;

/*
 * Takes @fd over (closes it on failure as well).  Accepts regular files and
 * memfds of at least 1 byte whose size cannot shrink (F_SEAL_SHRINK), or any
 * regular file with @trust_unsealed; refuses everything else, and hugetlb files
 * (pages of those cannot be replaced one by one), with an error that says why
 * and what to change on the peer's command line.
 */
EpFile *ep_file_new(int fd, bool trust_unsealed, Error **errp);
EpFile *ep_file_ref(EpFile *f);
void ep_file_unref(EpFile *f);
int ep_file_fd(const EpFile *f);
bool ep_file_same(const EpFile *a, const EpFile *b);   /* same inode */

/* True when [offset, offset + size) lies inside the file as it is now. */
bool ep_file_covers(const EpFile *f, uint64_t offset, uint64_t size);

/*
 * Reserves @size bytes (multiple of the page size) of address space that read
 * all ones.  NULL with @errp when the system refuses, or when all reservations
 * of this process together would exceed EP_MEM_MAX_RESERVED or their share of
 * mappings, see ep_mem_map().
 * ep_mem_release() unmaps.
 */
#define EP_MEM_MAX_RESERVED     (32 * GiB)

void *ep_mem_reserve(size_t size, Error **errp);
void ep_mem_release(void *base, size_t size);

/*
 * Replaces [at, at + size) inside a reservation by @f at @offset, shared;
 * @writable false gives a private copy whose writes are lost.  0 or negative
 * errno: -EINVAL without a change when something is empty, not page aligned or
 * not in a reservation; else the range reads all ones again: -ERANGE outside of
 * the file, -ENOSPC too many mappings, or what mmap said.
 *
 * All reservations of this process together take at most three quarters of
 * vm.max_map_count (65530 by default): two for each target, and 512 for each GiB
 * reserved.  So giving up memory of the peer, which cannot be refused, never
 * lacks one.
 */
int ep_mem_map(void *at, size_t size, const EpFile *f, uint64_t offset,
               bool writable);

/*
 * Makes [at, at + size), page aligned, read all ones again; what was written to
 * pages without a target nearby is lost as well.
 */
void ep_mem_unmap(void *at, size_t size);

#endif /* HW_PCI_EP_EP_MEM_H */
