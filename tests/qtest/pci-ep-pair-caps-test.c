/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both devices, in two QEMUs: capabilities that the endpoint adds, as the host
 * finds them, and what each side does with their registers
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS     wait_scaled(1000)
#define EP_ID           0xb500104c
#define EXT(id, version) \
    (EPC_CAP_EXT | (version) << EPC_CAP_VERSION_SHIFT | (id))
#define VSEC            EXT(0xb, 1)
/* Advanced Error Reporting is at the end of the space. */
#define AER_SIZE        0x48
#define LAST            (0x1000 - AER_SIZE - 4)

typedef struct Link {
    EpVm *ep;
    QTestState *host;
} Link;

static uint32_t add_cap(Link *l, uint32_t id, uint64_t size)
{
    epvm_set_fn_reg(l->ep, EPC_FN_CAP_ID, id);
    epvm_set_fn_reg64(l->ep, EPC_FN_SIZE, size);
    return epvm_command(l->ep, EPC_CMD_ADD_CAP);
}

/* Its offset */
static unsigned must_add(Link *l, uint32_t id, unsigned size)
{
    g_assert_cmpuint(add_cap(l, id, size), ==, EPC_STATUS_OK);
    return epvm_fn_reg(l->ep, EPC_FN_CAP_OFFSET);
}

static uint32_t write_config(Link *l, uint64_t offset, uint64_t size,
                             uint32_t value, uint32_t wmask)
{
    epvm_set_fn_reg64(l->ep, EPC_FN_OFFSET, offset);
    epvm_set_fn_reg64(l->ep, EPC_FN_SIZE, size);
    epvm_set_fn_reg(l->ep, EPC_FN_VALUE, value);
    epvm_set_fn_reg(l->ep, EPC_FN_WMASK, wmask);
    return epvm_command(l->ep, EPC_CMD_WRITE_CONFIG);
}

static void must_write(Link *l, unsigned offset, unsigned size, uint32_t value,
                       uint32_t wmask)
{
    g_assert_cmpuint(write_config(l, offset, size, value, wmask), ==,
                     EPC_STATUS_OK);
}

/* A function with the largest MSI and MSI-X there are, and no link yet */
static void pair_start(Link *l)
{
    l->ep = epvm_start(EPVM_SHARED, "");
    l->host = NULL;
    g_assert_cmphex(epvm_reg(l->ep, EPC_REG_FEATURES) & EPC_FEATURE_CAPS, !=,
                    0);
    g_assert_cmpuint(epvm_set_header(l->ep, EP_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(l->ep, 0, 0, EPVM_BAR0, 0x10000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msi(l->ep, EPC_MAX_MSI), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msix(l->ep, EPC_MAX_MSIX, 0, 0), ==,
                     EPC_STATUS_OK);
}

static void pair_up(Link *l)
{
    if (!l->host) {
        l->host = hostvm_start(l->ep->socket, DEADLINE_MS, true);
        hostvm_enable_port(l->host);
        hostvm_enable_ecam(l->host);
    }
    g_assert_cmpuint(epvm_link_command(l->ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_wait_link(l->ep, true);
    hostvm_wait_present(l->host, true);
}

static void pair_end(Link *l)
{
    if (l->host) {
        qtest_quit(l->host);
    }
    epvm_stop(l->ep);
}

static uint32_t host_read(Link *l, unsigned offset)
{
    return hostvm_ecam_readl(l->host, HOSTVM_FUNCTION, offset);
}

static void host_write(Link *l, unsigned offset, uint32_t val)
{
    hostvm_ecam_writel(l->host, HOSTVM_FUNCTION, offset, val);
}

static void assert_lists(Link *l, const char *expect)
{
    g_autoptr(GString) s = g_string_new("");
    unsigned at = hostvm_readb(l->host, HOSTVM_FUNCTION, PCI_CAPABILITY_LIST);

    for (int i = 0; at && i < 48; i++) {
        g_string_append_printf(s, "%x ",
                               hostvm_readb(l->host, HOSTVM_FUNCTION, at));
        at = hostvm_readb(l->host, HOSTVM_FUNCTION, at + PCI_CAP_LIST_NEXT);
    }
    at = PCI_CFG_SPACE_SIZE;
    for (int i = 0; at && i < 1000; i++) {
        uint32_t header = host_read(l, at);

        if (header) {
            g_string_append_printf(s, "%x.%u ", PCI_EXT_CAP_ID(header),
                                   PCI_EXT_CAP_VER(header));
        }
        at = PCI_EXT_CAP_NEXT(header);
    }
    g_assert_cmpstr(s->str, ==, expect);
}

/* The oldest write, which is then taken out */
static void assert_written(Link *l, unsigned offset, unsigned size,
                           uint32_t value, uint32_t lost)
{
    g_assert_cmphex(epvm_fn_reg(l->ep, EPC_FN_WRITE_INFO), ==,
                    EPC_WRITE_VALID | lost | size << 16 | offset);
    g_assert_cmphex(epvm_fn_reg(l->ep, EPC_FN_WRITE_VALUE), ==, value);
    epvm_set_fn_reg(l->ep, EPC_FN_WRITE_NEXT, 1);
}

static void assert_none_written(Link *l)
{
    g_assert_cmphex(epvm_fn_reg(l->ep, EPC_FN_WRITE_INFO), ==, 0);
    epvm_set_fn_reg(l->ep, EPC_FN_WRITE_NEXT, 1);
}

static void test_lists(void)
{
    unsigned vndr, vsec;
    Link l;

    pair_start(&l);
    vndr = must_add(&l, PCI_CAP_ID_VNDR, 20);
    must_add(&l, PCI_CAP_ID_SSVID, 8);
    g_assert_cmphex(must_add(&l, PCI_CAP_ID_VNDR, 4), !=, vndr);
    vsec = must_add(&l, VSEC, 0x10);
    g_assert_cmphex(vsec, ==, PCI_CFG_SPACE_SIZE);
    must_add(&l, EXT(0x3, 2), 12);
    must_add(&l, VSEC, 8);
    pair_up(&l);
    assert_lists(&l, "1 5 10 11 9 d 9 b.1 3.2 b.1 1.2 ");
    g_assert_cmpuint(hostvm_readb(l.host, HOSTVM_FUNCTION, vndr + 2), ==, 20);

    /* The same after another link, and none of it after a reset */
    g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    hostvm_wait_present(l.host, false);
    pair_up(&l);
    assert_lists(&l, "1 5 10 11 9 d 9 b.1 3.2 b.1 1.2 ");
    epvm_set_reg(l.ep, EPC_REG_RESET, EPC_RESET_MAGIC);
    hostvm_wait_present(l.host, false);
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_CAP_OFFSET), ==, 0);
    g_assert_cmpuint(epvm_set_header(l.ep, EP_ID, 1), ==, EPC_STATUS_OK);
    pair_up(&l);
    assert_lists(&l, "1 10 3.1 1.2 ");
    pair_end(&l);
}

static void test_registers(void)
{
    unsigned vndr, vsec;
    Link l;

    pair_start(&l);
    vndr = must_add(&l, PCI_CAP_ID_VNDR, 12);
    vsec = must_add(&l, VSEC, 0x10);
    must_write(&l, vndr + 3, 1, 0x42, 0);
    must_write(&l, vndr + 4, 4, 0x11223344, 0x0000ffff);
    must_write(&l, vsec + 4, 4, 0x01001234, 0);
    pair_up(&l);
    g_assert_cmphex(host_read(&l, vndr), ==, 0x420c0009);
    g_assert_cmphex(host_read(&l, vndr + 4), ==, 0x11223344);
    g_assert_cmphex(host_read(&l, vsec + 4), ==, 0x01001234);

    /* The host writes what it may, by every width */
    host_write(&l, vndr + 4, 0xaabbccdd);
    g_assert_cmphex(host_read(&l, vndr + 4), ==, 0x1122ccdd);
    hostvm_writeb(l.host, HOSTVM_FUNCTION, vndr + 5, 0x55);
    g_assert_cmphex(host_read(&l, vndr + 4), ==, 0x112255dd);
    host_write(&l, vsec + 4, 0);
    g_assert_cmphex(host_read(&l, vsec + 4), ==, 0x01001234);
    g_assert_cmphex(epvm_read(l.ep, l.ep->fn_base + EPC_FN_CONFIG + vndr + 4,
                              4), ==, 0x112255dd);

    /* The endpoint changes values and masks while the link is up */
    must_write(&l, vsec + 8, 4, 0xcafe0001, 0);
    g_assert_cmphex(host_read(&l, vsec + 8), ==, 0xcafe0001);
    must_write(&l, vsec + 8, 4, 0xcafe0002, 0xff);
    g_assert_cmphex(host_read(&l, vsec + 8), ==, 0xcafe0002);
    host_write(&l, vsec + 8, 0);
    g_assert_cmphex(host_read(&l, vsec + 8), ==, 0xcafe0000);
    must_write(&l, vndr + 6, 2, 0x9999, 0);
    g_assert_cmphex(host_read(&l, vndr + 4), ==, 0x999955dd);

    g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    g_assert_cmphex(host_read(&l, vndr + 4), ==, 0xffffffff);
    g_assert_cmphex(host_read(&l, vsec + 4), ==, 0xffffffff);
    pair_end(&l);
}

static void test_writes(void)
{
    unsigned vndr, vsec;
    Link l;

    pair_start(&l);
    vndr = must_add(&l, PCI_CAP_ID_VNDR, 12);
    vsec = must_add(&l, VSEC, 0x10);
    must_write(&l, vndr + 4, 4, 0, 0xff);
    pair_up(&l);
    epvm_set_fn_reg(l.ep, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
    epvm_set_fn_reg(l.ep, EPC_FN_EVENT_MASK, EPC_FN_EVENT_CONFIG);
    assert_none_written(&l);
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    assert_none_written(&l);
    g_assert_false(epvm_vector(l.ep, EPC_VECTOR_EVENT, 0));

    host_write(&l, vndr + 4, 0x11223344);
    g_assert_true(epvm_vector(l.ep, EPC_VECTOR_EVENT, 1000));
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_EVENT), ==, EPC_FN_EVENT_COMMAND |
                    EPC_FN_EVENT_CONFIG);
    epvm_set_fn_reg(l.ep, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
    hostvm_writew(l.host, HOSTVM_FUNCTION, vndr + 6, 0x5566);
    hostvm_writeb(l.host, HOSTVM_FUNCTION, vndr + 3, 0x77);
    host_write(&l, vsec + 12, 0x88990011);
    assert_written(&l, vndr + 4, 4, 0x11223344, 0);
    assert_written(&l, vndr + 6, 2, 0x5566, 0);
    assert_written(&l, vndr + 3, 1, 0x77, 0);
    assert_written(&l, vsec + 12, 4, 0x88990011, 0);
    assert_none_written(&l);
    g_assert_cmphex(host_read(&l, vndr + 4), ==, 0x44);

    /* More than are kept: the oldest stay */
    for (unsigned i = 0; i < EPC_FN_WRITES_MAX + 3; i++) {
        host_write(&l, vsec + 4, i);
    }
    for (unsigned i = 0; i < EPC_FN_WRITES_MAX; i++) {
        assert_written(&l, vsec + 4, 4, i,
                       i == EPC_FN_WRITES_MAX - 1 ? EPC_WRITE_LOST : 0);
    }
    assert_none_written(&l);

    /* Read-only registers stay so; a write of NEXT alone removes nothing */
    host_write(&l, vsec + 4, 0x12);
    epvm_set_fn_reg(l.ep, EPC_FN_WRITE_NEXT, 1);
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_WRITE_NEXT), ==, 0);
    assert_written(&l, vsec + 4, 4, 0x12, 0);
    pair_end(&l);
}

static void wait_event(Link *l, bool fn, uint32_t event)
{
    wait_until((fn ? epvm_fn_reg(l->ep, EPC_FN_EVENT) :
                     epvm_reg(l->ep, EPC_REG_EVENT)) & event,
               "event 0x%x of the %s", event, fn ? "function" : "controller");
}

/* What the host wrote is gone after a reset, and so is the news of it */
static void test_resets(void)
{
    unsigned exp, vndr;
    Link l;

    pair_start(&l);
    vndr = must_add(&l, PCI_CAP_ID_VNDR, 8);
    must_write(&l, vndr + 4, 4, 0x1000, 0xffff);
    pair_up(&l);
    exp = hostvm_find_cap(l.host, HOSTVM_FUNCTION, PCI_CAP_ID_EXP);

    for (unsigned i = 0; i < 3; i++) {
        host_write(&l, vndr + 4, 0x2345);
        g_assert_cmphex(host_read(&l, vndr + 4), ==, 0x2345);
        epvm_set_fn_reg(l.ep, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
        epvm_set_reg(l.ep, EPC_REG_EVENT, EPC_EVENT_ALL);
        switch (i) {
        case 0:
            hostvm_writew(l.host, HOSTVM_FUNCTION, exp + PCI_EXP_DEVCTL,
                          PCI_EXP_DEVCTL_BCR_FLR);
            wait_event(&l, true, EPC_FN_EVENT_FLR);
            break;
        case 1:
            hostvm_writew(l.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                          PCI_BRIDGE_CTL_BUS_RESET);
            hostvm_writew(l.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
            wait_event(&l, false, EPC_EVENT_HOT_RESET);
            break;
        default:
            g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==,
                             EPC_STATUS_OK);
            hostvm_wait_present(l.host, false);
            pair_up(&l);
        }
        g_assert_cmphex(host_read(&l, vndr + 4), ==, 0x1000);
        assert_none_written(&l);
    }
    host_write(&l, vndr + 4, 0x77);
    assert_written(&l, vndr + 4, 4, 0x77, 0);
    pair_end(&l);
}

static void test_bad(void)
{
    static const struct {
        uint32_t id;
        uint64_t size;
        uint32_t status;
    } caps[] = {
        { 0, 8, EPC_STATUS_BAD_ARG }, { 0xff, 8, EPC_STATUS_BAD_ARG },
        { 0x109, 8, EPC_STATUS_BAD_ARG }, { 1, 8, EPC_STATUS_BAD_ARG },
        { 5, 8, EPC_STATUS_BAD_ARG }, { 0x10, 8, EPC_STATUS_BAD_ARG },
        { 0x11, 8, EPC_STATUS_BAD_ARG }, { 9, 0, EPC_STATUS_BAD_ARG },
        { 9, 3, EPC_STATUS_BAD_ARG }, { 9, 0x801, EPC_STATUS_BAD_ARG },
        { 9, 1ull << 32 | 8, EPC_STATUS_BAD_ARG },
        { 9, 0x100, EPC_STATUS_NO_SPACE }, { 9, 0x800, EPC_STATUS_NO_SPACE },
        { EXT(0, 1), 8, EPC_STATUS_BAD_ARG },
        { VSEC | 1u << 24, 8, EPC_STATUS_BAD_ARG },
        { VSEC, 7, EPC_STATUS_BAD_ARG }, { VSEC, 0x801, EPC_STATUS_BAD_ARG },
    };
    unsigned vndr, n = 0;
    Link l;

    pair_start(&l);
    for (unsigned i = 0; i < G_N_ELEMENTS(caps); i++) {
        g_test_message("id %x size %" PRIx64, caps[i].id, caps[i].size);
        g_assert_cmpuint(add_cap(&l, caps[i].id, caps[i].size), ==,
                         caps[i].status);
        g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_CAP_OFFSET), ==, 0);
    }
    vndr = must_add(&l, PCI_CAP_ID_VNDR, 8);
    g_assert_cmpuint(write_config(&l, vndr, 4, 0, 0), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(write_config(&l, vndr + 8, 4, 0, 0), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(write_config(&l, vndr + 5, 2, 0, 0), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(write_config(&l, vndr + 4, 3, 0, 0), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(write_config(&l, vndr + 4, 1ull << 32 | 4, 0, 0), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(write_config(&l, 1ull << 32 | (vndr + 4), 4, 0, 0), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(write_config(&l, PCI_VENDOR_ID, 2, 0, 0), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(write_config(&l, PCI_CFG_SPACE_SIZE, 4, 0, 0), ==,
                     EPC_STATUS_BAD_ARG);

    /* Until there is no room */
    while (add_cap(&l, PCI_CAP_ID_VNDR, 4) == EPC_STATUS_OK) {
        g_assert_cmpuint(++n, <, 64);
    }
    g_assert_cmpuint(epvm_fn_reg(l.ep, EPC_FN_STATUS), ==, EPC_STATUS_NO_SPACE);
    n++;
    must_add(&l, VSEC, 0x800);
    g_assert_cmpuint(add_cap(&l, VSEC, 0x800), ==, EPC_STATUS_NO_SPACE);
    must_add(&l, VSEC, 0x700 - AER_SIZE);
    g_assert_cmpuint(add_cap(&l, VSEC, 8), ==, EPC_STATUS_NO_SPACE);

    /* While the link is enabled values change, and nothing else does */
    pair_up(&l);
    g_assert_cmpuint(add_cap(&l, VSEC, 8), ==, EPC_STATUS_BAD_STATE);
    must_write(&l, vndr + 4, 4, 0x5a5a5a5a, 0);
    g_assert_cmphex(host_read(&l, vndr + 4), ==, 0x5a5a5a5a);
    must_write(&l, LAST, 4, 0x600df00d, 0);
    g_assert_cmphex(host_read(&l, LAST), ==, 0x600df00d);
    for (unsigned i = 0, at = vndr; i < n; i++) {
        g_assert_cmphex(hostvm_readb(l.host, HOSTVM_FUNCTION, at), ==,
                        PCI_CAP_ID_VNDR);
        at = hostvm_readb(l.host, HOSTVM_FUNCTION, at + 1);
        g_assert_cmphex(!at, ==, i == n - 1);
    }
    pair_end(&l);
}

static uint64_t serial_of(Link *l, unsigned at)
{
    g_assert_cmphex(host_read(l, at) & 0xfffff, ==,
                    PCI_EXT_CAP_ID_DSN | 1 << 16);
    return host_read(l, at + 4) | (uint64_t)host_read(l, at + 8) << 32;
}

/* The serial number lasts as long as the QEMU of the endpoint. */
static void test_serial(void)
{
    uint64_t serial = 0;
    unsigned vsec;
    Link l;

    for (unsigned i = 0; i < 2; i++) {
        pair_start(&l);
        pair_up(&l);
        assert_lists(&l, "1 5 10 11 3.1 1.2 ");
        g_assert_cmphex(serial_of(&l, PCI_CFG_SPACE_SIZE), !=, serial);
        serial = serial_of(&l, PCI_CFG_SPACE_SIZE);
        g_assert_cmphex(serial >> 40, ==, 0x525400);

        g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==,
                         EPC_STATUS_OK);
        hostvm_wait_present(l.host, false);
        vsec = must_add(&l, VSEC, 0x10);
        g_assert_cmphex(vsec, ==, PCI_CFG_SPACE_SIZE);
        pair_up(&l);
        assert_lists(&l, "1 5 10 11 b.1 3.1 1.2 ");
        g_assert_cmphex(serial_of(&l, vsec + 0x10), ==, serial);
        /* No register of an added capability, and read only */
        g_assert_cmpuint(write_config(&l, vsec + 0x14, 4, 0, 0), ==,
                         EPC_STATUS_BAD_ARG);
        host_write(&l, vsec + 0x14, 0);
        g_assert_cmphex(serial_of(&l, vsec + 0x10), ==, serial);
        pair_end(&l);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("pci-ep-caps/lists", test_lists);
    qtest_add_func("pci-ep-caps/registers", test_registers);
    qtest_add_func("pci-ep-caps/writes", test_writes);
    qtest_add_func("pci-ep-caps/resets", test_resets);
    qtest_add_func("pci-ep-caps/bad", test_bad);
    qtest_add_func("pci-ep-caps/serial", test_serial);

    return g_test_run();
}
