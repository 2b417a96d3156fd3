/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge between a random host guest and a random endpoint
 *
 * The thread of the fake endpoint answers well, wrongly, late or not at all, and
 * ends sessions. The test itself sends what an endpoint sends on its own, and
 * between that it is the guest: it accesses configuration space, BARs and the
 * port at random. It is the user too, who requests faults. Nothing of that has a
 * right result. The bridge must answer all the time, and afterwards show a
 * function of an endpoint that behaves.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/random.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS 200
#define AER         0x100       /* of the function */
#define DPC         0x150       /* of the port */
/*
 * Slow answers may take an access twice the deadline until the session ends.
 * The rest is load.
 */
#define SLOW_US     wait_scaled(20 * G_USEC_PER_SEC)

typedef struct Chaos {
    Fixture f;
    Random rnd;             /* of the test */
    Random hook_rnd;        /* of the thread of the endpoint */
    uint32_t generation;
    unsigned steps;
} Chaos;

/* ---- The endpoint answers ---- */

/* Sends a reply whose payload begins like the right one. */
static void answer_wrongly(FakeEp *s, const VfuMsg *m, Random *r)
{
    uint8_t p[128] = { 0 };
    size_t n = MIN(m->len, sizeof(p));
    int fds[4];
    unsigned nfds = random_once_in(r, 3) ? random_below(r, 4) : 0;

    if (n) {
        memcpy(p, m->payload, n);
    }
    for (unsigned i = random_below(r, 4); i; i--) {
        uint32_t v = random_value(r);

        memcpy(p + 4 * random_below(r, sizeof(p) / 4), &v, 4);
    }
    if (random_once_in(r, 2)) {
        n = random_below(r, sizeof(p));
    }
    for (unsigned i = 0; i < nfds; i++) {
        fds[i] = random_once_in(r, 2) ? s->bar[0].fd : s->bar[2].fd;
    }
    fakeep_reply(s, m, p, n, fds, nfds);
}

static bool random_hook(FakeEp *s, const VfuMsg *m, void *opaque)
{
    Chaos *c = opaque;
    Random *r = &c->hook_rnd;

    switch (random_below(r, 400)) {
    case 0:
        return true;                    /* no answer at all */
    case 1:
        shutdown(s->conn, SHUT_RDWR);
        return true;
    case 2 ... 3:
        g_usleep(1000 * random_below(r, 2 * DEADLINE_MS));
        return false;
    case 4 ... 9:
        g_usleep(1000 * random_below(r, DEADLINE_MS / 10));
        return false;
    case 10 ... 19:
        answer_wrongly(s, m, r);
        return true;
    case 20 ... 24:
        fakeep_error(s, m, random_below(r, 40));
        return true;
    default:
        return false;
    }
}

/* ---- What the endpoint does on its own ---- */

static void send_link(Chaos *c)
{
    bool up = !random_once_in(&c->rnd, 3);
    VfuEpLink l = {
        .argsz = sizeof(l), .state = up,
        .generation = up ? ++c->generation : c->generation,
        .speed = up ? 1 + random_below(&c->rnd, 6) : 0, .width = up ? 4 : 0,
    };

    fakeep_send(c->f.ep, VFU_CMD_EP_LINK, 0, &l, sizeof(l));
}

static void send_remap(Chaos *c)
{
    VfuEpRemap m = {
        .argsz = sizeof(m), .generation = c->generation,
        .region = random_below(&c->rnd, 6),
    };

    fakeep_send(c->f.ep, VFU_CMD_EP_REMAP, 0, &m, sizeof(m));
}

static void send_intx(Chaos *c)
{
    VfuEpIntx m = {
        .argsz = sizeof(m), .generation = c->generation,
        .level = random_below(&c->rnd, 2),
    };

    fakeep_send(c->f.ep, VFU_CMD_EP_INTX, VFU_FLAG_NO_REPLY, &m, sizeof(m));
}

static void send_dma(Chaos *c)
{
    struct {
        VfuDmaRw rw;
        uint8_t data[256];
    } m = {
        .rw.address = random_once_in(&c->rnd, 2) ? random_value(&c->rnd) :
                      random_below(&c->rnd, 128 << 20),
        .rw.count = random_once_in(&c->rnd, 8) ? random_value(&c->rnd) :
                    1 + random_below(&c->rnd, sizeof(m.data)),
    };
    bool write = random_once_in(&c->rnd, 2);

    /* Not into the devices of the machine, which may end it */
    if (m.rw.address >= 0x80000000 && m.rw.address < 0x100000000) {
        m.rw.address -= 0x80000000;
    }
    fakeep_send(c->f.ep, write ? VFU_CMD_DMA_WRITE : VFU_CMD_DMA_READ, 0, &m,
                sizeof(m.rw) + (write ? MIN(m.rw.count, sizeof(m.data)) : 0));
}

static void send_any(Chaos *c)
{
    static const uint16_t commands[] = {
        VFU_CMD_EP_LINK, VFU_CMD_EP_REMAP, VFU_CMD_EP_INTX, VFU_CMD_EP_FAULT,
        VFU_CMD_EP_RESET, VFU_CMD_DMA_READ, VFU_CMD_VERSION, 0x4506, 0,
    };
    uint32_t p[16];

    for (unsigned i = 0; i < G_N_ELEMENTS(p); i++) {
        p[i] = random_value(&c->rnd);
    }
    p[0] = random_once_in(&c->rnd, 2) ? 16 : 24;
    p[1] = c->generation;
    fakeep_send(c->f.ep, random_of(&c->rnd, commands), 0, p, p[0]);
}

/* What the next link-up shows differs from what this one does. */
static void change_device(Chaos *c)
{
    FakeEp *s = c->f.ep;

    g_mutex_lock(&s->lock);
    for (unsigned i = random_below(&c->rnd, 3); i; i--) {
        /* Command and BARs, capabilities, and the extended ones */
        unsigned at = random_once_in(&c->rnd, 2) ? random_below(&c->rnd, 0xc0) :
                      0x100 + random_below(&c->rnd, 0x100);

        s->config[at] = random_value(&c->rnd);
    }
    s->irqs[random_below(&c->rnd, 3)] = random_below(&c->rnd, 40);
    s->features ^= random_once_in(&c->rnd, 4) ? VFU_EP_FEATURE_AREAS : 0;
    g_mutex_unlock(&s->lock);
}

/* Undoes change_device(). */
static void restore_device(Chaos *c, const FakeEp *good)
{
    FakeEp *s = c->f.ep;

    g_mutex_lock(&s->lock);
    memcpy(s->config, good->config, sizeof(s->config));
    memcpy(s->irqs, good->irqs, sizeof(s->irqs));
    s->features = good->features;
    g_mutex_unlock(&s->lock);
}

static void retarget(Chaos *c)
{
    fakeep_retarget(c->f.ep, 2 * random_below(&c->rnd, 3),
                    random_below(&c->rnd, 4), random_below(&c->rnd, 256));
    send_remap(c);
}

/* ---- What the guest does ---- */

static void guest_config(Chaos *c)
{
    QTestState *q = c->f.q;
    unsigned reg = random_below(&c->rnd, 256);
    unsigned bdf = HOSTVM_FUNCTION + (random_once_in(&c->rnd, 8) ?
                                      random_below(&c->rnd, 8) : 0);

    switch (random_below(&c->rnd, 6)) {
    case 0:
        hostvm_writeb(q, bdf, reg, random_value(&c->rnd));
        break;
    case 1:
        hostvm_writew(q, bdf, reg, random_value(&c->rnd));
        break;
    case 2:
        hostvm_writel(q, bdf, reg, random_value(&c->rnd));
        break;
    case 3:
        hostvm_readb(q, bdf, reg);
        break;
    default:
        hostvm_readl(q, bdf, reg);
        break;
    }
}

static void guest_extended(Chaos *c)
{
    unsigned reg = 4 * random_below(&c->rnd, 1024);

    if (random_once_in(&c->rnd, 3)) {
        hostvm_ecam_writel(c->f.q, HOSTVM_FUNCTION, reg,
                           random_value(&c->rnd));
    } else {
        hostvm_ecam_readl(c->f.q, HOSTVM_FUNCTION, reg);
    }
}

/* Accesses of BARs, the MSI-X table in one of them */
static void guest_bar(Chaos *c)
{
    QTestState *q = c->f.q;
    uint64_t at = HOSTVM_BAR(random_below(&c->rnd, 6)) +
                  4 * random_below(&c->rnd, 0x1000);

    switch (random_below(&c->rnd, 6)) {
    case 0:
        qtest_writeb(q, at, random_value(&c->rnd));
        break;
    case 1:
        qtest_writel(q, at, random_value(&c->rnd));
        break;
    case 2:
        qtest_writeq(q, at, random_value(&c->rnd));
        break;
    case 3:
        qtest_readw(q, at);
        break;
    default:
        qtest_readl(q, at);
        break;
    }
}

static void guest_enable(Chaos *c)
{
    hostvm_enable_port(c->f.q);
    hostvm_enable_function(c->f.q, random_below(&c->rnd, 2));
}

/* Secondary bus reset, and what the driver of the slot does */
static void guest_port(Chaos *c)
{
    unsigned exp = hostvm_find_cap(c->f.q, HOSTVM_PORT, PCI_CAP_ID_EXP);

    switch (random_below(&c->rnd, 6)) {
    case 0:
        hostvm_writew(c->f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                      PCI_BRIDGE_CTL_BUS_RESET);
        hostvm_writew(c->f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
        break;
    case 1:
        hostvm_writew(c->f.q, HOSTVM_PORT, exp + PCI_EXP_SLTCTL,
                      random_value(&c->rnd));
        break;
    case 2:
        hostvm_writew(c->f.q, HOSTVM_PORT, exp + PCI_EXP_SLTSTA, 0xffff);
        break;
    case 3:
        hostvm_writew(c->f.q, HOSTVM_PORT, exp + PCI_EXP_LNKCTL,
                      random_value(&c->rnd));
        break;
    case 4:
        hostvm_ecam_writel(c->f.q, HOSTVM_PORT, DPC + PCI_EXP_DPC_CAP,
                           random_value(&c->rnd));
        break;
    default:
        hostvm_ecam_writel(c->f.q, HOSTVM_PORT, DPC + PCI_EXP_DPC_STATUS,
                           PCI_EXP_DPC_STATUS_TRIGGER);
        break;
    }
}

static void guest_reset_machine(Chaos *c)
{
    qtest_system_reset(c->f.q);
    hostvm_enable_ecam(c->f.q);
    hostvm_enable_port(c->f.q);
}

/* ---- What the user does ---- */

/* Requests a fault, which may be refused. */
static void user_fault(Chaos *c)
{
    static const char *const armed[] = {
        "config-ones", "config-retry", "config-delay,us=300", "irq-lost",
        "irq-double", "bar-timeout", "bar-delay,us=300", "bar-poison",
        "remove",
    };
    static const char *const now[] = {
        "clear", "clear", "insert", "insert", "link-down,ms=20",
        "link-train,speed=1", "link-train,speed=3,width=4", "aer",
        "aer,severity=fatal,function=0", "aer,severity=correctable,function=1",
    };
    g_autofree char *request = NULL;

    if (random_once_in(&c->rnd, 2)) {
        hostvm_fault_try(c->f.q, random_of(&c->rnd, now));
    } else {
        request = g_strdup_printf("%s,count=%u,after=%u",
                                  random_of(&c->rnd, armed),
                                  random_below(&c->rnd, 5),
                                  random_below(&c->rnd, 3));
        hostvm_fault_try(c->f.q, request);
    }
}

/* ---- The test ---- */

static void drop_session(Chaos *c)
{
    fakeep_disconnect(c->f.ep);
}

static void forget_log(Chaos *c)
{
    fakeep_clear_log(c->f.ep);
}

/* What is done, and how often of all */
static const struct {
    void (*run)(Chaos *c);
    unsigned share;
} deeds[] = {
    { guest_config, 300 },
    { guest_extended, 50 },
    { guest_bar, 300 },
    { guest_enable, 30 },
    { guest_port, 10 },
    { guest_reset_machine, 1 },
    { send_link, 20 },
    { send_remap, 20 },
    { send_intx, 20 },
    { send_dma, 50 },
    { send_any, 5 },
    { change_device, 5 },
    { retarget, 10 },
    { drop_session, 1 },
    { forget_log, 10 },
    { user_fault, 10 },
};

static void chaos_step(Chaos *c)
{
    gint64 start = g_get_monotonic_time();
    unsigned all = 0, pick;

    for (unsigned i = 0; i < G_N_ELEMENTS(deeds); i++) {
        all += deeds[i].share;
    }
    pick = random_below(&c->rnd, all);
    for (unsigned i = 0; i < G_N_ELEMENTS(deeds); i++) {
        if (pick < deeds[i].share) {
            deeds[i].run(c);
            break;
        }
        pick -= deeds[i].share;
    }
    c->steps++;
    g_assert_cmphex(hostvm_readw(c->f.q, HOSTVM_PORT, PCI_CLASS_DEVICE), ==,
                    0x0604);     /* a PCI bridge */
    g_assert_cmpint(g_get_monotonic_time() - start, <, SLOW_US);
}

/* The endpoint behaves from now on. */
static void check_behaved(Chaos *c, const FakeEp *good)
{
    FakeEp *s = c->f.ep;

    s->hook = NULL;
    hostvm_fault_try(c->f.q, "clear");
    hostvm_fault_try(c->f.q, "insert");
    restore_device(c, good);
    fakeep_disconnect(s);
    guest_reset_machine(c);
    s->generation = c->generation + 1000;
    fixture_link_up(&c->f, true);
    fixture_check_identity(c->f.q);
    qtest_writel(c->f.q, HOSTVM_BAR(1) + 8, 0x12345678);
    g_assert_cmphex(qtest_readl(c->f.q, HOSTVM_BAR(1) + 8), ==, 0x12345678);
}

static void test_random(void)
{
    Chaos c = { };
    g_autofree FakeEp *good = NULL;
    gint64 end;

    random_init(&c.rnd, 0);
    random_init(&c.hook_rnd, 1);
    c.f.ep = fakeep_new();
    stl_le_p(c.f.ep->config + AER, 1 | 2 << 16);
    good = g_memdup2(c.f.ep, sizeof(*c.f.ep));
    fakeep_listen(c.f.ep);
    c.f.q = hostvm_start(c.f.ep->path, DEADLINE_MS, true);
    hostvm_enable_ecam(c.f.q);
    hostvm_enable_port(c.f.q);
    fixture_link_up(&c.f, true);
    c.generation = c.f.ep->generation;
    c.f.ep->hook_opaque = &c;
    c.f.ep->hook = random_hook;

    end = random_end();
    while (g_get_monotonic_time() < end) {
        chaos_step(&c);
    }
    g_test_message("%u steps, %" PRIu64 " messages", c.steps,
                   hostvm_prop_uint(c.f.q, "messages"));
    check_behaved(&c, good);
    fixture_end(&c.f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/epf-bridge/random", test_random);
    return g_test_run();
}
