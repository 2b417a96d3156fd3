/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remap: takes the memory behind a BAR back from the client
 *
 * remap.c also has epc_server_remap(), which begins a remap.
 */
#ifndef HW_PCI_EP_SERVER_REMAP_H
#define HW_PCI_EP_SERVER_REMAP_H

#include "hw/pci-ep/server/server-int.h"

/*
 * Ends the remaps of @region that wait until the client asks for its doorbells,
 * because it does so now, and all remaps for which the client is late.  Pass
 * EPC_REMAPS_LATE for the late ones alone.  Returns the monotonic time in us at
 * which the next remap is late, or -1 when none is waiting.  Calls done()
 * functions; called by the reader thread and by the main loop.
 */
int64_t epc_remaps_end_waiting(EpcServer *s, int region)
    EP_EXCLUDES(&s->lock);
#define EPC_REMAPS_LATE (-1)

/*
 * Ends all remaps, since the link is down: with success those that the client
 * acknowledged, the others with @err.  Calls done() functions.  The link is
 * down, so nobody adds a remap meanwhile.
 */
void epc_remaps_end_all(EpcServer *s, int err)
    EP_REQUIRES(&s->op_lock) EP_EXCLUDES(&s->lock);

#endif /* HW_PCI_EP_SERVER_REMAP_H */
