/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault: faults that the user asks for while a device runs
 *
 * A device has one EpFaults, and a table of the faults that it can make. The
 * user writes a request into the device's property 'fault':
 *
 *   KIND[,KEY=VALUE...]    for example "dma-delay,us=500,count=16"
 *   clear                  takes back all that is armed
 *
 * ep_faults_request() checks it against the table. A kind with @now is carried
 * out at once, by the device. Any other kind is armed, and the device asks
 * ep_faults_hit() at each place where it can happen. What happened is kept in
 * a log, with its time.
 *
 * ep_faults_hit() and ep_faults_record() may be called in any thread, with any
 * lock held. The others are called with the BQL held.
 */
#ifndef HW_PCI_EP_SHARED_FAULT_H
#define HW_PCI_EP_SHARED_FAULT_H

#include "qemu/bitops.h"

/* Requests that are armed at once, of all kinds */
#define EP_FAULTS_MAX_ARMED     64
/* Records that the log keeps; a further one takes the place of the oldest */
#define EP_FAULTS_MAX_LOG       1024
#define EP_FAULTS_MAX_KINDS     32

/* The function number of a request for all functions */
#define EP_FAULT_EVERY          UINT32_MAX

typedef enum EpFaultKey {
    EP_FAULT_COUNT,     /* how often it happens; 0 is until "clear" */
    EP_FAULT_AFTER,     /* how many chances pass before the first time */
    EP_FAULT_CHANCE,    /* percent of the chances that it takes */
    EP_FAULT_FUNCTION,  /* number of the function */
    EP_FAULT_US,        /* microseconds */
    EP_FAULT_JITTER,    /* microseconds at most that are added to @us */
    EP_FAULT_MS,        /* milliseconds until the device ends the fault */
    EP_FAULT_SPEED,     /* value of the Link Speed field: 1 is 2.5 GT/s */
    EP_FAULT_WIDTH,     /* lanes */
    EP_FAULT_SEVERITY,  /* an EpFaultSeverity */
    EP_FAULT_KEYS,
} EpFaultKey;

typedef enum EpFaultSeverity {
    EP_FAULT_CORRECTABLE,
    EP_FAULT_NONFATAL,
    EP_FAULT_FATAL,
} EpFaultSeverity;

/* One fault of the device's table. The index in the table is its number. */
typedef struct EpFaultKind {
    const char *name;
    /* Happens when it is asked for. Otherwise it is armed. */
    bool now;
    /* BIT(EpFaultKey) of what a request may set besides the common keys */
    uint32_t keys;
} EpFaultKind;

/* A request, or what ep_faults_hit() returns of it */
typedef struct EpFault {
    unsigned kind;
    uint32_t value[EP_FAULT_KEYS];
} EpFault;

typedef struct EpFaults EpFaults;

/*
 * Called for each fault that happened, in the thread where it happened, with
 * the locks of that thread held. A device traces it here.
 */
typedef void EpFaultSeen(void *opaque, const char *kind, uint32_t function,
                         uint64_t at);

/* @kinds lives as long as the EpFaults. */
EpFaults *ep_faults_new(const EpFaultKind *kinds, unsigned count,
                        EpFaultSeen *seen, void *opaque);
void ep_faults_free(EpFaults *faults);

/* Starts the random numbers of 'chance' and 'jitter' again, from @seed. */
void ep_faults_seed(EpFaults *faults, uint32_t seed);

/*
 * Checks the request @text, and arms it. Returns true in *@now when the caller
 * carries it out instead; then *@fault is the request. Returns false when
 * @text is no request, or when too many are armed.
 */
bool ep_faults_request(EpFaults *faults, const char *text, bool *now,
                       EpFault *fault, Error **errp);

/* Returns the requests that are armed, separated by ';'. The caller frees. */
char *ep_faults_armed_text(EpFaults *faults);

/*
 * Returns the log, oldest first, as a JSON array. An element has "time-us"
 * (microseconds of the wall clock), "fault", "function" (null: none in
 * particular) and "at". The caller frees.
 */
char *ep_faults_log(EpFaults *faults);

/* BIT(kind) of each kind that is armed. Read without the lock. */
uint32_t ep_faults_armed(const EpFaults *faults);

/* The slow half of ep_faults_hit() */
bool ep_faults_take(EpFaults *faults, unsigned kind, uint32_t function,
                    uint64_t at, EpFault *fault);

/*
 * Called where a fault of @kind can happen to @function. @at tells one place
 * from another in the log: an address, an offset, the number of a vector.
 * Returns true when it happens, with the request in *@fault. There, @us is the
 * delay of this time, jitter included.
 */
static inline bool ep_faults_hit(EpFaults *faults, unsigned kind,
                                 uint32_t function, uint64_t at,
                                 EpFault *fault)
{
    return (ep_faults_armed(faults) & BIT(kind)) &&
           ep_faults_take(faults, kind, function, at, fault);
}

/* Adds a fault of a kind with @now to the log, when it has been carried out. */
void ep_faults_record(EpFaults *faults, unsigned kind, uint32_t function,
                      uint64_t at);

#endif /* HW_PCI_EP_SHARED_FAULT_H */
