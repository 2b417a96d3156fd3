/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An intel-iommu, with tables that a test writes to the memory of a machine
 */
#ifndef TESTS_QTEST_PCI_EP_INTEL_IOMMU_H
#define TESTS_QTEST_PCI_EP_INTEL_IOMMU_H

#include "libqtest.h"

/* Registers (VT-d specification, 11.4) */
#define VTD             0xfed90000ull
#define VTD_GCMD        (VTD + 0x18)
#define VTD_GCMD_TE     (1u << 31)
#define VTD_GCMD_SRTP   (1u << 30)
#define VTD_RTADDR      (VTD + 0x20)
#define VTD_CCMD        (VTD + 0x28)
#define VTD_CCMD_GLOBAL (1ull << 63 | 1ull << 61)
#define VTD_FSTS        (VTD + 0x34)
#define VTD_FSTS_PPF    (1u << 1)       /* a fault is pending */
#define VTD_FECTL       (VTD + 0x38)    /* with FEDATA and FEADDR after it */
#define VTD_IOTLB       (VTD + 0xf8)
#define VTD_IOTLB_GLOBAL (1ull << 63 | 1ull << 60)

/* Entries of tables that translate */
#define VTD_PTE_READ    1u
#define VTD_PTE_WRITE   2u
#define VTD_PTE_RW      (VTD_PTE_READ | VTD_PTE_WRITE)

/* Forgets what was cached of the tables. */
static inline void vtd_invalidate(QTestState *q)
{
    qtest_writeq(q, VTD_IOTLB, VTD_IOTLB_GLOBAL);
}

static inline void vtd_translate(QTestState *q, bool on)
{
    qtest_writel(q, VTD_GCMD, on ? VTD_GCMD_TE : 0);
}

/* The table of the buses is at @root. */
static inline void vtd_set_root(QTestState *q, uint64_t root)
{
    qtest_writeq(q, VTD_RTADDR, root);
    qtest_writel(q, VTD_GCMD, VTD_GCMD_SRTP);
    qtest_writeq(q, VTD_CCMD, VTD_CCMD_GLOBAL);
}

/*
 * Makes the functions of @bus have their entries in the table at @context, and
 * gives the one at @devfn three levels of tables, which begin at @table, and
 * the number @domain.
 */
static inline void vtd_set_context(QTestState *q, uint64_t root, unsigned bus,
                                   uint64_t context, unsigned devfn,
                                   uint64_t table, unsigned domain)
{
    qtest_writeq(q, root + bus * 16, context | 1);
    qtest_writeq(q, context + devfn * 16, table | 1);
    qtest_writeq(q, context + devfn * 16 + 8, domain << 8 | 1);
}

#endif /* TESTS_QTEST_PCI_EP_INTEL_IOMMU_H */
