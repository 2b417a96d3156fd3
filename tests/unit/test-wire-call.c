/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of wire/call: callers that read the socket themselves, the order of
 * messages then, and deadlines while nobody can read
 *
 * tests/unit/test-wire-session.c has the calls as such.
 */
#include "qemu/osdep.h"
#include "wire-end.h"

#include <sys/wait.h>

/* ---- Both ends of a call ---- */

static void *caller(void *opaque)
{
    return GINT_TO_POINTER(call(opaque));
}

static int join(QemuThread *thread)
{
    return GPOINTER_TO_INT(qemu_thread_join(thread));
}

/* Begins call() in another thread and takes its command from the socket. */
static VfuHeader start_call(End *e, QemuThread *thread)
{
    VfuHeader hdr;
    uint8_t p[64];

    qemu_thread_create(thread, "caller", caller, e, QEMU_THREAD_JOINABLE);
    g_assert_true(raw_get(e, &hdr, p, sizeof(p)));
    return hdr;
}

static bool answer_call(End *e, const VfuHeader *command)
{
    VfuHeader hdr = vfu_msg_reply(command, 0, 0);

    return vfu_msg_send(e->raw, &hdr, NULL, NULL, 0);
}

/* Answers until the connection ends. */
static void *answer_all(void *opaque)
{
    End *e = opaque;
    VfuHeader hdr;
    uint8_t p[64];

    while (raw_get(e, &hdr, p, sizeof(p)) && answer_call(e, &hdr)) {
        continue;
    }
    return NULL;
}

/* ---- Who reads ---- */

static unsigned reader_tid;

static void on_done_tid(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    qatomic_set(&reader_tid, qemu_get_thread_id());
    on_done(s, err, reply, opaque);
}

/* How often a thread of this process went to sleep */
static unsigned count_sleeps(unsigned tid)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%u/status", tid);
    g_autofree char *text = NULL;
    const char *line;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    line = strstr(text, "\nvoluntary_ctxt_switches:");
    g_assert_nonnull(line);
    return atoi(strchr(line, ':') + 1);
}

/* An answer wakes the thread that waits for it, and not the reader thread. */
static void test_caller_reads(void)
{
    enum { N = 200 };
    struct iovec iov = { (void *)&region_read, sizeof(region_read) };
    End *e = end_raw(EPW_CLIENT, LONG_MS);
    QemuThread thread;
    unsigned before;

    qemu_thread_create(&thread, "answer", answer_all, e, QEMU_THREAD_JOINABLE);
    epw_call_async(e->s, VFU_CMD_REGION_READ, &iov, 1, NULL, 0, on_done_tid, e);
    wait_for(e, &e->ndone, 1);
    g_assert_cmpint(call(e), ==, 0);
    before = count_sleeps(qatomic_read(&reader_tid));
    for (int i = 0; i < N; i++) {
        g_assert_cmpint(call(e), ==, 0);
    }
    g_assert_cmpuint(count_sleeps(reader_tid) - before, <, N / 10);
    shutdown(e->raw, SHUT_RDWR);
    qemu_thread_join(&thread);
    end_free(e);
}

/* The reader thread takes over when the caller has its answer. */
static void test_reader_resumes(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);

    for (unsigned i = 0; i < 100; i++) {
        QemuThread thread;
        VfuHeader hdr = start_call(e, &thread);

        answer_call(e, &hdr);
        put_region_read(e, i, 0);       /* before or after the caller is done */
        expect_reply(e, i, VFU_CMD_REGION_READ, 0);
        g_assert_cmpint(join(&thread), ==, 0);
        put_region_read(e, i, 0);
        expect_reply(e, i, VFU_CMD_REGION_READ, 0);
    }
    end_free(e);
}

/* ---- Order ---- */

/* What came before the answer has been handled when the call returns. */
static void test_command_before_answer(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);

    for (unsigned i = 1; i < 200; i++) {
        QemuThread thread;
        VfuHeader hdr = start_call(e, &thread);
        VfuHeader reply = vfu_msg_reply(&hdr, 0, 0);
        uint8_t buf[128];
        size_t n = raw_msg(buf, i, VFU_CMD_REGION_READ, VFU_FLAG_NO_REPLY,
                           &region_read, sizeof(region_read));

        n += vfu_msg_build(buf + n, &reply, NULL);
        g_assert_true(vfu_msg_send_bytes(e->raw, buf, n, NULL, 0));
        g_assert_cmpint(join(&thread), ==, 0);
        g_assert_cmpuint(qatomic_read(&e->ncommands), ==, i);
    }
    end_free(e);
}

static void test_done_before_answer(gconstpointer data)
{
    bool later = data;      /* the caller reads when the other call begins */
    End *e = end_raw(EPW_CLIENT, LONG_MS);

    for (unsigned i = 1; i < 200; i++) {
        VfuHeader hdr[2];
        QemuThread thread;
        uint8_t p[64];

        if (later) {
            hdr[0] = start_call(e, &thread);
            call_async(e);
            g_assert_true(raw_get(e, &hdr[1], p, sizeof(p)));
        } else {
            call_async(e);
            g_assert_true(raw_get(e, &hdr[1], p, sizeof(p)));
            hdr[0] = start_call(e, &thread);
        }
        answer_call(e, &hdr[1]);
        answer_call(e, &hdr[0]);
        g_assert_cmpint(join(&thread), ==, 0);
        g_assert_cmpuint(qatomic_read(&e->ndone), ==, i);
    }
    end_free(e);
}

/* ---- Deadlines ---- */

/*
 * Stops a process with a session until after the deadline of a call whose answer
 * comes meanwhile. Returns the positive errno of the call.
 */
static int call_while_stopped(bool async)
{
    VfuHeader hdr;
    VfuMsg *m;
    int sv[2], status;
    pid_t pid;

    vfu_msg_socketpair(sv);
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (!pid) {
        End *e = end_new(sv[0], -1, EPW_CLIENT, SHORT_MS);

        if (async) {
            call_async(e);
            wait_for(e, &e->ndone, 1);
        }
        _exit(async ? -e->err[0] : -call(e));
    }
    m = vfu_msg_recv(sv[1], LONG_MS, NULL);
    g_assert_nonnull(m);
    hdr = vfu_msg_reply(&m->hdr, 0, 0);
    kill(pid, SIGSTOP);
    g_assert_cmpint(waitpid(pid, &status, WUNTRACED), ==, pid);
    g_assert_true(WIFSTOPPED(status));
    g_assert_true(vfu_msg_send(sv[1], &hdr, NULL, NULL, 0));
    g_usleep(2 * SHORT_MS * 1000);
    kill(pid, SIGCONT);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    vfu_msg_free(m);
    close(sv[0]);
    close(sv[1]);
    return WEXITSTATUS(status);
}

/* Whichever thread of the process runs first reads the answer. */
static void test_answer_while_stopped(gconstpointer data)
{
    bool async = data;

    for (int i = 0; i < 10; i++) {
        g_assert_cmpint(call_while_stopped(async), ==, 0);
    }
}

/* Returns what a call returned whose answer the reader thread reads too late. */
static int call_behind_busy_reader(void)
{
    End *e = end_raw(EPW_SERVER, SHORT_MS);
    QemuThread thread;
    VfuHeader hdr;
    int err;

    qemu_mutex_lock(&e->lock);      /* on_command() waits for it. */
    put_region_read(e, 1, VFU_FLAG_NO_REPLY);
    hdr = start_call(e, &thread);
    answer_call(e, &hdr);
    g_usleep((SHORT_MS + 20) * 1000);
    qemu_mutex_unlock(&e->lock);
    err = join(&thread);
    end_free(e);
    return err;
}

/*
 * The answer lies behind a message that the reader thread handles while the
 * deadline passes. It has little time for that, so a busy machine may need
 * several attempts.
 */
static void test_answer_behind_command(void)
{
    int err = -ETIMEDOUT;

    for (int i = 0; err && i < 20; i++) {
        err = call_behind_busy_reader();
        g_assert_true(!err || err == -ETIMEDOUT);
    }
    g_assert_cmpint(err, ==, 0);
}

static void *flood(void *opaque)
{
    End *e = opaque;
    VfuHeader hdr = vfu_msg_command(1, VFU_CMD_REGION_READ, VFU_FLAG_NO_REPLY,
                                    sizeof(region_read));

    while (vfu_msg_send(e->raw, &hdr, &region_read, NULL, 0)) {
        continue;
    }
    return NULL;
}

/* A peer that always has something else to say does not hold up a caller. */
static void test_deadline_flood(void)
{
    End *e = end_raw(EPW_SERVER, SHORT_MS);
    int64_t start = g_get_monotonic_time();
    QemuThread thread;

    qemu_thread_create(&thread, "flood", flood, e, QEMU_THREAD_JOINABLE);
    g_assert_cmpint(call(e), ==, -ETIMEDOUT);
    g_assert_cmpint(g_get_monotonic_time() - start, <, LONG_MS * 1000 / 2);
    expect_closed(e, "no answer to REGION_READ within 150 ms");
    qemu_thread_join(&thread);
    end_free(e);
}

/* An answer that does not end is none. */
static void test_deadline_half_answer(void)
{
    End *e = end_raw(EPW_CLIENT, SHORT_MS);
    QemuThread thread;
    VfuHeader hdr = start_call(e, &thread);

    hdr = vfu_msg_reply(&hdr, 0, 0);
    vfu_msg_send_bytes(e->raw, &hdr, sizeof(hdr) / 2, NULL, 0);
    g_assert_cmpint(join(&thread), ==, -ETIMEDOUT);
    expect_closed(e, "no answer to REGION_READ within 150 ms");
    end_free(e);
}

/* ---- The end of a session ---- */

static void test_answer_and_close(void)
{
    for (int i = 0; i < 100; i++) {
        End *e = end_raw(EPW_CLIENT, LONG_MS);
        QemuThread thread;
        VfuHeader hdr = start_call(e, &thread);

        answer_call(e, &hdr);
        shutdown(e->raw, SHUT_RDWR);
        g_assert_cmpint(join(&thread), ==, 0);
        expect_closed(e, "peer closed the connection");
        end_free(e);
    }
}

static void test_end_while_reading(gconstpointer data)
{
    bool freed = data;

    for (int i = 0; i < 100; i++) {
        End *e = end_raw(EPW_CLIENT, LONG_MS);
        QemuThread thread;

        start_call(e, &thread);
        if (i % 2) {
            g_usleep(100 * i);
        }
        if (!freed) {
            epw_session_shutdown(e->s, "enough");
            g_assert_cmpint(join(&thread), ==, -ENOTCONN);
            expect_closed(e, "enough");
        }
        end_free(e);
        if (freed) {
            g_assert_cmpint(join(&thread), ==, -ENOTCONN);
        }
    }
}

/* What a caller took from the socket and nobody handled is freed; see main(). */
static void test_end_with_message(void)
{
    for (int i = 0; i < 100; i++) {
        VfuSetIrqs p = { 20, VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER,
                         VFU_IRQ_MSIX, 0, 1 };
        VfuHeader irqs = vfu_msg_command(1, VFU_CMD_SET_IRQS, 0, sizeof(p));
        End *e = end_raw(EPW_SERVER, LONG_MS);
        QemuThread thread;

        start_call(e, &thread);
        g_assert_true(vfu_msg_send(e->raw, &irqs, &p, &e->raw, 1));
        epw_session_shutdown(e->s, "enough");
        g_assert_cmpint(join(&thread), ==, -ENOTCONN);
        end_free(e);
    }
}

/* ---- All at once ---- */

static void *many_calls(void *opaque)
{
    End *e = opaque;
    int err = 0;

    for (int i = 0; !err && i < 300; i++) {
        if (i % 7 == 3) {
            call_async(e);
        }
        err = call(e);
    }
    return GINT_TO_POINTER(err);
}

/* Callers on both sides, calls without a caller between them, and then the end */
static void test_mixed(gconstpointer data)
{
    bool cut = data;
    QemuThread threads[6];
    End *srv, *cli;
    int sv[2];

    vfu_msg_socketpair(sv);
    srv = end_new(sv[0], -1, EPW_SERVER, LONG_MS);
    cli = end_new(sv[1], -1, EPW_CLIENT, LONG_MS);
    cli->over = true;
    for (int i = 0; i < ARRAY_SIZE(threads); i++) {
        qemu_thread_create(&threads[i], "caller", many_calls, cli,
                           QEMU_THREAD_JOINABLE);
    }
    if (cut) {
        wait_for(srv, &srv->ncommands, 500);
        epw_session_shutdown(srv->s, "enough");
    }
    for (int i = 0; i < ARRAY_SIZE(threads); i++) {
        g_assert_cmpint(join(&threads[i]), ==, cut ? -ENOTCONN : 0);
    }
    end_free(srv);
    end_free(cli);
}

int main(int argc, char **argv)
{
    int open_fds = count_fds();
    int r;

    g_test_init(&argc, &argv, NULL);
#define TEST(path, ...) g_test_add_func("/epw/call/" path, __VA_ARGS__)
#define TEST_ARG(path, arg, fn) \
    g_test_add_data_func("/epw/call/" path, GSIZE_TO_POINTER(arg), fn)
    TEST("caller-reads", test_caller_reads);
    TEST("reader-resumes", test_reader_resumes);
    TEST("order/command", test_command_before_answer);
    TEST_ARG("order/done", false, test_done_before_answer);
    TEST_ARG("order/done-later", true, test_done_before_answer);
    TEST_ARG("deadline/stopped", false, test_answer_while_stopped);
    TEST_ARG("deadline/stopped-async", true, test_answer_while_stopped);
    TEST("deadline/behind-command", test_answer_behind_command);
    TEST("deadline/flood", test_deadline_flood);
    TEST("deadline/half-answer", test_deadline_half_answer);
    TEST("end/answer-first", test_answer_and_close);
    TEST_ARG("end/shutdown", false, test_end_while_reading);
    TEST_ARG("end/free", true, test_end_while_reading);
    TEST("end/with-message", test_end_with_message);
    TEST_ARG("mixed", false, test_mixed);
    TEST_ARG("mixed-cut", true, test_mixed);
    r = g_test_run();
    expect_fds(open_fds);
    return r;
}
