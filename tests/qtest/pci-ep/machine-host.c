/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host machine of a link in a qtest
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "pci-ep-host.h"

#define TIMEOUT_MS 10000

/* PCIEXBAR of the host bridge, where firmware puts it as well */
#define PCIEXBAR    0x60
#define ECAM        0xb0000000u

static QTestState *start(const char *first, const char *socket,
                         unsigned deadline_ms, bool shared)
{
    return qtest_initf("%s -machine q35 -m 128M -nodefaults "
                       "-object memory-backend-memfd,id=ram,size=128M,share=%s "
                       "-machine memory-backend=ram "
                       "-global ICH9-LPC."
                       "acpi-pci-hotplug-with-bridge-support=off "
                       "-device epf-bridge,id=br,addr=4,socket=%s,"
                       "deadline-ms=%u",
                       first, shared ? "on" : "off", socket, deadline_ms);
}

QTestState *eph_start(const char *socket, unsigned deadline_ms, bool shared)
{
    return start("", socket, deadline_ms, shared);
}

QTestState *eph_start_args(const char *args, const char *socket,
                           unsigned deadline_ms)
{
    return start(args, socket, deadline_ms, true);
}

QTestState *eph_start_private(const char *args, const char *socket,
                              unsigned deadline_ms)
{
    return start(args, socket, deadline_ms, false);
}

QTestState *eph_start_vcpu(const char *args, const char *socket,
                           unsigned deadline_ms, const char *firmware)
{
    g_autofree char *first = g_strdup_printf("-accel tcg -bios %s %s",
                                             firmware, args);

    return start(first, socket, deadline_ms, true);
}

static void select_reg(QTestState *q, unsigned bdf, unsigned reg)
{
    qtest_outl(q, 0xcf8, 1u << 31 | bdf << 8 | (reg & 0xfc));
}

uint8_t eph_readb(QTestState *q, unsigned bdf, unsigned reg)
{
    select_reg(q, bdf, reg);
    return qtest_inb(q, 0xcfc + (reg & 3));
}

uint16_t eph_readw(QTestState *q, unsigned bdf, unsigned reg)
{
    select_reg(q, bdf, reg);
    return qtest_inw(q, 0xcfc + (reg & 2));
}

uint32_t eph_readl(QTestState *q, unsigned bdf, unsigned reg)
{
    select_reg(q, bdf, reg);
    return qtest_inl(q, 0xcfc);
}

void eph_writeb(QTestState *q, unsigned bdf, unsigned reg, uint8_t val)
{
    select_reg(q, bdf, reg);
    qtest_outb(q, 0xcfc + (reg & 3), val);
}

void eph_writew(QTestState *q, unsigned bdf, unsigned reg, uint16_t val)
{
    select_reg(q, bdf, reg);
    qtest_outw(q, 0xcfc + (reg & 2), val);
}

void eph_writel(QTestState *q, unsigned bdf, unsigned reg, uint32_t val)
{
    select_reg(q, bdf, reg);
    qtest_outl(q, 0xcfc, val);
}

void eph_enable_ecam(QTestState *q)
{
    eph_writel(q, 0, PCIEXBAR + 4, 0);
    eph_writel(q, 0, PCIEXBAR, ECAM | 1);
}

uint32_t eph_ecam_readl(QTestState *q, unsigned bdf, unsigned reg)
{
    return qtest_readl(q, ECAM + (bdf << 12) + reg);
}

void eph_ecam_writel(QTestState *q, unsigned bdf, unsigned reg, uint32_t val)
{
    qtest_writel(q, ECAM + (bdf << 12) + reg, val);
}

unsigned eph_find_cap(QTestState *q, unsigned bdf, uint8_t id)
{
    unsigned at = eph_readb(q, bdf, PCI_CAPABILITY_LIST);

    for (unsigned i = 0; at && i < 48; i++) {
        if (eph_readb(q, bdf, at) == id) {
            return at;
        }
        at = eph_readb(q, bdf, at + PCI_CAP_LIST_NEXT);
    }
    return 0;
}

static uint64_t in_bar(uint32_t reg)
{
    return EPH_BAR(reg & PCI_MSIX_FLAGS_BIRMASK) +
           (reg & ~PCI_MSIX_FLAGS_BIRMASK);
}

void eph_msix(QTestState *q, uint64_t *table, uint64_t *pba)
{
    unsigned cap = eph_find_cap(q, EPH_FUNCTION, PCI_CAP_ID_MSIX);

    g_assert_cmpuint(cap, !=, 0);
    *table = in_bar(eph_readl(q, EPH_FUNCTION, cap + PCI_MSIX_TABLE));
    *pba = in_bar(eph_readl(q, EPH_FUNCTION, cap + PCI_MSIX_PBA));
}

void eph_enable_port(QTestState *q)
{
    eph_writel(q, EPH_PORT, PCI_PRIMARY_BUS, 0x00010100);
    eph_writel(q, EPH_PORT, PCI_MEMORY_BASE,
               EPH_BARS >> 16 | (EPH_BARS + 0xf00000));
    /* Another window, above: prefetchable BARs of 32 bits go below as well */
    eph_writel(q, EPH_PORT, PCI_PREF_MEMORY_BASE, 0x0000fff0);
    eph_writew(q, EPH_PORT, PCI_COMMAND,
               PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void eph_enable_function(QTestState *q, bool master)
{
    for (unsigned i = 0; i < 6; i++) {
        unsigned reg = PCI_BASE_ADDRESS_0 + i * 4;
        uint32_t type = eph_readl(q, EPH_FUNCTION, reg);

        eph_writel(q, EPH_FUNCTION, reg, EPH_BAR(i));
        if ((type & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
            PCI_BASE_ADDRESS_MEM_TYPE_64) {
            i++;
            eph_writel(q, EPH_FUNCTION, reg + 4, 0);
        }
    }
    eph_writew(q, EPH_FUNCTION, PCI_COMMAND,
               PCI_COMMAND_MEMORY | (master ? PCI_COMMAND_MASTER : 0));
}

static unsigned exp_cap(QTestState *q)
{
    unsigned cap = eph_find_cap(q, EPH_PORT, PCI_CAP_ID_EXP);

    g_assert_cmpuint(cap, !=, 0);
    return cap;
}

uint16_t eph_slot_status(QTestState *q)
{
    return eph_readw(q, EPH_PORT, exp_cap(q) + PCI_EXP_SLTSTA);
}

uint16_t eph_link_status(QTestState *q)
{
    return eph_readw(q, EPH_PORT, exp_cap(q) + PCI_EXP_LNKSTA);
}

void eph_wait_present(QTestState *q, bool present)
{
    for (unsigned i = 0; i < TIMEOUT_MS; i++) {
        if (!!(eph_slot_status(q) & PCI_EXP_SLTSTA_PDS) == present) {
            return;
        }
        g_usleep(1000);
    }
    g_error("the slot did not become %s: %s", present ? "full" : "empty",
            eph_prop_str(q, "last-error"));
}

static QDict *qom_get(QTestState *q, const char *name)
{
    QDict *r = qtest_qmp(q, "{'execute': 'qom-get', 'arguments': "
                         "{'path': '/machine/peripheral/br', "
                         "'property': %s}}", name);

    g_assert_true(qdict_haskey(r, "return"));
    return r;
}

bool eph_prop_bool(QTestState *q, const char *name)
{
    g_autoptr(QDict) r = qom_get(q, name);

    return qdict_get_bool(r, "return");
}

char *eph_prop_str(QTestState *q, const char *name)
{
    g_autoptr(QDict) r = qom_get(q, name);

    return g_strdup(qdict_get_str(r, "return"));
}

void eph_wait_error(QTestState *q, const char *text)
{
    for (unsigned i = 0; i < TIMEOUT_MS; i++) {
        g_autofree char *error = eph_prop_str(q, "last-error");

        if (strstr(error, text)) {
            return;
        }
        g_usleep(1000);
    }
    g_error("no report says '%s', but: %s", text,
            eph_prop_str(q, "last-error"));
}

uint64_t eph_prop_uint(QTestState *q, const char *name)
{
    g_autoptr(QDict) r = qom_get(q, name);

    return qdict_get_int(r, "return");
}

uint64_t eph_quiet_messages(QTestState *q)
{
    uint64_t n, before;

    do {
        before = eph_prop_uint(q, "messages");
        g_usleep(20000);
        n = eph_prop_uint(q, "messages");
    } while (n != before);
    return n;
}

void eph_wait_byte(QTestState *q, uint64_t addr, uint8_t val)
{
    for (unsigned i = 0; i < TIMEOUT_MS; i++) {
        if (qtest_readb(q, addr) == val) {
            return;
        }
        g_usleep(1000);
    }
    g_assert_cmphex(qtest_readb(q, addr), ==, val);
}

void eph_wait_mem(QTestState *q, uint64_t addr, uint32_t val)
{
    for (unsigned i = 0; i < TIMEOUT_MS; i++) {
        if (qtest_readl(q, addr) == val) {
            return;
        }
        g_usleep(1000);
    }
    g_assert_cmphex(qtest_readl(q, addr), ==, val);
}

bool eph_requested(QTestState *q, unsigned vector)
{
    g_autofree char *apic = qtest_hmp(q, "info lapic");
    const char *irr = strstr(apic, "IRR");
    char *end;

    g_assert_nonnull(irr);
    for (irr += strlen("IRR"); g_ascii_isspace(*irr); irr = end) {
        if (g_ascii_strtoull(irr, &end, 10) == vector && end != irr) {
            return true;
        }
        if (end == irr) {
            break;
        }
    }
    return false;
}

unsigned eph_count_maps(QTestState *q)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", qtest_pid(q));
    g_autofree char *text = NULL;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (const char *p = text; (p = strchr(p, '\n')); p++) {
        n++;
    }
    return n;
}

void eph_wait_maps(QTestState *q, unsigned most)
{
    gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;

    while (eph_count_maps(q) > most && g_get_monotonic_time() < end) {
        g_usleep(10000);
    }
    g_assert_cmpuint(eph_count_maps(q), <=, most);
}
