/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc between a random endpoint guest and random hosts
 *
 * The guest accesses registers, window, doorbells and DMA rings at random, and
 * a thread for each function plays its host (pci-ep/random-host.c). The user
 * requests faults meanwhile. Nothing of that has a right result. The controller
 * must answer all the time, and afterwards serve a guest and a host that behave.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "pci-ep/dma.h"
#include "pci-ep/random.h"
#include "pci-ep/random-host.h"
#include "pci-ep/wait.h"

#define FUNCTIONS   2
#define VFS         3
#define NUMBERS     (FUNCTIONS + VFS)
#define DEADLINE_MS 200
/* One access waits for the host at most twice the deadline. The rest is load. */
#define SLOW_US     wait_scaled(20 * G_USEC_PER_SEC)

typedef struct Guest {
    EpVm *e;
    Random rnd;
    uint32_t dma_base;
    unsigned accesses;
} Guest;

/* ---- Addresses and values that mean something ---- */

static const uint64_t places[] = {
    EPVM_BAR0, EPVM_BAR2, EPVM_DOORBELL, EPVM_WINDOW, EPVM_REGS, EPVM_MSIX,
    RING(0), BUFFER, HOST, HOST + 0x100000, EPC_ADDR_NONE, EPC_ADDR_TRAP,
    RAM_END - 0x1000,
};

static uint64_t any_address(Guest *g)
{
    uint64_t at = random_of(&g->rnd, places);

    if (at == EPC_ADDR_TRAP) {
        return at;
    }
    return random_once_in(&g->rnd, 4) ? random_value(&g->rnd) :
           at + 0x1000 * random_below(&g->rnd, 8);
}

static const uint32_t fn_args[] = {
    EPC_FN_BAR, EPC_FN_BAR_FLAGS, EPC_FN_COUNT, EPC_FN_ID, EPC_FN_CLASS,
    EPC_FN_SUBSYS, EPC_FN_INT_PIN, EPC_FN_CAP_ID, EPC_FN_VALUE, EPC_FN_WMASK,
    EPC_FN_EVENT, EPC_FN_EVENT_MASK, EPC_FN_WRITE_NEXT,
};

static const uint32_t caps[] = {
    PCI_CAP_ID_VNDR, PCI_CAP_ID_SSVID, EPC_CAP_EXT | 0x1000b,
    EPC_CAP_EXT | 0x10001,
};

/* ---- What the guest does ---- */

static void guest_any_register(Guest *g)
{
    static const unsigned widths[] = { 1, 2, 4, 4, 4, 8 };
    static const uint32_t pages[] = {
        0, 0x4000, 0x10000, 0x12000, 0x14000, 0x20000, 0x24000, 0x40000,
        0x41000, 0x4f000, 0x7f000,
    };
    unsigned width = random_of(&g->rnd, widths);
    uint64_t at = random_of(&g->rnd, pages) + random_below(&g->rnd, 0x200);

    at &= random_once_in(&g->rnd, 8) ? ~0ull : ~(width - 1ull);
    if (random_once_in(&g->rnd, 2)) {
        epvm_read(g->e, at, width);
    } else if (at != EPC_REG_RESET) {
        epvm_write(g->e, at, width, random_value(&g->rnd));
    }
}

/* Arguments that are likely, of the command that follows */
static void guest_args(Guest *g)
{
    EpVm *e = g->e;
    uint64_t size = 1ull << (12 + random_below(&g->rnd, 8));

    epvm_set_fn_reg(e, EPC_FN_BAR, random_below(&g->rnd, 6));
    epvm_set_fn_reg(e, EPC_FN_BAR_FLAGS, random_below(&g->rnd, 4));
    epvm_set_fn_reg64(e, EPC_FN_ADDR, any_address(g));
    epvm_set_fn_reg64(e, EPC_FN_SIZE, size);
    epvm_set_fn_reg64(e, EPC_FN_OFFSET, 0x1000 * random_below(&g->rnd, 64));
    epvm_set_fn_reg(e, EPC_FN_COUNT, random_below(&g->rnd, 40));
    epvm_set_fn_reg(e, EPC_FN_ID, EPVM_ID);
    epvm_set_fn_reg(e, EPC_FN_INT_PIN, random_below(&g->rnd, 5));
    epvm_set_fn_reg(e, EPC_FN_CAP_ID, random_of(&g->rnd, caps));
    if (random_once_in(&g->rnd, 3)) {
        epvm_set_fn_reg(e, random_of(&g->rnd, fn_args),
                        random_value(&g->rnd));
    }
    if (random_once_in(&g->rnd, 4)) {
        epvm_set_fn_reg64(e, EPC_FN_SIZE, random_value(&g->rnd));
    }
}

static void guest_command(Guest *g)
{
    epvm_select(g->e, random_below(&g->rnd, NUMBERS));
    guest_args(g);
    epvm_set_fn_reg(g->e, EPC_FN_CMD, 1 + random_below(&g->rnd, 12));
    epvm_fn_reg(g->e, EPC_FN_STATUS);
}

static void guest_areas(Guest *g)
{
    unsigned n = 1 + random_below(&g->rnd, 4);

    epvm_select(g->e, random_below(&g->rnd, NUMBERS));
    for (unsigned i = 0; i < n; i++) {
        epvm_area_args(g->e, i, any_address(g),
                       0x1000ull << random_below(&g->rnd, 4));
    }
    epvm_set_fn_reg(g->e, EPC_FN_BAR, random_below(&g->rnd, 6));
    epvm_set_fn_reg(g->e, EPC_FN_COUNT, n);
    epvm_set_fn_reg(g->e, EPC_FN_CMD, EPC_CMD_SET_AREAS);
}

/* Enables a trap ring, or consumes what is in it. */
static void guest_trap(Guest *g)
{
    epvm_select(g->e, random_below(&g->rnd, NUMBERS));
    if (random_once_in(&g->rnd, 4)) {
        epvm_set_fn_reg(g->e, EPC_FN_TRAP_CTRL, random_below(&g->rnd, 2));
    } else {
        epvm_set_fn_reg(g->e, EPC_FN_TRAP_CONSUMER,
                        epvm_fn_reg(g->e, EPC_FN_TRAP_PRODUCER));
    }
}

/* Adds a mailbox, and answers the object that is in it. */
static void guest_doe(Guest *g)
{
    static const uint32_t commands[] = {
        EPC_DOE_FETCH, EPC_DOE_STORE, EPC_DOE_ANSWER, EPC_DOE_FAIL,
    };

    epvm_select(g->e, random_below(&g->rnd, NUMBERS));
    epvm_set_fn_reg(g->e, EPC_FN_VALUE, random_once_in(&g->rnd, 2) ?
                    EPC_DOE_IRQ | random_below(&g->rnd, 9) : 0);
    epvm_set_fn_reg(g->e, EPC_FN_CMD, EPC_CMD_ADD_DOE);
    epvm_set_fn_reg(g->e, EPC_FN_DOE_PROTOCOL(0),
                    EPC_DOE_PROTOCOL_VALID | 0x051af4);
    epvm_set_fn_reg(g->e, EPC_FN_DOE_TOKEN,
                    epvm_fn_reg(g->e, EPC_FN_DOE_OBJECT));
    epvm_set_fn_reg64(g->e, EPC_FN_DOE_ADDR, any_address(g));
    epvm_set_fn_reg(g->e, EPC_FN_DOE_OFFSET, random_below(&g->rnd, 3));
    epvm_set_fn_reg(g->e, EPC_FN_DOE_COUNT, random_below(&g->rnd, 8));
    epvm_set_fn_reg(g->e, EPC_FN_DOE_CMD, random_of(&g->rnd, commands));
}

static void guest_link(Guest *g)
{
    switch (random_below(&g->rnd, 8)) {
    case 0:
        epvm_set_reg(g->e, EPC_REG_RESET, EPC_RESET_MAGIC);
        break;
    case 1:
        epvm_set_reg(g->e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
        break;
    default:
        epvm_set_reg(g->e, EPC_REG_LINK_CMD, EPC_LINK_START);
        break;
    }
}

/* Functions that START accepts, if the link is down */
static void guest_describe(Guest *g)
{
    for (unsigned fn = 0; fn < NUMBERS; fn++) {
        epvm_select(g->e, fn);
        epvm_set_fn_reg(g->e, EPC_FN_ID, EPVM_ID);
        epvm_set_fn_reg(g->e, EPC_FN_CMD, EPC_CMD_SET_HEADER);
        epvm_bar_args(g->e, 0, 0, EPVM_BAR0 + 0x20000 * fn, EPVM_BAR0_SIZE);
        epvm_set_fn_reg(g->e, EPC_FN_CMD, EPC_CMD_SET_BAR);
        epvm_set_fn_reg(g->e, EPC_FN_COUNT, 8);
        epvm_set_fn_reg64(g->e, EPC_FN_OFFSET, EPVM_BAR0_SIZE - 0x1000);
        epvm_set_fn_reg(g->e, EPC_FN_CMD, EPC_CMD_SET_MSIX);
    }
    epvm_set_reg(g->e, EPC_REG_LINK_CMD, EPC_LINK_START);
}

static void guest_raise(Guest *g)
{
    static const uint32_t what[] = {
        EPC_RAISE_MSI(0), EPC_RAISE_MSI(31), EPC_RAISE_MSIX(0),
        EPC_RAISE_MSIX(7), EPC_RAISE_MSIX(2047), EPC_RAISE_INTX,
    };

    epvm_select(g->e, random_below(&g->rnd, NUMBERS));
    epvm_raise(g->e, random_of(&g->rnd, what), random_below(&g->rnd, 2));
}

/* Maps of the host may trap, so that the access waits for it. */
static void guest_window(Guest *g)
{
    uint64_t at = EPVM_WINDOW + 0x1000 * random_below(&g->rnd, 64) +
                  8 * random_below(&g->rnd, 64);

    if (random_once_in(&g->rnd, 2)) {
        qtest_readl(g->e->q, at);
    } else {
        qtest_writeq(g->e->q, at, random_value(&g->rnd));
    }
}

static void guest_doorbell(Guest *g)
{
    unsigned n = random_below(&g->rnd, EPC_MAX_DOORBELLS);

    epvm_set_doorbell_reg(g->e, n, EPC_DOORBELL_CTRL,
                          random_below(&g->rnd, 4));
    epvm_doorbell_reg(g->e, n, EPC_DOORBELL_VALUE);
    qtest_writel(g->e->q, EPVM_DOORBELL + 4 * n, random_value(&g->rnd));
}

/* ---- DMA ---- */

static void guest_descriptor(Guest *g, uint64_t at)
{
    uint32_t flags = random_below(&g->rnd, 16) |
                     random_below(&g->rnd, NUMBERS) << EPC_DMA_SRC_FN_SHIFT |
                     random_below(&g->rnd, NUMBERS) << EPC_DMA_DST_FN_SHIFT;

    qtest_writeq(g->e->q, at + EPC_DMA_DESC_SRC, any_address(g));
    qtest_writeq(g->e->q, at + EPC_DMA_DESC_DST, any_address(g));
    qtest_writel(g->e->q, at + EPC_DMA_DESC_LENGTH,
                 random_once_in(&g->rnd, 8) ? random_value(&g->rnd) :
                                              random_below(&g->rnd, 0x3000));
    qtest_writel(g->e->q, at + EPC_DMA_DESC_FLAGS,
                 random_once_in(&g->rnd, 16) ? random_value(&g->rnd) : flags);
    qtest_writel(g->e->q, at + EPC_DMA_DESC_STATUS, EPC_DMA_PENDING);
}

static void guest_dma(Guest *g)
{
    unsigned ch = random_below(&g->rnd, 4);
    uint64_t page = g->dma_base + ch * EPC_DMA_PAGE_SIZE;
    uint32_t size = 2u << random_below(&g->rnd, 4);
    unsigned n = 1 + random_below(&g->rnd, size);

    if (random_once_in(&g->rnd, 2)) {
        epvm_set_reg(g->e, page + EPC_DMA_CTRL, 0);
        epvm_write(g->e, page + EPC_DMA_RING, 8,
                   random_once_in(&g->rnd, 8) ? any_address(g) : RING(ch));
        epvm_set_reg(g->e, page + EPC_DMA_SIZE, size);
        epvm_set_reg(g->e, page + EPC_DMA_IRQ_USEC,
                     random_below(&g->rnd, 2000));
        epvm_set_reg(g->e, page + EPC_DMA_CTRL, EPC_DMA_CTRL_ENABLE);
    }
    for (unsigned i = 0; i < n; i++) {
        guest_descriptor(g, RING(ch) + i * EPC_DMA_DESC_SIZE);
    }
    epvm_set_reg(g->e, page + EPC_DMA_PRODUCER,
                 epvm_reg(g->e, page + EPC_DMA_CONSUMER) + n);
    if (random_once_in(&g->rnd, 8)) {
        epvm_set_reg(g->e, page + EPC_DMA_CTRL,
                     EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT);
    }
}

/* ---- The user ---- */

/* Requests a fault, which is refused when too many are armed. */
static void guest_fault(Guest *g)
{
    static const char *const armed[] = {
        "dma-delay,us=300", "dma-fail", "dma-drop", "irq-lost",
        "irq-double,us=300,jitter=300", "window-delay,us=300",
        "window-timeout", "window-poison", "doorbell-lost",
        "doorbell-double,us=300",
    };
    static const char *const now[] = {
        "clear", "clear", "link-up", "link-flap,ms=3", "link-down,ms=20",
        "link-down",
    };
    g_autofree char *request = NULL;

    if (random_once_in(&g->rnd, 3)) {
        request = g_strdup(random_of(&g->rnd, now));
    } else {
        request = g_strdup_printf("%s,count=%u,after=%u",
                                  random_of(&g->rnd, armed),
                                  random_below(&g->rnd, 5),
                                  random_below(&g->rnd, 3));
    }
    qobject_unref(epvm_set_fault(g->e, request));
}

/* ---- The machine ---- */

static void guest_reset_machine(Guest *g)
{
    qtest_system_reset(g->e->q);
    epvm_enable(g->e);
}

/* What is done, and how often of all */
static const struct {
    void (*run)(Guest *g);
    unsigned share;
} deeds[] = {
    { guest_any_register, 20 },
    { guest_command, 20 },
    { guest_areas, 4 },
    { guest_trap, 4 },
    { guest_doe, 4 },
    { guest_link, 2 },
    { guest_describe, 2 },
    { guest_raise, 10 },
    { guest_window, 10 },
    { guest_doorbell, 6 },
    { guest_dma, 10 },
    { guest_fault, 4 },
};

static void guest_step(Guest *g)
{
    unsigned all = 0, pick;
    gint64 start = g_get_monotonic_time();

    for (unsigned i = 0; i < G_N_ELEMENTS(deeds); i++) {
        all += deeds[i].share;
    }
    pick = random_below(&g->rnd, all);
    for (unsigned i = 0; i < G_N_ELEMENTS(deeds); i++) {
        if (pick < deeds[i].share) {
            deeds[i].run(g);
            break;
        }
        pick -= deeds[i].share;
    }
    if (random_once_in(&g->rnd, 1000)) {
        guest_reset_machine(g);
    }
    g->accesses++;
    g_assert_cmphex(epvm_reg(g->e, EPC_REG_MAGIC), ==, EPC_MAGIC);
    g_assert_cmpint(g_get_monotonic_time() - start, <, SLOW_US);
}

/* ---- Before and after ---- */

static unsigned count_fds(EpVm *e)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", qtest_pid(e->q));
    GDir *d = g_dir_open(path, 0, NULL);
    unsigned n = 0;

    g_assert_nonnull(d);
    while (g_dir_read_name(d)) {
        n++;
    }
    g_dir_close(d);
    return n;
}

static void reset_controller(EpVm *e)
{
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    g_assert_cmpuint(epvm_wait_link_command(e), !=, EPC_STATUS_BUSY);
}

/*
 * One link-up with a guest and a host that behave. Returns the descriptors that
 * QEMU has open when the host is gone and the controller was reset.
 */
static unsigned check_behaved(EpVm *e, unsigned most)
{
    FakeHost *c;
    unsigned n;

    epvm_select(e, 0);
    epvm_describe(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = epvm_join(e, 0, NULL);
    fakehost_link(c, VFU_EP_LINK_UP);
    epvm_wait_link(e, true);
    g_assert_cmphex(fakehost_config(c, PCI_VENDOR_ID, 4), ==, EPVM_ID);
    fakehost_free(c);
    epvm_wait_link(e, false);
    reset_controller(e);
    wait_until((n = count_fds(e)) <= most,
               "at most %u descriptors; there are %u", most, n);
    return n;
}

static void test_random(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",functions=2,vfs=3,deadline-ms=200");
    Guest g = { .e = e };
    RandomHosts *hosts;
    unsigned fds = check_behaved(e, UINT_MAX);
    gint64 end;

    random_init(&g.rnd, 0);
    g.dma_base = epvm_reg(e, EPC_REG_DMA_BASE);
    hosts = random_hosts_start(e->socket, NUMBERS);
    end = random_end();
    while (g_get_monotonic_time() < end) {
        guest_step(&g);
    }
    g_test_message("%u steps of the guest, %u messages of hosts", g.accesses,
                   random_hosts_stop(hosts));
    guest_reset_machine(&g);
    reset_controller(e);
    epvm_request_fault(e, "clear");
    epvm_request_fault(e, "link-up");
    check_behaved(e, fds);
    epvm_stop(e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/random", test_random);
    return g_test_run();
}
