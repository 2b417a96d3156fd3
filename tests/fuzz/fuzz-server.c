/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the server: a client that sends anything, and calls of the
 * owner between its messages
 *
 * The owner is that of the unit tests (tests/unit/server-test.c), and stops the
 * program when the server asks for something that is out of range. The client
 * checks that each of its commands gets one reply, in order, unless the session
 * ends.
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "qemu/lockable.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "fuzz.h"
#include "hw/pci-ep/server/server-int.h"
#include "tests/qtest/pci-ep/vfu-msg.h"
#include "tests/unit/server-test.h"

const char fuzz_name[] = "server";

#define FENCE_US    (30 * G_USEC_PER_SEC)   /* nothing takes that long */
#define MAX_PAYLOAD 0x8000

/* The kinds of steps; the first byte of a step picks one. */
enum {
    STEP_COMMAND,
    STEP_COMMAND_AGAIN,
    STEP_ANSWER,
    STEP_BYTES,
    STEP_LINK,
    STEP_REMAP,
    STEP_SEND,
    STEP_BARS,
    STEP_TAKE,
    STEP_DROP,
    STEP_CONNECT,
    STEP_COUNT,
};

typedef struct FuzzServer {
    TestServer *t;
    int sock;               /* -1: the session is over */
    bool raw;               /* the client has sent half a message */
    uint16_t next_id;
    GQueue expected;        /* VfuHeader of commands without a reply */
    GQueue commands;        /* VfuMsg of the server, not answered */
    uint32_t generation;
} FuzzServer;

/* ---- Descriptors that a message may carry ---- */

enum { FD_EVENT, FD_MEMORY, FD_PIPE, FD_NULL, FD_COUNT };

static int pool_fd(unsigned n)
{
    static int fds[FD_COUNT];

    if (!fds[FD_EVENT]) {
        int pipe_fds[2];

        fds[FD_MEMORY] = qemu_memfd_create("fuzz", 0x10000, false, 0,
                                           F_SEAL_SHRINK, &error_abort);
        REQUIRE(!pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK));
        fds[FD_PIPE] = pipe_fds[1];
        fds[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
        fds[FD_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    return fds[n % FD_COUNT];
}

/* ---- What the client receives ---- */

static void forget(GQueue *q, GDestroyNotify free_entry)
{
    g_queue_clear_full(q, free_entry);
}

static void session_over(FuzzServer *f)
{
    close(f->sock);
    f->sock = -1;
    forget(&f->expected, g_free);
    forget(&f->commands, (GDestroyNotify)vfu_msg_free);
}

static void check_reply(FuzzServer *f, const VfuMsg *m)
{
    g_autofree VfuHeader *sent = g_queue_pop_head(&f->expected);

    REQUIRE(sent && sent->id == m->hdr.id && sent->command == m->hdr.command);
    REQUIRE(!(m->hdr.flags & ~(VFU_FLAG_REPLY | VFU_FLAG_ERROR)));
    if (m->hdr.flags & VFU_FLAG_ERROR) {
        REQUIRE(!m->len && !m->nfds && m->hdr.error);
    } else {
        REQUIRE(!m->hdr.error);
    }
}

static void take_message(FuzzServer *f, VfuMsg *m)
{
    if (vfu_msg_is_reply(&m->hdr)) {
        check_reply(f, m);
        vfu_msg_free(m);
        return;
    }
    REQUIRE(!m->nfds);
    if (m->hdr.command == VFU_CMD_EP_LINK) {
        f->generation = ((VfuEpLink *)m->payload)->generation;
    }
    if (m->hdr.flags & VFU_FLAG_NO_REPLY) {
        vfu_msg_free(m);
    } else {
        g_queue_push_tail(&f->commands, m);
    }
}

/* Takes what there is. */
static void pump(FuzzServer *f)
{
    char byte;
    ssize_t n;

    while (f->sock >= 0) {
        bool closed = false;
        VfuMsg *m;

        n = recv(f->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        m = n > 0 ? vfu_msg_recv(f->sock, VFU_MSG_TIMEOUT_MS, &closed) : NULL;
        if (!m) {
            REQUIRE(n <= 0 || closed);
            session_over(f);
            return;
        }
        take_message(f, m);
    }
}

/* Ends the accesses that the owner took. */
static void end_accesses(TestServer *t, bool all)
{
    EpcAccess *a;

    do {
        WITH_QEMU_LOCK_GUARD(&t->lock) {
            a = g_queue_pop_head(&t->taken);
        }
        if (a) {
            epc_access_free(a);
        }
    } while (a && all);
}

static void turn(FuzzServer *f)
{
    g_main_context_iteration(NULL, false);
    pump(f);
}

/* Runs until all replies are there, or the session is over. */
static void fence(FuzzServer *f)
{
    int64_t end = g_get_monotonic_time() + FENCE_US;

    turn(f);
    while (f->sock >= 0 && !f->raw && !g_queue_is_empty(&f->expected)) {
        GPollFD p = { f->sock, G_IO_IN };

        REQUIRE(g_get_monotonic_time() < end);
        end_accesses(f->t, true);
        g_poll(&p, 1, 1);
        turn(f);
    }
}

/* ---- What the client sends ---- */

/*
 * Waits until the socket takes a whole message. This thread has to accept the
 * client and to end accesses meanwhile: the server reads nothing before the one,
 * and no more than EPW_MAX_REQUESTS commands before the other.
 */
static void wait_for_room(FuzzServer *f)
{
    int64_t end = g_get_monotonic_time() + FENCE_US;

    while (f->sock >= 0 &&
           !g_poll(&(GPollFD) { f->sock, G_IO_OUT }, 1, 0)) {
        REQUIRE(g_get_monotonic_time() < end);
        end_accesses(f->t, true);
        turn(f);
        g_usleep(100);
    }
}

static void send_bytes(FuzzServer *f, const void *p, size_t n, const int *fds,
                       unsigned nfds)
{
    wait_for_room(f);
    if (f->sock >= 0 && n && !vfu_msg_send_bytes(f->sock, p, n, fds, nfds)) {
        pump(f);
    }
}

static void send_command(FuzzServer *f, uint16_t cmd, uint32_t flags,
                         const void *p, size_t n, const int *fds,
                         unsigned nfds)
{
    VfuHeader hdr = vfu_msg_command(f->next_id++, cmd, flags, n);
    g_autofree uint8_t *buf = g_malloc(hdr.size);

    vfu_msg_build(buf, &hdr, p);
    if (!(hdr.flags & VFU_FLAG_NO_REPLY)) {
        g_queue_push_tail(&f->expected, g_memdup2(&hdr, sizeof(hdr)));
    }
    send_bytes(f, buf, hdr.size, fds, nfds);
}

typedef struct FuzzTemplate {
    uint16_t cmd;
    uint16_t len;
    uint32_t word[14];
} FuzzTemplate;

/* A well-formed message of each command, which the input then changes */
static const FuzzTemplate templates[] = {
    { VFU_CMD_DMA_MAP, 32, { 32, 3, 0, 0, 0x10000, 0, 0x1000 } },
    { VFU_CMD_DMA_UNMAP, 24, { 24, 0, 0x10000, 0, 0x1000 } },
    { VFU_CMD_DMA_UNMAP, 24, { 24, VFU_DMA_UNMAP_ALL } },
    { VFU_CMD_GET_INFO, 16, { 16 } },
    { VFU_CMD_GET_REGION_INFO, 32, { 32 } },
    { VFU_CMD_GET_REGION_IO_FDS, 16, { 16 + 64 * 48 } },
    { VFU_CMD_GET_IRQ_INFO, 16, { 16, 0, 2 } },
    { VFU_CMD_SET_IRQS, 20, { 20, 0x24, VFU_IRQ_MSIX, 0, 1 } },
    { VFU_CMD_SET_IRQS, 20, { 20, 0x21, VFU_IRQ_MSIX, 0, 0 } },
    { VFU_CMD_SET_IRQS, 20, { 20, 0x09, VFU_IRQ_INTX, 0, 1 } },
    { VFU_CMD_REGION_READ, 16, { 0, 0, 2, 4 } },
    { VFU_CMD_REGION_WRITE, 20, { 0, 0, 2, 4, 0x12345678 } },
    { VFU_CMD_REGION_READ, 16, { 0, 0, VFU_REGION_CONFIG, 0x100 } },
    { VFU_CMD_DEVICE_RESET, 0 },
    { VFU_CMD_EP_RESET, 16, { 16, 1, VFU_EP_RESET_HOT } },
    { VFU_CMD_EP_AREAS, 16, { 16, 1 } },
    { VFU_CMD_VERSION, 4, { 0x10000 } },
    { VFU_CMD_EP_LINK, 24, { 24, 1, 1 } },
    { VFU_CMD_DMA_READ, 16, { 0, 0, 4 } },
    { 0x4506, 16, { 16 } },
    { VFU_CMD_REGION_WRITE_MULTI, 56,
      { 2, 0, 0, 0, 2, 4, 0x12345678, 0, 8, 0, VFU_REGION_CONFIG, 8, 1 } },
};

/*
 * Each change is a byte, the word that it changes in the low bits, and a
 * number. The last byte says how many descriptors there are, and which.
 */
static void step_command(FuzzServer *f, FuzzInput *in)
{
    const FuzzTemplate *t = &templates[fuzz_u8(in) % ARRAY_SIZE(templates)];
    g_autofree uint32_t *p = g_malloc0(MAX_PAYLOAD);
    uint8_t how = fuzz_u8(in), more;
    size_t n = t->len;
    int fds[128];
    unsigned nfds;

    memcpy(p, t->word, sizeof(t->word));
    for (unsigned i = how & 3; i; i--) {
        uint8_t word = fuzz_u8(in);

        p[word % 12] = fuzz_value(in);
    }
    if (how & 4) {
        n = fuzz_value(in) % MAX_PAYLOAD;
    }
    if (how & 8) {
        p[0] = n;
    }
    if ((how & 16) && t->cmd >= VFU_CMD_EP_LINK) {
        p[1] = f->generation;
    }
    more = fuzz_u8(in);
    nfds = more & 0x80 ? more & 0x1f : more & 1;
    for (unsigned i = 0; i < nfds; i++) {
        fds[i] = pool_fd(more & 0x40 ? i : more >> 5);
    }
    send_command(f, t->cmd, how & 0xc0 ? 0 : VFU_FLAG_NO_REPLY, p, n, fds,
                 nfds);
}

/* Answers the oldest command of the server. */
static void step_answer(FuzzServer *f, FuzzInput *in)
{
    VfuMsg *m = g_queue_pop_head(&f->commands);
    g_autofree uint8_t *p = g_malloc0(MAX_PAYLOAD);
    uint8_t how = fuzz_u8(in);
    uint32_t err = how & 3 ? 0 : fuzz_u8(in);
    size_t n = 0;
    VfuHeader hdr;

    if (m && !err) {
        bool read = m->hdr.command == VFU_CMD_DMA_READ;

        n = read ? 16 + ((VfuDmaRw *)m->payload)->count % 0x1000 :
            m->hdr.command == VFU_CMD_DMA_WRITE ? 16 : 0;
        memcpy(p, m->payload, MIN(n, m->len));
    }
    if (how & 0x10) {
        n = fuzz_value(in) % MAX_PAYLOAD;
    }
    hdr = vfu_msg_reply(m ? &m->hdr : &(VfuHeader) { .id = how }, err, n);
    if (how & 0x20) {
        hdr.id += fuzz_u8(in);
        hdr.command += fuzz_u8(in);
        hdr.flags = fuzz_u8(in) | VFU_FLAG_REPLY;
    }
    if (f->sock >= 0 && !f->raw) {
        vfu_msg_send(f->sock, &hdr, p, NULL, 0);
    }
    vfu_msg_free(m);
}

/* The rest of the client's messages has no meaning: nothing is expected. */
static void step_bytes(FuzzServer *f, FuzzInput *in)
{
    size_t n = MIN(fuzz_u8(in), in->left);

    fence(f);
    f->raw = true;
    forget(&f->expected, g_free);
    send_bytes(f, in->p, n, NULL, 0);
    in->p += n;
    in->left -= n;
}

/* ---- What the owner does ---- */

static void dma_done(void *opaque, int err, const void *data, uint32_t count)
{
    TestServer *t = opaque;

    REQUIRE(count <= 8);
    if (data) {
        uint64_t v = 0;

        memcpy(&v, data, count);
    }
    qatomic_inc(&t->dones);
}

static void step_link(FuzzServer *f, FuzzInput *in)
{
    uint8_t what = fuzz_u8(in);

    if (what & 1) {
        epc_server_enable(f->t->s, what & 2 ? 1 : 0x13);
    } else {
        epc_server_disable(f->t->s, test_done, f->t);
    }
}

static void step_remap(FuzzServer *f, FuzzInput *in)
{
    epc_server_remap(f->t->s, fuzz_u8(in) % 6, test_remapped, f->t);
}

static void step_send(FuzzServer *f, FuzzInput *in)
{
    uint8_t what = fuzz_u8(in);
    uint64_t data = 0x0123456789abcdef;

    switch (what & 3) {
    case 0:
        epc_server_intx(f->t->s, what & 4);
        break;
    case 1:
        epc_server_fault(f->t->s, fuzz_value(in), what & 4);
        break;
    case 2:
        epc_server_dma_async(f->t->s, what & 4, fuzz_value(in), &data,
                             1 + (what >> 5), dma_done, f->t);
        break;
    default:
        epc_server_takes_dma(f->t->s);
        epc_server_messages(f->t->s);
        break;
    }
}

/* The owner describes BAR 0 anew. Its ops run under the lock. */
static void step_bars(FuzzServer *f, FuzzInput *in)
{
    TestServer *t = f->t;
    uint8_t what = fuzz_u8(in);

    QEMU_LOCK_GUARD(&t->s->op_lock);
    t->nareas = what & 1;
    t->area[0] = (EpcArea) {
        .size = TEST_BAR0_SIZE, .fd = t->memfd,
        .fd_offset = what & 2 ? TEST_BAR0_SIZE : 0,
    };
    t->nios = what >> 2 & 0x1f;
    for (unsigned i = 0; i < t->nios; i++) {
        t->io[i] = (EpcIoFd) {
            .offset = 4 * i, .fd = pool_fd(FD_EVENT),
            .shadow_fd = what & 0x80 ? t->memfd : -1,
        };
    }
    t->map_result = what == 0xff ? ENOSPC : 0;
}

static void step_take(FuzzServer *f, FuzzInput *in)
{
    if (fuzz_u8(in) & 1) {
        end_accesses(f->t, false);
        return;
    }
    QEMU_LOCK_GUARD(&f->t->s->op_lock);
    f->t->takes = !f->t->takes;
}

/* ---- Sessions ---- */

static const char *const versions[] = {
    TEST_VERSION_PLAIN,
    "{\"capabilities\":{\"max_msg_fds\":16,\"" VFU_EP_KEY "\":{\"version\":1,"
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\"]}}}",
    "{\"capabilities\":{\"max_msg_fds\":80,\"" VFU_EP_KEY "\":{\"version\":1,"
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\",\"areas\",\"func\","
    "\"fault\",\"mask\"]}}}",
    "{\"capabilities\":{\"max_data_xfer_size\":4,\"" VFU_EP_KEY "\":"
    "{\"version\":1,\"features\":[\"link\",\"areas\",\"remap\",\"fault\"]}}}",
};

static void send_version(FuzzServer *f, const char *json)
{
    size_t n = sizeof(VfuVersion) + strlen(json) + 1;
    g_autofree VfuVersion *v = g_malloc0(n);

    memcpy(v + 1, json, strlen(json) + 1);
    send_command(f, VFU_CMD_VERSION, 0, v, n, NULL, 0);
}

/* @how: the version, and in bit 2 whether the client says it at once */
static void start_session(FuzzServer *f, uint8_t how)
{
    int64_t end = g_get_monotonic_time() + FENCE_US;

    /* Clients whose end the server has not handled hold up those after them. */
    while ((f->sock = vfu_msg_try_connect(f->t->path)) < 0) {
        REQUIRE(g_get_monotonic_time() < end);
        end_accesses(f->t, true);
        g_main_context_iteration(NULL, false);
        g_usleep(100);
    }
    f->raw = false;
    if (how & 4) {
        return;
    }
    send_version(f, versions[how & 3]);
    fence(f);
}

/* Half of the time the client of before is still there: a second one. */
static void step_connect(FuzzServer *f, FuzzInput *in)
{
    uint8_t how = fuzz_u8(in);
    int old = -1;

    if (f->sock >= 0) {
        fence(f);
    }
    if (f->sock >= 0) {
        old = dup(f->sock);
        session_over(f);
    }
    if (how & 8 && old >= 0) {
        close(old);
        old = -1;
    }
    start_session(f, how);
    if (old >= 0) {
        close(old);
    }
}

static void end_session(FuzzServer *f)
{
    int64_t end = g_get_monotonic_time() + FENCE_US;

    if (f->sock >= 0) {
        shutdown(f->sock, SHUT_WR);
    }
    forget(&f->expected, g_free);
    f->raw = true;
    while (f->sock >= 0) {
        char buf[4096];
        ssize_t n = recv(f->sock, buf, sizeof(buf), MSG_DONTWAIT);

        REQUIRE(g_get_monotonic_time() < end);
        end_accesses(f->t, true);
        g_main_context_iteration(NULL, false);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            session_over(f);
        } else if (n < 0) {
            g_poll(&(GPollFD) { f->sock, G_IO_IN }, 1, 1);
        }
    }
}

/* ---- A run ---- */

static void run_step(FuzzServer *f, FuzzInput *in)
{
    switch (fuzz_u8(in) % STEP_COUNT) {
    case STEP_COMMAND:
    case STEP_COMMAND_AGAIN:
        if (f->sock >= 0 && !f->raw) {
            step_command(f, in);
        }
        break;
    case STEP_ANSWER:
        fence(f);
        step_answer(f, in);
        break;
    case STEP_BYTES:
        step_bytes(f, in);
        break;
    case STEP_LINK:
        step_link(f, in);
        break;
    case STEP_REMAP:
        step_remap(f, in);
        break;
    case STEP_SEND:
        step_send(f, in);
        break;
    case STEP_BARS:
        step_bars(f, in);
        break;
    case STEP_TAKE:
        step_take(f, in);
        break;
    case STEP_DROP:
        if (fuzz_u8(in) & 1) {
            epc_server_drop(f->t->s, "fuzz");
        }
        fence(f);
        break;
    case STEP_CONNECT:
        step_connect(f, in);
        break;
    }
}

static void run(FuzzServer *f, FuzzInput *in)
{
    uint8_t kind = fuzz_u8(in);

    f->t = test_server_new();
    if (kind & 0x80) {
        epc_server_enable(f->t->s, 0x13);
    }
    start_session(f, kind);
    if (f->sock >= 0 && !(kind & 0x40)) {
        epc_server_enable(f->t->s, 0x13);
        send_command(f, VFU_CMD_GET_INFO, 0, templates[3].word, 16, NULL, 0);
        fence(f);
        step_answer(f, &(FuzzInput) { (const uint8_t *)"\1", 1 });
    }
    while (in->left) {
        run_step(f, in);
    }
    fence(f);
    end_session(f);
    /* Readers of earlier sessions may take an access until this returns. */
    epc_server_free(f->t->s);
    f->t->s = NULL;
    end_accesses(f->t, true);
    test_server_free(f->t);
}

static void run_input(const uint8_t *data, size_t size)
{
    FuzzServer f = { .sock = -1 };
    FuzzInput in = { data, size };

    g_queue_init(&f.expected);
    g_queue_init(&f.commands);
    run(&f, &in);
    forget(&f.commands, (GDestroyNotify)vfu_msg_free);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned fds;

    if (!fds) {
        /* What is opened once is open after the first run. */
        pool_fd(0);
        run_input((const uint8_t *)"\2", 1);
        fds = fuzz_count_fds();
    }
    run_input(data, MIN(size, 1024));
    fuzz_check_fds(fds);
    return 0;
}

void fuzz_generate(FuzzBytes *out)
{
    static const uint8_t kinds[] = { 0x80, 0x80, 1, 2, 2, 2, 3, 0x41, 4, 0 };

    fuzz_add_u8(out, kinds[fuzz_random(ARRAY_SIZE(kinds))]);
    for (unsigned i = 1 + fuzz_random(16); i; i--) {
        if (fuzz_random(2)) {
            fuzz_add_u8(out, STEP_COMMAND);
            fuzz_add_u8(out, fuzz_random(256));
            fuzz_add_u8(out, fuzz_random(2) ? 0xd0 : fuzz_random(256));
            fuzz_add_random(out, fuzz_random(8));
        } else {
            fuzz_add_u8(out, fuzz_random(STEP_COUNT));
            fuzz_add_random(out, 1 + fuzz_random(2));
        }
    }
}
