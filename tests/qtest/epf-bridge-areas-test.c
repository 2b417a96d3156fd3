/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: BARs made of areas, and endpoints that lie about them
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/memfd.h"
#include "pci-ep-fixture.h"

#define PAGE        0x1000u
#define BAR_SIZE    0x10000u    /* of BAR 0 */
#define FILES       2

typedef struct Files {
    int fd[FILES];
    uint8_t *data[FILES];
} Files;

static void files_open(Files *m)
{
    for (unsigned i = 0; i < FILES; i++) {
        m->fd[i] = eps_memory(2 * BAR_SIZE, 0x10 + i, &m->data[i]);
    }
}

static void files_close(Files *m)
{
    for (unsigned i = 0; i < FILES; i++) {
        munmap(m->data[i], 2 * BAR_SIZE);
        close(m->fd[i]);
    }
}

static EpsParts *use_files(EpServer *s, const Files *m)
{
    EpsParts *p = &s->parts[0];

    memset(p, 0, sizeof(*p));
    p->listed = true;
    p->area_fds = FILES;
    memcpy(p->area_fd, m->fd, sizeof(m->fd));
    return p;
}

/* Memory of both files with a hole between, that is reached by message */
static void two_files(EpServer *s, const Files *m, unsigned first)
{
    use_files(s, m);
    eps_add_area(s, 0, 0, 4 * PAGE, first, PAGE);
    eps_add_area(s, 0, 8 * PAGE, 8 * PAGE, 1 - first, 0);
}

static void start(Fixture *f, Files *m)
{
    files_open(m);
    fixture_start_with(f, VFU_EP_FEATURE_AREAS, "");
}

static void end(Fixture *f, Files *m)
{
    fixture_end(f);
    files_close(m);
}

static void test_whole(void)
{
    Fixture f;
    Files m;

    start(&f, &m);
    fixture_link_up(&f, false);
    eps_clear_log(f.ep);
    qtest_writeb(f.q, EPH_BAR(0) + 0x3000, 0x77);
    g_assert_cmphex(f.ep->bar[0].data[f.ep->bar[0].offset + 0x3000], ==, 0x77);
    g_assert_cmpuint(eps_count(f.ep, VFU_CMD_REGION_WRITE), ==, 0);
    end(&f, &m);
}

static void test_two_files(void)
{
    Fixture f;
    Files m;
    uint64_t n;

    start(&f, &m);
    two_files(f.ep, &m, 0);
    fixture_link_up(&f, false);
    n = eph_prop_uint(f.q, "messages");
    qtest_writel(f.q, EPH_BAR(0) + 4, 0x11223344);
    g_assert_cmphex(ldl_le_p(m.data[0] + PAGE + 4), ==, 0x11223344);
    qtest_writel(f.q, EPH_BAR(0) + BAR_SIZE - 4, 0x55667788);
    g_assert_cmphex(ldl_le_p(m.data[1] + 8 * PAGE - 4), ==, 0x55667788);
    g_assert_cmphex(qtest_readb(f.q, EPH_BAR(0) + 4 * PAGE - 1), ==, 0x10);
    g_assert_cmphex(qtest_readb(f.q, EPH_BAR(0) + 8 * PAGE), ==, 0x11);
    g_assert_cmpuint(eph_prop_uint(f.q, "messages"), ==, n);

    qtest_writeb(f.q, EPH_BAR(0) + 4 * PAGE, 0x99);
    g_assert_cmphex(f.ep->bar[0].data[f.ep->bar[0].offset + 4 * PAGE], ==,
                    0x99);
    g_assert_cmphex(qtest_readb(f.q, EPH_BAR(0) + 8 * PAGE - 1), ==, 0);
    g_assert_cmpuint(eph_prop_uint(f.q, "messages"), ==, n + 4);
    end(&f, &m);
}

/* Nothing reaches the old place once the acknowledgement is there. */
static void check_gone(Fixture *f, const Files *m, unsigned first)
{
    uint8_t before = m->data[first][PAGE + 1];

    qtest_writeb(f->q, EPH_BAR(0) + 1, before + 1);
    g_assert_cmphex(m->data[first][PAGE + 1], ==, before);
}

static void test_swap(void)
{
    Fixture f;
    Files m;

    start(&f, &m);
    two_files(f.ep, &m, 0);
    fixture_link_up(&f, false);
    for (unsigned i = 1; i <= 50; i++) {
        two_files(f.ep, &m, i & 1);
        g_assert_cmpint(eps_remap(f.ep, 0), ==, 0);
        check_gone(&f, &m, !(i & 1));
        eph_wait_byte(f.q, EPH_BAR(0), 0x10 + (i & 1));
        qtest_writeb(f.q, EPH_BAR(0) + 2, i);
        g_assert_cmphex(m.data[i & 1][PAGE + 2], ==, i);
        g_assert_cmphex(qtest_readb(f.q, EPH_BAR(0) + 8 * PAGE), ==,
                        0x11 - (i & 1));
    }
    end(&f, &m);
}

/* What is memory moves with every step: nothing, one page, every other page */
static void test_reshape(void)
{
    Fixture f;
    Files m;

    start(&f, &m);
    eps_set_bar(f.ep, 0, 0, 0x100000, false);
    files_close(&m);
    for (unsigned i = 0; i < FILES; i++) {
        m.fd[i] = eps_memory(2 * BAR_SIZE, 0x10 + i, &m.data[i]);
    }
    fixture_link_up(&f, false);
    for (unsigned i = 0; i < 20; i++) {
        unsigned areas = i % 3 == 2 ? VFU_EP_MAX_AREAS : i % 3;

        use_files(f.ep, &m);
        for (unsigned n = 0; n < areas; n++) {
            eps_add_area(f.ep, 0, 2 * n * PAGE, PAGE, n & 1, (n / 2) % 16 * PAGE);
        }
        g_assert_cmpint(eps_remap(f.ep, 0), ==, 0);
        eph_wait_byte(f.q, EPH_BAR(0), areas ? 0x10 : 0);
        if (areas == VFU_EP_MAX_AREAS) {
            eph_wait_byte(f.q, EPH_BAR(0) + 126 * PAGE, 0x11);
        }
        g_assert_cmphex(qtest_readb(f.q, EPH_BAR(0) + 127 * PAGE), ==, 0);
    }
    end(&f, &m);
}

static bool hook_hold(EpServer *s, const EpsMsg *m, void *opaque)
{
    return m->hdr.command == VFU_CMD_EP_AREAS;
}

/* Until the endpoint has told the new memory there is none. */
static void test_unanswered(void)
{
    Fixture f;
    Files m;

    start(&f, &m);
    two_files(f.ep, &m, 0);
    fixture_link_up(&f, false);
    f.ep->hook = hook_hold;
    g_assert_cmpint(eps_remap(f.ep, 0), ==, 0);
    g_assert_cmphex(qtest_readl(f.q, EPH_BAR(0)), ==, 0xffffffff);
    g_assert_cmphex(qtest_readl(f.q, EPH_BAR(0) + 8 * PAGE), ==, 0xffffffff);
    check_gone(&f, &m, 0);
    /* and none ever, without an answer in time */
    eph_wait_present(f.q, false);
    end(&f, &m);
}

/* Doorbells are asked for when the guest reaches all areas. */
static void test_order(void)
{
    Fixture f;
    Files m;
    unsigned asked;

    start(&f, &m);
    fixture_link_up(&f, false);
    asked = eps_count(f.ep, VFU_CMD_GET_REGION_IO_FDS);
    for (unsigned i = 0; i < 10; i++) {
        use_files(f.ep, &m);
        if (i & 1) {
            eps_add_area(f.ep, 0, 0, PAGE, 1, 0);
        }
        g_assert_cmpint(eps_remap(f.ep, 0), ==, 0);
        eps_wait(f.ep, VFU_CMD_GET_REGION_IO_FDS, ++asked);
        g_assert_cmphex(qtest_readb(f.q, EPH_BAR(0)), ==, i & 1 ? 0x11 : 0);
    }
    end(&f, &m);
}

typedef struct Moment {
    uint16_t cmd;
    uint32_t index;
    bool over;
} Moment;

/* The endpoint retargets BAR 0 before it answers at that moment. */
static bool hook_retarget(EpServer *s, const EpsMsg *m, void *opaque)
{
    Moment *at = opaque;
    VfuEpRemap r = { .argsz = sizeof(r), .generation = s->generation };
    uint32_t index;

    if (m->hdr.command != at->cmd || at->over) {
        return false;
    }
    /* GET_REGION_INFO and GET_IRQ_INFO have it at the same place */
    memcpy(&index, m->payload + offsetof(VfuRegionInfo, index), sizeof(index));
    if (index == at->index) {
        at->over = true;
        eps_retarget(s, 0, true, 0x77);
        eps_send(s, VFU_CMD_EP_REMAP, 0, &r, sizeof(r));
    }
    return false;
}

/* After the query of the BAR and before the end of that of the function */
static void test_early(void)
{
    static const Moment moments[] = {
        { VFU_CMD_GET_REGION_INFO, 1 },
        { VFU_CMD_GET_REGION_INFO, 5 },
        { VFU_CMD_GET_IRQ_INFO, VFU_IRQ_INTX },
        { VFU_CMD_GET_IRQ_INFO, VFU_IRQ_MSIX },
    };

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(moments); i++) {
        Moment at = moments[i / 2];
        Fixture f;

        fixture_start_with(&f, i & 1 ? VFU_EP_FEATURE_AREAS : 0, "");
        f.ep->hook_opaque = &at;
        f.ep->hook = hook_retarget;
        fixture_link_up(&f, false);
        eph_wait_byte(f.q, EPH_BAR(0), 0x77);
        g_assert_true(at.over);
        fixture_end(&f);
    }
}

static void test_read_only(void)
{
    Fixture f;
    Files m;

    start(&f, &m);
    use_files(f.ep, &m);
    eps_add_area(f.ep, 0, 0, PAGE, 0, 0);
    f.ep->parts[0].area[0].flags = VFU_REGION_FLAG_READ;
    fixture_link_up(&f, false);
    g_assert_cmphex(qtest_readb(f.q, EPH_BAR(0)), ==, 0x10);
    qtest_writeb(f.q, EPH_BAR(0), 0x99);
    g_assert_cmphex(m.data[0][0], ==, 0x10);
    end(&f, &m);
}

/*
 * ------------------------------------------------------------------------
 * Lies
 */
static void l_overlap(EpsParts *p)
{
    p->area[1].offset = p->area[0].offset + PAGE;
}

static void l_order(EpsParts *p)
{
    VfuEpArea a = p->area[0];

    p->area[0] = p->area[1];
    p->area[1] = a;
}

static void l_offset_unaligned(EpsParts *p)
{
    p->area[0].offset = 0x10;
}

static void l_size_unaligned(EpsParts *p)
{
    p->area[0].size = PAGE + 0x800;
}

static void l_size_0(EpsParts *p)
{
    p->area[0].size = 0;
}

static void l_file_unaligned(EpsParts *p)
{
    p->area[0].fd_offset = 4;
}

static void l_outside_bar(EpsParts *p)
{
    p->area[1].size += PAGE;
}

static void l_far_outside_bar(EpsParts *p)
{
    p->area[1].offset = 1ull << 40;
}

static void l_wrap(EpsParts *p)
{
    p->area[1].size = -(uint64_t)PAGE;
}

static void l_outside_file(EpsParts *p)
{
    p->area[1].fd_offset = 2 * BAR_SIZE - PAGE;
}

static void l_file_wrap(EpsParts *p)
{
    p->area[1].fd_offset = -(uint64_t)PAGE;
}

static void l_fd_index(EpsParts *p)
{
    p->area[1].fd_index = FILES;
}

static void l_fd_index_wild(EpsParts *p)
{
    p->area[0].fd_index = UINT32_MAX;
}

static void l_no_fd(EpsParts *p)
{
    p->area_fds = 0;
}

static void l_no_read(EpsParts *p)
{
    p->area[0].flags = VFU_REGION_FLAG_WRITE;
}

static void l_flags(EpsParts *p)
{
    p->area[0].flags |= VFU_REGION_FLAG_CAPS;
}

static void l_too_many(EpsParts *p)
{
    p->areas = VFU_EP_MAX_AREAS + 1;
    for (unsigned i = 0; i < p->areas; i++) {
        p->area[i] = (VfuEpArea) {
            .offset = i * PAGE, .size = PAGE,
            .flags = VFU_REGION_FLAG_READ,
        };
    }
}

static int other_fd = -1;

static void use_fd(EpsParts *p, int fd)
{
    other_fd = fd;
    p->area_fd[1] = fd;
}

static void l_not_a_file(EpsParts *p)
{
    use_fd(p, open("/dev/null", O_RDWR | O_CLOEXEC));
}

static void l_shrinks(EpsParts *p)
{
    use_fd(p, memfd_create("open", MFD_CLOEXEC));
    g_assert_cmpint(ftruncate(other_fd, 2 * BAR_SIZE), ==, 0);
}

static const struct {
    const char *name;
    void (*fn)(EpsParts *p);
} lies[] = {
    { "overlap", l_overlap },
    { "order", l_order },
    { "offset-unaligned", l_offset_unaligned },
    { "size-unaligned", l_size_unaligned },
    { "size-0", l_size_0 },
    { "file-unaligned", l_file_unaligned },
    { "outside-bar", l_outside_bar },
    { "far-outside-bar", l_far_outside_bar },
    { "wrap", l_wrap },
    { "outside-file", l_outside_file },
    { "file-wrap", l_file_wrap },
    { "fd-index", l_fd_index },
    { "fd-index-wild", l_fd_index_wild },
    { "no-fd", l_no_fd },
    { "no-read", l_no_read },
    { "flags", l_flags },
    { "too-many", l_too_many },
    { "not-a-file", l_not_a_file },
    { "shrinks", l_shrinks },
};

/* The BAR is reached by message, the reason is told, the truth then works. */
static void test_lies(void)
{
    Fixture f;
    Files m;

    start(&f, &m);
    two_files(f.ep, &m, 0);
    fixture_link_up(&f, false);
    for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autofree char *err = NULL;
        uint64_t n;

        g_test_message("%s", lies[i].name);
        two_files(f.ep, &m, 0);
        lies[i].fn(&f.ep->parts[0]);
        g_assert_cmpint(eps_remap(f.ep, 0), ==, 0);
        eph_wait_byte(f.q, EPH_BAR(0), 0);
        n = eph_prop_uint(f.q, "messages");
        g_assert_cmphex(qtest_readb(f.q, EPH_BAR(0) + 8 * PAGE), ==, 0);
        g_assert_cmpuint(eph_prop_uint(f.q, "messages"), >=, n + 2);
        err = eph_prop_str(f.q, "last-error");
        g_test_message("  %s", err);
        g_assert_cmpstr(err, !=, "");

        two_files(f.ep, &m, 0);
        g_assert_cmpint(eps_remap(f.ep, 0), ==, 0);
        eph_wait_byte(f.q, EPH_BAR(0), 0x10);
        if (other_fd >= 0) {
            close(other_fd);
            other_fd = -1;
        }
    }
    end(&f, &m);
}

typedef struct BadReply {
    uint16_t cmd;
    int argsz;
    int generation;
    int region;
    int count;
    size_t len;
} BadReply;

static bool hook_bad(EpServer *s, const EpsMsg *m, void *opaque)
{
    const BadReply *b = opaque;
    uint8_t out[1024] = { 0 };
    VfuEpAreas a;

    if (m->hdr.command != VFU_CMD_EP_AREAS) {
        return false;
    }
    memcpy(&a, m->payload, sizeof(a));
    a.argsz += b->argsz;
    a.generation += b->generation;
    a.region += b->region;
    a.count += b->count;
    memcpy(out, &a, sizeof(a));
    eps_reply(s, m, out, b->len, NULL, 0);
    return true;
}

static bool hook_refuse(EpServer *s, const EpsMsg *m, void *opaque)
{
    if (m->hdr.command != VFU_CMD_EP_AREAS &&
        m->hdr.command != VFU_CMD_GET_REGION_IO_FDS) {
        return false;
    }
    eps_error(s, m, EINVAL);
    return true;
}

static void check_by_message(EpsHook *hook, void *opaque)
{
    Fixture f;
    Files m;

    start(&f, &m);
    f.ep->hook_opaque = opaque;
    f.ep->hook = hook;
    fixture_link_up(&f, false);
    qtest_writeb(f.q, EPH_BAR(0), 0x42);
    g_assert_cmpuint(eps_count(f.ep, VFU_CMD_REGION_WRITE), >, 0);
    g_assert_cmphex(f.ep->bar[0].data[f.ep->bar[0].offset], ==, 0x42);
    end(&f, &m);
}

static void test_bad_replies(void)
{
    static BadReply bad[] = {
        { .argsz = 1, .len = 16 },
        { .generation = 1, .len = 16 },
        { .region = 1, .len = 16 },
        { .count = 1, .argsz = 32, .len = 16 },
        { .count = -1, .len = 16 },
        { .len = 48 },
        { .len = 8 },
        { .len = 0 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        check_by_message(hook_bad, &bad[i]);
    }
    check_by_message(hook_refuse, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("epf-bridge/areas/whole", test_whole);
    qtest_add_func("epf-bridge/areas/two-files", test_two_files);
    qtest_add_func("epf-bridge/areas/swap", test_swap);
    qtest_add_func("epf-bridge/areas/reshape", test_reshape);
    qtest_add_func("epf-bridge/areas/unanswered", test_unanswered);
    qtest_add_func("epf-bridge/areas/order", test_order);
    qtest_add_func("epf-bridge/areas/early", test_early);
    qtest_add_func("epf-bridge/areas/read-only", test_read_only);
    qtest_add_func("epf-bridge/areas/lies", test_lies);
    qtest_add_func("epf-bridge/areas/bad-replies", test_bad_replies);

    return g_test_run();
}
