/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: a secondary bus that is held in reset, and interrupts during a
 * reset
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

static uint32_t reset_kind(FakeEp *s, unsigned n)
{
    VfuEpReset r;

    memcpy(&r, fakeep_wait(s, VFU_CMD_EP_RESET, n)->payload, sizeof(r));
    return r.kind;
}

static void reset_send_intx(FakeEp *s, uint32_t level)
{
    VfuEpIntx m = {
        .argsz = sizeof(m), .generation = s->generation, .level = level,
    };

    fakeep_send(s, VFU_CMD_EP_INTX, VFU_FLAG_NO_REPLY, &m, sizeof(m));
}

static void reset_wait_intx(QTestState *q)
{
    wait_until(hostvm_readw(q, HOSTVM_FUNCTION, PCI_STATUS) &
               PCI_STATUS_INTERRUPT, "INTx to be asserted");
}

/* The error of a read of the guest's memory */
static int reset_read_memory(FakeEp *s)
{
    VfuDmaRw rw = { .address = 0x200000, .count = 4 };
    uint8_t reply[sizeof(rw) + 4];

    return fakeep_call(s, VFU_CMD_DMA_READ, &rw, sizeof(rw), reply,
                       sizeof(reply));
}

static void reset_hold_bus(Fixture *f, bool hold)
{
    hostvm_writew(f->q, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                  hold ? PCI_BRIDGE_CTL_BUS_RESET : 0);
}

/* Nothing is behind the port while the bus is held in reset. */
static void test_held(void)
{
    Fixture f;

    fixture_start_up(&f, true);
    for (unsigned i = 0; i < 3; i++) {
        reset_hold_bus(&f, true);
        g_assert_cmpuint(reset_kind(f.ep, 1), ==, VFU_EP_RESET_HOT);
        fakeep_clear_log(f.ep);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, PCI_VENDOR_ID), ==,
                        UINT32_MAX);
        g_assert_cmphex(hostvm_readw(f.q, HOSTVM_FUNCTION, PCI_COMMAND), ==,
                        UINT16_MAX);
        g_assert_cmphex(hostvm_readb(f.q, HOSTVM_FUNCTION, 0xb0), ==,
                        UINT8_MAX);
        hostvm_enable_function(f.q, true);
        g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, UINT32_MAX);
        g_assert_cmpint(reset_read_memory(f.ep), ==, EFAULT);
        g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_WRITE), ==, 0);
        reset_send_intx(f.ep, 1);
        fence_main_loop(f.q);
        reset_hold_bus(&f, false);

        /* The writes were lost, and the level was not. */
        g_assert_cmphex(hostvm_readw(f.q, HOSTVM_FUNCTION, PCI_COMMAND), ==, 0);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_0),
                        ==, 0);
        fixture_check_identity(f.q);
        reset_wait_intx(f.q);
        hostvm_enable_function(f.q, true);
        g_assert_cmpint(reset_read_memory(f.ep), ==, 0);
        g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_EP_RESET), ==, 0);
    }
    fixture_end(&f);
}

typedef struct Pulses {
    FakeEp *ep;
    bool stop;                  /* atomic */
} Pulses;

static void *send_pulses(void *opaque)
{
    Pulses *p = opaque;

    while (!qatomic_read(&p->stop)) {
        reset_send_intx(p->ep, 1);
        reset_send_intx(p->ep, 0);
        /*
         * fakeep_send() has the endpoint's lock while the host is slow to take
         * the pulses, and its reader needs the lock to answer in time.
         */
        g_usleep(20);
    }
    return NULL;
}

/*
 * An endpoint asserts INTx at any moment of a reset. QEMU ends when one of its
 * root buses still has an interrupt that is asserted.
 */
static void test_intx(void)
{
    Pulses p = { };
    GThread *thread;
    Fixture f;

    fixture_start_up(&f, false);
    p.ep = f.ep;
    thread = g_thread_new("pulses", send_pulses, &p);
    for (unsigned i = 0; i < 100; i++) {
        qtest_system_reset(f.q);
        hostvm_enable_port(f.q);
        if (i % 4 == 3) {
            reset_hold_bus(&f, true);
            reset_hold_bus(&f, false);
        }
    }
    qatomic_set(&p.stop, true);
    g_thread_join(thread);
    fixture_check_identity(f.q);
    hostvm_enable_function(f.q, false);
    reset_send_intx(f.ep, 1);
    reset_wait_intx(f.q);
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("epf-bridge/reset/held", test_held);
    qtest_add_func("epf-bridge/reset/intx", test_intx);

    return g_test_run();
}
