/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with a scripted endpoint that has virtual functions
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-vfs.h"

EpServer *vfs_vf(VfDevice *d, unsigned n)
{
    return d->ep[d->fns + n];
}

unsigned vfs_bdf(VfDevice *d, unsigned n)
{
    return EPH_FUNCTION + d->fns + n;
}

static void make_virtual(EpServer *s)
{
    stl_le_p(s->config + PCI_VENDOR_ID, UINT32_MAX);
    memset(s->config + PCI_BASE_ADDRESS_0, 0, 24);
}

static void make_capability(VfDevice *d)
{
    uint8_t *c = d->ep[0]->config + VFS_SRIOV;

    d->sriov = c;
    stl_le_p(c, PCI_EXT_CAP_ID_SRIOV | 1 << 16 | VFS_NEXT << 20);
    stw_le_p(c + PCI_SRIOV_INITIAL_VF, d->vfs);
    stw_le_p(c + PCI_SRIOV_TOTAL_VF, d->vfs);
    stw_le_p(c + PCI_SRIOV_VF_OFFSET, d->fns);
    stw_le_p(c + PCI_SRIOV_VF_STRIDE, 1);
    stw_le_p(c + PCI_SRIOV_VF_DID, VFS_DEVICE);
    stl_le_p(c + PCI_SRIOV_BAR + 2 * 4, PCI_BASE_ADDRESS_MEM_TYPE_64);
    stl_le_p(c + PCI_SRIOV_BAR + 4 * 4, PCI_BASE_ADDRESS_MEM_PREFETCH);
    stl_le_p(d->ep[0]->config + VFS_NEXT, VFS_NEXT_HEADER);
}

void vfs_make(VfDevice *d, unsigned fns, unsigned vfs)
{
    *d = (VfDevice) { .fns = fns, .vfs = vfs };
    for (unsigned i = 0; i < fns + vfs; i++) {
        EpServer *s = d->ep[i] = eps_new();

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

void vfs_launch(VfDevice *d, const char *args)
{
    for (unsigned i = 0; i < d->fns + d->vfs; i++) {
        eps_listen(d->ep[i]);
    }
    d->q = eph_start_args(args, d->ep[0]->path, VFS_DEADLINE_MS);
    eph_enable_port(d->q);
    eph_enable_ecam(d->q);
}

void vfs_all_up(VfDevice *d)
{
    for (unsigned i = 0; i < d->fns + d->vfs; i++) {
        g_assert_cmpint(eps_link_up(d->ep[i]), ==, 0);
    }
    eph_wait_present(d->q, true);
}

void vfs_all_down(VfDevice *d)
{
    for (unsigned i = 0; i < d->fns + d->vfs; i++) {
        g_assert_cmpint(eps_link_down(d->ep[i]), ==, 0);
    }
    eph_wait_present(d->q, false);
}

void vfs_start(VfDevice *d, unsigned fns, unsigned vfs)
{
    vfs_make(d, fns, vfs);
    vfs_launch(d, "");
    vfs_all_up(d);
}

void vfs_end(VfDevice *d)
{
    qtest_quit(d->q);
    for (unsigned i = 0; i < d->fns + d->vfs; i++) {
        eps_free(d->ep[i]);
    }
}

uint32_t vfs_read(VfDevice *d, unsigned reg)
{
    return eph_ecam_readl(d->q, EPH_FUNCTION, VFS_SRIOV + reg);
}

void vfs_write(VfDevice *d, unsigned reg, uint32_t val)
{
    eph_ecam_writel(d->q, EPH_FUNCTION, VFS_SRIOV + reg, val);
}

static void set_bars(VfDevice *d)
{
    for (unsigned i = 0; i < 6; i++) {
        vfs_write(d, PCI_SRIOV_BAR + i * 4, i == 3 ? 0 : VFS_BAR(i));
    }
}

void vfs_enable(VfDevice *d, unsigned n)
{
    set_bars(d);
    vfs_write(d, PCI_SRIOV_NUM_VF, n);
    vfs_write(d, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
}

void vfs_disable(VfDevice *d)
{
    vfs_write(d, PCI_SRIOV_CTRL, 0);
    vfs_write(d, PCI_SRIOV_NUM_VF, 0);
}

void vfs_check_enabled(VfDevice *d, unsigned n)
{
    for (unsigned i = 0; i < d->vfs; i++) {
        g_assert_cmphex(eph_readl(d->q, vfs_bdf(d, i), 0), ==, UINT32_MAX);
        g_assert_cmphex(eph_readl(d->q, vfs_bdf(d, i), PCI_CLASS_REVISION), ==,
                        i < n ? 0xff000000 : UINT32_MAX);
    }
}

bool vfs_told(EpServer *s, unsigned reg, uint32_t *val)
{
    bool seen = false;
    const EpsMsg *m;
    VfuRegionRw rw;

    *val = 0;
    for (unsigned i = 0; (m = eps_nth(s, VFU_CMD_REGION_WRITE, i)); i++) {
        memcpy(&rw, m->payload, sizeof(rw));
        if (rw.region == VFU_REGION_CONFIG && rw.offset == reg) {
            memcpy(val, m->payload + sizeof(rw), rw.count);
            seen = true;
        }
    }
    return seen;
}

/* One page for each, when it is not in BAR 0 */
uint64_t vfs_msix_table(VfDevice *d, unsigned n)
{
    uint32_t at = eph_readl(d->q, vfs_bdf(d, n), VFS_MSIX + PCI_MSIX_TABLE);
    unsigned bir = at & PCI_MSIX_FLAGS_BIRMASK;

    return VFS_BAR(bir) + n * (bir ? 0x1000 : VFS_BAR0_SIZE) + at - bir;
}
