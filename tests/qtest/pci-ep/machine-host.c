/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host machine of a link
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "machine-host.h"
#include "wait.h"

/* PCIEXBAR of the host bridge, where firmware puts it as well */
#define PCIEXBAR    0x60
#define ECAM        0xb0000000u

static QTestState *hostvm_launch(const char *first, const char *socket,
                                 unsigned deadline_ms, const char *share)
{
    return qtest_initf("%s -machine q35 -m 128M -nodefaults "
                       "-object memory-backend-memfd,id=ram,size=128M,share=%s "
                       "-machine memory-backend=ram "
                       "-global ICH9-LPC."
                       "acpi-pci-hotplug-with-bridge-support=off "
                       "-device epf-bridge,id=br,addr=4,socket=%s,"
                       "deadline-ms=%u",
                       first, share, socket, deadline_ms);
}

QTestState *hostvm_start(const char *socket, unsigned deadline_ms, bool shared)
{
    return hostvm_launch("", socket, deadline_ms, shared ? "on" : "off");
}

QTestState *hostvm_start_unsealed(const char *socket, unsigned deadline_ms)
{
    return hostvm_launch("", socket, deadline_ms, "on,seal=off");
}

QTestState *hostvm_start_args(const char *args, const char *socket,
                              unsigned deadline_ms)
{
    return hostvm_launch(args, socket, deadline_ms, "on");
}

QTestState *hostvm_start_private(const char *args, const char *socket,
                                 unsigned deadline_ms)
{
    return hostvm_launch(args, socket, deadline_ms, "off");
}

QTestState *hostvm_start_vcpu(const char *args, const char *socket,
                              unsigned deadline_ms, const char *firmware)
{
    g_autofree char *first = g_strdup_printf("-accel tcg -bios %s %s",
                                             firmware, args);

    return hostvm_launch(first, socket, deadline_ms, "on");
}

static void select_reg(QTestState *q, unsigned bdf, unsigned reg)
{
    qtest_outl(q, 0xcf8, 1u << 31 | bdf << 8 | (reg & 0xfc));
}

uint8_t hostvm_readb(QTestState *q, unsigned bdf, unsigned reg)
{
    select_reg(q, bdf, reg);
    return qtest_inb(q, 0xcfc + (reg & 3));
}

uint16_t hostvm_readw(QTestState *q, unsigned bdf, unsigned reg)
{
    select_reg(q, bdf, reg);
    return qtest_inw(q, 0xcfc + (reg & 2));
}

uint32_t hostvm_readl(QTestState *q, unsigned bdf, unsigned reg)
{
    select_reg(q, bdf, reg);
    return qtest_inl(q, 0xcfc);
}

void hostvm_writeb(QTestState *q, unsigned bdf, unsigned reg, uint8_t val)
{
    select_reg(q, bdf, reg);
    qtest_outb(q, 0xcfc + (reg & 3), val);
}

void hostvm_writew(QTestState *q, unsigned bdf, unsigned reg, uint16_t val)
{
    select_reg(q, bdf, reg);
    qtest_outw(q, 0xcfc + (reg & 2), val);
}

void hostvm_writel(QTestState *q, unsigned bdf, unsigned reg, uint32_t val)
{
    select_reg(q, bdf, reg);
    qtest_outl(q, 0xcfc, val);
}

void hostvm_enable_ecam(QTestState *q)
{
    hostvm_writel(q, 0, PCIEXBAR + 4, 0);
    hostvm_writel(q, 0, PCIEXBAR, ECAM | 1);
}

uint64_t hostvm_ecam_address(unsigned bdf, unsigned reg)
{
    return ECAM + (bdf << 12) + reg;
}

uint32_t hostvm_ecam_readl(QTestState *q, unsigned bdf, unsigned reg)
{
    return qtest_readl(q, hostvm_ecam_address(bdf, reg));
}

void hostvm_ecam_writel(QTestState *q, unsigned bdf, unsigned reg, uint32_t val)
{
    qtest_writel(q, hostvm_ecam_address(bdf, reg), val);
}

unsigned hostvm_find_cap(QTestState *q, unsigned bdf, uint8_t id)
{
    unsigned at = hostvm_readb(q, bdf, PCI_CAPABILITY_LIST);

    for (unsigned i = 0; at && i < 48; i++) {
        if (hostvm_readb(q, bdf, at) == id) {
            return at;
        }
        at = hostvm_readb(q, bdf, at + PCI_CAP_LIST_NEXT);
    }
    return 0;
}

static uint64_t in_bar(uint32_t reg)
{
    return HOSTVM_BAR(reg & PCI_MSIX_FLAGS_BIRMASK) +
           (reg & ~PCI_MSIX_FLAGS_BIRMASK);
}

void hostvm_msix(QTestState *q, uint64_t *table, uint64_t *pba)
{
    unsigned cap = hostvm_find_cap(q, HOSTVM_FUNCTION, PCI_CAP_ID_MSIX);

    g_assert_cmpuint(cap, !=, 0);
    *table = in_bar(hostvm_readl(q, HOSTVM_FUNCTION, cap + PCI_MSIX_TABLE));
    *pba = in_bar(hostvm_readl(q, HOSTVM_FUNCTION, cap + PCI_MSIX_PBA));
}

void hostvm_enable_port(QTestState *q)
{
    hostvm_writel(q, HOSTVM_PORT, PCI_PRIMARY_BUS, 0x00010100);
    hostvm_writel(q, HOSTVM_PORT, PCI_MEMORY_BASE,
                  HOSTVM_BARS >> 16 | (HOSTVM_BARS + 0xf00000));
    /* Another window, above: prefetchable BARs of 32 bits go below as well */
    hostvm_writel(q, HOSTVM_PORT, PCI_PREF_MEMORY_BASE, 0x0000fff0);
    hostvm_writew(q, HOSTVM_PORT, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void hostvm_enable_function(QTestState *q, bool master)
{
    for (unsigned i = 0; i < 6; i++) {
        unsigned reg = PCI_BASE_ADDRESS_0 + i * 4;
        uint32_t type = hostvm_readl(q, HOSTVM_FUNCTION, reg);

        hostvm_writel(q, HOSTVM_FUNCTION, reg, HOSTVM_BAR(i));
        if ((type & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
            PCI_BASE_ADDRESS_MEM_TYPE_64) {
            i++;
            hostvm_writel(q, HOSTVM_FUNCTION, reg + 4, 0);
        }
    }
    hostvm_writew(q, HOSTVM_FUNCTION, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | (master ? PCI_COMMAND_MASTER : 0));
}

static unsigned exp_cap(QTestState *q)
{
    unsigned cap = hostvm_find_cap(q, HOSTVM_PORT, PCI_CAP_ID_EXP);

    g_assert_cmpuint(cap, !=, 0);
    return cap;
}

/* The bridge to the ISA bus of q35, which has the registers of sleep */
#define LPC             0x00f8
#define LPC_PMBASE      0x40
#define LPC_ACPI        0x44
#define LPC_ACPI_ENABLE 0x80
#define PM_PORT         0x600
#define PM_CONTROL      (PM_PORT + 4)
#define PM_SLEEP_S3     (1 << 13 | 1 << 10)

void hostvm_sleep(QTestState *q)
{
    hostvm_writel(q, LPC, LPC_PMBASE, PM_PORT | 1);
    hostvm_writeb(q, LPC, LPC_ACPI, LPC_ACPI_ENABLE);
    qtest_outw(q, PM_CONTROL, PM_SLEEP_S3);
    qtest_qmp_eventwait(q, "SUSPEND");
}

void hostvm_wake(QTestState *q)
{
    qtest_qmp_assert_success(q, "{'execute': 'system_wakeup'}");
    qtest_qmp_eventwait(q, "WAKEUP");
}

uint16_t hostvm_slot_status(QTestState *q)
{
    return hostvm_readw(q, HOSTVM_PORT, exp_cap(q) + PCI_EXP_SLTSTA);
}

uint16_t hostvm_link_status(QTestState *q)
{
    return hostvm_readw(q, HOSTVM_PORT, exp_cap(q) + PCI_EXP_LNKSTA);
}

void hostvm_wait_present(QTestState *q, bool present)
{
    wait_until(!!(hostvm_slot_status(q) & PCI_EXP_SLTSTA_PDS) == present,
               "the slot to become %s; the last error is '%s'",
               present ? "full" : "empty", hostvm_prop_str(q, "last-error"));
}

static QDict *qom_get(QTestState *q, const char *name)
{
    QDict *r = qtest_qmp(q, "{'execute': 'qom-get', 'arguments': "
                         "{'path': '/machine/peripheral/br', "
                         "'property': %s}}", name);

    g_assert_true(qdict_haskey(r, "return"));
    return r;
}

bool hostvm_prop_bool(QTestState *q, const char *name)
{
    g_autoptr(QDict) r = qom_get(q, name);

    return qdict_get_bool(r, "return");
}

char *hostvm_prop_str(QTestState *q, const char *name)
{
    g_autoptr(QDict) r = qom_get(q, name);

    return g_strdup(qdict_get_str(r, "return"));
}

void hostvm_wait_error(QTestState *q, const char *text)
{
    gint64 end = wait_deadline(WAIT_MS);

    for (;;) {
        g_autofree char *error = hostvm_prop_str(q, "last-error");

        if (strstr(error, text)) {
            return;
        }
        if (!wait_step(end)) {
            wait_failed(__FILE__, __LINE__,
                        "a report that says '%s'; the last error is '%s'",
                        text, error);
        }
    }
}

char *hostvm_wait_other_error(QTestState *q, const char *text)
{
    gint64 end = wait_deadline(WAIT_MS);

    for (;;) {
        g_autofree char *error = hostvm_prop_str(q, "last-error");

        if (!strstr(error, text)) {
            return g_steal_pointer(&error);
        }
        if (!wait_step(end)) {
            wait_failed(__FILE__, __LINE__, "another report than '%s'", error);
        }
    }
}

uint64_t hostvm_prop_uint(QTestState *q, const char *name)
{
    g_autoptr(QDict) r = qom_get(q, name);

    return qdict_get_int(r, "return");
}

uint64_t hostvm_settled_messages(QTestState *q)
{
    gint64 end = wait_deadline(WAIT_MS);
    uint64_t n, before;

    n = hostvm_prop_uint(q, "messages");
    do {
        before = n;
        g_usleep(20000);
        n = hostvm_prop_uint(q, "messages");
        if (!wait_step(end)) {
            wait_failed(__FILE__, __LINE__, "messages to stop; the last of %"
                        PRIu64 " were not the last", n);
        }
    } while (n != before);
    return n;
}

static QDict *hostvm_qom_set_fault(QTestState *q, const char *request)
{
    return qtest_qmp(q, "{'execute': 'qom-set', 'arguments': "
                     "{'path': '/machine/peripheral/br', "
                     "'property': 'fault', 'value': %s}}", request);
}

void hostvm_fault(QTestState *q, const char *request)
{
    g_autoptr(QDict) r = hostvm_qom_set_fault(q, request);

    if (qdict_haskey(r, "error")) {
        g_error("'%s': %s", request,
                qdict_get_str(qdict_get_qdict(r, "error"), "desc"));
    }
    fence_main_loop(q);
}

void hostvm_fault_try(QTestState *q, const char *request)
{
    qobject_unref(hostvm_qom_set_fault(q, request));
    fence_main_loop(q);
}

void hostvm_fault_refused(QTestState *q, const char *request,
                          const char *text)
{
    g_autoptr(QDict) r = hostvm_qom_set_fault(q, request);
    const char *desc;

    g_assert_true(qdict_haskey(r, "error"));
    desc = qdict_get_str(qdict_get_qdict(r, "error"), "desc");
    if (!strstr(desc, text)) {
        g_error("'%s': \"%s\" lacks \"%s\"", request, desc, text);
    }
}

unsigned hostvm_fault_count(QTestState *q, const char *kind)
{
    g_autofree char *log = hostvm_prop_str(q, "fault-log");
    g_autofree char *name = g_strdup_printf("\"%s\"", kind);
    unsigned n = 0;

    for (const char *p = log; (p = strstr(p, name)); p++) {
        n++;
    }
    return n;
}

void hostvm_wait_byte(QTestState *q, uint64_t addr, uint8_t val)
{
    wait_until(qtest_readb(q, addr) == val,
               "byte 0x%x at 0x%" PRIx64 ", where 0x%x is", val, addr,
               qtest_readb(q, addr));
}

void hostvm_wait_mem(QTestState *q, uint64_t addr, uint32_t val)
{
    wait_until(qtest_readl(q, addr) == val,
               "word 0x%x at 0x%" PRIx64 ", where 0x%x is", val, addr,
               qtest_readl(q, addr));
}

bool hostvm_requested(QTestState *q, unsigned vector)
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

unsigned hostvm_own_kib(QTestState *q)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps", qtest_pid(q));
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned n = 0, kib;
    bool counts = false;
    char access[5];

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (sscanf(*line, "%*x-%*x %4s", access) == 1) {
            counts = !strchr(access, 'x');
        } else if (counts && sscanf(*line, "Anonymous: %u", &kib) == 1) {
            n += kib;
        }
    }
    return n;
}

static unsigned hostvm_count_memfds(QTestState *q)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", qtest_pid(q));
    g_autofree char *text = NULL;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (const char *p = text; (p = strstr(p, "/memfd:")); p++) {
        n++;
    }
    return n;
}

static unsigned hostvm_count_threads(QTestState *q)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task", qtest_pid(q));
    GDir *d = g_dir_open(path, 0, NULL);
    unsigned n = 0;

    g_assert_nonnull(d);
    while (g_dir_read_name(d)) {
        n++;
    }
    g_dir_close(d);
    return n;
}

unsigned hostvm_count_held(QTestState *q)
{
    return hostvm_count_memfds(q) + hostvm_count_threads(q);
}

static unsigned hostvm_count_thread_sleeps(const char *dir, const char *tid)
{
    const char *key = "\nvoluntary_ctxt_switches:";
    g_autofree char *path = g_strdup_printf("%s/%s/status", dir, tid);
    g_autofree char *text = NULL;
    const char *line;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return 0;   /* It has ended. */
    }
    line = strstr(text, key);
    g_assert_nonnull(line);
    return atoi(line + strlen(key));
}

unsigned hostvm_count_sleeps(QTestState *q)
{
    g_autofree char *main_tid = g_strdup_printf("%d", qtest_pid(q));
    g_autofree char *dir = g_strdup_printf("/proc/%s/task", main_tid);
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *tid;
    unsigned n = 0;

    g_assert_nonnull(d);
    while ((tid = g_dir_read_name(d))) {
        if (!g_str_equal(tid, main_tid)) {
            n += hostvm_count_thread_sleeps(dir, tid);
        }
    }
    g_dir_close(d);
    return n;
}

void hostvm_wait_held(QTestState *q, unsigned most)
{
    wait_until(hostvm_count_held(q) <= most,
               "at most %u mappings and threads, not %u", most,
               hostvm_count_held(q));
}
