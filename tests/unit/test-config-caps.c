/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of config/caps and config/write-log: capabilities that an endpoint
 * adds, and the log of what the host writes to them
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/config/write-log.h"
#include "hw/pci-ep/pci-epc-regs.h"

#define EXT(id, version) \
    (EPC_CAP_EXT | (version) << EPC_CAP_VERSION_SHIFT | (id))
#define FREE_BYTES (PCI_CFG_SPACE_SIZE - EPC_CONFIG_FREE)
#define EXT_BYTES (EPC_CONFIG_SIZE - PCI_CFG_SPACE_SIZE)

static EpcConfig *make_config(void)
{
    EpcConfig *c = g_new(EpcConfig, 1);
    EpcHeader h = { .vendor = 0x104c, .device = 0xb500 };

    epc_config_init(c, 3, 4);
    epc_config_set_header(c, &h);
    return c;
}

static uint32_t rd(const EpcConfig *c, uint32_t offset, unsigned len)
{
    uint8_t buf[4] = { 0 };

    g_assert_true(epc_config_read(c, offset, buf, len));
    return ldl_le_p(buf);
}

static void wr(EpcConfig *c, uint32_t offset, uint32_t value, unsigned len)
{
    uint8_t buf[4];
    uint32_t events = 0xdead;

    stl_le_p(buf, value);
    g_assert_true(epc_config_write(c, offset, buf, len, &events));
    g_assert_cmphex(events, ==, 0);
}

/* Offset and id of each capability in the order of the list */
static void assert_list(const EpcConfig *c, const char *expect)
{
    g_autoptr(GString) s = g_string_new(NULL);
    unsigned at = rd(c, PCI_CAPABILITY_LIST, 1);

    for (int i = 0; at; i++) {
        g_assert_cmpint(i, <, 48);
        g_string_append_printf(s, "%x:%x ", at, rd(c, at, 1));
        at = rd(c, at + PCI_CAP_LIST_NEXT, 1);
    }
    g_assert_cmpstr(s->str, ==, expect);
}

static void test_valid(void)
{
    static const uint32_t bad[] = {
        0, 0xff, 0x100, 0x109, 0x10009, 9 | 1u << 20, 9 | 1u << 30,
        PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX,
        EXT(0, 1), EXT(0xffff, 1), EXT(0xb, 1) | 1u << 20,
        EXT(0xb, 1) | 1u << 30,
    };
    static const uint32_t good[] = {
        1 + PCI_CAP_ID_PM, PCI_CAP_ID_VNDR, 0xfe, EXT(1, 0), EXT(0xb, 1),
        EXT(0xfffe, 15), EXT(PCI_CAP_ID_MSI, 2),
    };
    static const uint64_t sizes[] = {
        0, 3, EPC_CAP_SIZE_MAX + 1, 1ull << 32 | 8, UINT64_MAX,
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_false(epc_config_cap_valid(bad[i], 8));
    }
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        g_assert_cmpuint(epc_config_cap_valid(good[i], 4), ==,
                         !(good[i] & EPC_CAP_EXT));
        g_assert_true(epc_config_cap_valid(good[i], 8));
        g_assert_true(epc_config_cap_valid(good[i], EPC_CAP_SIZE_MAX));
    }
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_assert_false(epc_config_cap_valid(PCI_CAP_ID_VNDR, sizes[i]));
        g_assert_false(epc_config_cap_valid(EXT(0xb, 1), sizes[i]));
    }
}

/* The places do not depend on MSI, and the list is in the order of adding */
static void test_standard(void)
{
    g_autofree EpcConfig *c = make_config();

    epc_config_set_msi(c, 32);
    epc_config_set_msix(c, 2048, 0, 0, 0x8000);
    g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_VNDR, 17), ==, 0xa8);
    g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_SSVID, 8), ==, 0xbc);
    g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_VNDR, 4), ==, 0xc4);
    assert_list(c, "40:1 48:5 60:10 9c:11 a8:9 bc:d c4:9 ");
    epc_config_set_msi(c, 0);
    epc_config_set_msix(c, 0, 0, 0, 0);
    assert_list(c, "40:1 60:10 a8:9 bc:d c4:9 ");
    g_assert_cmphex(rd(c, 0xa8, 4), ==, 0x0011bc09);
    g_assert_cmphex(rd(c, 0xbc, 4), ==, 0x0000c40d);
    g_assert_cmphex(rd(c, 0xc4, 4), ==, 0x00040009);
    epc_config_set_msix(c, 1, 0, 0, 0x10);
    assert_list(c, "40:1 60:10 9c:11 a8:9 bc:d c4:9 ");

    /* The host can neither move nor rename them */
    wr(c, 0xa8, 0xffffffff, 4);
    epc_config_reset(c, EPC_CONFIG_RESET_HOT);
    g_assert_cmphex(rd(c, 0xa8, 4), ==, 0x0011bc09);
}

static void test_full(void)
{
    g_autofree EpcConfig *c = make_config();
    static const unsigned virtio[] = { 16, 20, 16, 16, 20 };

    g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_VNDR, FREE_BYTES + 1), ==,
                    0);
    g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_VNDR, EPC_CAP_SIZE_MAX),
                    ==, 0);
    for (size_t i = 0; i < ARRAY_SIZE(virtio); i++) {
        g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_VNDR, virtio[i]), !=,
                        0);
    }
    g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_VNDR, 4), ==, 0);
    g_assert_true(epc_config_set_register(c, 0xfc, 4, 0x12345678, 0));
    assert_list(c, "40:1 60:10 a8:9 b8:9 cc:9 dc:9 ec:9 ");
    g_assert_cmphex(rd(c, PCI_CFG_SPACE_SIZE, 4), ==, 0);

    /* one byte short of a word */
    epc_config_init(c, 3, 4);
    g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_VNDR, FREE_BYTES - 1), ==,
                    EPC_CONFIG_FREE);
    g_assert_false(epc_config_set_register(c, 0xff, 1, 0, 0));
    g_assert_true(epc_config_set_register(c, 0xfe, 1, 0, 0));
    g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_VNDR, 4), ==, 0);
}

static void test_extended(void)
{
    g_autofree EpcConfig *c = make_config();

    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 0x10), ==, 0x100);
    g_assert_cmphex(rd(c, 0x100, 4), ==, 0x0001000b);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0x3, 2), 9), ==, 0x110);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 15), 0x800), ==, 0x11c);
    g_assert_cmphex(rd(c, 0x100, 4), ==, 0x1101000b);
    g_assert_cmphex(rd(c, 0x110, 4), ==, 0x11c20003);
    g_assert_cmphex(rd(c, 0x11c, 4), ==, 0x000f000b);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 0x800), ==, 0);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), EXT_BYTES - 0x81c), ==,
                    0x91c);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 8), ==, 0);
    g_assert_cmphex(rd(c, 0x11c, 4), ==, 0x91cf000b);
    g_assert_cmphex(rd(c, 0x91c, 4), ==, 0x0001000b);
    assert_list(c, "40:1 60:10 ");

    epc_config_init(c, 3, 4);
    for (unsigned at = PCI_CFG_SPACE_SIZE; at < EPC_CONFIG_SIZE; at += 8) {
        g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 8), ==, at);
    }
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 8), ==, 0);
    g_assert_cmphex(rd(c, 0xff0, 4), ==, 0xff81000b);
}

static void assert_serial(const EpcConfig *c, unsigned at, uint64_t serial)
{
    g_assert_cmphex(rd(c, at, 4), ==, PCI_EXT_CAP_ID_DSN | 1 << 16);
    g_assert_cmphex(rd(c, at + 4, 4), ==, (uint32_t)serial);
    g_assert_cmphex(rd(c, at + 8, 4), ==, serial >> 32);
}

static void test_serial(void)
{
    const uint64_t serial = 0x525400aabbccddeeull;
    g_autofree EpcConfig *c = make_config();
    unsigned at = PCI_CFG_SPACE_SIZE;

    for (unsigned i = 0; i < 2; i++) {
        epc_config_show(c, serial + i, 0);
        assert_serial(c, at, serial + i);
    }
    /* It is behind what is added, and takes none of the space. */
    for (unsigned i = 0; i < 3; i++) {
        unsigned before = at;

        g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 8), ==, at);
        g_assert_cmphex(rd(c, at, 4), ==, 0x1000b);
        g_assert_cmphex(rd(c, at + 8, 4), ==, 0);
        at += 8;
        epc_config_show(c, serial, 0);
        g_assert_cmphex(rd(c, before, 4), ==, 0x1000b | at << 20);
        assert_serial(c, at, serial);
    }
    /* The endpoint's own replaces it. */
    g_assert_cmphex(epc_config_add_cap(c, EXT(PCI_EXT_CAP_ID_DSN, 1), 12), ==,
                    at);
    epc_config_show(c, serial, 0);
    g_assert_cmphex(rd(c, at, 4), ==, PCI_EXT_CAP_ID_DSN | 1 << 16);
    g_assert_cmphex(rd(c, at + 12, 4), ==, 0);
}

/* With @left bytes of extended space left */
static void check_serial_room(unsigned left)
{
    g_autofree EpcConfig *c = make_config();
    unsigned half = EXT_BYTES / 2, last;

    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), half), !=, 0);
    last = epc_config_add_cap(c, EXT(0xb, 1), half - left);
    g_assert_cmphex(last, !=, 0);
    epc_config_show(c, 1, 0);
    if (left < 12) {
        g_assert_cmphex(rd(c, last, 4), ==, 0x1000b);
    } else {
        assert_serial(c, EPC_CONFIG_SIZE - left, 1);
    }
}

static void test_serial_room(void)
{
    check_serial_room(0);
    check_serial_room(8);
    check_serial_room(12);
    check_serial_room(16);
}

/* A register of the Resizable BAR capability at @at */
static void assert_resizable(const EpcConfig *c, unsigned at, uint32_t cap,
                             uint32_t control)
{
    g_assert_cmphex(rd(c, at, 4), ==, cap);
    g_assert_cmphex(rd(c, at + 4, 4), ==, control);
}

static void test_resizable(void)
{
    g_autofree EpcConfig *c = make_config();

    epc_config_set_bar(c, 0, 0, 0x80000);
    epc_config_set_bar(c, 1, 0, 0x100000);
    epc_config_set_bar(c, 2, EPC_BAR_FLAG_64, 1ull << 47);
    epc_config_set_bar(c, 4, EPC_BAR_FLAG_64, 1ull << 48);
    /* BAR 0 is too small and BAR 4 too large for it, BAR 5 is not there. */
    epc_config_show(c, 7, 0x37);
    g_assert_cmphex(rd(c, 0x100, 4), ==, 0x11410015);
    assert_resizable(c, 0x104, 1u << 4, 0x0041);
    assert_resizable(c, 0x10c, 1u << 31, 0x1b42);
    assert_serial(c, 0x114, 7);
    wr(c, 0x108, 0xffffffff, 4);
    assert_resizable(c, 0x104, 1u << 4, 0x0041);

    /* It is behind what is added, and goes with the last such BAR. */
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 8), ==, 0x100);
    g_assert_cmphex(rd(c, 0x100, 4), ==, 0x1000b);
    for (unsigned at = 0x108; at < 0x120; at += 4) {
        g_assert_cmphex(rd(c, at, 4), ==, 0);
    }
    epc_config_show(c, 7, 1u << 1);
    g_assert_cmphex(rd(c, 0x100, 4), ==, 0x1081000b);
    g_assert_cmphex(rd(c, 0x108, 4), ==, 0x11410015);
    assert_resizable(c, 0x10c, 1u << 4, 0x0021);
    epc_config_show(c, 0, 1u << 0);
    g_assert_cmphex(rd(c, 0x100, 4), ==, 0x1000b);

    /* The endpoint's own replaces it. */
    g_assert_cmphex(epc_config_add_cap(c, EXT(PCI_EXT_CAP_ID_REBAR, 1), 12), ==,
                    0x108);
    epc_config_show(c, 0, 1u << 1);
    g_assert_cmphex(rd(c, 0x108, 4), ==, 0x10015);
}

static void test_registers(void)
{
    g_autofree EpcConfig *c = make_config();
    static const struct {
        uint64_t offset, size;
    } bad[] = {
        { 0xa8, 4 }, { 0xa8, 2 }, { 0xa9, 1 }, { 0xb3, 1 }, { 0xb2, 2 },
        { 0xb0, 4 }, { 0xab, 2 }, { 0xac, 0 }, { 0xac, 3 }, { 0xac, 8 },
        { 0xac, 1ull << 32 | 4 }, { 1ull << 32 | 0xac, 4 },
        { PCI_COMMAND, 2 }, { EPC_CONFIG_MSIX + 4, 4 },
        { 0x100, 4 }, { 0x102, 2 }, { 0x110, 4 }, { EPC_CONFIG_SIZE, 1 },
        { EPC_CONFIG_SIZE - 1, 2 }, { UINT64_MAX, 1 }, { UINT64_MAX - 3, 4 },
    };
    g_autofree EpcConfig *copy = NULL;

    epc_config_set_msix(c, 1, 0, 0, 0x10);
    g_assert_cmphex(epc_config_add_cap(c, PCI_CAP_ID_VNDR, 11), ==, 0xa8);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 0x10), ==, 0x100);
    copy = g_memdup2(c, sizeof(*c));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_false(epc_config_set_register(c, bad[i].offset, bad[i].size,
                                               0xffffffff, 0xffffffff));
    }
    g_assert_cmpint(memcmp(c, copy, sizeof(*c)), ==, 0);

    g_assert_true(epc_config_set_register(c, 0xaa, 2, 0xffff0b0b, 0));
    g_assert_true(epc_config_set_register(c, 0xac, 4, 0x11223344, 0xff00));
    g_assert_true(epc_config_set_register(c, 0xb2, 1, 0x7788, 0x0f));
    g_assert_true(epc_config_set_register(c, 0x10c, 4, 0xa5a5a5a5, ~0u));
    g_assert_cmphex(rd(c, 0xa8, 4), ==, 0x0b0b0009);
    g_assert_cmphex(rd(c, 0xac, 4), ==, 0x11223344);
    g_assert_cmphex(rd(c, 0xb0, 4), ==, 0x00880000);

    wr(c, 0xac, 0xffffffff, 4);
    wr(c, 0xb2, 0x55, 1);
    wr(c, 0x10e, 0x1234, 2);
    g_assert_cmphex(rd(c, 0xac, 4), ==, 0x1122ff44);
    g_assert_cmphex(rd(c, 0xb2, 1), ==, 0x85);
    g_assert_cmphex(rd(c, 0x10c, 4), ==, 0x1234a5a5);

    /* a new value replaces what the host wrote, and the mask may change */
    g_assert_true(epc_config_set_register(c, 0xac, 4, 0x01020304, 0));
    wr(c, 0xac, 0xffffffff, 4);
    g_assert_cmphex(rd(c, 0xac, 4), ==, 0x01020304);

    epc_config_reset(c, EPC_CONFIG_RESET_HOT);
    g_assert_cmphex(rd(c, 0xac, 4), ==, 0x01020304);
    g_assert_cmphex(rd(c, 0xb2, 1), ==, 0x88);
    g_assert_cmphex(rd(c, 0x10c, 4), ==, 0xa5a5a5a5);
    wr(c, 0x10c, 0, 4);
    g_assert_cmphex(rd(c, 0x10c, 4), ==, 0);
}

static void note(void *opaque, unsigned offset, unsigned size, uint32_t value)
{
    g_string_append_printf(opaque, "%x/%u=%x ", offset, size, value);
}

static void assert_told(const EpcConfig *c, uint32_t offset, uint32_t len,
                        const char *expect)
{
    static const uint8_t bytes[] = {
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    };
    g_autoptr(GString) s = g_string_new(NULL);

    epc_config_added_writes(c, offset, bytes, len, note, s);
    g_assert_cmpstr(s->str, ==, expect);
}

static void test_told(void)
{
    g_autofree EpcConfig *c = make_config();

    epc_config_add_cap(c, PCI_CAP_ID_VNDR, 11);
    epc_config_add_cap(c, EXT(0xb, 1), 8);
    assert_told(c, PCI_COMMAND, 2, "");
    assert_told(c, 0xa8, 2, "");
    assert_told(c, 0xac, 0, "");
    assert_told(c, 0xa8, 4, "aa/2=403 ");
    assert_told(c, 0xac, 4, "ac/4=4030201 ");
    assert_told(c, 0xae, 2, "ae/2=201 ");
    assert_told(c, 0xb2, 1, "b2/1=1 ");
    assert_told(c, 0xb0, 4, "b0/2=201 b2/1=3 ");
    assert_told(c, 0xad, 7, "ad/1=1 ae/2=302 b0/2=504 b2/1=6 ");
    assert_told(c, 0xa4, 16, "aa/2=807 ac/4=c0b0a09 b0/2=e0d b2/1=f ");
    assert_told(c, 0xfc, 16, "104/4=c0b0a09 ");
    assert_told(c, EPC_CONFIG_SIZE - 1, 1, "");
    assert_told(c, EPC_CONFIG_SIZE - 1, 2, "");
    assert_told(c, UINT32_MAX, 2, "");
}

static void test_queue(void)
{
    EpcWriteLog w = { };

    g_assert_cmphex(epc_write_log_info(&w), ==, 0);
    epc_write_log_next(&w);
    epc_write_log_add(&w, 0xaa, 2, 0x1111);
    epc_write_log_add(&w, 0x10c, 4, 0x22222222);
    /* NEXT is about what was shown */
    epc_write_log_next(&w);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmphex(epc_write_log_info(&w), ==, EPC_WRITE_VALID | 0x200aa);
        g_assert_cmphex(w.value, ==, 0x1111);
    }
    epc_write_log_next(&w);
    epc_write_log_next(&w);
    g_assert_cmphex(epc_write_log_info(&w), ==, EPC_WRITE_VALID | 0x4010c);
    g_assert_cmphex(w.value, ==, 0x22222222);

    /* A reset between INFO and NEXT does not cost the write after it */
    epc_write_log_clear(&w);
    epc_write_log_add(&w, 0xb0, 1, 0x33);
    g_assert_cmphex(w.value, ==, 0x22222222);
    epc_write_log_next(&w);
    g_assert_cmphex(epc_write_log_info(&w), ==, EPC_WRITE_VALID | 0x100b0);
    epc_write_log_next(&w);
    g_assert_cmphex(epc_write_log_info(&w), ==, 0);
}

static void test_overflow(void)
{
    EpcWriteLog w = { };

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < EPC_FN_WRITES_MAX + 7; i++) {
            epc_write_log_add(&w, 0x100 + i, 1, i);
        }
        for (unsigned i = 0; i < EPC_FN_WRITES_MAX; i++) {
            bool last = i == EPC_FN_WRITES_MAX - 1;

            g_assert_cmphex(epc_write_log_info(&w), ==, EPC_WRITE_VALID |
                            (last ? EPC_WRITE_LOST : 0) | 1 << 16 |
                            (0x100 + i));
            g_assert_cmpuint(w.value, ==, i);
            epc_write_log_next(&w);
        }
        g_assert_cmphex(epc_write_log_info(&w), ==, 0);
        /* so that the queue wraps at another place */
        epc_write_log_add(&w, 0, 1, 0);
        g_assert_cmphex(epc_write_log_info(&w), ==, EPC_WRITE_VALID | 1 << 16);
        epc_write_log_next(&w);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/epc-config-caps/valid", test_valid);
    g_test_add_func("/epc-config-caps/standard", test_standard);
    g_test_add_func("/epc-config-caps/full", test_full);
    g_test_add_func("/epc-config-caps/extended", test_extended);
    g_test_add_func("/epc-config-caps/serial", test_serial);
    g_test_add_func("/epc-config-caps/serial-room", test_serial_room);
    g_test_add_func("/epc-config-caps/resizable", test_resizable);
    g_test_add_func("/epc-config-caps/registers", test_registers);
    g_test_add_func("/epc-config-caps/told", test_told);
    g_test_add_func("/epc-writes/queue", test_queue);
    g_test_add_func("/epc-writes/overflow", test_overflow);
    return g_test_run();
}
