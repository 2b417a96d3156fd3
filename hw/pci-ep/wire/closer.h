/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * closer: gives up what a peer passed, in threads that may wait
 *
 * close() of a descriptor that a peer passed can take as long as the peer
 * wants: a TCP socket with SO_LINGER waits for its reader, and a file system
 * that the peer serves itself need not answer. The same holds for a socket
 * between the two, since descriptors that nobody received are closed with it.
 * The last reference to memory is no better: the kernel frees the pages in the
 * thread that drops it, at about a second of processor time for 5 GiB.
 *
 * So two threads of the process do nothing else. One closes what may wait, the
 * other one what is memory, which takes time and waits for nobody. Each has a
 * queue. The threads are never joined; they end with the process.
 *
 * All functions may be called in any thread and with any lock. They wait for
 * nobody.
 */
#ifndef HW_PCI_EP_WIRE_CLOSER_H
#define HW_PCI_EP_WIRE_CLOSER_H

/* Descriptors and mappings that may be in one queue until it is full */
#define EPW_CLOSER_MAX 1024

/*
 * Closes @fd, which is a descriptor that a peer passed, a socket to a peer, or
 * one that listens for peers. An eventfd is closed at once, all else soon.
 */
void epw_close(int fd);

/* Unmaps a file of a peer soon. @size is a multiple of the page size. */
void epw_unmap(void *at, size_t size);

/*
 * Returns false when epw_close() of @fd would make a full queue longer. Then
 * the caller closes @fd all the same and accepts no more from that peer.
 */
bool epw_closer_takes(int fd);

/*
 * Returns true when what may wait fills its queue. Then no new peer is
 * accepted.
 */
bool epw_closer_full(void);

#endif /* HW_PCI_EP_WIRE_CLOSER_H */
