/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge behind an intel-iommu that announces its mappings (caching mode),
 * with an endpoint that answers slowly
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/intel-iommu.h"
#include "pci-ep/wait.h"

#define PAGE            0x1000u

/* Memory of the host: tables, and the page that all mappings show */
#define ROOT            0x300000ull
#define CONTEXT         0x301000ull
#define LEVEL2          0x302000ull
#define LEVEL1          0x303000ull
#define LEVEL0          0x1000000ull
#define MEMORY          0x400000ull

#define TABLES          8
#define PAGES           (TABLES * 512)
#define IOVA            0x80000000ull

/* Maps PAGES pages for 01:00.0. */
static void map_pages(QTestState *q)
{
    g_autofree uint64_t *pte = g_new(uint64_t, PAGES);

    for (unsigned i = 0; i < PAGES; i++) {
        pte[i] = cpu_to_le64(MEMORY | VTD_PTE_RW);
    }
    qtest_memset(q, ROOT, 0, LEVEL1 + PAGE - ROOT);
    qtest_memwrite(q, LEVEL0, pte, PAGES * sizeof(*pte));
    vtd_set_context(q, ROOT, 1, CONTEXT, 0, LEVEL2, 1);
    qtest_writeq(q, LEVEL2 + (IOVA >> 30) * 8, LEVEL1 | VTD_PTE_RW);
    vtd_set_root(q, ROOT);
    vtd_invalidate(q);
    vtd_translate(q, true);
    for (unsigned i = 0; i < TABLES; i++) {
        qtest_writeq(q, LEVEL1 + i * 8, (LEVEL0 + i * PAGE) | VTD_PTE_RW);
        vtd_invalidate(q);
    }
}

/* Each answer alone is quick, and so are all of a window. */
static bool hook_paced(FakeEp *s, const VfuMsg *m, void *opaque)
{
    if (m->hdr.command == VFU_CMD_DMA_UNMAP) {
        g_usleep(FIXTURE_DEADLINE_MS);
    }
    return false;
}

/* One store takes all pages away: that costs not much more than a deadline. */
static void test_paced(void)
{
    Fixture f;
    gint64 t;

    fixture_start_with(&f, 0, "-device intel-iommu,caching-mode=on");
    fixture_link_up(&f, true);
    map_pages(f.q);
    g_assert_nonnull(fakeep_nth(f.ep, VFU_CMD_DMA_MAP, PAGES - 1));
    f.ep->hook = hook_paced;
    qtest_memset(f.q, LEVEL1, 0, PAGE);
    t = g_get_monotonic_time();
    vtd_invalidate(f.q);
    t = g_get_monotonic_time() - t;
    g_test_message("%u pages took %d ms", PAGES, (int)(t / 1000));
    g_assert_cmpint(t, <, FIXTURE_DEADLINE_MS * 3000);
    hostvm_wait_error(f.q, "answers too slowly");
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("epf-bridge/iommu/paced", test_paced);
    return g_test_run();
}
