/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host asks of a function: regions, interrupts, DMA
 */
#ifndef HW_PCI_EP_ENDPOINT_HOST_REQUESTS_H
#define HW_PCI_EP_ENDPOINT_HOST_REQUESTS_H

#include "hw/pci-ep/server/server.h"

/* The opaque pointer is the EpcFunction. */
extern const EpcServerOps epc_server_ops;

#endif /* HW_PCI_EP_ENDPOINT_HOST_REQUESTS_H */
