/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regions: commands about regions
 *
 * Each function carries out and answers the command in @r.
 */
#ifndef HW_PCI_EP_SERVER_REGIONS_H
#define HW_PCI_EP_SERVER_REGIONS_H

#include "hw/pci-ep/server/conn.h"

void epc_region_get_info(EpcRequest *r) EP_REQUIRES(&r->s->op_lock);
void epc_region_get_areas(EpcRequest *r) EP_REQUIRES(&r->s->op_lock);
void epc_region_get_io_fds(EpcRequest *r) EP_REQUIRES(&r->s->op_lock);
void epc_region_access(EpcRequest *r) EP_REQUIRES(&r->s->op_lock);
void epc_region_write_multi(EpcRequest *r) EP_REQUIRES(&r->s->op_lock);

#endif /* HW_PCI_EP_SERVER_REGIONS_H */
