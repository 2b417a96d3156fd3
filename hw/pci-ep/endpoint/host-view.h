/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Views: pieces of the files of hosts, mapped into this process
 *
 * A host chooses how large its files are, so no file is mapped as a whole. A
 * view is an aligned span of EPC_HOST_VIEW_SIZE bytes of a file. It is mapped
 * when an access needs it. There are at most EPC_HOST_VIEWS_MAX in this
 * process, for all controllers. When one more is needed, that takes the place
 * of the one that nobody has used for the longest time.
 *
 * Any thread may call these functions, with or without EpcState.lock.
 */
#ifndef HW_PCI_EP_ENDPOINT_HOST_VIEW_H
#define HW_PCI_EP_ENDPOINT_HOST_VIEW_H

#include "qemu/queue.h"
#include "qemu/units.h"

/* Unmapping a view whose pages are all in use takes about a millisecond. */
#define EPC_HOST_VIEW_SIZE  (256 * MiB)
#define EPC_HOST_VIEWS_MAX  256

typedef struct EpcHostView EpcHostView;

/* The views of one file */
typedef QLIST_HEAD(EpcHostViews, EpcHostView) EpcHostViews;

/*
 * Returns a reference to the view that has @offset of the file @fd, whose views
 * are in @vs. Returns NULL when the system refuses, or when all views are in
 * use. Locks no pages, and allocates none, also where the process locks its
 * memory (-overcommit mem-lock=on).
 */
EpcHostView *epc_host_view_get(EpcHostViews *vs, int fd, uint64_t offset);
/* Drops a reference. @v may be NULL. */
void epc_host_view_unref(EpcHostView *v);

/*
 * Where this process has @offset of the file, which lies in @v; stores how many
 * bytes of @v follow there. Returns NULL when @write is set and the file cannot
 * be written.
 */
uint8_t *epc_host_view_pointer(const EpcHostView *v, uint64_t offset,
                               bool write, uint64_t *left);

/* The file goes away. Each view is unmapped when nobody uses it any more. */
void epc_host_views_drop(EpcHostViews *vs);

/* Number of views in this process */
unsigned epc_host_views_count(void);

#endif /* HW_PCI_EP_ENDPOINT_HOST_VIEW_H */
