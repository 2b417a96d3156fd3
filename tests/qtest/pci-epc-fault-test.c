/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc behind an IOMMU of the endpoint that reports a fault: by an interrupt
 * (intel-iommu), or by a store to memory that ejects or resets the controller
 * (virtio-iommu)
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/dma.h"
#include "pci-ep/intel-iommu.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-port.h"
#include "pci-ep/wait.h"

#define PAGE            0x1000ull

/* An intel-iommu */
#define ROOT            0x300000ull     /* a table without entries */
#define MSI             0xfee00000ull
#define MSI_NMI         (4u << 8)

/* A virtio-iommu, its BAR and its event queue */
#define VIOMMU          6               /* the slot */
#define VIO             0xd0000000ull
#define VIO_FEATURE_SEL (VIO + 0x08)
#define VIO_FEATURE     (VIO + 0x0c)
#define VIO_STATUS      (VIO + 0x14)
#define VIO_QUEUE       (VIO + 0x16)
#define VIO_QUEUE_SIZE  (VIO + 0x18)
#define VIO_QUEUE_ON    (VIO + 0x1c)
#define VIO_QUEUE_DESC  (VIO + 0x20)
#define VIO_QUEUE_AVAIL (VIO + 0x28)
#define VIO_QUEUE_USED  (VIO + 0x30)
#define VIO_VERSION_1   (1u << 0)       /* of the upper word */
#define EVENT_QUEUE     1
#define DESC            0x302000ull
#define AVAIL           0x303000ull
#define USED            0x304000ull
#define EVENT_SIZE      24              /* struct virtio_iommu_fault */
#define EVENT_ADDRESS   16              /* its member address, 64 bits */

/*
 * The event buffer lies such that 16 bits of the faulting address are stored
 * in a register of the root port. BAR targets are whole pages, so these are
 * bits 8 to 23 of the address; of a ring they are bits 0 to 15.
 */
#define POWER_OFF       (PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF)
#define EJECTS          (POWER_OFF << 8)
#define EJECTING_RING   (RING(0) + POWER_OFF)
#define RESETS          (PCI_BRIDGE_CTL_BUS_RESET << 8)

/* ---- The event of a virtio-iommu ---- */

static void virtio_iommu_begin(QTestState *q, uint64_t event)
{
    epvm_write_bus0(q, VIOMMU, PCI_BASE_ADDRESS_4, VIO);
    epvm_write_bus0(q, VIOMMU, PCI_BASE_ADDRESS_5, 0);
    epvm_write_bus0(q, VIOMMU, PCI_COMMAND,
                    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    qtest_writeb(q, VIO_STATUS, 3);
    qtest_writel(q, VIO_FEATURE_SEL, 1);
    qtest_writel(q, VIO_FEATURE, VIO_VERSION_1);
    qtest_writeb(q, VIO_STATUS, 0xb);
    qtest_writew(q, VIO_QUEUE, EVENT_QUEUE);
    qtest_writew(q, VIO_QUEUE_SIZE, 16);
    qtest_writeq(q, VIO_QUEUE_DESC, DESC);
    qtest_writeq(q, VIO_QUEUE_AVAIL, AVAIL);
    qtest_writeq(q, VIO_QUEUE_USED, USED);
    qtest_writew(q, VIO_QUEUE_ON, 1);
    qtest_writeb(q, VIO_STATUS, 0xf);

    qtest_writeq(q, DESC, event);
    qtest_writel(q, DESC + 8, EVENT_SIZE);
    qtest_writew(q, DESC + 12, 2);          /* the device writes it */
    qtest_writew(q, AVAIL + 2, 1);
}

static EpVm *start_virtio(void)
{
    return epvm_start_behind_port(",functions=8 "
                                  "-device virtio-iommu-pci,boot-bypass=off,"
                                  "addr=" G_STRINGIFY(VIOMMU));
}

/* Faults store the address, from its bit @bit on, in register @reg. */
static void aim_at(EpVm *e, uint64_t reg, unsigned bit)
{
    virtio_iommu_begin(e->q, reg - EVENT_ADDRESS - bit / 8);
}

static void aim_at_power(EpVm *e, unsigned bit)
{
    aim_at(e, epvm_port_config(e, PCI_CAP_ID_EXP) + PCI_EXP_SLTCTL, bit);
}

static void assert_ejected(EpVm *e)
{
    qtest_qmp_eventwait(e->q, "DEVICE_DELETED");
    fence_main_loop(e->q);
    epvm_stop(e);
}

/* ---- Ejected ---- */

/* The functions of the controller, once freed, are not in memory any more. */
static EpVm *start_unmapping(void)
{
    EpVm *e;

    g_setenv("MALLOC_MMAP_THRESHOLD_", "4096", true);
    g_setenv("MALLOC_TOP_PAD_", "0", true);
    e = start_virtio();
    g_unsetenv("MALLOC_MMAP_THRESHOLD_");
    g_unsetenv("MALLOC_TOP_PAD_");
    return e;
}

static void eject_by_dma(unsigned descriptors)
{
    EpVm *e = start_unmapping();
    uint64_t ch = epvm_reg(e, EPC_REG_DMA_BASE);

    aim_at_power(e, 0);
    epvm_write(e, ch + EPC_DMA_RING, 8, EJECTING_RING);
    epvm_write(e, ch + EPC_DMA_SIZE, 4, 16);
    epvm_write(e, ch + EPC_DMA_CTRL, 4, EPC_DMA_CTRL_ENABLE);
    epvm_write(e, ch + EPC_DMA_PRODUCER, 4, descriptors);
    assert_ejected(e);
}

/* Several descriptors are work for the thread of the DMA engine. */
static void test_eject_worker(void)
{
    eject_by_dma(2);
}

/* A single one may be done by the CPU. */
static void test_eject_cpu(void)
{
    eject_by_dma(1);
}

static void test_eject_bar(void)
{
    EpVm *e = start_unmapping();

    aim_at_power(e, 8);
    epvm_bar_args(e, 0, 0, EJECTS, EPVM_BAR0_SIZE);
    epvm_set_fn_reg(e, EPC_FN_CMD, EPC_CMD_SET_BAR);
    assert_ejected(e);
}

static void test_eject_areas(void)
{
    EpVm *e = start_unmapping();

    g_assert_cmpuint(epvm_set_bar(e, 0, 0, EPC_ADDR_NONE, EPVM_BAR0_SIZE), ==,
                     EPC_STATUS_OK);
    aim_at_power(e, 8);
    epvm_area_args(e, 0, EPC_ADDR_NONE, PAGE);
    epvm_area_args(e, 1, EJECTS, PAGE);
    epvm_area_args(e, 2, EJECTS + PAGE, PAGE);
    epvm_set_fn_reg(e, EPC_FN_BAR, 0);
    epvm_set_fn_reg(e, EPC_FN_COUNT, 3);
    epvm_set_fn_reg(e, EPC_FN_CMD, EPC_CMD_SET_AREAS);
    assert_ejected(e);
}

/* ---- Reset ---- */

/* The command is void, so it defines no BAR, and its status is not seen. */
static void test_reset_bar(void)
{
    EpVm *e = start_virtio();

    aim_at(e, epvm_port_config(e, 0) + PCI_BRIDGE_CONTROL, 8);
    epvm_bar_args(e, 5, 0, RESETS, EPVM_BAR0_SIZE);
    epvm_set_fn_reg(e, EPC_FN_CMD, EPC_CMD_SET_BAR);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FN_BASE), !=, e->fn_base);
    epvm_enable(e);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_STATUS), ==, EPC_STATUS_OK);
    /* BAR 4 takes the place of BAR 5 as well. */
    g_assert_cmpuint(epvm_set_bar(e, 4, EPC_BAR_FLAG_64, EPC_ADDR_NONE,
                                  EPVM_BAR0_SIZE), ==, EPC_STATUS_OK);
    epvm_stop(e);
}

/* ---- Interrupt ---- */

/*
 * The interrupt is delivered to a CPU, which QEMU does with its big lock held.
 * TCG checks that. The CPU itself is stopped.
 */
static void test_interrupt(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, " -device intel-iommu -accel tcg -S");
    uint64_t ch = epvm_reg(e, EPC_REG_DMA_BASE);

    qtest_memset(e->q, ROOT, 0, PAGE);
    vtd_set_root(e->q, ROOT);
    qtest_writel(e->q, VTD_FECTL + 4, MSI_NMI);
    qtest_writel(e->q, VTD_FECTL + 8, MSI);
    qtest_writel(e->q, VTD_FECTL, 0);
    vtd_translate(e->q, true);

    epvm_write(e, ch + EPC_DMA_RING, 8, RING(0));
    epvm_write(e, ch + EPC_DMA_SIZE, 4, 16);
    epvm_write(e, ch + EPC_DMA_CTRL, 4, EPC_DMA_CTRL_ENABLE);
    epvm_write(e, ch + EPC_DMA_PRODUCER, 4, 2);
    wait_until(qtest_readl(e->q, VTD_FSTS) & VTD_FSTS_PPF,
               "a fault that the IOMMU reports");
    wait_until(epvm_read(e, ch + EPC_DMA_STATE, 4) & EPC_DMA_STATE_ERROR,
               "the channel to stop with an error");
    epvm_stop(e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/fault/eject-worker", test_eject_worker);
    qtest_add_func("/pci-epc/fault/eject-cpu", test_eject_cpu);
    qtest_add_func("/pci-epc/fault/eject-bar", test_eject_bar);
    qtest_add_func("/pci-epc/fault/eject-areas", test_eject_areas);
    qtest_add_func("/pci-epc/fault/reset-bar", test_reset_bar);
    if (qtest_has_accel("tcg")) {
        qtest_add_func("/pci-epc/fault/interrupt", test_interrupt);
    }
    return g_test_run();
}
