/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The link of the controller: START and STOP, up and down, resets by the host
 */
#ifndef HW_PCI_EP_ENDPOINT_LINK_H
#define HW_PCI_EP_ENDPOINT_LINK_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/*
 * Takes all functions down, when the bursts that are under way have ended.
 * EPC_REG_LINK_STATUS is EPC_STATUS_BUSY until then, and until each host has
 * released the memory of this guest; no function comes up meanwhile. The caller
 * has disabled all channels, or taken all host memory away. Returns what the
 * register has then.
 */
uint32_t epc_link_fall(EpcState *s)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock, &s->fall_lock);

/* The guest writes @cmd to EPC_REG_LINK_CMD. */
void epc_link_command(EpcState *s, uint32_t cmd)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock, &s->fall_lock);

/*
 * A requested fault: the link goes down, and stays down until
 * epc_link_mend(). The state of LINK_CMD and LINK_STATUS does not change. A
 * START meanwhile takes effect when the link is mended. epc_link_mend() returns
 * false when the link was not cut.
 */
void epc_link_cut(EpcState *s)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock, &s->fall_lock);
bool epc_link_mend(EpcState *s) EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);

/*
 * EpcServerOps.link and EpcServerOps.reset; @opaque is the EpcFunction. The
 * server calls them without EpcState.lock, most often in its reader thread.
 */
void epc_link_changed(void *opaque, EpcServerEvent event);
void epc_link_reset(void *opaque, unsigned kind);

#endif /* HW_PCI_EP_ENDPOINT_LINK_H */
