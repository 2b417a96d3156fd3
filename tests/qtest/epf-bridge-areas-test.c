/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: BARs made of areas, and endpoints that lie about them
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/memfd.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

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
        m->fd[i] = fakeep_memory(2 * BAR_SIZE, 0x10 + i, &m->data[i]);
    }
}

static void files_close(Files *m)
{
    for (unsigned i = 0; i < FILES; i++) {
        munmap(m->data[i], 2 * BAR_SIZE);
        close(m->fd[i]);
    }
}

static FakeEpLayout *use_files(FakeEp *s, const Files *m)
{
    FakeEpLayout *p = &s->parts[0];

    memset(p, 0, sizeof(*p));
    p->listed = true;
    p->area_fds = FILES;
    memcpy(p->area_fd, m->fd, sizeof(m->fd));
    return p;
}

/* Memory of both files with a hole between, that is reached by message */
static void two_files(FakeEp *s, const Files *m, unsigned first)
{
    use_files(s, m);
    fakeep_add_area(s, 0, 0, 4 * PAGE, first, PAGE);
    fakeep_add_area(s, 0, 8 * PAGE, 8 * PAGE, 1 - first, 0);
}

static void areas_start(Fixture *f, Files *m)
{
    files_open(m);
    fixture_start_with(f, VFU_EP_FEATURE_AREAS, "");
}

static void areas_end(Fixture *f, Files *m)
{
    fixture_end(f);
    files_close(m);
}

static void test_whole(void)
{
    Fixture f;
    Files m;

    areas_start(&f, &m);
    fixture_link_up(&f, false);
    fakeep_clear_log(f.ep);
    qtest_writeb(f.q, HOSTVM_BAR(0) + 0x3000, 0x77);
    g_assert_cmphex(f.ep->bar[0].data[f.ep->bar[0].offset + 0x3000], ==, 0x77);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_WRITE), ==, 0);
    areas_end(&f, &m);
}

static void test_two_files(void)
{
    Fixture f;
    Files m;
    uint64_t n;

    areas_start(&f, &m);
    two_files(f.ep, &m, 0);
    fixture_link_up(&f, false);
    n = hostvm_prop_uint(f.q, "messages");
    qtest_writel(f.q, HOSTVM_BAR(0) + 4, 0x11223344);
    g_assert_cmphex(ldl_le_p(m.data[0] + PAGE + 4), ==, 0x11223344);
    qtest_writel(f.q, HOSTVM_BAR(0) + BAR_SIZE - 4, 0x55667788);
    g_assert_cmphex(ldl_le_p(m.data[1] + 8 * PAGE - 4), ==, 0x55667788);
    g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0) + 4 * PAGE - 1), ==, 0x10);
    g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0) + 8 * PAGE), ==, 0x11);
    g_assert_cmpuint(hostvm_prop_uint(f.q, "messages"), ==, n);

    qtest_writeb(f.q, HOSTVM_BAR(0) + 4 * PAGE, 0x99);
    g_assert_cmphex(f.ep->bar[0].data[f.ep->bar[0].offset + 4 * PAGE], ==,
                    0x99);
    g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0) + 8 * PAGE - 1), ==, 0);
    g_assert_cmpuint(hostvm_prop_uint(f.q, "messages"), ==, n + 4);
    areas_end(&f, &m);
}

/* Nothing reaches the old place once the acknowledgement is there. */
static void check_gone(Fixture *f, const Files *m, unsigned first)
{
    uint8_t before = m->data[first][PAGE + 1];

    qtest_writeb(f->q, HOSTVM_BAR(0) + 1, before + 1);
    g_assert_cmphex(m->data[first][PAGE + 1], ==, before);
}

static void test_swap(void)
{
    Fixture f;
    Files m;

    areas_start(&f, &m);
    two_files(f.ep, &m, 0);
    fixture_link_up(&f, false);
    for (unsigned i = 1; i <= 50; i++) {
        two_files(f.ep, &m, i & 1);
        g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
        check_gone(&f, &m, !(i & 1));
        /* The reader thread maps one area after the other. */
        hostvm_wait_byte(f.q, HOSTVM_BAR(0), 0x10 + (i & 1));
        hostvm_wait_byte(f.q, HOSTVM_BAR(0) + 8 * PAGE, 0x11 - (i & 1));
        qtest_writeb(f.q, HOSTVM_BAR(0) + 2, i);
        g_assert_cmphex(m.data[i & 1][PAGE + 2], ==, i);
    }
    areas_end(&f, &m);
}

/* What is memory moves with every step: nothing, one page, every other page */
static void test_reshape(void)
{
    Fixture f;
    Files m;

    areas_start(&f, &m);
    fakeep_set_bar(f.ep, 0, 0, 0x100000, false);
    files_close(&m);
    for (unsigned i = 0; i < FILES; i++) {
        m.fd[i] = fakeep_memory(2 * BAR_SIZE, 0x10 + i, &m.data[i]);
    }
    fixture_link_up(&f, false);
    for (unsigned i = 0; i < 20; i++) {
        unsigned areas = i % 3 == 2 ? VFU_EP_MAX_AREAS : i % 3;

        use_files(f.ep, &m);
        for (unsigned n = 0; n < areas; n++) {
            fakeep_add_area(f.ep, 0, 2 * n * PAGE, PAGE, n & 1,
                            (n / 2) % 16 * PAGE);
        }
        g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
        hostvm_wait_byte(f.q, HOSTVM_BAR(0), areas ? 0x10 : 0);
        if (areas == VFU_EP_MAX_AREAS) {
            hostvm_wait_byte(f.q, HOSTVM_BAR(0) + 126 * PAGE, 0x11);
        }
        g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0) + 127 * PAGE), ==, 0);
    }
    areas_end(&f, &m);
}

static bool hook_hold(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return m->hdr.command == VFU_CMD_EP_AREAS;
}

/* There is no memory until the endpoint has announced the new one. */
static void test_unanswered(void)
{
    Fixture f;
    Files m;

    areas_start(&f, &m);
    two_files(f.ep, &m, 0);
    fixture_link_up(&f, false);
    f.ep->hook = hook_hold;
    g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, 0xffffffff);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0) + 8 * PAGE), ==, 0xffffffff);
    check_gone(&f, &m, 0);
    /* and none ever, without an answer in time */
    hostvm_wait_present(f.q, false);
    areas_end(&f, &m);
}

/* Doorbells are asked for when the guest reaches all areas. */
static void test_order(void)
{
    Fixture f;
    Files m;
    unsigned asked;

    areas_start(&f, &m);
    fixture_link_up(&f, false);
    asked = fakeep_count(f.ep, VFU_CMD_GET_REGION_IO_FDS);
    for (unsigned i = 0; i < 10; i++) {
        use_files(f.ep, &m);
        if (i & 1) {
            fakeep_add_area(f.ep, 0, 0, PAGE, 1, 0);
        }
        g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
        fakeep_wait(f.ep, VFU_CMD_GET_REGION_IO_FDS, ++asked);
        g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0)), ==, i & 1 ? 0x11 : 0);
    }
    areas_end(&f, &m);
}

typedef struct Moment {
    uint16_t cmd;
    uint32_t index;
    bool over;
} Moment;

/* The endpoint retargets BAR 0 before it answers at that moment. */
static bool hook_retarget(FakeEp *s, const VfuMsg *m, void *opaque)
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
        fakeep_retarget(s, 0, true, 0x77);
        fakeep_send(s, VFU_CMD_EP_REMAP, 0, &r, sizeof(r));
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
        hostvm_wait_byte(f.q, HOSTVM_BAR(0), 0x77);
        g_assert_true(at.over);
        fixture_end(&f);
    }
}

static bool hook_refuse_writes(FakeEp *s, const VfuMsg *m, void *opaque)
{
    if (m->hdr.command != VFU_CMD_REGION_WRITE) {
        return false;
    }
    fakeep_error(s, m, EPERM);
    return true;
}

/*
 * The guest does not change memory that it may only read, and sees what the
 * endpoint stores there afterwards.
 */
static void test_read_only(void)
{
    uint8_t *seen;
    Fixture f;
    Files m;

    areas_start(&f, &m);
    use_files(f.ep, &m);
    fakeep_add_area(f.ep, 0, 0, PAGE, 0, 0);
    f.ep->parts[0].area[0].flags = VFU_REGION_FLAG_READ;
    f.ep->hook = hook_refuse_writes;
    /* What messages reach is the same memory. */
    seen = f.ep->bar[0].data + f.ep->bar[0].offset;
    seen[0] = m.data[0][0];
    fixture_link_up(&f, false);
    g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0)), ==, 0x10);
    qtest_writeb(f.q, HOSTVM_BAR(0), 0x99);
    g_assert_cmphex(m.data[0][0], ==, 0x10);
    g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0)), ==, 0x10);
    seen[0] = m.data[0][0] = 0x20;
    g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0)), ==, 0x20);
    areas_end(&f, &m);
}

/* Says that the link is down, which it is not */
static bool hook_stale(FakeEp *s, const VfuMsg *m, void *opaque)
{
    if (m->hdr.command == VFU_CMD_EP_AREAS) {
        fakeep_error(s, m, ESTALE);
        return true;
    }
    return m->hdr.command == VFU_CMD_REGION_WRITE &&
           hook_refuse_writes(s, m, opaque);
}

/* A BAR that stays revoked is no memory of the host. */
static void test_stale(void)
{
    Fixture f;
    Files m;

    areas_start(&f, &m);
    fixture_link_up(&f, false);
    fakeep_clear_log(f.ep);
    f.ep->hook = hook_stale;
    g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
    fakeep_wait(f.ep, VFU_CMD_EP_AREAS, 1);
    /* Until the bridge has read the answer the BAR leads nowhere. */
    wait_until((qtest_writel(f.q, HOSTVM_BAR(0), 0x55555555),
                fakeep_count(f.ep, VFU_CMD_REGION_WRITE)),
               "the guest's stores to be messages");
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), !=, 0x55555555);
    areas_end(&f, &m);
}

/*
 * Revokes a BAR over and over, so that no description is up to date.  The
 * guest's stores are messages in the end.
 */
static bool hook_revoke(FakeEp *s, const VfuMsg *m, void *opaque)
{
    VfuEpRemap r = {
        .argsz = sizeof(r), .generation = s->generation, .region = 0,
    };

    if (m->hdr.command == VFU_CMD_EP_AREAS) {
        g_usleep(FIXTURE_DEADLINE_MS * 100);
        fakeep_send(s, VFU_CMD_EP_REMAP, 0, &r, sizeof(r));
    }
    return m->hdr.command == VFU_CMD_REGION_WRITE &&
           hook_refuse_writes(s, m, opaque);
}

static void test_revoked(void)
{
    Fixture f;
    Files m;

    areas_start(&f, &m);
    fixture_link_up(&f, false);
    fakeep_clear_log(f.ep);
    f.ep->hook = hook_revoke;
    g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
    for (gint64 end = wait_deadline(WAIT_MS);
         !fakeep_count(f.ep, VFU_CMD_REGION_WRITE);) {
        qtest_writel(f.q, HOSTVM_BAR(0), 0x55555555);
        g_assert_true(wait_step(end));
    }
    areas_end(&f, &m);
}

/* ---- Lies ---- */

static void l_overlap(FakeEpLayout *p)
{
    p->area[1].offset = p->area[0].offset + PAGE;
}

static void l_order(FakeEpLayout *p)
{
    VfuEpArea a = p->area[0];

    p->area[0] = p->area[1];
    p->area[1] = a;
}

static void l_offset_unaligned(FakeEpLayout *p)
{
    p->area[0].offset = 0x10;
}

static void l_size_unaligned(FakeEpLayout *p)
{
    p->area[0].size = PAGE + 0x800;
}

static void l_size_0(FakeEpLayout *p)
{
    p->area[0].size = 0;
}

static void l_file_unaligned(FakeEpLayout *p)
{
    p->area[0].fd_offset = 4;
}

static void l_outside_bar(FakeEpLayout *p)
{
    p->area[1].size += PAGE;
}

static void l_far_outside_bar(FakeEpLayout *p)
{
    p->area[1].offset = 1ull << 40;
}

static void l_wrap(FakeEpLayout *p)
{
    p->area[1].size = -(uint64_t)PAGE;
}

static void l_outside_file(FakeEpLayout *p)
{
    p->area[1].fd_offset = 2 * BAR_SIZE - PAGE;
}

static void l_file_wrap(FakeEpLayout *p)
{
    p->area[1].fd_offset = -(uint64_t)PAGE;
}

static void l_fd_index(FakeEpLayout *p)
{
    p->area[1].fd_index = FILES;
}

static void l_fd_index_wild(FakeEpLayout *p)
{
    p->area[0].fd_index = UINT32_MAX;
}

static void l_no_fd(FakeEpLayout *p)
{
    p->area_fds = 0;
}

static void l_no_read(FakeEpLayout *p)
{
    p->area[0].flags = VFU_REGION_FLAG_WRITE;
}

static void l_flags(FakeEpLayout *p)
{
    p->area[0].flags |= VFU_REGION_FLAG_CAPS;
}

static void l_too_many(FakeEpLayout *p)
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

static void use_fd(FakeEpLayout *p, int fd)
{
    other_fd = fd;
    p->area_fd[1] = fd;
}

static void l_not_a_file(FakeEpLayout *p)
{
    use_fd(p, open("/dev/null", O_RDWR | O_CLOEXEC));
}

static void l_shrinks(FakeEpLayout *p)
{
    use_fd(p, memfd_create("open", MFD_CLOEXEC));
    g_assert_cmpint(ftruncate(other_fd, 2 * BAR_SIZE), ==, 0);
}

static const struct {
    const char *name;
    void (*fn)(FakeEpLayout *p);
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

/*
 * A BAR with a false layout is reached by message and the bridge says why. A
 * correct layout works after that.
 */
static void test_lies(void)
{
    Fixture f;
    Files m;

    areas_start(&f, &m);
    two_files(f.ep, &m, 0);
    fixture_link_up(&f, false);
    for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autofree char *err = NULL;
        uint64_t n;

        g_test_message("%s", lies[i].name);
        two_files(f.ep, &m, 0);
        lies[i].fn(&f.ep->parts[0]);
        g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
        hostvm_wait_byte(f.q, HOSTVM_BAR(0), 0);
        n = hostvm_prop_uint(f.q, "messages");
        g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0) + 8 * PAGE), ==, 0);
        g_assert_cmpuint(hostvm_prop_uint(f.q, "messages"), >=, n + 2);
        err = hostvm_prop_str(f.q, "last-error");
        g_test_message("  %s", err);
        g_assert_cmpstr(err, !=, "");

        two_files(f.ep, &m, 0);
        g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
        hostvm_wait_byte(f.q, HOSTVM_BAR(0), 0x10);
        if (other_fd >= 0) {
            close(other_fd);
            other_fd = -1;
        }
    }
    areas_end(&f, &m);
}

typedef struct BadReply {
    uint16_t cmd;
    int argsz;
    int generation;
    int region;
    int count;
    size_t len;
} BadReply;

static bool hook_bad(FakeEp *s, const VfuMsg *m, void *opaque)
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
    fakeep_reply(s, m, out, b->len, NULL, 0);
    return true;
}

static bool hook_refuse(FakeEp *s, const VfuMsg *m, void *opaque)
{
    if (m->hdr.command != VFU_CMD_EP_AREAS &&
        m->hdr.command != VFU_CMD_GET_REGION_IO_FDS) {
        return false;
    }
    fakeep_error(s, m, EINVAL);
    return true;
}

static void check_by_message(FakeEpHook *hook, void *opaque)
{
    Fixture f;
    Files m;

    areas_start(&f, &m);
    f.ep->hook_opaque = opaque;
    f.ep->hook = hook;
    fixture_link_up(&f, false);
    qtest_writeb(f.q, HOSTVM_BAR(0), 0x42);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_WRITE), >, 0);
    g_assert_cmphex(f.ep->bar[0].data[f.ep->bar[0].offset], ==, 0x42);
    areas_end(&f, &m);
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
    qtest_add_func("epf-bridge/areas/stale", test_stale);
    qtest_add_func("epf-bridge/areas/revoked", test_revoked);
    qtest_add_func("epf-bridge/areas/lies", test_lies);
    qtest_add_func("epf-bridge/areas/bad-replies", test_bad_replies);

    return g_test_run();
}
