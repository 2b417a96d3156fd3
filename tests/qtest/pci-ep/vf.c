/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host machine with a fake endpoint that has virtual functions
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "vf.h"

FakeEp *vfdev_vf(VfDev *d, unsigned n)
{
    return d->ep[d->fns + n];
}

unsigned vfdev_bdf(VfDev *d, unsigned n)
{
    return HOSTVM_FUNCTION + d->fns + n;
}

static void make_virtual(FakeEp *s)
{
    stl_le_p(s->config + PCI_VENDOR_ID, UINT32_MAX);
    memset(s->config + PCI_BASE_ADDRESS_0, 0, 24);
}

static void make_capability(VfDev *d)
{
    uint8_t *c = d->ep[0]->config + VFDEV_SRIOV;

    d->sriov = c;
    stl_le_p(c, PCI_EXT_CAP_ID_SRIOV | 1 << 16 | VFDEV_NEXT << 20);
    stw_le_p(c + PCI_SRIOV_INITIAL_VF, d->vfs);
    stw_le_p(c + PCI_SRIOV_TOTAL_VF, d->vfs);
    stw_le_p(c + PCI_SRIOV_VF_OFFSET, d->fns);
    stw_le_p(c + PCI_SRIOV_VF_STRIDE, 1);
    stw_le_p(c + PCI_SRIOV_VF_DID, VFDEV_DEVICE);
    stl_le_p(c + PCI_SRIOV_BAR + 2 * 4, PCI_BASE_ADDRESS_MEM_TYPE_64);
    stl_le_p(c + PCI_SRIOV_BAR + 4 * 4, PCI_BASE_ADDRESS_MEM_PREFETCH);
    stl_le_p(d->ep[0]->config + VFDEV_NEXT, VFDEV_NEXT_HEADER);
}

void vfdev_make(VfDev *d, unsigned fns, unsigned vfs)
{
    *d = (VfDev) { .fns = fns, .vfs = vfs };
    for (unsigned i = 0; i < fns + vfs; i++) {
        FakeEp *s = d->ep[i] = fakeep_new();

        s->features |= VFU_EP_FEATURE_FUNC;
        s->functions = (1u << (fns + vfs)) - 1;
        if (i) {
            g_free(s->path);
            s->path = g_strdup_printf("%s.%u", d->ep[0]->path, i);
        }
        if (i >= fns) {
            make_virtual(s);
        }
    }
    make_capability(d);
}

void vfdev_launch(VfDev *d, const char *args)
{
    for (unsigned i = 0; i < d->fns + d->vfs; i++) {
        fakeep_listen(d->ep[i]);
    }
    d->q = hostvm_start_args(args, d->ep[0]->path, VFDEV_DEADLINE_MS);
    hostvm_enable_port(d->q);
    hostvm_enable_ecam(d->q);
}

void vfdev_all_up(VfDev *d)
{
    for (unsigned i = 0; i < d->fns + d->vfs; i++) {
        g_assert_cmpint(fakeep_link_up(d->ep[i]), ==, 0);
    }
    hostvm_wait_present(d->q, true);
}

void vfdev_all_down(VfDev *d)
{
    for (unsigned i = 0; i < d->fns + d->vfs; i++) {
        g_assert_cmpint(fakeep_link_down(d->ep[i]), ==, 0);
    }
    hostvm_wait_present(d->q, false);
}

void vfdev_start(VfDev *d, unsigned fns, unsigned vfs)
{
    vfdev_make(d, fns, vfs);
    vfdev_launch(d, "");
    vfdev_all_up(d);
}

void vfdev_end(VfDev *d)
{
    qtest_quit(d->q);
    for (unsigned i = 0; i < d->fns + d->vfs; i++) {
        fakeep_free(d->ep[i]);
    }
}

uint32_t vfdev_read(VfDev *d, unsigned reg)
{
    return hostvm_ecam_readl(d->q, HOSTVM_FUNCTION, VFDEV_SRIOV + reg);
}

void vfdev_write(VfDev *d, unsigned reg, uint32_t val)
{
    hostvm_ecam_writel(d->q, HOSTVM_FUNCTION, VFDEV_SRIOV + reg, val);
}

static void set_bars(VfDev *d)
{
    for (unsigned i = 0; i < 6; i++) {
        vfdev_write(d, PCI_SRIOV_BAR + i * 4, i == 3 ? 0 : VFDEV_BAR(i));
    }
}

void vfdev_enable(VfDev *d, unsigned n)
{
    set_bars(d);
    vfdev_write(d, PCI_SRIOV_NUM_VF, n);
    vfdev_write(d, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
}

void vfdev_disable(VfDev *d)
{
    vfdev_write(d, PCI_SRIOV_CTRL, 0);
    vfdev_write(d, PCI_SRIOV_NUM_VF, 0);
}

void vfdev_check_enabled(VfDev *d, unsigned n)
{
    for (unsigned i = 0; i < d->vfs; i++) {
        g_assert_cmphex(hostvm_readl(d->q, vfdev_bdf(d, i), 0), ==, UINT32_MAX);
        g_assert_cmphex(hostvm_readl(d->q, vfdev_bdf(d, i), PCI_CLASS_REVISION),
                        ==, i < n ? 0xff000000 : UINT32_MAX);
    }
}

bool vfdev_config_written(FakeEp *s, unsigned reg, uint32_t *val)
{
    bool seen = false;
    const VfuMsg *m;
    VfuRegionRw rw;

    *val = 0;
    for (unsigned i = 0; (m = fakeep_nth(s, VFU_CMD_REGION_WRITE, i)); i++) {
        memcpy(&rw, m->payload, sizeof(rw));
        if (rw.region == VFU_REGION_CONFIG && rw.offset == reg) {
            memcpy(val, m->payload + sizeof(rw), rw.count);
            seen = true;
        }
    }
    return seen;
}

/* In a BAR other than 0 each virtual function has one page. */
uint64_t vfdev_msix_table(VfDev *d, unsigned n)
{
    uint32_t at = hostvm_readl(d->q, vfdev_bdf(d, n),
                               VFDEV_MSIX + PCI_MSIX_TABLE);
    unsigned bir = at & PCI_MSIX_FLAGS_BIRMASK;

    return VFDEV_BAR(bir) + n * (bir ? 0x1000 : VFDEV_BAR0_SIZE) + at - bir;
}
