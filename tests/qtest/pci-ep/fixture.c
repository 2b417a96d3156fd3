/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake endpoint and a host machine that is linked to it
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "fixture.h"

void fixture_start(Fixture *f)
{
    f->ep = fakeep_new();
    fakeep_listen(f->ep);
    f->q = hostvm_start(f->ep->path, FIXTURE_DEADLINE_MS, true);
    hostvm_enable_port(f->q);
}

void fixture_start_vcpu(Fixture *f, const char *args, const char *firmware)
{
    f->ep = fakeep_new();
    fakeep_listen(f->ep);
    f->q = hostvm_start_vcpu(args, f->ep->path, FIXTURE_DEADLINE_MS, firmware);
    hostvm_enable_port(f->q);
}

void fixture_start_with(Fixture *f, unsigned features, const char *args)
{
    f->ep = fakeep_new();
    f->ep->features |= features;
    fakeep_listen(f->ep);
    f->q = hostvm_start_args(args, f->ep->path, FIXTURE_DEADLINE_MS);
    hostvm_enable_port(f->q);
}

void fixture_link_up(Fixture *f, bool master)
{
    g_assert_cmpint(fakeep_link_up(f->ep), ==, 0);
    hostvm_wait_present(f->q, true);
    hostvm_enable_function(f->q, master);
}

void fixture_start_up(Fixture *f, bool master)
{
    fixture_start(f);
    fixture_link_up(f, master);
}

void fixture_end(Fixture *f)
{
    qtest_quit(f->q);
    fakeep_free(f->ep);
}

void fixture_check_identity(QTestState *q)
{
    g_assert_cmphex(hostvm_readl(q, HOSTVM_FUNCTION, 0), ==, 0xb500104c);
    g_assert_cmphex(hostvm_readl(q, HOSTVM_FUNCTION, PCI_REVISION_ID), ==,
                    0xff000000);
    g_assert_cmphex(hostvm_readl(q, HOSTVM_FUNCTION, PCI_SUBSYSTEM_VENDOR_ID),
                    ==, 0x12341af4);
    g_assert_cmphex(hostvm_readb(q, HOSTVM_FUNCTION, PCI_INTERRUPT_PIN), ==, 1);
    g_assert_cmpuint(hostvm_find_cap(q, HOSTVM_FUNCTION, PCI_CAP_ID_PM), ==,
                     0x40);
    g_assert_cmpuint(hostvm_find_cap(q, HOSTVM_FUNCTION, PCI_CAP_ID_MSI), ==,
                     0x48);
    g_assert_cmpuint(hostvm_find_cap(q, HOSTVM_FUNCTION, PCI_CAP_ID_EXP), ==,
                     0x60);
    g_assert_cmpuint(hostvm_find_cap(q, HOSTVM_FUNCTION, PCI_CAP_ID_MSIX), ==,
                     0xa0);
    g_assert_cmpuint(hostvm_find_cap(q, HOSTVM_FUNCTION, PCI_CAP_ID_VNDR), ==,
                     0xb0);
    g_assert_cmphex(hostvm_readl(q, HOSTVM_FUNCTION, 0xb0), ==, 0x5a080009);
    g_assert_cmphex(hostvm_readw(q, HOSTVM_FUNCTION, 0x60 + PCI_EXP_LNKSTA) &
                        0x3ff,
                    ==, 4 << 4 | 3);
}
