/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-areas: what is behind the BARs of a remote function
 *
 * Memory of the endpoint, doorbells, and the rest, which is reached by message.
 * The endpoint describes a BAR, revokes it with EP_REMAP at any time and then
 * is asked again.  Pages and doorbells change here, in the reader thread and
 * without the BQL; which parts of a BAR are memory for the guest changes in the
 * main loop, after what epf_areas_layout() says.
 */
#ifndef HW_MISC_EPF_AREAS_H
#define HW_MISC_EPF_AREAS_H

#include "qemu/units.h"
#include "epf-doorbell.h"

#define EPF_NUM_BARS 6
#define EPF_BAR_SIZE_MIN 4096
#define EPF_BAR32_SIZE_MAX (2 * GiB)
#define EPF_BAR64_SIZE_MAX (1 * TiB)

typedef struct EpfLink EpfLink;

/* The parts of a BAR that are memory: ascending, with gaps between them */
typedef struct EpfLayout {
    unsigned count;
    struct {
        uint64_t offset;
        uint64_t size;
    } part[VFU_EP_MAX_AREAS];
} EpfLayout;

bool epf_layout_equal(const EpfLayout *a, const EpfLayout *b);

typedef struct EpfBar {
    uint64_t size;          /* power of two, 0: absent */
    uint8_t type;           /* PCI_BASE_ADDRESS_* */
    void *mem;              /* reservation of @size, NULL: messages only */
    /* What follows changes under the lock of the link */
    EpfLayout layout;       /* stays while the BAR is revoked */
    bool live;              /* the memory of @layout is the endpoint's */
    unsigned revoked;       /* EP_REMAPs seen */
    unsigned queried;       /* how many before epf_areas_query() asked */
    EpfDoorbells *doorbells;
    bool ask_doorbells;     /* the endpoint waits to be asked for them */
} EpfBar;

/*
 * Asks for all that is behind a BAR, unless the BAR was revoked after @revoked
 * was read: then the caller has to ask again.  What the endpoint does not
 * describe properly is reached by message.  Link thread.
 */
void epf_areas_query(EpfLink *l, unsigned bar, unsigned revoked);

/* EP_REMAP: nothing reaches the old memory any more.  Reader thread. */
void epf_areas_revoke(EpfLink *l, unsigned bar);
/* Asks again, without waiting. */
void epf_areas_refetch(EpfLink *l, unsigned bar);
/* The same for all BARs that were revoked after epf_areas_query(). */
void epf_areas_refetch_revoked(EpfLink *l);

/* The same for all BARs, for good.  With the lock of the link. */
void epf_areas_kill_locked(EpfLink *l);

unsigned epf_areas_revoked(EpfLink *l, unsigned bar);
void epf_areas_layout(EpfLink *l, unsigned bar, EpfLayout *layout);
/* Referenced, or NULL. */
EpfDoorbells *epf_areas_doorbells(EpfLink *l, unsigned bar);

/*
 * The guest sees @layout now.  Asks for doorbells when that is what the
 * endpoint described last and waits to be asked.
 */
void epf_areas_shown(EpfLink *l, unsigned bar, const EpfLayout *layout);

/* Stores in the endpoint's memory; false: there is none at @offset. */
bool epf_areas_store(EpfLink *l, unsigned bar, uint64_t offset,
                     const void *buf, unsigned size);

#endif /* HW_MISC_EPF_AREAS_H */
