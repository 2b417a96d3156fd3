/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * link: the state of the link of a server
 */
#ifndef HW_PCI_EP_SERVER_LINK_H
#define HW_PCI_EP_SERVER_LINK_H

#include "hw/pci-ep/server/server-int.h"

/*
 * Sends the EP_LINK that the state of the link asks for, if any. Called after
 * everything that may change that.
 */
void epc_server_link_next(EpcServer *s) EP_EXCLUDES(&s->lock);

/*
 * Goes from LOWERING to DOWN. Remaps that the client did not acknowledge end
 * with @err. With @gone the client has left as well. The done() functions of
 * the owner may call any function of the server that an op may call.
 */
void epc_server_link_down(EpcServer *s, int err, bool gone)
    EP_REQUIRES(&s->op_lock) EP_EXCLUDES(&s->lock);

/* Goes from DOWN to UP, since the client is a plain one. */
void epc_server_link_up_plain(EpcServer *s)
    EP_REQUIRES(&s->op_lock) EP_EXCLUDES(&s->lock);

/*
 * A plain client gets no EP_LINK, so there is no answer to wait for: the main
 * loop calls this instead. Returns false when a reader thread has op_lock. It
 * may wait there for the end of a burst, which a host can make long, and the
 * caller holds the BQL.
 */
bool epc_server_link_settle_plain(EpcServer *s) EP_EXCLUDES(&s->lock);

#endif /* HW_PCI_EP_SERVER_LINK_H */
