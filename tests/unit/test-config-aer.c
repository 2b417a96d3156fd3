/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of config/aer.c
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/pci-epc-regs.h"

#define EXT(id, version) (EPC_CAP_EXT | (version) << EPC_CAP_VERSION_SHIFT | \
                          (id))
#define AER(reg)        (EPC_CONFIG_AER + (reg))
#define EXT_BYTES       (EPC_CONFIG_AER - PCI_CFG_SPACE_SIZE)

static EpcConfig *aer_config(void)
{
    EpcConfig *c = g_new(EpcConfig, 1);

    epc_config_init(c, 3, 4);
    epc_config_add_aer(c);
    return c;
}

static uint32_t aer_read(const EpcConfig *c, uint32_t offset)
{
    uint8_t buf[4];

    g_assert_true(epc_config_read(c, offset, buf, sizeof(buf)));
    return ldl_le_p(buf);
}

static void aer_write(EpcConfig *c, uint32_t offset, uint32_t value)
{
    uint32_t events;
    uint8_t buf[4];

    stl_le_p(buf, value);
    g_assert_true(epc_config_write(c, offset, buf, sizeof(buf), &events));
    g_assert_cmphex(events, ==, 0);
}

/* Offset and id of each extended capability */
static void aer_assert_list(const EpcConfig *c, const char *expect)
{
    g_autoptr(GString) s = g_string_new(NULL);
    unsigned at = PCI_CFG_SPACE_SIZE;

    for (int i = 0; at && i < 960; i++) {
        uint32_t header = aer_read(c, at);

        if (PCI_EXT_CAP_ID(header)) {
            g_string_append_printf(s, "%x:%x ", at, PCI_EXT_CAP_ID(header));
        }
        at = PCI_EXT_CAP_NEXT(header);
    }
    g_assert_cmpstr(s->str, ==, expect);
}

/* It ends the list, whatever is added. */
static void test_list(void)
{
    g_autofree EpcConfig *c = aer_config();

    aer_assert_list(c, "fb8:1 ");
    g_assert_cmphex(aer_read(c, PCI_CFG_SPACE_SIZE), ==, 0xfb800000);
    epc_config_show(c, 7, 0);
    aer_assert_list(c, "100:3 fb8:1 ");
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 0x10), ==, 0x100);
    aer_assert_list(c, "100:b fb8:1 ");
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 0x10), ==, 0x110);
    epc_config_show(c, 7, 0);
    aer_assert_list(c, "100:b 110:b 120:3 fb8:1 ");
    g_assert_cmphex(aer_read(c, EPC_CONFIG_AER), ==, 0x00020001);
}

static void test_list_sriov(void)
{
    g_autofree EpcConfig *c = g_new(EpcConfig, 1);

    epc_config_init(c, 3, 4);
    epc_config_add_sriov(c, 1);
    epc_config_add_aer(c);
    aer_assert_list(c, "100:10 fb8:1 ");
    epc_config_show(c, 7, 0);
    aer_assert_list(c, "100:10 140:3 fb8:1 ");
}

/* Nothing runs into it. */
static void test_room(void)
{
    g_autofree EpcConfig *c = aer_config();

    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 0x700), ==, 0x100);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), EXT_BYTES - 0x700 + 4),
                    ==, 0);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), EXT_BYTES - 0x708), ==,
                    0x800);
    /* 8 bytes are left, and a serial number needs 12. */
    epc_config_show(c, 7, 0);
    aer_assert_list(c, "100:b 800:b fb8:1 ");
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 8), ==, 0xfb0);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 8), ==, 0);
    aer_assert_list(c, "100:b 800:b fb0:b fb8:1 ");
}

/* The endpoint's own replaces it, and gets its space. */
static void test_replaced(void)
{
    g_autofree EpcConfig *c = aer_config();

    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 0x700), ==, 0x100);
    g_assert_cmphex(epc_config_add_cap(c, EXT(1, 1), 0x48), ==, 0x800);
    aer_assert_list(c, "100:b 800:1 ");
    aer_write(c, AER(PCI_ERR_UNCOR_MASK), ~0u);
    g_assert_cmphex(aer_read(c, AER(PCI_ERR_UNCOR_MASK)), ==, 0);
    g_assert_cmphex(epc_config_add_cap(c, EXT(0xb, 1), 0x1000 - 0x848), ==,
                    0x848);
    /* Its registers are not sticky, although they are where AER was. */
    g_assert_true(epc_config_set_register(c, AER(PCI_ERR_UNCOR_MASK), 4, 0,
                                          ~0u));
    aer_write(c, AER(PCI_ERR_UNCOR_MASK), ~0u);
    epc_config_reset(c, EPC_CONFIG_RESET_FLR);
    g_assert_cmphex(aer_read(c, AER(PCI_ERR_UNCOR_MASK)), ==, 0);
}

static const struct {
    unsigned reg;
    uint32_t start;     /* after a reset */
    uint32_t writable;
} aer_registers[] = {
    { PCI_ERR_UNCOR_STATUS, 0, 0 },
    { PCI_ERR_UNCOR_MASK, 0x02400000, 0x03fff030 },
    { PCI_ERR_UNCOR_SEVER, 0x00462030, 0x03fff030 },
    { PCI_ERR_COR_STATUS, 0, 0 },
    { PCI_ERR_COR_MASK, 0x0000e000, 0x0000f1c1 },
    { PCI_ERR_CAP, 0x000000a0, 0x00000140 },
    { PCI_ERR_HEADER_LOG, 0, 0 },
};

static void aer_assert_registers(const EpcConfig *c, bool written)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(aer_registers); i++) {
        uint32_t want = aer_registers[i].start;

        if (written) {
            want |= aer_registers[i].writable;
        }
        g_assert_cmphex(aer_read(c, AER(aer_registers[i].reg)), ==, want);
    }
}

/* All that the host writes is sticky. */
static void test_registers(void)
{
    g_autofree EpcConfig *c = aer_config();

    aer_assert_registers(c, false);
    for (unsigned i = 0; i < G_N_ELEMENTS(aer_registers); i++) {
        aer_write(c, AER(aer_registers[i].reg), ~0u);
    }
    aer_assert_registers(c, true);
    epc_config_reset(c, EPC_CONFIG_RESET_FLR);
    aer_assert_registers(c, true);
    epc_config_reset(c, EPC_CONFIG_RESET_HOT);
    aer_assert_registers(c, true);
    epc_config_reset(c, EPC_CONFIG_RESET_POWER);
    aer_assert_registers(c, false);
}

static void test_status(void)
{
    g_autofree EpcConfig *c = aer_config();

    stl_le_p(c->data + AER(PCI_ERR_UNCOR_STATUS), 0x1000 | 0x40000);
    epc_config_reset(c, EPC_CONFIG_RESET_HOT);
    g_assert_cmphex(aer_read(c, AER(PCI_ERR_UNCOR_STATUS)), ==, 0x41000);
    aer_write(c, AER(PCI_ERR_UNCOR_STATUS), 0x1000);
    g_assert_cmphex(aer_read(c, AER(PCI_ERR_UNCOR_STATUS)), ==, 0x40000);
    epc_config_reset(c, EPC_CONFIG_RESET_POWER);
    g_assert_cmphex(aer_read(c, AER(PCI_ERR_UNCOR_STATUS)), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epc-config-aer/list", test_list);
    g_test_add_func("/epc-config-aer/list-sriov", test_list_sriov);
    g_test_add_func("/epc-config-aer/room", test_room);
    g_test_add_func("/epc-config-aer/replaced", test_replaced);
    g_test_add_func("/epc-config-aer/registers", test_registers);
    g_test_add_func("/epc-config-aer/status", test_status);
    return g_test_run();
}
