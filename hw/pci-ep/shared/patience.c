/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * patience: how long a peer may keep others waiting
 */
#include "qemu/osdep.h"
#include "hw/pci-ep/shared/patience.h"

/* The bucket loses one microsecond in so many that pass. */
#define PATIENCE_LEAK 10

void ep_patience_init(EpPatience *p, int64_t limit, int64_t tolerated)
{
    *p = (EpPatience) { .limit = limit, .tolerated = tolerated };
}

bool ep_patience_count(EpPatience *p, int64_t *since, int64_t now)
{
    int64_t wait = now - *since;
    int64_t leaked = (now - p->updated) / PATIENCE_LEAK;

    if (wait < p->tolerated) {
        return false;
    }
    *since = now;
    p->waited = MAX(0, p->waited - leaked) + wait;
    p->updated = now;
    if (p->waited < p->limit) {
        return false;
    }
    p->waited = 0;
    return true;
}
