/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the bridge's side of the link: an endpoint that answers and
 * sends anything
 *
 * The connection thread runs one session, as in QEMU. This thread plays the
 * endpoint, and between its messages the guest: it looks at the layout of BARs,
 * writes to them and resets the function. It never waits for the endpoint, which
 * it is itself.
 *
 * A connection lives as long as QEMU and has no function that frees it, and its
 * thread pauses between two sessions. So this file includes connection.c, runs
 * its epf_connection_run() and frees what epf_connection_new() allocated.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "fuzz.h"
#include "endpoint.h"
#include "hw/misc/epf-bridge/remote/connection.c"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/wait.h"
#include "system/kvm.h"

const char fuzz_name[] = "remote";

#define DEADLINE_MS 5000
#define FENCE_US    (60 * G_USEC_PER_SEC)   /* nothing takes that long */

/* The kinds of steps; the first byte of a step picks one. */
enum {
    STEP_ANSWER,
    STEP_ANSWER_WRONG,
    STEP_ANSWER_ALL,
    STEP_COMMAND,
    STEP_LINK,
    STEP_BYTES,
    STEP_LAYOUT,
    STEP_GUEST,
    STEP_GUEST_AGAIN,
    STEP_COUNT,
};

typedef struct FuzzRemote {
    EpfConnection *c;
    int sock;               /* -1: the session is over */
    bool raw;               /* the endpoint has sent half a message */
    uint16_t next_id;
    uint32_t generation;
    GQueue questions;       /* VfuMsg of the bridge, not answered */
    uint16_t fence_id;      /* of commands that only fence() sends */
    uint16_t last_reply;    /* the id of the last reply */
    uint8_t layout;         /* what the endpoint says of its BARs */
} FuzzRemote;

/* ---- What the code under test needs of QEMU ---- */

bool kvm_allowed;

void memory_region_transaction_begin(void)
{
}

void memory_region_transaction_commit(void)
{
}

void memory_region_add_eventfd(MemoryRegion *mr, hwaddr addr, unsigned size,
                               bool match_data, uint64_t data,
                               EventNotifier *e)
{
}

void memory_region_del_eventfd(MemoryRegion *mr, hwaddr addr, unsigned size,
                               bool match_data, uint64_t data,
                               EventNotifier *e)
{
}

/* The bridge warns of each wrong answer. */
int error_vprintf(const char *fmt, va_list ap)
{
    return 0;
}

int error_vprintf_unless_qmp(const char *fmt, va_list ap)
{
    return 0;
}

/* remote/wait.c, without a CPU whose waits could be put off */

EpfRemote *epf_wait_begin(EpfRemote *r)
{
    return epf_remote_ref(r);
}

void epf_wait_end(EpfRemote *r)
{
    epf_remote_unref(r);
}

void epf_wait_settle(EpfRemote *r)
{
}

int64_t epf_wait_late(void *opaque)
{
    return 0;
}

void epf_wait_over(EpfRemote *r)
{
}

/* ---- What the bridge does for its connection ---- */

static void fuzz_changed(void *opaque)
{
}

static void fuzz_dma(void *opaque, EpfRemote *r, const VfuDmaRw *rw,
                     bool is_write, EpwRequest *req)
{
    g_autofree uint8_t *data = g_malloc0(is_write ? 1 : rw->count);
    struct iovec iov[2] = {
        { (void *)rw, sizeof(*rw) }, { data, is_write ? 0 : rw->count },
    };

    REQUIRE(rw->count && rw->count <= EPW_MAX_XFER);
    epw_reply(req, iov, is_write ? 1 : 2, NULL, 0);
}

static void fuzz_fault(void *opaque, EpfRemote *r, uint64_t addr,
                       bool is_write)
{
}

static void fuzz_lost(void *opaque, EpfRemote *r, const char *why)
{
}

static const EpfConnectionOps fuzz_ops = {
    .changed = fuzz_changed,
    .dma = fuzz_dma,
    .fault = fuzz_fault,
    .lost = fuzz_lost,
};

static EpfConnection *connection_new(unsigned func)
{
    EpfConnectionConfig cfg = {
        .path = "fuzz", .device = "fuzz", .name = "fuzz",
        .deadline_ms = DEADLINE_MS, .func = func,
    };
    EpfConnection *c = epf_connection_new(&cfg, &fuzz_ops, NULL);

    WITH_QEMU_LOCK_GUARD(&c->lock) {
        c->wanted = true;
        epf_connection_step(c, EPF_CONNECTING);
    }
    REQUIRE(epf_connection_begin(c));
    return c;
}

static void connection_free(EpfConnection *c)
{
    REQUIRE(c->state == EPF_CLOSED && !c->remote && !c->session);
    g_hash_table_unref(c->warned);
    g_free(c->last_error);
    g_free(c->path);
    g_free(c->device);
    g_free(c->name);
    qemu_cond_destroy(&c->cond);
    qemu_mutex_destroy(&c->lock);
    g_free(c);
}

static EpfState connection_state(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    return c->state;
}

/* ---- Messages ---- */

static void session_over(FuzzRemote *f)
{
    close(f->sock);
    f->sock = -1;
    g_queue_clear_full(&f->questions, (GDestroyNotify)vfu_msg_free);
}

/* Takes what there is. */
static void pump(FuzzRemote *f)
{
    while (f->sock >= 0) {
        char byte;
        ssize_t n = recv(f->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        VfuMsg *m;

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        m = n > 0 ? vfu_msg_recv(f->sock, VFU_MSG_TIMEOUT_MS, NULL) : NULL;
        if (!m) {
            session_over(f);
        } else if (vfu_msg_is_reply(&m->hdr)) {
            REQUIRE(!m->nfds);
            f->last_reply = m->hdr.id;
            vfu_msg_free(m);
        } else {
            g_queue_push_tail(&f->questions, m);
        }
    }
}

static bool send_message(FuzzRemote *f, const VfuHeader *hdr, const void *p,
                         const int *fds, unsigned nfds)
{
    if (f->sock >= 0 && !f->raw &&
        !vfu_msg_send(f->sock, hdr, p, fds, nfds)) {
        pump(f);
    }
    return f->sock >= 0 && !f->raw;
}

/* Waits until the reader thread has handled all that was sent. */
static void fence(FuzzRemote *f)
{
    int64_t end = g_get_monotonic_time() + FENCE_US;
    VfuDmaRw rw = { .count = 1 };
    VfuHeader hdr = vfu_msg_command(f->fence_id++, VFU_CMD_DMA_READ, 0,
                                    sizeof(rw));

    if (connection_state(f->c) == EPF_NEGOTIATING ||
        !send_message(f, &hdr, &rw, NULL, 0)) {
        return;
    }
    pump(f);
    while (f->sock >= 0 && f->last_reply != hdr.id) {
        REQUIRE(g_get_monotonic_time() < end);
        g_poll(&(GPollFD) { f->sock, G_IO_IN }, 1, 1);
        pump(f);
    }
}

/* Returns the next question; NULL when the bridge has none. */
static VfuMsg *next_question(FuzzRemote *f)
{
    int64_t end = g_get_monotonic_time() + FENCE_US;

    pump(f);
    while (f->sock >= 0 && !f->raw && g_queue_is_empty(&f->questions)) {
        EpfState state = connection_state(f->c);

        pump(f);
        if (state != EPF_NEGOTIATING && state != EPF_DESCRIBING) {
            break;
        }
        REQUIRE(g_get_monotonic_time() < end);
        g_poll(&(GPollFD) { f->sock, G_IO_IN }, 1, 1);
    }
    return g_queue_pop_head(&f->questions);
}

/* ---- The endpoint: steps ---- */

/* Returns false when there was no question. */
static bool step_answer(FuzzRemote *f)
{
    g_autofree FuzzReply *r = g_new0(FuzzReply, 1);
    VfuMsg *m = next_question(f);
    VfuHeader hdr;

    if (!m) {
        return false;
    }
    fuzz_endpoint_answer(f->layout, m, r);
    hdr = vfu_msg_reply(&m->hdr, 0, r->len);
    send_message(f, &hdr, r->p, r->fds, r->nfds);
    vfu_msg_free(m);
    return true;
}

/* Changes what @how says in the answer, up to three words of its payload. */
static void spoil(FuzzReply *r, VfuHeader *hdr, uint8_t how, FuzzInput *in)
{
    for (unsigned i = how & 3; i; i--) {
        uint8_t at = fuzz_u8(in);
        uint32_t v = fuzz_value(in);

        memcpy(r->p + 4 * at, &v, 4);
    }
    if (how & 4) {
        r->len = fuzz_value(in) % FUZZ_MAX_PAYLOAD;
    }
    if (how & 8) {
        r->nfds = fuzz_u8(in) % (VFU_MSG_MAX_FDS + 1);
        for (unsigned i = 0; i < r->nfds; i++) {
            r->fds[i] = fuzz_endpoint_fd(fuzz_u8(in));
        }
    }
    hdr->size = sizeof(*hdr) + r->len;
    if (how & 16) {
        hdr->error = fuzz_u8(in);
        hdr->flags |= fuzz_u8(in) & (VFU_FLAG_ERROR | VFU_FLAG_NO_REPLY);
    }
    if (how & 32) {
        hdr->command += fuzz_u8(in) & 1;
    }
}

static void step_answer_wrong(FuzzRemote *f, FuzzInput *in)
{
    g_autofree FuzzReply *r = g_new0(FuzzReply, 1);
    uint8_t how = fuzz_u8(in);
    VfuMsg *m;
    VfuHeader hdr;

    if (how & 64) {
        step_answer(f);
    }
    m = next_question(f);
    if (!m) {
        return;
    }
    fuzz_endpoint_answer(f->layout, m, r);
    hdr = vfu_msg_reply(&m->hdr, 0, r->len);
    spoil(r, &hdr, how, in);
    if (how & 128) {
        /* A reply to nothing: the bridge waits for the one to its question. */
        hdr.id ^= 0x8000;
        send_message(f, &hdr, r->p, r->fds, r->nfds);
        hdr.id ^= 0x8000;
    }
    send_message(f, &hdr, r->p, r->fds, r->nfds);
    vfu_msg_free(m);
}

/* Answers at most so many questions as a whole description has. */
static void step_answer_all(FuzzRemote *f)
{
    for (unsigned i = 0; i < 100 && step_answer(f); i++) {
        continue;
    }
}

typedef struct FuzzTemplate {
    uint16_t cmd;
    uint16_t len;
    uint32_t word[6];
} FuzzTemplate;

/* A well-formed message of each command, which the input then changes */
static const FuzzTemplate templates[] = {
    { VFU_CMD_EP_REMAP, 16, { 16, 0, 0 } },
    { VFU_CMD_EP_REMAP, 16, { 16, 0, 2 } },
    { VFU_CMD_EP_INTX, 16, { 16, 0, 1 } },
    { VFU_CMD_EP_FAULT, 24, { 24, 0, 0x1000, 0, 1 } },
    { VFU_CMD_DMA_READ, 16, { 0x1000, 0, 8 } },
    { VFU_CMD_DMA_WRITE, 24, { 0x1000, 0, 8 } },
    { VFU_CMD_EP_LINK, 24, { 24, 0, 0 } },
    { VFU_CMD_EP_LINK, 24, { 24, 0, 1, 0x40003, 3 } },
    { VFU_CMD_GET_INFO, 16, { 16 } },
};

static void step_command(FuzzRemote *f, FuzzInput *in)
{
    const FuzzTemplate *t = &templates[fuzz_u8(in) % ARRAY_SIZE(templates)];
    g_autofree FuzzReply *r = g_new0(FuzzReply, 1);
    uint8_t how = fuzz_u8(in);
    VfuHeader hdr = vfu_msg_command(f->next_id++, t->cmd,
                                    how & 0x80 ? VFU_FLAG_NO_REPLY : 0, 0);

    r->len = t->len;
    memcpy(r->p, t->word, sizeof(t->word));
    if (t->cmd >= VFU_CMD_EP_LINK) {
        memcpy(r->p + 4, &f->generation, 4);
    }
    spoil(r, &hdr, how & 0x2f, in);
    send_message(f, &hdr, r->p, r->fds, r->nfds);
}

static void step_link(FuzzRemote *f, bool up)
{
    VfuEpLink l = {
        .argsz = sizeof(l), .generation = up ? ++f->generation : f->generation,
        .state = up, .speed = up ? 3 : 0, .width = up ? 4 : 0,
        .functions = up && (f->layout & 3) == 3 ? 1 : 0,
    };
    VfuHeader hdr = vfu_msg_command(f->next_id++, VFU_CMD_EP_LINK, 0,
                                    sizeof(l));

    if (connection_state(f->c) != EPF_NEGOTIATING) {
        send_message(f, &hdr, &l, NULL, 0);
        fence(f);
    }
}

static void step_bytes(FuzzRemote *f, FuzzInput *in)
{
    size_t n = MIN(fuzz_u8(in), in->left);

    if (n && f->sock >= 0) {
        f->raw = true;
        vfu_msg_send_bytes(f->sock, in->p, n, NULL, 0);
    }
    in->p += n;
    in->left -= n;
}

/* ---- The guest ---- */

static void guest_look(EpfRemote *r, unsigned bar)
{
    EpfLayout layout;
    EpfDoorbells *d = epf_areas_doorbells(r, bar);
    uint64_t end = 0;

    epf_areas_layout(r, bar, &layout);
    REQUIRE(layout.count <= VFU_EP_MAX_AREAS);
    REQUIRE(!layout.count || r->bar[bar].mem);
    for (unsigned i = 0; i < layout.count; i++) {
        /* volatile: the accesses themselves are the test */
        volatile uint8_t *p = r->bar[bar].mem;

        REQUIRE(layout.area[i].size && layout.area[i].offset >= end);
        end = layout.area[i].offset + layout.area[i].size;
        REQUIRE(end <= r->bar[bar].shape.size);
        /* What the guest sees is mapped, whatever the endpoint does. */
        p[layout.area[i].offset] = p[end - 1];
    }
    epf_areas_shown(r, bar, &layout);
    epf_doorbells_ring(d, 0x8000, 1u << (end & 3), end);
    epf_doorbells_unref(d);
}

static void step_guest(FuzzRemote *f, FuzzInput *in)
{
    EpfRemote *r = epf_connection_get_remote(f->c);
    uint8_t what = fuzz_u8(in);
    unsigned bar = (what >> 4) % EPF_NUM_BARS;
    uint64_t data = 0x0123456789abcdef;

    if (!r) {
        return;
    }
    REQUIRE(r->config_size == 256 || r->config_size == 4096);
    switch (what & 3) {
    case 0:
        guest_look(r, bar);
        break;
    case 1:
        if (qatomic_read(&r->posted) < EPF_MAX_POSTED / 2) {
            epf_remote_post(r, bar, fuzz_value(in), &data,
                            1 + (what >> 2 & 7));
        }
        break;
    case 2:
        if (r->bar[bar].shape.size) {
            epf_areas_store(r, bar, fuzz_value(in) % r->bar[bar].shape.size,
                            &data, 1u << (what >> 2 & 3));
        }
        break;
    default:
        epf_remote_reset(r, VFU_EP_RESET_HOT);
        break;
    }
    epf_remote_unref(r);
}

/* ---- A run ---- */

typedef struct FuzzThread {
    EpfConnection *c;
    int fd;
} FuzzThread;

static void *connection_thread(void *opaque)
{
    FuzzThread *t = opaque;

    epf_connection_run(t->c, t->fd);
    return NULL;
}

static void run_step(FuzzRemote *f, FuzzInput *in)
{
    switch (fuzz_u8(in) % STEP_COUNT) {
    case STEP_ANSWER:
        step_answer(f);
        break;
    case STEP_ANSWER_WRONG:
        step_answer_wrong(f, in);
        break;
    case STEP_ANSWER_ALL:
        step_answer_all(f);
        break;
    case STEP_COMMAND:
        step_command(f, in);
        break;
    case STEP_LINK:
        step_link(f, fuzz_u8(in) & 3);
        break;
    case STEP_BYTES:
        step_bytes(f, in);
        break;
    case STEP_LAYOUT:
        f->layout = (f->layout & 3) | (fuzz_u8(in) & ~3u);
        break;
    default:
        fence(f);
        step_guest(f, in);
        break;
    }
}

/* The first byte says how far the session comes before the first step. */
static void run(FuzzRemote *f, FuzzInput *in)
{
    uint8_t kind = fuzz_u8(in);

    f->layout = kind & 0xf;
    if (kind & 0x70) {
        step_answer(f);
    }
    if (kind & 0x60) {
        /* The reader thread takes VERSION before it reads on. */
        while (f->sock >= 0 && connection_state(f->c) == EPF_NEGOTIATING) {
            pump(f);
            g_usleep(10);
        }
        if ((kind & 3) != 0) {
            step_link(f, true);
        }
    }
    if (kind & 0x40) {
        step_answer_all(f);
    }
    while (in->left) {
        run_step(f, in);
    }
    fence(f);
}

static void run_input(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    FuzzRemote f = { .next_id = 0x4000, .fence_id = 0x8000 };
    QemuThread thread;
    FuzzThread t;
    int sv[2];

    g_queue_init(&f.questions);
    f.c = connection_new(size && data[size - 1] == 7 ? 1 : 0);
    vfu_msg_socketpair(sv);
    f.sock = sv[0];
    t = (FuzzThread) { f.c, sv[1] };
    qemu_thread_create(&thread, "connection", connection_thread, &t,
                       QEMU_THREAD_JOINABLE);
    run(&f, &in);
    if (f.sock >= 0) {
        session_over(&f);
    }
    g_queue_clear_full(&f.questions, (GDestroyNotify)vfu_msg_free);
    qemu_thread_join(&thread);
    connection_free(f.c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned fds;

    if (!fds) {
        /* What is opened once is open after a run that maps memory. */
        fuzz_endpoint_fd(0);
        run_input((const uint8_t *)"\x4a", 1);
        fds = fuzz_count_fds();
    }
    run_input(data, MIN(size, 1024));
    fuzz_check_fds(fds);
    return 0;
}

void fuzz_generate(FuzzBytes *out)
{
    fuzz_add_u8(out, fuzz_random(4) ? 0x40 | fuzz_random(64) :
                                      fuzz_random(256));
    for (unsigned i = 1 + fuzz_random(12); i; i--) {
        uint8_t step = fuzz_random(STEP_COUNT);

        fuzz_add_u8(out, step);
        switch (step) {
        case STEP_ANSWER_WRONG:
        case STEP_COMMAND:
            fuzz_add_random(out, 2 + fuzz_random(6));
            break;
        case STEP_GUEST:
        case STEP_GUEST_AGAIN:
            fuzz_add_u8(out, fuzz_random(256));
            fuzz_add_u8(out, fuzz_random(0x40));
            break;
        default:
            fuzz_add_u8(out, fuzz_random(256));
            break;
        }
    }
}
