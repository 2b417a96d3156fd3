/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint machine whose controller is behind a root port
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "machine-port.h"

#define ECAM        0xb0000000u
#define PCIEXBAR    0x60            /* of the host bridge, 00:00.0 */
#define PORT        5               /* the slot of the root port */
#define BUS         1               /* behind it */

void epvm_write_bus0(QTestState *q, unsigned slot, unsigned reg, uint32_t val)
{
    qtest_outl(q, 0xcf8, 1u << 31 | slot << 11 | reg);
    qtest_outl(q, 0xcfc, val);
}

EpVm *epvm_start_behind_port(const char *args)
{
    char *dir = g_dir_make_tmp("pci-epc-XXXXXX", NULL);
    char *socket = g_strdup_printf("%s/link", dir);
    QTestState *q = qtest_initf("-machine q35 -m 128M -nodefaults -object "
                                EPVM_SHARED ",id=ram,size=128M "
                                "-machine memory-backend=ram "
                                "-global ICH9-LPC.acpi-pci-hotplug-with-"
                                "bridge-support=off "
                                "-device pcie-root-port,id=rp,addr=%d "
                                "-device pci-epc,id=epc,bus=rp,socket=%s%s",
                                PORT, socket, args);
    EpVm *e;

    epvm_write_bus0(q, 0, PCIEXBAR + 4, 0);
    epvm_write_bus0(q, 0, PCIEXBAR, ECAM | 1);
    epvm_write_bus0(q, PORT, PCI_PRIMARY_BUS, BUS << 16 | BUS << 8);
    epvm_write_bus0(q, PORT, PCI_MEMORY_BASE, 0xe010e000);
    epvm_write_bus0(q, PORT, PCI_PREF_MEMORY_BASE, 0x1ff00000);
    epvm_write_bus0(q, PORT, PCI_PREF_BASE_UPPER32, EPVM_DOORBELL >> 32);
    epvm_write_bus0(q, PORT, PCI_PREF_LIMIT_UPPER32, EPVM_WINDOW >> 32);
    epvm_write_bus0(q, PORT, PCI_COMMAND,
                    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    e = epvm_find(q, BUS << 5, 0);
    e->id = "epc";
    e->dir = dir;
    e->socket = socket;
    return e;
}

uint64_t epvm_port_config(EpVm *e, uint8_t cap)
{
    uint64_t port = ECAM + (PORT << 15);
    uint8_t at = 0;

    if (cap) {
        at = qtest_readb(e->q, port + PCI_CAPABILITY_LIST);
    }
    while (cap && qtest_readb(e->q, port + at) != cap) {
        at = qtest_readb(e->q, port + at + PCI_CAP_LIST_NEXT);
        g_assert_cmpuint(at, !=, 0);
    }
    return port + at;
}
