/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-client: the vfio-user client of one remote function
 *
 * Three threads: the reader of the session, which never blocks and reacts to
 * what the endpoint says; the link thread, which connects, queries and is the
 * only one that waits for it; and the worker, for DMA that needs the BQL.
 * @lock is a leaf but for the links' own lock, and is never held over a wait
 * for the peer.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/thread.h"
#include "epf-client-int.h"
#include "trace.h"

#include <sys/socket.h>
#include <sys/un.h>

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 1000

/*
 * ------------------------------------------------------------------------
 * Reporting
 */
void epf_client_report(EpfClient *c, const char *fmt, ...)
{
    va_list ap;
    char *text;
    bool fresh;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);

    qemu_mutex_lock(&c->lock);
    g_free(c->last_error);
    c->last_error = g_strdup(text);
    fresh = g_hash_table_size(c->warned) < 64 &&
            g_hash_table_add(c->warned, g_strdup(text));
    qemu_mutex_unlock(&c->lock);

    if (c->first) {
        QEMU_LOCK_GUARD(&c->first->lock);
        g_free(c->first->last_error);
        c->first->last_error = g_strdup(text);
    }
    trace_epf_client_report(c->name, text);
    if (fresh) {
        warn_report("%s: %s", c->name, text);
    }
    g_free(text);
}

static void report_err(EpfClient *c, Error *err)
{
    epf_client_report(c, "%s", error_get_pretty(err));
    error_free(err);
}

char *epf_client_last_error(EpfClient *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    return g_strdup(c->last_error ?: "");
}

bool epf_client_connected(EpfClient *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    return c->session && c->agreed && !c->closed;
}

uint64_t epf_client_messages(EpfClient *c)
{
    return stat64_get(&c->messages);
}

void epf_client_count_interrupt(EpfClient *c)
{
    stat64_add(&c->interrupts, 1);
}

uint64_t epf_client_interrupts(EpfClient *c)
{
    return stat64_get(&c->interrupts);
}

unsigned epf_client_function(EpfClient *c)
{
    return c->func;
}

bool epf_client_trusts_unsealed(EpfClient *c)
{
    return c->trust_unsealed;
}

unsigned epf_client_deadline(EpfClient *c)
{
    return c->deadline_ms;
}

EpfLink *epf_client_get_link(EpfClient *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    return c->link && c->described ? epf_link_ref(c->link) : NULL;
}

/*
 * ------------------------------------------------------------------------
 * The reader thread
 */
static void link_up(EpfClient *c, uint32_t generation, unsigned speed,
                    unsigned width, uint32_t functions)
{
    EpfLink *l = epf_link_new(c, generation, speed, width);

    l->functions = functions;
    qemu_mutex_lock(&c->lock);
    c->link = l;
    c->described = false;
    qemu_cond_broadcast(&c->cond);
    qemu_mutex_unlock(&c->lock);
    trace_epf_client_link_up(c->name, generation, speed, width);
}

static void link_down(EpfClient *c, const char *why)
{
    EpfLink *l = c->link;   /* nobody else changes it */

    if (l) {
        /* First: who finds no link any more must also find this one dead */
        epf_link_kill(l);
    }
    qemu_mutex_lock(&c->lock);
    c->link = NULL;
    c->described = false;
    qemu_cond_broadcast(&c->cond);
    qemu_mutex_unlock(&c->lock);
    if (l) {
        trace_epf_client_link_down(c->name, l->generation, why);
        epf_link_unref(l);
        c->changed(c->opaque);
    }
}

/* The current link when @generation names it; the reader alone changes it. */
static EpfLink *link_of(EpfClient *c, uint32_t generation)
{
    QEMU_LOCK_GUARD(&c->lock);
    return c->link && c->link->generation == generation ?
           epf_link_ref(c->link) : NULL;
}

/* The functions that @m names; 0: it is not for this one. */
static uint32_t named_functions(EpfClient *c, EpwSession *s, const VfuEpLink *m)
{
    bool several = epw_session_caps(s).features & VFU_EP_FEATURE_FUNC;
    uint32_t functions = several ? m->functions : BIT(0);

    if ((functions & BIT(0)) && (functions & BIT(c->func)) &&
        functions <= MAKE_64BIT_MASK(0, EPF_MAX_FUNCTIONS)) {
        return functions;
    }
    epf_client_report(c, "the endpoint at '%s' has no function %u, but "
                      "functions 0x%" PRIx32 "; is it a socket of another "
                      "endpoint?", c->path, c->func, functions);
    return 0;
}

static void on_link(EpfClient *c, EpwSession *s, const VfuEpLink *m,
                    EpwToken *token)
{
    uint32_t functions;
    EpfLink *l;

    if (m->state == VFU_EP_LINK_UP) {
        functions = named_functions(c, s, m);
        if (!functions) {
            epw_reply_error(token, EINVAL);
            return;
        }
        link_down(c, "the endpoint trained it again");
        /* Queries are refused until the endpoint has the reply */
        epw_reply(token, NULL, 0, NULL, 0);
        link_up(c, m->generation, m->speed, m->width, functions);
    } else {
        l = link_of(c, m->generation);
        if (!l) {
            epw_reply_error(token, ESTALE);
            return;
        }
        epf_link_unref(l);
        link_down(c, "the endpoint took it down");
        epw_reply(token, NULL, 0, NULL, 0);
    }
}

static void on_remap(EpfClient *c, const VfuEpRemap *m, EpwToken *token)
{
    EpfLink *l = link_of(c, m->generation);
    bool described;

    if (!l) {
        epw_reply_error(token, ESTALE);
        return;
    }
    trace_epf_client_remap(c->name, m->generation, m->region);
    epf_areas_revoke(l, m->region);
    epw_reply(token, NULL, 0, NULL, 0);

    qemu_mutex_lock(&c->lock);
    described = c->described;
    qemu_mutex_unlock(&c->lock);
    if (described) {
        epf_areas_refetch(l, m->region);
    }
    /* Else the link thread sees the revocation and asks again */
    epf_link_unref(l);
}

static void on_dma(EpfClient *c, const EpwMsg *msg, EpwToken *token)
{
    const VfuDmaRw *rw = (const VfuDmaRw *)msg->payload;
    bool is_write = msg->hdr.command == VFU_CMD_DMA_WRITE;
    struct iovec iov[2] = { { (void *)rw, sizeof(*rw) } };
    g_autofree void *buf = NULL;
    EpfLink *l;
    int err;

    qemu_mutex_lock(&c->lock);
    l = c->link ? epf_link_ref(c->link) : NULL;
    qemu_mutex_unlock(&c->lock);
    if (!l) {
        epw_reply_error(token, ENODEV);
        return;
    }
    if (is_write) {
        err = epf_link_dma(l, rw->address, msg->payload + sizeof(*rw),
                           rw->count, true);
    } else {
        buf = g_malloc(rw->count);
        err = epf_link_dma(l, rw->address, buf, rw->count, false);
        iov[1] = (struct iovec) { buf, rw->count };
    }
    if (err == -EAGAIN) {
        epf_worker_dma(c, l, rw, is_write, token);
    } else if (err) {
        epw_reply_error(token, -err);
    } else {
        epw_reply(token, iov, is_write ? 1 : 2, NULL, 0);
    }
    epf_link_unref(l);
}

static void on_intx(EpfClient *c, const VfuEpIntx *m)
{
    EpfLink *l = link_of(c, m->generation);

    if (l) {
        if (m->level) {
            qatomic_or(&l->intx, EPF_INTX_LEVEL | EPF_INTX_ASSERTED);
        } else {
            qatomic_and(&l->intx, ~EPF_INTX_LEVEL);
        }
        c->changed(c->opaque);
        epf_link_unref(l);
    }
}

static void on_fault(EpfClient *c, const VfuEpFault *m)
{
    EpfLink *l = link_of(c, m->generation);

    if (l) {
        epf_worker_fault(c, l, m->address, m->write);
        epf_link_unref(l);
    }
}

static void on_command(EpwSession *s, EpwMsg *msg, EpwToken *token,
                       void *opaque)
{
    EpfClient *c = opaque;
    const void *p = msg->payload;

    switch (msg->hdr.command) {
    case VFU_CMD_EP_LINK:
        on_link(c, s, p, token);
        break;
    case VFU_CMD_EP_REMAP:
        on_remap(c, p, token);
        break;
    case VFU_CMD_EP_INTX:
        on_intx(c, p);
        epw_reply(token, NULL, 0, NULL, 0);
        break;
    case VFU_CMD_EP_FAULT:
        on_fault(c, p);
        epw_reply(token, NULL, 0, NULL, 0);
        break;
    case VFU_CMD_DMA_READ:
    case VFU_CMD_DMA_WRITE:
        on_dma(c, msg, token);
        break;
    default:
        epw_reply_error(token, ENOSYS);
        break;
    }
}

static void on_closed(EpwSession *s, const char *why, void *opaque)
{
    EpfClient *c = opaque;
    bool report;

    trace_epf_client_closed(c->name, why);
    link_down(c, why);
    qemu_mutex_lock(&c->lock);
    report = !c->closed;
    c->closed = true;
    qemu_cond_broadcast(&c->cond);
    qemu_mutex_unlock(&c->lock);
    if (report) {
        /* An endpoint that ends is no news for each of its functions */
        epf_client_report(c->first ?: c, "%s", why);
    }
}

static const EpwOps session_ops = {
    .command = on_command,
    .closed = on_closed,
};

static void version_done(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    EpfClient *c = opaque;
    Error *local_err = NULL;
    EpwCaps caps;

    if (err == -EBUSY) {
        error_setg(&local_err, "the endpoint at '%s' serves another host; "
                   "end that one first", c->path);
    } else if (err == -ENODEV) {
        error_setg(&local_err, "the endpoint at '%s' only serves this host "
                   "once its link is up", c->path);
    } else if (err == -ENOTCONN) {
        return;
    } else if (err) {
        error_setg(&local_err, "the server at '%s' refuses vfio-user %d.%d: "
                   "%s; is it an endpoint of the same version?", c->path,
                   VFU_VERSION_MAJOR, VFU_VERSION_MINOR, strerror(-err));
    } else if (!epw_version_accept(reply->payload, epw_msg_len(reply),
                                   EPF_CLIENT_FEATURES, &caps, &local_err)) {
        error_prepend(&local_err, "the server at '%s': ", c->path);
    }
    if (local_err) {
        report_err(c, local_err);
        qemu_mutex_lock(&c->lock);
        c->closed = true;
        qemu_cond_broadcast(&c->cond);
        qemu_mutex_unlock(&c->lock);
        return;
    }

    epw_session_set_caps(s, &caps);
    trace_epf_client_agreed(c->name, caps.features, caps.max_fds,
                            caps.max_xfer);
    qemu_mutex_lock(&c->lock);
    c->agreed = true;
    qemu_cond_broadcast(&c->cond);
    qemu_mutex_unlock(&c->lock);
    if (!(caps.features & VFU_EP_FEATURE_LINK)) {
        /* A plain vfio-user server: it is there as long as it is connected */
        link_up(c, 0, 1, 1, BIT(c->func));
    }
}

/*
 * ------------------------------------------------------------------------
 * The link thread
 */
bool epf_client_check_path(const char *path, Error **errp)
{
    g_autofree char *dir = NULL;
    struct sockaddr_un un;
    struct stat st;

    if (!path || !*path) {
        error_setg(errp, "property 'socket' is missing: set it to the socket "
                   "path of the endpoint's pci-epc, e.g. socket=/tmp/ep.sock");
        return false;
    }
    if (strlen(path) >= sizeof(un.sun_path)) {
        error_setg(errp, "socket path '%s' is longer than %zu bytes; use a "
                   "shorter one on both sides", path, sizeof(un.sun_path) - 1);
        return false;
    }
    dir = g_path_get_dirname(path);
    if (!g_file_test(dir, G_FILE_TEST_IS_DIR)) {
        error_setg(errp, "no directory '%s' for the socket; create it or "
                   "correct the path", dir);
        return false;
    }
    if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        error_setg(errp, "'%s' is not a socket; use another path on both "
                   "sides", path);
        return false;
    }
    return true;
}

static bool peer_is_ours(EpfClient *c, int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
        (cred.uid == geteuid() || cred.uid == 0)) {
        return true;
    }
    epf_client_report(c, "the server at '%s' runs as another user; run both "
                      "sides as the same one", c->path);
    return false;
}

static int try_connect(EpfClient *c)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err;

    if (fd < 0) {
        epf_client_report(c, "cannot create a socket: %s", strerror(errno));
        return -1;
    }
    pstrcpy(un.sun_path, sizeof(un.sun_path), c->path);
    if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
        err = errno;
        /* Not there yet, left behind, or busy: all of them pass */
        if (err != ENOENT && err != ECONNREFUSED && err != EAGAIN) {
            epf_client_report(c, "cannot connect to '%s': %s", c->path,
                              strerror(err));
        }
        close(fd);
        return -1;
    }
    if (!peer_is_ours(c, fd)) {
        close(fd);
        return -1;
    }
    trace_epf_client_connect(c->name, c->path);
    return fd;
}

static void offer_version(EpfClient *c)
{
    size_t len;
    g_autofree uint8_t *offer = epw_version_offer(EPF_CLIENT_FEATURES, &len);
    struct iovec iov = { .iov_base = offer, .iov_len = len };

    epw_call_async(c->session, VFU_CMD_VERSION, &iov, 1, NULL, 0,
                   version_done, c);
}

/* The link that was announced and not yet described; NULL: session closed. */
static EpfLink *wait_for_link(EpfClient *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    while (!c->closed && !(c->link && !c->described)) {
        qemu_cond_wait(&c->cond, &c->lock);
    }
    return c->closed ? NULL : epf_link_ref(c->link);
}

/* Waits for the fate of a link that cannot be shown. */
static void wait_link_gone(EpfClient *c, EpfLink *l)
{
    QEMU_LOCK_GUARD(&c->lock);
    while (!c->closed && c->link == l) {
        qemu_cond_wait(&c->cond, &c->lock);
    }
}

static void describe(EpfClient *c, EpfLink *l)
{
    Error *err = NULL;
    bool fresh;

    if (!epf_query(l, &err)) {
        if (epf_link_dead(l)) {
            error_free(err);
            return;
        }
        report_err(c, err);
        wait_link_gone(c, l);
        return;
    }
    qemu_mutex_lock(&c->lock);
    fresh = c->link == l;
    if (fresh) {
        c->described = true;
    }
    qemu_mutex_unlock(&c->lock);
    if (fresh) {
        c->changed(c->opaque);
        /* on_remap() does from now on, and left to us what came before */
        epf_areas_refetch_revoked(l);
    }
}

static void run_session(EpfClient *c, int fd)
{
    EpwConfig cfg = {
        .name = c->name, .role = EPW_CLIENT, .deadline_ms = c->deadline_ms,
        .messages = &c->messages,
    };
    EpwSession *s;
    EpfLink *l;

    qemu_mutex_lock(&c->lock);
    c->closed = !c->wanted;
    c->agreed = false;
    c->debt = 0;
    qemu_mutex_unlock(&c->lock);

    s = epw_session_new(fd, &cfg, &session_ops, c);
    qemu_mutex_lock(&c->lock);
    c->session = s;
    qemu_mutex_unlock(&c->lock);

    offer_version(c);
    while ((l = wait_for_link(c))) {
        describe(c, l);
        epf_link_unref(l);
    }

    epw_session_shutdown(s, "closed");
    qemu_mutex_lock(&c->lock);
    c->session = NULL;
    while (c->users) {
        qemu_cond_wait(&c->cond, &c->lock);
    }
    qemu_mutex_unlock(&c->lock);
    epw_session_free(s);
}

/* True when it had to wait. */
static bool wait_wanted(EpfClient *c)
{
    bool waited = false;

    QEMU_LOCK_GUARD(&c->lock);
    while (!c->wanted) {
        waited = true;
        qemu_cond_wait(&c->cond, &c->lock);
    }
    return waited;
}

static void *link_thread(void *opaque)
{
    EpfClient *c = opaque;
    unsigned backoff = BACKOFF_MIN_MS;

    for (;;) {
        int fd;

        if (wait_wanted(c)) {
            backoff = BACKOFF_MIN_MS;
        }
        fd = try_connect(c);

        if (fd >= 0) {
            run_session(c, fd);
            backoff = c->agreed ? BACKOFF_MIN_MS : backoff;
        }
        g_usleep(backoff * 1000);
        backoff = MIN(backoff * 2, BACKOFF_MAX_MS);
    }
    return NULL;
}

EpfClient *epf_client_new(const EpfClientConfig *cfg,
                          void (*changed)(void *opaque), void *opaque)
{
    EpfClient *c = g_new0(EpfClient, 1);

    c->path = g_strdup(cfg->path);
    c->name = g_strdup(cfg->name);
    c->deadline_ms = cfg->deadline_ms;
    c->trust_unsealed = cfg->trust_unsealed;
    c->func = cfg->func;
    c->first = cfg->first;
    c->changed = changed;
    c->opaque = opaque;
    stat64_init(&c->messages, 0);
    stat64_init(&c->interrupts, 0);
    c->warned = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    qemu_mutex_init(&c->lock);
    qemu_mutex_init(&c->turn);
    qemu_cond_init(&c->cond);
    qemu_cond_init(&c->work);
    QSIMPLEQ_INIT(&c->jobs);
    return c;
}

void epf_client_want(EpfClient *c, bool wanted)
{
    QEMU_LOCK_GUARD(&c->lock);
    if (c->wanted && !wanted) {
        c->closed = true;
    }
    c->wanted = wanted;
    qemu_cond_broadcast(&c->cond);
}

void epf_client_start(EpfClient *c)
{
    epf_worker_start(c);
    qemu_thread_create(&c->thread, c->name, link_thread, c,
                       QEMU_THREAD_DETACHED);
}
