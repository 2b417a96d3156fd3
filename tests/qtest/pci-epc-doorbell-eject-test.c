/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc and a fake host: a doorbell whose interrupt ejects the controller
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-port.h"

#define BAR         4               /* 64 KiB, without a target at first */

/* With a host that reaches the doorbells, all of which are enabled */
static FakeHost *eject_start(EpVm *e)
{
    FakeHost *c;

    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        epvm_set_doorbell_reg(e, n, EPC_DOORBELL_CTRL,
                              EPC_DOORBELL_CTRL_ENABLE);
    }
    c = epvm_attach_areas(e, 80);
    epvm_bar_args(e, BAR, 0, EPVM_DOORBELL, EPVM_BAR0_SIZE);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_BAR), ==,
                     EPC_STATUS_OK);
    return c;
}

/* The interrupts of all doorbells switch the power of the slot off. */
static void aim_at_power(EpVm *e)
{
    uint64_t power = epvm_port_config(e, PCI_CAP_ID_EXP) + PCI_EXP_SLTCTL;

    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        uint64_t entry = e->msix + EPC_VECTOR_DOORBELL(n) * 16;

        qtest_writel(e->q, entry, power);
        qtest_writel(e->q, entry + 8, PCI_EXP_SLTCTL_PWR_OFF |
                     PCI_EXP_SLTCTL_PWR_IND_OFF);
    }
}

static void assert_ejected(EpVm *e, FakeHost *c)
{
    qtest_qmp_eventwait(e->q, "DEVICE_DELETED");
    g_assert_true(fakehost_wait_closed(c, FAKEHOST_TIMEOUT_MS));
    fakehost_free(c);
    epvm_stop(e);
}

static void test_eject_eventfd(void)
{
    EpVm *e = epvm_start_behind_port("");
    FakeHost *c = eject_start(e);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);

    aim_at_power(e);
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        fakehost_ring(f, n, 0);
    }
    fakehost_io_fds_free(f);
    assert_ejected(e, c);
}

static void test_eject_message(void)
{
    EpVm *e = epvm_start_behind_port("");
    FakeHost *c = eject_start(e);
    struct {
        VfuHeader hdr;
        VfuRegionRw rw;
        uint32_t value;
    } QEMU_PACKED m[EPC_MAX_DOORBELLS];

    aim_at_power(e);
    /* All at once, so that some wait for the same turn of the main loop */
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        m[n].hdr = (VfuHeader) {
            .id = 0x4000 + n, .command = VFU_CMD_REGION_WRITE,
            .size = sizeof(m[n]),
        };
        m[n].rw = (VfuRegionRw) {
            .offset = 4 * n, .region = BAR, .count = sizeof(m[n].value),
        };
        m[n].value = 0;
    }
    g_assert_true(vfu_msg_send_bytes(c->sock, m, sizeof(m), NULL, 0));
    assert_ejected(e, c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/doorbell-eject/eventfd", test_eject_eventfd);
    qtest_add_func("/pci-epc/doorbell-eject/message", test_eject_message);
    return g_test_run();
}
