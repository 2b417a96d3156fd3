/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: the host maps the same bus address to one page after the other, as a
 * host with an IOMMU does, while a vCPU reads it through the window and a
 * channel reads it by DMA
 *
 * Memory that may only be read traps, so the window is memory and a device in
 * turn.  What the vCPU has in its TLB must follow.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/dma.h"
#include "pci-ep/vcpu.h"
#include "pci-ep/wait.h"

/* The vCPU has 32-bit addresses. */
#define WINDOW      0x90000000u
#define PAGE        0x1000u
#define PAGES       8u
#define ROUNDS      200u
#define KEPT        4u

typedef struct Vcpu {
    const char *accel, *firmware;
} Vcpu;

static EpDma remap_start(const Vcpu *v)
{
    g_autofree char *props = g_strdup_printf(",window-size=1M -accel %s "
                                             "-bios %s", v->accel,
                                             v->firmware);
    EpDma d = epdma_start(props);

    d.e->window = WINDOW;
    epvm_enable(d.e);
    return d;
}

/* The host gives the bus address another page, whose first word is @value. */
static void remap(EpDma *d, unsigned round, uint32_t value)
{
    unsigned page = round % PAGES;
    uint32_t flags = (round + round / KEPT) & 1 ? VFU_DMA_READ : RW;

    stl_le_p(d->mem + page * PAGE, value);
    g_assert_cmpint(fakehost_dma_unmap(d->c, HOST, MEM_SIZE), ==, 0);
    g_assert_cmpint(fakehost_dma_map(d->c, HOST, PAGE, d->fd, page * PAGE,
                                     flags), ==, 0);
}

static void check_dma(EpDma *d, uint32_t value)
{
    g_assert_cmpuint(epdma_copy(d, HOST, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(d->e->q, BUFFER), ==, value);
}

/*
 * The endpoint makes its map anew every KEPT rounds, and keeps it otherwise.  Then
 * the main loop shows soon that the window traps, and the test waits for that.
 */
static void test_remap(const void *opaque)
{
    EpDma d = remap_start(opaque);

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t value = 0x5a000000 + i;

        remap(&d, i, value);
        if (i % KEPT == 0) {
            g_assert_cmpuint(epvm_map(d.e, 0, HOST, PAGE), ==, EPC_STATUS_OK);
        } else {
            fence_main_loop(d.e->q);
        }
        vcpu_rest(d.e->q);
        vcpu_run(d.e->q, WINDOW, value);
        check_dma(&d, value);
        g_assert_cmpuint(qtest_readl(d.e->q, VCPU_WRONG), ==, 0);
        if (i % KEPT == KEPT - 1) {
            g_assert_cmpuint(epvm_unmap(d.e, 0), ==, EPC_STATUS_OK);
            vcpu_rest(d.e->q);
            vcpu_run(d.e->q, WINDOW, UINT32_MAX);
            g_assert_cmpuint(qtest_readl(d.e->q, VCPU_WRONG), ==, 0);
        }
    }
    vcpu_rest(d.e->q);
    epdma_end(&d);
}

int main(int argc, char **argv)
{
    g_autofree char *firmware = vcpu_write_firmware();
    const Vcpu tcg = { "tcg", firmware }, kvm = { "kvm", firmware };
    int ret;

    g_test_init(&argc, &argv, NULL);
    if (qtest_has_accel("tcg")) {
        qtest_add_data_func("/pci-epc/window-remap/tcg", &tcg, test_remap);
    }
    if (qtest_has_accel("kvm") && vcpu_works("kvm", firmware)) {
        qtest_add_data_func("/pci-epc/window-remap/kvm", &kvm, test_remap);
    }
    ret = g_test_run();
    unlink(firmware);
    return ret;
}
