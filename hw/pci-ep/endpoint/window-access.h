/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One access to the window that software carries out
 *
 * The endpoint guest makes such accesses where a map is trapped
 * (window-trap.c), and a host of another controller where its BAR shows the
 * window (forward.c).
 */
#ifndef HW_PCI_EP_ENDPOINT_WINDOW_ACCESS_H
#define HW_PCI_EP_ENDPOINT_WINDOW_ACCESS_H

struct EpcFunction;
struct EpcState;

/* Bus addresses [addr, addr + len) of the host, as @fn reaches them */
typedef struct EpcHostPlace {
    struct EpcFunction *fn;
    uint64_t addr;
    uint32_t len;
} EpcHostPlace;

/*
 * Carries out an access to @len bytes at @offset of the window, or the
 * beginning of it: @p->len is always set to how many bytes the result is
 * about.  Returns
 *
 *   0         done: these bytes are in memory that this process can map
 *   -ENOTSUP  not done: it takes a message to the host, about the place @p
 *   other     nothing is there; a read leaves @buf as it is
 *
 * An access of 1, 2, 4 or 8 bytes to one page is done as a whole.  Any thread
 * may call this while the device has functions; it does not hold
 * EpcState.lock.
 */
int epc_window_access(struct EpcState *s, uint64_t offset, uint8_t *buf,
                      uint32_t len, bool write, EpcHostPlace *p);

#endif /* HW_PCI_EP_ENDPOINT_WINDOW_ACCESS_H */
