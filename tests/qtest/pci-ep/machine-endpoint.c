/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The endpoint machine of a link
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qnum.h"
#include "qobject/qbool.h"
#include "machine-endpoint.h"
#include "wait.h"

#define SLOT            5
#define SECOND          0x400000ull     /* between BARs of two controllers */
#define VECTOR_DATA     0x5a5a0000u

#define JOINING "{\"capabilities\":{\"max_msg_fds\":16," \
    "\"max_data_xfer_size\":1048576,\"" VFU_EP_KEY "\":{\"version\":1," \
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\",\"func\"]}}}"

/* Bus 0 in the configuration space of PCI Express */
static uint64_t ecam_address(EpVm *e, unsigned reg)
{
    return e->ecam + (e->slot << 15) + reg;
}

void epvm_write_config(EpVm *e, unsigned reg, unsigned width, uint32_t val)
{
    if (e->ecam && width == 2) {
        qtest_writew(e->q, ecam_address(e, reg), val);
        return;
    }
    if (e->ecam) {
        qtest_writel(e->q, ecam_address(e, reg), val);
        return;
    }
    qtest_outl(e->q, 0xcf8, 1u << 31 | e->slot << 11 | (reg & 0xfc));
    if (width == 2) {
        qtest_outw(e->q, 0xcfc + (reg & 2), val);
    } else {
        qtest_outl(e->q, 0xcfc, val);
    }
}

static uint32_t config_read(EpVm *e, unsigned reg)
{
    if (e->ecam) {
        return qtest_readl(e->q, ecam_address(e, reg & ~3)) >> (reg & 3) * 8;
    }
    qtest_outl(e->q, 0xcf8, 1u << 31 | e->slot << 11 | (reg & 0xfc));
    return qtest_inl(e->q, 0xcfc) >> (reg & 3) * 8;
}

static unsigned find_cap(EpVm *e, uint8_t id)
{
    unsigned at = config_read(e, PCI_CAPABILITY_LIST) & 0xff;

    for (unsigned i = 0; at && i < 48; i++) {
        if ((config_read(e, at) & 0xff) == id) {
            return at;
        }
        at = config_read(e, at + PCI_CAP_LIST_NEXT) & 0xff;
    }
    return 0;
}

static void enable_msix(EpVm *e)
{
    unsigned cap = find_cap(e, PCI_CAP_ID_MSIX);

    g_assert_cmpuint(cap, !=, 0);
    g_assert_cmphex(config_read(e, cap + PCI_MSIX_TABLE) & ~7u, ==, 0);
    for (unsigned v = 0; v < EPC_VECTORS; v++) {
        uint64_t entry = e->msix + v * 16;

        qtest_writel(e->q, e->vectors + v * 4, 0);
        qtest_writel(e->q, entry, e->vectors + v * 4);
        qtest_writel(e->q, entry + 4, 0);
        qtest_writel(e->q, entry + 8, VECTOR_DATA + v);
        qtest_writel(e->q, entry + 12, 0);
    }
    epvm_write_config(e, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void set_bar(EpVm *e, unsigned bar, uint64_t addr, bool wide)
{
    unsigned reg = PCI_BASE_ADDRESS_0 + 4 * bar;

    epvm_write_config(e, reg, 4, (uint32_t)addr);
    if (wide) {
        epvm_write_config(e, reg + 4, 4, addr >> 32);
    }
}

void epvm_enable(EpVm *e)
{
    g_assert_cmphex(config_read(e, PCI_VENDOR_ID), ==,
                    EPC_PCI_VENDOR_ID | EPC_PCI_DEVICE_ID << 16);
    set_bar(e, EPC_BAR_REGS, e->regs, false);
    set_bar(e, EPC_BAR_MSIX, e->msix, false);
    set_bar(e, EPC_BAR_WINDOW, e->window, true);
    set_bar(e, EPC_BAR_DOORBELL, e->doorbell, true);
    epvm_write_config(e, PCI_COMMAND, 2,
                      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    enable_msix(e);
}

static EpVm *new_endpoint(const char *id, unsigned index)
{
    EpVm *e = g_new0(EpVm, 1);

    e->id = id;
    e->slot = SLOT + index;
    e->regs = EPVM_REGS + index * SECOND;
    e->msix = EPVM_MSIX + index * SECOND;
    e->window = EPVM_WINDOW << index;
    e->doorbell = EPVM_DOORBELL + index * SECOND;
    e->vectors = EPVM_VECTORS + index * 0x1000;
    e->dir = g_dir_make_tmp("pci-epc-XXXXXX", NULL);
    g_assert_nonnull(e->dir);
    e->socket = g_strdup_printf("%s/link", e->dir);
    return e;
}

static void find_registers(EpVm *e)
{
    epvm_enable(e);
    e->fn_base = epvm_reg(e, EPC_REG_FN_BASE);
    e->fn_stride = epvm_reg(e, EPC_REG_FN_STRIDE);
    e->raise_base = epvm_reg(e, EPC_REG_RAISE_BASE);
    e->raise_stride = epvm_reg(e, EPC_REG_RAISE_STRIDE);
}

#define MACHINE "-m 128M -nodefaults -object %s,id=ram,size=128M " \
                "-machine memory-backend=ram " \
                "-device pci-epc,id=epc,addr=%d,socket=%s"

EpVm *epvm_start(const char *ram, const char *props)
{
    EpVm *e = new_endpoint("epc", 0);

    e->q = qtest_initf("-machine q35 " MACHINE "%s", ram, e->slot, e->socket,
                       props);
    find_registers(e);
    return e;
}

EpVm *epvm_start_arm64(const char *props)
{
    EpVm *e = new_endpoint("epc", 0);

    e->ecam = 0x3f000000;
    e->ram = EPVM_ARM64_RAM;
    e->regs = 0x10000000;
    e->msix = 0x10100000;
    e->doorbell = 0x8000000000;
    e->window = 0x8010000000;
    e->vectors += e->ram;
    e->q = qtest_initf("-machine virt,gic-version=3,its=on,highmem-ecam=off "
                       "-cpu cortex-a57 " MACHINE "%s", EPVM_SHARED, e->slot,
                       e->socket, props);
    find_registers(e);
    return e;
}

EpVm *epvm_start_two(const char *machine, EpVm **second)
{
    EpVm *e = new_endpoint("epc", 0);
    EpVm *e2 = new_endpoint("epc2", 1);

    e->q = qtest_initf("-machine %s " MACHINE
                       " -device pci-epc,id=epc2,addr=%d,socket=%s", machine,
                       EPVM_SHARED, e->slot, e->socket, e2->slot, e2->socket);
    e2->q = e->q;
    e2->second = true;
    find_registers(e);
    find_registers(e2);
    *second = e2;
    return e;
}

EpVm *epvm_find(QTestState *q, unsigned slot, unsigned n)
{
    EpVm *e = g_new0(EpVm, 1);

    e->q = q;
    e->slot = slot;
    e->regs = EPVM_REGS + n * EPVM_STRIDE;
    e->msix = EPVM_MSIX + n * EPVM_STRIDE;
    e->window = EPVM_WINDOW + ((uint64_t)n << 32);
    e->doorbell = EPVM_DOORBELL + n * EPVM_STRIDE;
    e->vectors = EPVM_VECTORS + n * 0x1000;
    find_registers(e);
    return e;
}

void epvm_find_free(EpVm *e)
{
    g_free(e);
}

void epvm_stop(EpVm *e)
{
    if (!e->second) {
        qtest_quit(e->q);   /* takes the sockets with it */
    }
    g_assert_cmpint(rmdir(e->dir), ==, 0);
    g_free(e->socket);
    g_free(e->dir);
    g_free(e);
}

uint64_t epvm_read(EpVm *e, uint64_t offset, unsigned width)
{
    uint64_t addr = e->regs + offset;

    switch (width) {
    case 1:
        return qtest_readb(e->q, addr);
    case 2:
        return qtest_readw(e->q, addr);
    case 4:
        return qtest_readl(e->q, addr);
    default:
        return qtest_readq(e->q, addr);
    }
}

void epvm_write(EpVm *e, uint64_t offset, unsigned width, uint64_t val)
{
    uint64_t addr = e->regs + offset;

    switch (width) {
    case 1:
        qtest_writeb(e->q, addr, val);
        break;
    case 2:
        qtest_writew(e->q, addr, val);
        break;
    case 4:
        qtest_writel(e->q, addr, val);
        break;
    default:
        qtest_writeq(e->q, addr, val);
    }
}

uint32_t epvm_reg(EpVm *e, uint32_t reg)
{
    return epvm_read(e, reg, 4);
}

void epvm_set_reg(EpVm *e, uint32_t reg, uint32_t val)
{
    epvm_write(e, reg, 4, val);
}

void epvm_select(EpVm *e, unsigned fn)
{
    e->fn = fn;
}

static uint64_t fn_page(EpVm *e)
{
    return e->fn_base + e->fn * e->fn_stride;
}

uint32_t epvm_fn_reg(EpVm *e, uint32_t reg)
{
    return epvm_read(e, fn_page(e) + reg, 4);
}

void epvm_set_fn_reg(EpVm *e, uint32_t reg, uint32_t val)
{
    epvm_write(e, fn_page(e) + reg, 4, val);
}

void epvm_set_fn_reg64(EpVm *e, uint32_t reg, uint64_t val)
{
    epvm_write(e, fn_page(e) + reg, 8, val);
}

void epvm_raise(EpVm *e, uint32_t what, uint32_t val)
{
    epvm_write(e, e->raise_base + e->fn * e->raise_stride + what, 4, val);
}

static uint64_t doorbell_at(EpVm *e, unsigned n, uint32_t reg)
{
    return epvm_reg(e, EPC_REG_DOORBELL_BASE) + n * EPC_DOORBELL_STRIDE + reg;
}

uint32_t epvm_doorbell_reg(EpVm *e, unsigned n, uint32_t reg)
{
    return epvm_read(e, doorbell_at(e, n, reg), 4);
}

void epvm_set_doorbell_reg(EpVm *e, unsigned n, uint32_t reg, uint32_t val)
{
    epvm_write(e, doorbell_at(e, n, reg), 4, val);
}

uint32_t epvm_begin_command(EpVm *e, uint32_t cmd)
{
    epvm_set_fn_reg(e, EPC_FN_CMD, cmd);
    return epvm_fn_reg(e, EPC_FN_STATUS);
}

static uint32_t wait_status(EpVm *e, uint64_t reg)
{
    uint32_t status;

    wait_until((status = epvm_read(e, reg, 4)) != EPC_STATUS_BUSY,
               "the end of the command with status register 0x%" PRIx64, reg);
    return status;
}

uint32_t epvm_wait_command(EpVm *e)
{
    return wait_status(e, fn_page(e) + EPC_FN_STATUS);
}

uint32_t epvm_wait_link_command(EpVm *e)
{
    return wait_status(e, EPC_REG_LINK_STATUS);
}

uint32_t epvm_command(EpVm *e, uint32_t cmd)
{
    epvm_begin_command(e, cmd);
    return epvm_wait_command(e);
}

uint32_t epvm_link_command(EpVm *e, uint32_t cmd)
{
    epvm_set_reg(e, EPC_REG_LINK_CMD, cmd);
    return epvm_wait_link_command(e);
}

void epvm_wait_link(EpVm *e, bool up)
{
    wait_until(!!(epvm_reg(e, EPC_REG_LINK) & EPC_LINK_UP) == up,
               "the link to be %s", up ? "up" : "down");
}

uint32_t epvm_set_header(EpVm *e, uint32_t id, uint32_t pin)
{
    epvm_set_fn_reg(e, EPC_FN_ID, id);
    epvm_set_fn_reg(e, EPC_FN_CLASS, 0xff000001);
    epvm_set_fn_reg(e, EPC_FN_SUBSYS, 0x56781234);
    epvm_set_fn_reg(e, EPC_FN_INT_PIN, pin);
    return epvm_command(e, EPC_CMD_SET_HEADER);
}

void epvm_bar_args(EpVm *e, uint32_t bar, uint32_t flags, uint64_t addr,
                   uint64_t size)
{
    epvm_set_fn_reg(e, EPC_FN_BAR, bar);
    epvm_set_fn_reg(e, EPC_FN_BAR_FLAGS, flags);
    epvm_set_fn_reg64(e, EPC_FN_ADDR, addr);
    epvm_set_fn_reg64(e, EPC_FN_SIZE, size);
}

uint32_t epvm_set_bar(EpVm *e, uint32_t bar, uint32_t flags,
                      uint64_t addr, uint64_t size)
{
    epvm_bar_args(e, bar, flags, addr, size);
    return epvm_command(e, EPC_CMD_SET_BAR);
}

uint32_t epvm_clear_bar(EpVm *e, uint32_t bar)
{
    epvm_set_fn_reg(e, EPC_FN_BAR, bar);
    return epvm_command(e, EPC_CMD_CLEAR_BAR);
}

uint32_t epvm_map(EpVm *e, uint64_t offset, uint64_t addr, uint64_t size)
{
    epvm_set_fn_reg64(e, EPC_FN_OFFSET, offset);
    epvm_set_fn_reg64(e, EPC_FN_ADDR, addr);
    epvm_set_fn_reg64(e, EPC_FN_SIZE, size);
    return epvm_command(e, EPC_CMD_MAP);
}

uint32_t epvm_unmap(EpVm *e, uint64_t offset)
{
    epvm_set_fn_reg64(e, EPC_FN_OFFSET, offset);
    return epvm_command(e, EPC_CMD_UNMAP);
}

uint32_t epvm_set_msi(EpVm *e, uint32_t count)
{
    epvm_set_fn_reg(e, EPC_FN_COUNT, count);
    return epvm_command(e, EPC_CMD_SET_MSI);
}

uint32_t epvm_set_msix(EpVm *e, uint32_t count, uint32_t bar,
                       uint64_t offset)
{
    epvm_set_fn_reg(e, EPC_FN_COUNT, count);
    epvm_set_fn_reg(e, EPC_FN_BAR, bar);
    epvm_set_fn_reg64(e, EPC_FN_OFFSET, offset);
    return epvm_command(e, EPC_CMD_SET_MSIX);
}

void epvm_area_args(EpVm *e, unsigned n, uint64_t addr, uint64_t size)
{
    uint32_t area = EPC_FN_AREA(n);

    epvm_set_fn_reg64(e, area + EPC_AREA_ADDR, addr);
    epvm_set_fn_reg64(e, area + EPC_AREA_SIZE, size);
    epvm_set_fn_reg(e, area + EPC_AREA_TYPE,
                    addr == EPC_ADDR_NONE ? EPC_AREA_NONE : EPC_AREA_TARGET);
}

uint32_t epvm_set_areas(EpVm *e, uint32_t bar, uint32_t count)
{
    epvm_set_fn_reg(e, EPC_FN_BAR, bar);
    epvm_set_fn_reg(e, EPC_FN_COUNT, count);
    return epvm_command(e, EPC_CMD_SET_AREAS);
}

void epvm_describe(EpVm *e)
{
    g_assert_cmpuint(epvm_set_header(e, EPVM_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, e->ram + EPVM_BAR0, EPVM_BAR0_SIZE),
                     ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 1, 0, e->ram + EPVM_BAR1, 128), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 2, EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH,
                                  e->ram + EPVM_BAR2, EPVM_BAR2_SIZE),
                     ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 4, 0, EPC_ADDR_NONE, 0x10000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msi(e, 4), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msix(e, 8, 0, EPVM_BAR0_SIZE - 0x1000), ==,
                     EPC_STATUS_OK);
}

static FakeHost *bring_up(EpVm *e, FakeHost *c)
{
    fakehost_link(c, VFU_EP_LINK_UP);
    epvm_wait_link(e, true);
    return c;
}

FakeHost *epvm_attach(EpVm *e)
{
    epvm_describe(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    return bring_up(e, fakehost_attach(e->socket, NULL));
}

FakeHost *epvm_attach_areas(EpVm *e, unsigned max_fds)
{
    epvm_describe(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    return bring_up(e, fakehost_attach_areas(e->socket, max_fds));
}

FakeHost *epvm_join(EpVm *e, unsigned fn, const char *json)
{
    gint64 end = wait_deadline(WAIT_MS);
    g_autofree char *path = fn ? g_strdup_printf("%s.%u", e->socket, fn) :
                                 g_strdup(e->socket);

    for (;;) {
        FakeHost *c = fakehost_new(path);
        VfuMsg *m = fakehost_version(c, VFU_VERSION_MAJOR, json ?: JOINING);
        uint32_t err = m ? m->hdr.error : ECONNRESET;

        vfu_msg_free(m);
        if (!err) {
            return c;
        }
        fakehost_free(c);
        if (!wait_step(end)) {
            wait_failed(__FILE__, __LINE__,
                        "function %u to accept a client: error %u", fn, err);
        }
    }
}

void epvm_detach(EpVm *e, FakeHost *c)
{
    fakehost_free(c);
    epvm_wait_link(e, false);
    epvm_stop(e);
}

void epvm_expect_no_vector(EpVm *e, unsigned vector)
{
    fence_main_loop(e->q);
    if (epvm_vector(e, vector, 0)) {
        g_error("vector %u was raised, which it should not be", vector);
    }
}

void epvm_expect_no_command(EpVm *e, FakeHost *c, uint16_t cmd)
{
    fakehost_fence(c);
    fence_main_loop(e->q);
    fakehost_fence(c);
    if (fakehost_has_command(c, cmd)) {
        g_error("the endpoint sent command 0x%x, which it should not", cmd);
    }
}

bool epvm_vector(EpVm *e, unsigned vector, unsigned ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000ll;
    uint64_t at = e->vectors + vector * 4;

    for (;;) {
        uint32_t v = qtest_readl(e->q, at);

        if (v) {
            g_assert_cmphex(v, ==, VECTOR_DATA + vector);
            qtest_writel(e->q, at, 0);
            return true;
        }
        if (g_get_monotonic_time() >= end) {
            return false;
        }
        g_usleep(1000);
    }
}

void assert_qmp_error(QDict *rsp, const char *text)
{
    QDict *error = qdict_get_qdict(rsp, "error");

    if (!error) {
        g_error("not refused, though it should be with '%s'", text);
    }
    if (!strstr(qdict_get_str(error, "desc"), text)) {
        g_error("refused with '%s', which lacks '%s'",
                qdict_get_str(error, "desc"), text);
    }
}

static QDict *get_prop(EpVm *e, const char *name)
{
    g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", e->id);

    return qtest_qmp(e->q, "{'execute': 'qom-get', 'arguments': "
                     "{'path': %s, 'property': %s}}", path, name);
}

char *epvm_prop_text(EpVm *e, const char *name)
{
    QDict *rsp = get_prop(e, name);
    char *text = g_strdup(qdict_get_str(rsp, "return"));

    qobject_unref(rsp);
    return text;
}

QDict *epvm_set_fault(EpVm *e, const char *request)
{
    g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", e->id);

    return qtest_qmp(e->q, "{'execute': 'qom-set', 'arguments': {'path': %s, "
                     "'property': 'fault', 'value': %s}}", path, request);
}

void epvm_request_fault(EpVm *e, const char *request)
{
    QDict *rsp = epvm_set_fault(e, request);

    if (!qdict_haskey(rsp, "return")) {
        g_error("fault '%s' was refused", request);
    }
    qobject_unref(rsp);
}

unsigned epvm_count_faults(EpVm *e, const char *kind, const char *place)
{
    g_autofree char *log = epvm_prop_text(e, "fault-log");
    g_autofree char *name = g_strdup_printf("\"fault\": \"%s\"", kind);
    g_auto(GStrv) element = g_strsplit(log, "{", -1);
    unsigned n = 0;

    for (unsigned i = 0; element[i]; i++) {
        n += strstr(element[i], name) &&
             (!place || strstr(element[i], place));
    }
    return n;
}

void epvm_expect_faults(EpVm *e, unsigned count, const char *kind,
                        const char *place)
{
    unsigned n = epvm_count_faults(e, kind, place);

    if (n != count) {
        g_error("%u times %s %s in the log, and not %u", n, kind, place ?: "",
                count);
    }
}

int64_t epvm_prop(EpVm *e, const char *name)
{
    QDict *rsp = get_prop(e, name);
    QObject *value = qdict_get(rsp, "return");
    QBool *b;
    int64_t v;

    g_assert_nonnull(value);
    b = qobject_to(QBool, value);
    v = b ? qbool_get_bool(b) : qnum_get_int(qobject_to(QNum, value));
    qobject_unref(rsp);
    return v;
}
