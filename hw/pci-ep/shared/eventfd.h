/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eventfd: signals an eventfd that the peer made
 *
 * The peer shares the open file, so at any moment it can make the file blocking
 * and its counter full.  Then write() would wait for the peer for ever.  A
 * check of the descriptor before the write does not help.
 *
 * All functions may be called in any thread.
 */
#ifndef HW_PCI_EP_SHARED_EVENTFD_H
#define HW_PCI_EP_SHARED_EVENTFD_H

/* Must succeed before ep_eventfd_signal() is called.  May be called again. */
bool ep_eventfd_init(Error **errp);

/*
 * Signals eventfd @fd without blocking.  A counter that is full stays full, and
 * its readers are woken.  Returns false when @fd is no eventfd.
 */
bool ep_eventfd_signal(int fd);

/*
 * Reads and clears the counter of eventfd @fd without blocking.  Returns false
 * when it was 0, or when the kernel does not support RWF_NOWAIT here.
 */
bool ep_eventfd_read_nowait(int fd);

#endif /* HW_PCI_EP_SHARED_EVENTFD_H */
