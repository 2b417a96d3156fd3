/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-signal: signal an eventfd that the peer made
 *
 * The peer shares the open file, so it can make it blocking and its counter
 * full at any moment; write() could then wait for it for ever, and a look at
 * the descriptor before does not help.
 */
#ifndef HW_PCI_EP_EP_SIGNAL_H
#define HW_PCI_EP_EP_SIGNAL_H

/* Before any ep_signal().  May be called again.  Any thread. */
bool ep_signal_init(Error **errp);

/*
 * Signals eventfd @fd and never blocks.  A counter that is full stays full,
 * and who waits for it is woken.  False: not an eventfd.  Any thread.
 */
bool ep_signal(int fd);

/*
 * Takes what eventfd @fd counted, and never blocks.  False: nothing, or a
 * kernel that cannot.  Any thread.
 */
bool ep_signal_take(int fd);

#endif /* HW_PCI_EP_EP_SIGNAL_H */
