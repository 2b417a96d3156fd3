/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The endpoint machine of a link in a qtest
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qnum.h"
#include "qobject/qbool.h"
#include "pci-ep-endpoint.h"

#define SLOT            5
#define SECOND          0x400000ull     /* between BARs of two controllers */
#define VECTOR_DATA     0x5a5a0000u

#define JOINING "{\"capabilities\":{\"max_msg_fds\":16," \
    "\"max_data_xfer_size\":1048576,\"" VFU_EP_KEY "\":{\"version\":1," \
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\",\"func\"]}}}"

static void config_write(EpEndpoint *e, unsigned reg, unsigned width,
                         uint32_t val)
{
    qtest_outl(e->q, 0xcf8, 1u << 31 | e->slot << 11 | (reg & 0xfc));
    if (width == 2) {
        qtest_outw(e->q, 0xcfc + (reg & 2), val);
    } else {
        qtest_outl(e->q, 0xcfc, val);
    }
}

static uint32_t config_read(EpEndpoint *e, unsigned reg)
{
    qtest_outl(e->q, 0xcf8, 1u << 31 | e->slot << 11 | (reg & 0xfc));
    return qtest_inl(e->q, 0xcfc) >> (reg & 3) * 8;
}

static unsigned find_cap(EpEndpoint *e, uint8_t id)
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

static void enable_msix(EpEndpoint *e)
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
    config_write(e, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void set_bar(EpEndpoint *e, unsigned bar, uint64_t addr, bool wide)
{
    unsigned reg = PCI_BASE_ADDRESS_0 + 4 * bar;

    config_write(e, reg, 4, (uint32_t)addr);
    if (wide) {
        config_write(e, reg + 4, 4, addr >> 32);
    }
}

void epe_enable(EpEndpoint *e)
{
    g_assert_cmphex(config_read(e, PCI_VENDOR_ID), ==,
                    EPC_PCI_VENDOR_ID | EPC_PCI_DEVICE_ID << 16);
    set_bar(e, EPC_BAR_REGS, e->regs, false);
    set_bar(e, EPC_BAR_MSIX, e->msix, false);
    set_bar(e, EPC_BAR_WINDOW, e->window, true);
    set_bar(e, EPC_BAR_DOORBELL, e->doorbell, true);
    config_write(e, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    enable_msix(e);
}

static EpEndpoint *new_endpoint(const char *id, unsigned index)
{
    EpEndpoint *e = g_new0(EpEndpoint, 1);

    e->id = id;
    e->slot = SLOT + index;
    e->regs = EPE_REGS + index * SECOND;
    e->msix = EPE_MSIX + index * SECOND;
    e->window = EPE_WINDOW << index;
    e->doorbell = EPE_DOORBELL + index * SECOND;
    e->vectors = EPE_VECTORS + index * 0x1000;
    e->dir = g_dir_make_tmp("pci-epc-XXXXXX", NULL);
    g_assert_nonnull(e->dir);
    e->socket = g_strdup_printf("%s/link", e->dir);
    return e;
}

static void find_registers(EpEndpoint *e)
{
    epe_enable(e);
    e->fn_base = epe_reg(e, EPC_REG_FN_BASE);
    e->fn_stride = epe_reg(e, EPC_REG_FN_STRIDE);
    e->raise_base = epe_reg(e, EPC_REG_RAISE_BASE);
    e->raise_stride = epe_reg(e, EPC_REG_RAISE_STRIDE);
}

#define MACHINE "-m 128M -nodefaults -object %s,id=ram,size=128M " \
                "-machine memory-backend=ram " \
                "-device pci-epc,id=epc,addr=%d,socket=%s"

EpEndpoint *epe_start(const char *ram, const char *props)
{
    EpEndpoint *e = new_endpoint("epc", 0);

    e->q = qtest_initf("-machine q35 " MACHINE "%s", ram, e->slot, e->socket,
                       props);
    find_registers(e);
    return e;
}

EpEndpoint *epe_start_two(const char *machine, EpEndpoint **second)
{
    EpEndpoint *e = new_endpoint("epc", 0);
    EpEndpoint *e2 = new_endpoint("epc2", 1);

    e->q = qtest_initf("-machine %s " MACHINE
                       " -device pci-epc,id=epc2,addr=%d,socket=%s", machine,
                       EPE_SHARED, e->slot, e->socket, e2->slot, e2->socket);
    e2->q = e->q;
    e2->second = true;
    find_registers(e);
    find_registers(e2);
    *second = e2;
    return e;
}

EpEndpoint *epe_other(QTestState *q, unsigned slot, unsigned n)
{
    EpEndpoint *e = g_new0(EpEndpoint, 1);

    e->q = q;
    e->slot = slot;
    e->regs = EPE_REGS + n * EPE_STRIDE;
    e->msix = EPE_MSIX + n * EPE_STRIDE;
    e->window = EPE_WINDOW + ((uint64_t)n << 32);
    e->doorbell = EPE_DOORBELL + n * EPE_STRIDE;
    e->vectors = EPE_VECTORS + n * 0x1000;
    find_registers(e);
    return e;
}

void epe_other_free(EpEndpoint *e)
{
    g_free(e);
}

void epe_stop(EpEndpoint *e)
{
    if (!e->second) {
        qtest_quit(e->q);   /* takes the sockets with it */
    }
    g_assert_cmpint(rmdir(e->dir), ==, 0);
    g_free(e->socket);
    g_free(e->dir);
    g_free(e);
}

uint64_t epe_read(EpEndpoint *e, uint64_t offset, unsigned width)
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

void epe_write(EpEndpoint *e, uint64_t offset, unsigned width, uint64_t val)
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

uint32_t epe_reg(EpEndpoint *e, uint32_t reg)
{
    return epe_read(e, reg, 4);
}

void epe_set(EpEndpoint *e, uint32_t reg, uint32_t val)
{
    epe_write(e, reg, 4, val);
}

void epe_select(EpEndpoint *e, unsigned fn)
{
    e->fn = fn;
}

static uint64_t fn_page(EpEndpoint *e)
{
    return e->fn_base + e->fn * e->fn_stride;
}

uint32_t epe_fn(EpEndpoint *e, uint32_t reg)
{
    return epe_read(e, fn_page(e) + reg, 4);
}

void epe_fn_set(EpEndpoint *e, uint32_t reg, uint32_t val)
{
    epe_write(e, fn_page(e) + reg, 4, val);
}

void epe_fn_set64(EpEndpoint *e, uint32_t reg, uint64_t val)
{
    epe_write(e, fn_page(e) + reg, 8, val);
}

void epe_raise(EpEndpoint *e, uint32_t what, uint32_t val)
{
    epe_write(e, e->raise_base + e->fn * e->raise_stride + what, 4, val);
}

static uint64_t doorbell_at(EpEndpoint *e, unsigned n, uint32_t reg)
{
    return epe_reg(e, EPC_REG_DOORBELL_BASE) + n * EPC_DOORBELL_STRIDE + reg;
}

uint32_t epe_doorbell(EpEndpoint *e, unsigned n, uint32_t reg)
{
    return epe_read(e, doorbell_at(e, n, reg), 4);
}

void epe_doorbell_set(EpEndpoint *e, unsigned n, uint32_t reg, uint32_t val)
{
    epe_write(e, doorbell_at(e, n, reg), 4, val);
}

uint32_t epe_begin(EpEndpoint *e, uint32_t cmd)
{
    epe_fn_set(e, EPC_FN_CMD, cmd);
    return epe_fn(e, EPC_FN_STATUS);
}

static uint32_t wait_status(EpEndpoint *e, uint64_t reg)
{
    gint64 end = g_get_monotonic_time() + EPE_TIMEOUT_MS * 1000ll;
    uint32_t status;

    while ((status = epe_read(e, reg, 4)) == EPC_STATUS_BUSY) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    return status;
}

uint32_t epe_wait(EpEndpoint *e)
{
    return wait_status(e, fn_page(e) + EPC_FN_STATUS);
}

uint32_t epe_wait_link_cmd(EpEndpoint *e)
{
    return wait_status(e, EPC_REG_LINK_STATUS);
}

uint32_t epe_command(EpEndpoint *e, uint32_t cmd)
{
    epe_begin(e, cmd);
    return epe_wait(e);
}

uint32_t epe_link(EpEndpoint *e, uint32_t cmd)
{
    epe_set(e, EPC_REG_LINK_CMD, cmd);
    return epe_wait_link_cmd(e);
}

void epe_wait_link(EpEndpoint *e, bool up)
{
    gint64 end = g_get_monotonic_time() + EPE_TIMEOUT_MS * 1000ll;

    while (!!(epe_reg(e, EPC_REG_LINK) & EPC_LINK_UP) != up) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

uint32_t epe_set_header(EpEndpoint *e, uint32_t id, uint32_t pin)
{
    epe_fn_set(e, EPC_FN_ID, id);
    epe_fn_set(e, EPC_FN_CLASS, 0xff000001);
    epe_fn_set(e, EPC_FN_SUBSYS, 0x56781234);
    epe_fn_set(e, EPC_FN_INT_PIN, pin);
    return epe_command(e, EPC_CMD_SET_HEADER);
}

void epe_bar_args(EpEndpoint *e, uint32_t bar, uint32_t flags, uint64_t addr,
                  uint64_t size)
{
    epe_fn_set(e, EPC_FN_BAR, bar);
    epe_fn_set(e, EPC_FN_BAR_FLAGS, flags);
    epe_fn_set64(e, EPC_FN_ADDR, addr);
    epe_fn_set64(e, EPC_FN_SIZE, size);
}

uint32_t epe_set_bar(EpEndpoint *e, uint32_t bar, uint32_t flags,
                     uint64_t addr, uint64_t size)
{
    epe_bar_args(e, bar, flags, addr, size);
    return epe_command(e, EPC_CMD_SET_BAR);
}

uint32_t epe_clear_bar(EpEndpoint *e, uint32_t bar)
{
    epe_fn_set(e, EPC_FN_BAR, bar);
    return epe_command(e, EPC_CMD_CLEAR_BAR);
}

uint32_t epe_map(EpEndpoint *e, uint64_t offset, uint64_t addr, uint64_t size)
{
    epe_fn_set64(e, EPC_FN_OFFSET, offset);
    epe_fn_set64(e, EPC_FN_ADDR, addr);
    epe_fn_set64(e, EPC_FN_SIZE, size);
    return epe_command(e, EPC_CMD_MAP);
}

uint32_t epe_unmap(EpEndpoint *e, uint64_t offset)
{
    epe_fn_set64(e, EPC_FN_OFFSET, offset);
    return epe_command(e, EPC_CMD_UNMAP);
}

uint32_t epe_set_msi(EpEndpoint *e, uint32_t count)
{
    epe_fn_set(e, EPC_FN_COUNT, count);
    return epe_command(e, EPC_CMD_SET_MSI);
}

uint32_t epe_set_msix(EpEndpoint *e, uint32_t count, uint32_t bar,
                      uint64_t offset)
{
    epe_fn_set(e, EPC_FN_COUNT, count);
    epe_fn_set(e, EPC_FN_BAR, bar);
    epe_fn_set64(e, EPC_FN_OFFSET, offset);
    return epe_command(e, EPC_CMD_SET_MSIX);
}

void epe_area(EpEndpoint *e, unsigned n, uint64_t addr, uint64_t size)
{
    uint32_t area = EPC_FN_AREA(n);

    epe_fn_set64(e, area + EPC_AREA_ADDR, addr);
    epe_fn_set64(e, area + EPC_AREA_SIZE, size);
    epe_fn_set(e, area + EPC_AREA_TYPE,
               addr == EPC_ADDR_NONE ? EPC_AREA_NONE : EPC_AREA_TARGET);
}

uint32_t epe_set_areas(EpEndpoint *e, uint32_t bar, uint32_t count)
{
    epe_fn_set(e, EPC_FN_BAR, bar);
    epe_fn_set(e, EPC_FN_COUNT, count);
    return epe_command(e, EPC_CMD_SET_AREAS);
}

void epe_describe(EpEndpoint *e)
{
    g_assert_cmpuint(epe_set_header(e, EPE_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_bar(e, 0, 0, EPE_BAR0, EPE_BAR0_SIZE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_bar(e, 1, 0, EPE_BAR1, 128), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_bar(e, 2, EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH,
                                 EPE_BAR2, EPE_BAR2_SIZE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_bar(e, 4, 0, EPC_ADDR_NONE, 0x10000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_msi(e, 4), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_msix(e, 8, 0, EPE_BAR0_SIZE - 0x1000), ==,
                     EPC_STATUS_OK);
}

static PepClient *bring_up(EpEndpoint *e, PepClient *c)
{
    pep_link(c, VFU_EP_LINK_UP);
    epe_wait_link(e, true);
    return c;
}

PepClient *epe_attach(EpEndpoint *e)
{
    epe_describe(e);
    g_assert_cmpuint(epe_link(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    return bring_up(e, pep_attach(e->socket, NULL));
}

PepClient *epe_attach_areas(EpEndpoint *e, unsigned max_fds)
{
    epe_describe(e);
    g_assert_cmpuint(epe_link(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    return bring_up(e, pep_attach_areas(e->socket, max_fds));
}

PepClient *epe_join(EpEndpoint *e, unsigned fn, const char *json)
{
    gint64 limit = g_get_monotonic_time() + PEP_TIMEOUT_MS * 1000ll;
    g_autofree char *path = fn ? g_strdup_printf("%s.%u", e->socket, fn) :
                                 g_strdup(e->socket);

    for (;;) {
        PepClient *c = pep_new(path);
        PepMsg *m = pep_version(c, VFU_VERSION_MAJOR, json ?: JOINING);
        uint32_t err = m ? m->hdr.error : ECONNRESET;

        pep_msg_free(m);
        if (!err) {
            return c;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        pep_free(c);
        g_usleep(1000);
    }
}

void epe_detach(EpEndpoint *e, PepClient *c)
{
    pep_free(c);
    epe_wait_link(e, false);
    epe_stop(e);
}

bool epe_vector(EpEndpoint *e, unsigned vector, unsigned ms)
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

int64_t epe_prop(EpEndpoint *e, const char *name)
{
    g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", e->id);
    QDict *rsp = qtest_qmp(e->q, "{'execute': 'qom-get', 'arguments': "
                           "{'path': %s, 'property': %s}}", path, name);
    QObject *value = qdict_get(rsp, "return");
    QBool *b;
    int64_t v;

    g_assert_nonnull(value);
    b = qobject_to(QBool, value);
    v = b ? qbool_get_bool(b) : qnum_get_int(qobject_to(QNum, value));
    qobject_unref(rsp);
    return v;
}
