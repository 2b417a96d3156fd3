/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * peer-mem: memory of the other guest, mapped from file descriptors
 *
 * A device shows memory of the peer to its guest inside one memory region,
 * which is reserved once, so that the memory map of the guest does not change:
 * pages of the reservation are replaced with mmap(MAP_FIXED). A page without a
 * target reads all ones. It is a private mapping of a file of ones and not
 * PROT_NONE, because a fault on PROT_NONE would stop a KVM guest. When the
 * system promises no memory for that, it is a shared mapping of such a file.
 *
 * QEMU's -overcommit mem-lock=on does not lock pages of a reservation, nor what
 * is mapped in it: only pages that are accessed become memory.
 *
 * All functions may be called in any thread, without the BQL.
 */
#ifndef HW_PCI_EP_SHARED_PEER_MEM_H
#define HW_PCI_EP_SHARED_PEER_MEM_H

#include "qemu/units.h"

/* A file that the peer passed and that was checked. Mappings outlive it. */
typedef struct EpFile EpFile;

/*
 * Takes @fd over, and closes it on failure as well. Accepts a regular file or
 * memfd of at least 1 byte whose size cannot shrink (F_SEAL_SHRINK); with
 * @trust_unsealed any regular file of at least 1 byte. Refuses hugetlb files,
 * whose pages cannot be replaced one by one. The hint of the error says what
 * to change on the peer's command line.
 */
EpFile *ep_file_new(int fd, bool trust_unsealed, Error **errp);
/*
 * Returns true when nobody can make the file @fd shorter (F_SEAL_SHRINK). Only
 * such a file is safe in the hands of a peer: this process would end with
 * SIGBUS at the next access to what was cut off.
 */
bool ep_file_sealed(int fd);
/* Has the file closed soon, see epw_close(). @f may be NULL. */
void ep_file_free(EpFile *f);
/*
 * The same for a file of which the caller keeps another EpFile. Memory is
 * closed at once, since the pages stay. That spares a thread for each range of
 * a host that has them all in one file.
 */
void ep_file_free_copy(EpFile *f);
int ep_file_fd(const EpFile *f);
/* Returns true when both are the same inode. */
bool ep_file_same(const EpFile *a, const EpFile *b);

/* Returns true when [offset, offset + size) lies in the file as it is now. */
bool ep_file_covers(const EpFile *f, uint64_t offset, uint64_t size);

/* The largest sum of the sizes of all reservations of this process */
#define EP_MEM_MAX_RESERVED     (32 * GiB)

/*
 * Reserves @size bytes of address space, a multiple of the page size, which
 * read all ones. Returns NULL with @errp set when the system refuses, or when
 * all reservations of this process together would exceed EP_MEM_MAX_RESERVED or
 * their share of mappings, see ep_mem_map().
 */
void *ep_mem_reserve(size_t size, Error **errp);
/* Unmaps a whole reservation. @base may be NULL. */
void ep_mem_release(void *base, size_t size);

/*
 * Maps @f at @offset to [at, at + size) in a reservation: shared, or with
 * @writable false as a private copy whose writes are lost. Returns 0 or a
 * negative errno.  -EINVAL changes nothing: the range is empty, not page
 * aligned or not in a reservation. After any other error the range reads all
 * ones: -ERANGE outside of the file, -ENOSPC too many mappings, or what mmap()
 * returned.
 *
 * All reservations of this process together take at most three quarters of
 * vm.max_map_count (65530 by default): two mappings for each target, and 512
 * for each GiB that is reserved. So ep_mem_unmap(), which must not fail,
 * always has a mapping left.
 */
int ep_mem_map(void *at, size_t size, const EpFile *f, uint64_t offset,
               bool writable);

/*
 * Makes the page-aligned range [at, at + size) read all ones again. What was
 * written to neighbouring pages without a target is lost as well.
 */
void ep_mem_unmap(void *at, size_t size);

#endif /* HW_PCI_EP_SHARED_PEER_MEM_H */
