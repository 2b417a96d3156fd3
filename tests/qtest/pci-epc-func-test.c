/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several functions of a pci-epc, each with a fake host
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qemu/bitops.h"
#include "qobject/qjson.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/wait.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#define HOST        0x40000000ull
#define MEM_SIZE    0x10000u
#define MULTI       0x80

#define PLAIN "{\"capabilities\":{\"max_msg_fds\":16," \
    "\"max_data_xfer_size\":1048576}}"

static FakeHost *attach_function(EpVm *e, unsigned fn)
{
    return epvm_join(e, fn, NULL);
}

static FakeHost *attach_plain(EpVm *e, unsigned fn)
{
    return epvm_join(e, fn, PLAIN);
}

/* Function n of @mask has id n in its device id, BARs, MSI and MSI-X */
static EpVm *functions_start(uint32_t mask)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",functions=8");

    g_assert_cmpuint(epvm_reg(e, EPC_REG_FN_COUNT), ==, 8);
    for (unsigned i = 0; i < 8; i++) {
        if (mask & BIT(i)) {
            epvm_select(e, i);
            epvm_describe(e);
            epvm_set_header(e, EPVM_ID + (i << 16), 1);
        }
    }
    epvm_select(e, 0);
    return e;
}

static void start_link(EpVm *e)
{
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
}

static bool is_up(EpVm *e)
{
    return epvm_reg(e, EPC_REG_LINK) & EPC_LINK_UP;
}

static uint32_t link_generation(EpVm *e)
{
    return epvm_reg(e, EPC_REG_LINK) >> EPC_LINK_GEN_SHIFT;
}

static void all_up(EpVm *e, FakeHost **c, unsigned n, uint32_t mask)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_false(is_up(e));
        fakehost_link(c[i], VFU_EP_LINK_UP);
        g_assert_cmphex(c[i]->functions, ==, mask);
    }
    epvm_wait_link(e, true);
}

static void functions_end(EpVm *e, FakeHost **c, unsigned n)
{
    epvm_stop(e);
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(fakehost_wait_closed(c[i], FAKEHOST_TIMEOUT_MS));
        fakehost_free(c[i]);
    }
}

/* Functions 0 and 2 are described, so these are shown. */
static void test_shown(void)
{
    EpVm *e = functions_start(0x5);
    FakeHost *c[3];

    for (unsigned i = 0; i < 3; i++) {
        c[i] = attach_function(e, i);
    }
    start_link(e);
    fakehost_link(c[0], VFU_EP_LINK_UP);
    g_assert_cmphex(c[0]->functions, ==, 0x5);
    epvm_expect_no_command(e, c[1], VFU_CMD_EP_LINK);
    g_assert_false(is_up(e));
    fakehost_link(c[2], VFU_EP_LINK_UP);
    g_assert_cmphex(c[2]->functions, ==, 0x5);
    epvm_wait_link(e, true);
    g_assert_cmpuint(link_generation(e), ==, 1);

    g_assert_cmphex(fakehost_config(c[0], PCI_HEADER_TYPE, 1), ==, MULTI);
    g_assert_cmphex(fakehost_config(c[0], PCI_VENDOR_ID, 4), ==, EPVM_ID);
    g_assert_cmphex(fakehost_config(c[2], PCI_VENDOR_ID, 4), ==,
                    EPVM_ID + 0x20000);
    functions_end(e, c, 3);
}

/* A function by itself is no multi-function device. */
static void test_single(void)
{
    EpVm *e = functions_start(0x1);
    FakeHost *c = attach_function(e, 0);

    start_link(e);
    all_up(e, &c, 1, 0x1);
    g_assert_cmphex(fakehost_config(c, PCI_HEADER_TYPE, 1), ==, 0);
    functions_end(e, &c, 1);
}

static void test_startable(void)
{
    EpVm *e = functions_start(0x82);

    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                     EPC_STATUS_BAD_STATE);
    epvm_describe(e);
    start_link(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==, EPC_STATUS_OK);

    /* One whose table is outside of its BAR keeps all of them back */
    epvm_select(e, 7);
    g_assert_cmpuint(epvm_set_msix(e, 8, 0, EPVM_BAR0_SIZE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    start_link(e);
    epvm_stop(e);
}

static void test_remove(void)
{
    EpVm *e = functions_start(0x3);
    FakeHost *c[2];

    epvm_select(e, 1);
    epvm_set_fn_reg(e, EPC_FN_EVENT_MASK, EPC_FN_EVENT_FLR);
    start_link(e);
    g_assert_cmpuint(epvm_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_BAD_STATE);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_CONFIG), ==, UINT32_MAX);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_CONFIG + PCI_BASE_ADDRESS_0 + 16), ==,
                    0);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_MSIX), ==, 0);
    /* The arguments and the mask are not part of what was described */
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_COUNT), ==, 8);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_EVENT_MASK), ==, EPC_FN_EVENT_FLR);

    c[0] = attach_function(e, 0);
    c[1] = attach_function(e, 1);
    start_link(e);
    all_up(e, c, 1, 0x1);
    g_assert_cmphex(fakehost_config(c[0], PCI_HEADER_TYPE, 1), ==, 0);
    epvm_expect_no_command(e, c[1], VFU_CMD_EP_LINK);

    /* Another one, with another BAR, takes its place */
    epvm_set_reg(e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fakehost_link(c[0], VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_header(e, EPVM_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, EPC_BAR_FLAG_64, EPVM_BAR0, 0x20000),
                     ==, EPC_STATUS_OK);
    start_link(e);
    all_up(e, c, 2, 0x3);
    functions_end(e, c, 2);
}

/* When one session ends the others fall, and rise only when all are down. */
static void test_together(void)
{
    EpVm *e = functions_start(0x7);
    FakeHost *c[3];

    for (unsigned i = 0; i < 3; i++) {
        c[i] = attach_function(e, i);
    }
    start_link(e);
    all_up(e, c, 3, 0x7);
    for (unsigned gone = 0; gone < 3; gone++) {
        unsigned a = (gone + 1) % 3, b = (gone + 2) % 3;

        fakehost_free(c[gone]);
        epvm_wait_link(e, false);
        fakehost_link(c[a], VFU_EP_LINK_DOWN);
        c[gone] = attach_function(e, gone);
        /* c[a] first: a round trip on its session is behind its answer */
        epvm_expect_no_command(e, c[a], VFU_CMD_EP_LINK);
        epvm_expect_no_command(e, c[gone], VFU_CMD_EP_LINK);
        g_assert_false(is_up(e));

        fakehost_link(c[b], VFU_EP_LINK_DOWN);
        all_up(e, c, 3, 0x7);
        g_assert_cmpuint(link_generation(e), ==, gone + 2);
    }
    functions_end(e, c, 3);
}

/*
 * STOP is done when each host has answered that the link is down, or is given
 * up.
 */
static void test_stop(void)
{
    EpVm *e = functions_start(0x3);
    FakeHost *c[2];

    c[0] = attach_function(e, 0);
    c[1] = attach_function(e, 1);
    for (unsigned i = 0; i < 3; i++) {
        start_link(e);
        all_up(e, c, 2, 0x3);
        epvm_set_reg(e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
        g_assert_cmpuint(epvm_reg(e, EPC_REG_LINK_STATUS), ==, EPC_STATUS_BUSY);
        fakehost_link(c[i & 1], VFU_EP_LINK_DOWN);
        epvm_wait_link(e, false);
        /* behind the answer of the host whose link is down */
        fakehost_fence(c[i & 1]);
        fence_main_loop(e->q);
        g_assert_cmpuint(epvm_reg(e, EPC_REG_LINK_STATUS), ==, EPC_STATUS_BUSY);
        if (i < 2) {
            fakehost_link(c[!(i & 1)], VFU_EP_LINK_DOWN);
        }
        g_assert_cmpuint(epvm_wait_link_command(e), ==, EPC_STATUS_OK);
    }
    g_assert_true(fakehost_wait_closed(c[1], FAKEHOST_TIMEOUT_MS));
    functions_end(e, c, 2);
}

/* RESET ends all; the next link waits for those that still have the old one. */
static void test_reset(void)
{
    EpVm *e = functions_start(0x3);
    FakeHost *c[2];

    c[0] = attach_function(e, 0);
    c[1] = attach_function(e, 1);
    start_link(e);
    all_up(e, c, 2, 0x3);
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_LINK_STATUS), ==, EPC_STATUS_BUSY);
    g_assert_cmpuint(epvm_set_header(e, EPVM_ID, 1), ==, EPC_STATUS_BAD_STATE);
    fakehost_link(c[1], VFU_EP_LINK_DOWN);
    epvm_expect_no_command(e, c[1], VFU_CMD_EP_LINK);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_LINK_STATUS), ==, EPC_STATUS_BUSY);
    fakehost_link(c[0], VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(e), ==, EPC_STATUS_OK);
    epvm_describe(e);
    start_link(e);
    all_up(e, c, 1, 0x1);
    functions_end(e, c, 2);
}

static void check_event(EpVm *e, uint32_t event, bool expected)
{
    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, expected ? event : 0);
    epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_ALL);
}

/* A reset of the device comes on each session and is one event. */
static void test_resets(void)
{
    EpVm *e = functions_start(0x7);
    FakeHost *c[3];

    for (unsigned i = 0; i < 3; i++) {
        c[i] = attach_function(e, i);
    }
    start_link(e);
    all_up(e, c, 3, 0x7);
    epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_ALL);

    for (unsigned first = 0; first < 3; first++) {
        for (unsigned i = 0; i < 3; i++) {
            fakehost_set_config(c[i], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
        }
        for (unsigned i = 0; i < 3; i++) {
            g_assert_cmpint(fakehost_reset(c[(first + i) % 3],
                                           VFU_EP_RESET_HOT),
                            ==, 0);
            check_event(e, EPC_EVENT_HOT_RESET, i == 0);
            for (unsigned fn = 0; fn < 3; fn++) {
                epvm_select(e, fn);
                g_assert_cmphex(epvm_fn_reg(e, EPC_FN_PCI_COMMAND), ==, 0);
            }
        }
    }
    /* The second reset comes on one session before the first on the other. */
    fakehost_reset(c[0], VFU_EP_RESET_PERST);
    check_event(e, EPC_EVENT_PERST, true);
    fakehost_reset(c[0], VFU_EP_RESET_PERST);
    check_event(e, EPC_EVENT_PERST, true);
    for (unsigned i = 0; i < 4; i++) {
        fakehost_reset(c[1 + i % 2], VFU_EP_RESET_PERST);
        check_event(e, EPC_EVENT_PERST, false);
    }
    /* A function level reset is that of one function */
    for (unsigned i = 0; i < 3; i++) {
        fakehost_set_config(c[i], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    }
    fakehost_reset(c[1], VFU_EP_RESET_FLR);
    check_event(e, EPC_EVENT_ALL, false);
    for (unsigned i = 0; i < 3; i++) {
        epvm_select(e, i);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_EVENT) & EPC_FN_EVENT_FLR, ==,
                        i == 1 ? EPC_FN_EVENT_FLR : 0);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_PCI_COMMAND), ==,
                        i == 1 ? 0 : PCI_COMMAND_MASTER);
    }
    functions_end(e, c, 3);
}

static void enable_msix(FakeHost *c)
{
    unsigned cap = fakehost_find_cap(c, PCI_CAP_ID_MSIX);

    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    fakehost_set_config(c, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

/* The selected function has had its registers reset, with these events. */
static void check_fn_reset(EpVm *e, uint32_t events)
{
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_PCI_COMMAND), ==, 0);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSIX), ==, 8);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_EVENT) &
                    (EPC_FN_EVENT_COMMAND | EPC_FN_EVENT_MSI), ==, events);
    epvm_set_fn_reg(e, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
}

/*
 * A reset that is no event by itself is reported in the page of the function
 * whose registers it has changed: a second report of a reset of the device, and
 * the end of one of several hosts.
 */
static void test_reset_events(void)
{
    EpVm *e = functions_start(0x3);
    FakeHost *c[2];

    c[0] = attach_function(e, 0);
    c[1] = attach_function(e, 1);
    start_link(e);
    all_up(e, c, 2, 0x3);
    fakehost_reset(c[0], VFU_EP_RESET_HOT);
    epvm_select(e, 1);
    enable_msix(c[1]);
    epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_ALL);
    epvm_set_fn_reg(e, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
    epvm_set_fn_reg(e, EPC_FN_EVENT_MASK,
                    EPC_FN_EVENT_COMMAND | EPC_FN_EVENT_MSI);
    fence_main_loop(e->q);
    epvm_vector(e, EPC_VECTOR_EVENT, 0);

    fakehost_reset(c[1], VFU_EP_RESET_HOT);
    check_event(e, EPC_EVENT_HOT_RESET, false);
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    check_fn_reset(e, EPC_FN_EVENT_COMMAND | EPC_FN_EVENT_MSI);
    /* One that changes nothing is none. */
    fakehost_reset(c[1], VFU_EP_RESET_HOT);
    check_event(e, EPC_EVENT_HOT_RESET, true);
    check_fn_reset(e, 0);
    functions_end(e, c, 2);
}

static void test_leave_events(void)
{
    EpVm *e = functions_start(0x3);
    FakeHost *c[2];

    start_link(e);
    c[0] = attach_plain(e, 0);
    c[1] = attach_plain(e, 1);
    epvm_wait_link(e, true);
    epvm_select(e, 1);
    enable_msix(c[1]);
    epvm_set_fn_reg(e, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
    epvm_set_fn_reg(e, EPC_FN_EVENT_MASK, EPC_FN_EVENT_MSI);
    fence_main_loop(e->q);
    epvm_vector(e, EPC_VECTOR_EVENT, 0);

    fakehost_free(c[1]);
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    g_assert_true(is_up(e));
    check_fn_reset(e, EPC_FN_EVENT_COMMAND | EPC_FN_EVENT_MSI);
    functions_end(e, c, 1);
}

/* One that does not know of several functions has one, whatever others do. */
static void test_alone(void)
{
    EpVm *e = functions_start(0x3);
    FakeHost *c = attach_function(e, 0), *other, *plain, *both[2];
    uint32_t word;

    start_link(e);
    fakehost_link(c, VFU_EP_LINK_UP);
    plain = attach_plain(e, 1);
    epvm_wait_link(e, true);
    g_assert_cmphex(fakehost_config(plain, PCI_VENDOR_ID, 4), ==,
                    EPVM_ID + 0x10000);
    qtest_writel(e->q, EPVM_BAR0, 0x12345678);
    g_assert_cmpint(fakehost_read(plain, 0, 0, &word, 4), ==, 0);
    g_assert_cmphex(word, ==, 0x12345678);
    /* The other function is not up */
    g_assert_cmpint(fakehost_read(c, 0, 0, &word, 4), ==, 0);
    g_assert_cmphex(word, ==, UINT32_MAX);

    /* Its host leaves and comes back, that of function 1 stays */
    fakehost_free(c);
    c = attach_function(e, 0);
    fakehost_link(c, VFU_EP_LINK_UP);
    g_assert_true(is_up(e));
    g_assert_cmphex(fakehost_config(plain, PCI_VENDOR_ID, 4), ==,
                    EPVM_ID + 0x10000);

    /* Then it makes room for one that joins */
    fakehost_free(plain);
    epvm_wait_link(e, false);
    other = attach_function(e, 1);
    fakehost_link(other, VFU_EP_LINK_UP);
    epvm_wait_link(e, true);
    g_assert_cmpint(fakehost_read(c, 0, 0, &word, 4), ==, 0);
    g_assert_cmphex(word, ==, 0x12345678);
    g_assert_cmpuint(link_generation(e), ==, 2);
    both[0] = c;
    both[1] = other;
    functions_end(e, both, 2);
}

/* Two hosts of one function each; STOP ends both, and RESET as well. */
static void test_two_alone(void)
{
    EpVm *e = functions_start(0x3);
    FakeHost *c[2];
    uint32_t word;

    start_link(e);
    c[0] = attach_plain(e, 0);
    c[1] = attach_plain(e, 1);
    epvm_wait_link(e, true);
    fakehost_free(c[0]);
    c[0] = attach_plain(e, 0);
    g_assert_cmpuint(link_generation(e), ==, 1);
    fakehost_set_config(c[1], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    fakehost_reset(c[0], VFU_EP_RESET_HOT);
    epvm_select(e, 1);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_PCI_COMMAND), ==, PCI_COMMAND_MASTER);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    g_assert_false(is_up(e));
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(fakehost_read(c[i], 0, 0, &word, 4), ==, 0);
        g_assert_cmphex(word, ==, UINT32_MAX);
    }
    g_assert_cmpuint(epvm_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    functions_end(e, c, 2);
}

/* Bus mastering, memory and interrupts are those of a function. */
static void test_requesters(void)
{
    const uint32_t mask = 0x83;
    const unsigned fns[] = { 0, 1, 7 };
    EpVm *e = functions_start(mask);
    FakeHost *c[3];
    uint8_t *mem[3];
    int fd[3], irq[3];

    for (unsigned i = 0; i < 3; i++) {
        c[i] = attach_function(e, fns[i]);
        fd[i] = fakehost_memfd(MEM_SIZE, &mem[i]);
        irq[i] = eventfd(0, EFD_NONBLOCK);
        mem[i][0] = 0xa0 + i;
    }
    start_link(e);
    all_up(e, c, 3, mask);
    for (unsigned i = 0; i < 3; i++) {
        unsigned cap = fakehost_find_cap(c[i], PCI_CAP_ID_MSIX);

        g_assert_cmpint(fakehost_dma_map(c[i], HOST, MEM_SIZE, fd[i], 0,
                                         VFU_DMA_READ | VFU_DMA_WRITE), ==, 0);
        g_assert_cmpint(fakehost_set_irq(c[i], VFU_IRQ_MSIX, 3, irq[i]), ==, 0);
        fakehost_set_config(c[i], cap + PCI_MSIX_FLAGS, 2,
                            PCI_MSIX_FLAGS_ENABLE);
    }
    for (unsigned on = 0; on < 3; on++) {
        fakehost_set_config(c[on], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
        for (unsigned i = 0; i < 3; i++) {
            epvm_select(e, fns[i]);
            g_assert_cmpuint(epvm_map(e, i * 0x10000, HOST, 0x1000), ==,
                             i == on ? EPC_STATUS_OK : EPC_STATUS_NOT_MAPPED);
            g_assert_cmphex(qtest_readb(e->q, EPVM_WINDOW + i * 0x10000), ==,
                            i == on ? 0xa0 + i : 0xff);
            epvm_raise(e, EPC_RAISE_MSIX(3), 0);
            g_assert_cmpuint(fakehost_wait_eventfd(irq[i], i == on ? 10000 : 0),
                             ==, i == on);
        }
        fakehost_set_config(c[on], PCI_COMMAND, 2, 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        munmap(mem[i], MEM_SIZE);
        close(fd[i]);
        close(irq[i]);
    }
    functions_end(e, c, 3);
}

/* A socket that cannot be made is named, and none is left behind. */
static void test_sockets(void)
{
    g_autofree char *dir = g_dir_make_tmp("pci-epc-XXXXXX", NULL);
    g_autofree char *taken = g_strdup_printf("%s/link.2", dir);
    g_autofree char *args = g_strdup_printf(
        "{'execute': 'device_add', 'arguments': {'driver': 'pci-epc', "
        "'functions': 3, 'socket': '%s/link'}}", dir);
    QTestState *q = qtest_init("-machine pc -nodefaults -m 32M");
    QDict *rsp;

    g_assert_true(g_file_set_contents(taken, "", 0, NULL));
    rsp = qtest_qmp(q, "%p", qobject_from_json(args, &error_abort));
    assert_qmp_error(rsp, taken);
    qobject_unref(rsp);
    g_assert_cmpint(unlink(taken), ==, 0);
    qtest_quit(q);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/func/shown", test_shown);
    qtest_add_func("/pci-epc/func/single", test_single);
    qtest_add_func("/pci-epc/func/startable", test_startable);
    qtest_add_func("/pci-epc/func/remove", test_remove);
    qtest_add_func("/pci-epc/func/together", test_together);
    qtest_add_func("/pci-epc/func/stop", test_stop);
    qtest_add_func("/pci-epc/func/reset", test_reset);
    qtest_add_func("/pci-epc/func/host-resets", test_resets);
    qtest_add_func("/pci-epc/func/reset-events", test_reset_events);
    qtest_add_func("/pci-epc/func/leave-events", test_leave_events);
    qtest_add_func("/pci-epc/func/alone", test_alone);
    qtest_add_func("/pci-epc/func/two-alone", test_two_alone);
    qtest_add_func("/pci-epc/func/requesters", test_requesters);
    qtest_add_func("/pci-epc/func/sockets", test_sockets);
    return g_test_run();
}
