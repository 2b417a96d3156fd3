/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint machine whose controller is behind a root port, so that a store
 * to memory can eject or reset it
 */
#ifndef TESTS_QTEST_PCI_EP_MACHINE_PORT_H
#define TESTS_QTEST_PCI_EP_MACHINE_PORT_H

#include "machine-endpoint.h"

/*
 * Starts a machine. The root port decodes all BARs of the controller. @args are
 * more properties of the controller, each with a comma before it, and then more
 * arguments of QEMU, each with a space before it.
 */
EpVm *epvm_start_behind_port(const char *args);

/*
 * The address in memory of the configuration space of the root port, or with
 * @cap not 0 that of its capability @cap
 */
uint64_t epvm_port_config(EpVm *e, uint8_t cap);

/* Writes configuration space of a device on bus 0 by the ports. */
void epvm_write_bus0(QTestState *q, unsigned slot, unsigned reg, uint32_t val);

#endif /* TESTS_QTEST_PCI_EP_MACHINE_PORT_H */
