/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * patience: how long a peer may keep others waiting
 *
 * A deadline bounds one answer. A peer that answers each request just before
 * its deadline would still hold up everybody who depends on it, for ever. So
 * the time of slow answers is added up in a leaky bucket, and time that passes
 * between answers empties the bucket again. Patience ends when the bucket holds
 * the limit or more: one wait of that length ends it at once. Shorter waits at
 * regular intervals never end it if they take a tenth of the time or less.
 *
 * The functions take no lock: the caller's lock guards the EpPatience. All
 * times are microseconds of one monotonic clock, which the caller chooses.
 */
#ifndef HW_PCI_EP_SHARED_PATIENCE_H
#define HW_PCI_EP_SHARED_PATIENCE_H

typedef struct EpPatience {
    int64_t limit;      /* patience ends when @waited is this or more */
    int64_t tolerated;  /* waits below this are not counted */
    int64_t waited;     /* time in the bucket */
    int64_t updated;    /* when @waited was brought up to date */
} EpPatience;

/*
 * The waits that are tolerated, as a part of the wait that is too long, for a
 * peer that holds up only the guest that asked it. An ordinary delay on a
 * loaded machine is not held against it.
 */
#define EP_PATIENCE_TOLERATED(limit)    ((limit) / 10)

/*
 * The same for a peer that holds up a third party, who did not ask it and
 * cannot choose another one.
 */
#define EP_PATIENCE_STRICT(limit)       ((limit) / 100)

/* What the user can do, to be added to the reason for the end of a session */
#define EP_PATIENCE_ADVICE \
    "look at the load of the machine, or raise 'deadline-ms'"

/* Starts with an empty bucket. Also empties one that is in use. */
void ep_patience_init(EpPatience *p, int64_t limit, int64_t tolerated);

/*
 * Counts the wait from *@since until @now, unless it was short enough to be
 * tolerated. A wait that was counted is over: *@since becomes @now, so a
 * caller may count one long wait in several steps. Returns true when patience
 * is at its end, which empties the bucket; then the caller ends the session
 * with the peer.
 */
bool ep_patience_count(EpPatience *p, int64_t *since, int64_t now);

#endif /* HW_PCI_EP_SHARED_PATIENCE_H */
