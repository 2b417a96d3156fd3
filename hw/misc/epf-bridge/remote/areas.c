/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * areas: what backs the BARs of a remote function
 *
 * With the feature "areas" the endpoint lists the areas of a BAR that are
 * memory (EP_AREAS) and its doorbells (GET_REGION_IO_FDS).  Without it memory
 * covers the whole BAR or nothing of it (GET_REGION_INFO).
 *
 * An EP_REMAP leaves the layout as it is: until the endpoint has answered again
 * the guest reads all ones where memory was, and often the new memory is in the
 * same areas.  The endpoint is asked for doorbells last, when the guest reaches
 * all that is new; it takes that question for the end of the EP_REMAP.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/misc/epf-bridge/remote/areas.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/trace.h"

bool epf_layout_equal(const EpfLayout *a, const EpfLayout *b)
{
    return a->count == b->count &&
           !memcmp(a->area, b->area, a->count * sizeof(a->area[0]));
}

/* Areas that touch become one. */
static void epf_areas_add(EpfLayout *layout, uint64_t offset, uint64_t size)
{
    unsigned n = layout->count;

    if (n && layout->area[n - 1].offset + layout->area[n - 1].size == offset) {
        layout->area[n - 1].size += size;
    } else {
        layout->area[n].offset = offset;
        layout->area[n].size = size;
        layout->count++;
    }
}

static bool epf_areas_agreed(EpfRemote *r)
{
    return epf_remote_caps(r).features & VFU_EP_FEATURE_AREAS;
}

/* ---- To take away ---- */

static void epf_areas_unmap(EpfRemote *r, unsigned bar) EP_REQUIRES(&r->lock);
static void epf_areas_unmap(EpfRemote *r, unsigned bar)
{
    EpfBacking *b = &r->backing[bar];

    for (unsigned i = 0; b->mapped && i < b->layout.count; i++) {
        ep_mem_unmap((char *)r->bar[bar].mem + b->layout.area[i].offset,
                     b->layout.area[i].size);
    }
    b->mapped = false;
    for (unsigned i = 0; i < ARRAY_SIZE(b->files); i++) {
        ep_file_free(b->files[i]);
        b->files[i] = NULL;
    }
}

/* Takes the reference @d, which may be NULL. */
static void epf_areas_set_doorbells(EpfRemote *r, unsigned bar,
                                    EpfDoorbells *d) EP_REQUIRES(&r->lock);
static void epf_areas_set_doorbells(EpfRemote *r, unsigned bar,
                                    EpfDoorbells *d)
{
    EpfBacking *b = &r->backing[bar];

    if (b->doorbells) {
        epf_doorbells_stop(b->doorbells);
        epf_doorbells_unref(b->doorbells);
    }
    b->doorbells = d;
}

void epf_areas_kill(EpfRemote *r)
{
    qatomic_set(&r->dead, true);

    QEMU_LOCK_GUARD(&r->lock);
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        epf_areas_unmap(r, i);
        epf_areas_set_doorbells(r, i, NULL);
        r->backing[i].ask_doorbells = false;
    }
    qemu_cond_broadcast(&r->cond);
}

/*
 * A page without memory keeps what the guest writes to it.  That must not go on
 * for ever, so a BAR that is revoked for a deadline is reached by message.
 */
static void epf_areas_check_revoked(EpfRemote *r, unsigned bar)
    EP_REQUIRES(&r->lock);
static void epf_areas_check_revoked(EpfRemote *r, unsigned bar)
{
    int64_t now = g_get_monotonic_time();
    EpfBacking *b = &r->backing[bar];

    if (!b->revoked_since) {
        b->revoked_since = now;
    } else if (now - b->revoked_since >
               epf_remote_deadline(r) * INT64_C(1000)) {
        b->layout.count = 0;
    }
}

void epf_areas_revoke(EpfRemote *r, unsigned bar)
{
    QEMU_LOCK_GUARD(&r->lock);
    r->backing[bar].revision++;
    r->backing[bar].ask_doorbells = false;
    epf_areas_unmap(r, bar);
    epf_areas_check_revoked(r, bar);
    epf_areas_set_doorbells(r, bar, NULL);
}

/* ---- Memory ---- */

static bool epf_areas_are_sound(const VfuEpArea *a, unsigned n,
                                uint64_t bar_size, unsigned nfds)
{
    const uint32_t flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    size_t page = qemu_real_host_page_size();
    uint64_t end = 0, next;

    for (unsigned i = 0; i < n; i++) {
        if (!QEMU_IS_ALIGNED(a[i].offset | a[i].size | a[i].fd_offset, page) ||
            !a[i].size || a[i].offset < end ||
            uadd64_overflow(a[i].offset, a[i].size, &next) ||
            next > bar_size || a[i].fd_index >= nfds ||
            !(a[i].flags & VFU_REGION_FLAG_READ) || (a[i].flags & ~flags)) {
            return false;
        }
        end = next;
    }
    return true;
}

/* Takes the descriptors that @a uses out of @reply. */
static bool epf_areas_open(EpfRemote *r, unsigned bar, const VfuEpArea *a,
                           unsigned n, EpwMsg *reply, EpFile **files,
                           Error **errp)
{
    bool trust = epf_remote_trusts_unsealed(r);

    for (unsigned i = 0; i < n; i++) {
        unsigned index = a[i].fd_index;

        if (!files[index]) {
            files[index] = ep_file_new(reply->fds[index], trust, errp);
            reply->fds[index] = -1;
            if (!files[index]) {
                return false;
            }
        }
        if (!ep_file_covers(files[index], a[i].fd_offset, a[i].size)) {
            error_setg(errp, "BAR %u is reached by messages, since an area of "
                       "its memory is outside of its file", bar);
            return false;
        }
    }
    return true;
}

/*
 * Maps all of @a, or nothing if an area cannot be mapped. Takes the files over
 * in both cases. Memory that the guest must not write is reached by message: a
 * private copy would keep what the guest writes, and no longer follow the
 * endpoint.
 */
static int epf_areas_map(EpfRemote *r, unsigned bar, const VfuEpArea *a,
                         unsigned n, EpFile **files) EP_REQUIRES(&r->lock);
static int epf_areas_map(EpfRemote *r, unsigned bar, const VfuEpArea *a,
                         unsigned n, EpFile **files)
{
    EpfBacking *b = &r->backing[bar];
    int ret = 0;

    for (unsigned i = 0; i < n && !ret; i++) {
        if (!(a[i].flags & VFU_REGION_FLAG_WRITE)) {
            continue;
        }
        ret = ep_mem_map((char *)r->bar[bar].mem + a[i].offset, a[i].size,
                         files[a[i].fd_index], a[i].fd_offset, true);
        epf_areas_add(&b->layout, a[i].offset, a[i].size);
        b->mapped = true;
    }
    memcpy(b->files, files, sizeof(b->files));
    memset(files, 0, sizeof(b->files));
    if (ret) {
        epf_areas_unmap(r, bar);
        b->layout.count = 0;
    }
    return ret;
}

/*
 * Backs @bar with the areas @a unless it was revoked again; with no memory at
 * all if something is wrong with one of them.  @reply may be NULL if @n is 0.
 */
static void epf_areas_back(EpfRemote *r, unsigned bar, unsigned revision,
                           const VfuEpArea *a, unsigned n, EpwMsg *reply)
{
    EpFile *files[EPW_MAX_FDS] = { NULL };
    Error *err = NULL;
    int ret = 0;

    if (!r->bar[bar].mem) {
        n = 0;
    }
    if (n && !epf_areas_are_sound(a, n, r->bar[bar].shape.size, reply->nfds)) {
        error_setg(&err, "BAR %u is reached by messages, since the endpoint "
                   "does not describe its memory page by page, in order and "
                   "inside of the BAR", bar);
    } else {
        epf_areas_open(r, bar, a, n, reply, files, &err);
    }
    WITH_QEMU_LOCK_GUARD(&r->lock) {
        EpfBacking *b = &r->backing[bar];

        if (!epf_remote_dead(r) && b->revision == revision) {
            epf_areas_unmap(r, bar);
            b->layout.count = 0;
            b->revoked_since = 0;
            ret = err ? 0 : epf_areas_map(r, bar, a, n, files);
            b->ask_doorbells = true;
        }
        trace_epf_bridge_areas_back(r->device, r->func, r->generation, bar,
                                    r->bar[bar].shape.size, n, b->mapped);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        ep_file_free(files[i]);
    }
    if (ret) {
        error_setg_errno(&err, -ret, "BAR %u is reached by messages, since the "
                         "endpoint's memory cannot be mapped", bar);
    }
    if (err) {
        epf_remote_report_err(r, err);
    }
}

static void epf_areas_take_areas(EpfRemote *r, unsigned bar, unsigned revision,
                                 EpwMsg *reply)
{
    const VfuEpAreas *head = (const void *)reply->payload;
    const VfuEpArea *a = (const void *)(head + 1);
    int err = epw_check_reply(reply, VFU_CMD_EP_AREAS, sizeof(*head),
                              sizeof(*head) + VFU_EP_MAX_AREAS * sizeof(*a));

    if (!err && (head->region != bar || head->generation != r->generation ||
                 epw_msg_len(reply) != sizeof(*head) +
                                       head->count * sizeof(*a) ||
                 head->argsz != epw_msg_len(reply))) {
        err = EINVAL;
    }
    if (err) {
        epf_remote_report(r, NULL, "BAR %u is reached by messages, since the "
                          "endpoint does not list its memory: %s", bar,
                          strerror(err));
        epf_areas_back(r, bar, revision, NULL, 0, reply);
    } else {
        epf_areas_back(r, bar, revision, a, head->count, reply);
    }
}

/* Without "areas" only memory that covers the whole BAR can be described. */
static void epf_areas_take_region(EpfRemote *r, unsigned bar,
                                  unsigned revision, EpwMsg *reply)
{
    const VfuRegionInfo *info = (const void *)reply->payload;
    VfuEpArea a = { .size = r->bar[bar].shape.size };
    bool mappable;

    if (epw_check_reply(reply, VFU_CMD_GET_REGION_INFO, sizeof(*info),
                        sizeof(*info)) ||
        info->index != bar || info->size != r->bar[bar].shape.size) {
        epf_remote_report(r, "take the link down for that",
                          "the endpoint changed the size of BAR %u while its "
                          "link is up", bar);
        epf_areas_back(r, bar, revision, NULL, 0, reply);
        return;
    }
    mappable = (info->flags & VFU_REGION_FLAG_MMAP) &&
               (info->flags & VFU_REGION_FLAG_READ) &&
               !(info->flags & VFU_REGION_FLAG_CAPS) &&
               info->argsz == sizeof(*info) && reply->nfds == 1;
    a.fd_offset = info->offset;
    a.flags = info->flags & (VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE);
    epf_areas_back(r, bar, revision, &a, mappable, reply);
}

/* ---- Doorbells ---- */

static void epf_areas_take_doorbells(EpfRemote *r, unsigned bar,
                                     unsigned revision, EpwMsg *reply)
{
    Error *err = NULL;
    EpfDoorbells *d;

    d = epf_doorbells_new(reply, bar, r->bar[bar].shape.size,
                          epf_remote_trusts_unsealed(r), &err);
    if (err) {
        epf_remote_report_err(r, err);
    }
    WITH_QEMU_LOCK_GUARD(&r->lock) {
        if (!epf_remote_dead(r) && r->backing[bar].revision == revision) {
            epf_areas_set_doorbells(r, bar, d);
            d = NULL;
        }
        trace_epf_bridge_areas_doorbells(r->device, r->func, r->generation, bar,
                                         r->backing[bar].doorbells != NULL);
    }
    epf_doorbells_unref(d);
}

/* ---- To ask ---- */

typedef struct EpfQuestion {
    EpfRemote *remote;
    unsigned bar;
    unsigned revision;
    void (*take)(EpfRemote *r, unsigned bar, unsigned revision, EpwMsg *reply);
    uint16_t cmd;
    size_t len;
    union {
        VfuEpAreas areas;
        VfuRegionInfo region;
        VfuRegionIoFds io_fds;
    };
} EpfQuestion;

static void epf_areas_init_memory(EpfQuestion *q, EpfRemote *r, unsigned bar,
                                  unsigned revision)
{
    *q = (EpfQuestion) { .remote = r, .bar = bar, .revision = revision };
    if (epf_areas_agreed(r)) {
        q->take = epf_areas_take_areas;
        q->cmd = VFU_CMD_EP_AREAS;
        q->len = sizeof(q->areas);
        q->areas = (VfuEpAreas) {
            .argsz = sizeof(q->areas), .generation = r->generation,
            .region = bar,
        };
    } else {
        q->take = epf_areas_take_region;
        q->cmd = VFU_CMD_GET_REGION_INFO;
        q->len = sizeof(q->region);
        q->region = (VfuRegionInfo) {
            .argsz = sizeof(q->region), .index = bar,
        };
    }
}

static void epf_areas_init_doorbells(EpfQuestion *q, EpfRemote *r,
                                     unsigned bar, unsigned revision)
{
    *q = (EpfQuestion) {
        .remote = r, .bar = bar, .revision = revision,
        .take = epf_areas_take_doorbells, .cmd = VFU_CMD_GET_REGION_IO_FDS,
        .len = sizeof(q->io_fds),
        .io_fds = {
            .argsz = sizeof(q->io_fds) +
                     EPF_MAX_DOORBELLS * sizeof(VfuRegionIoFd),
            .index = bar,
        },
    };
}

static void epf_areas_take(const EpfQuestion *q, int err, EpwMsg *reply)
{
    /* Or so the endpoint says, whose link may be up all the same. */
    bool link_gone = err == -ENOTCONN || err == -ESTALE || err == -ETIMEDOUT;

    if (!err) {
        q->take(q->remote, q->bar, q->revision, reply);
        return;
    }
    if (!link_gone) {
        epf_remote_report(q->remote, NULL, "BAR %u is reached by messages, "
                          "since the endpoint refuses %s: %s", q->bar,
                          epw_command_name(q->cmd), strerror(-err));
    }
    if (q->take != epf_areas_take_doorbells) {
        epf_areas_back(q->remote, q->bar, q->revision, NULL, 0, NULL);
    }
}

static void epf_areas_answered(EpwSession *s, int err, EpwMsg *reply,
                               void *opaque)
{
    EpfQuestion *q = opaque;

    epf_areas_take(q, err, reply);
    epf_remote_changed(q->remote);
    epf_remote_unref(q->remote);
    g_free(q);
}

/* Frees @q when the answer is there. */
static void epf_areas_ask_async(EpfQuestion *q)
{
    struct iovec iov = { .iov_base = &q->areas, .iov_len = q->len };

    epf_remote_ref(q->remote);
    epf_remote_call_async(q->remote, q->cmd, &iov, 1, NULL, 0,
                          epf_areas_answered, q);
}

static void epf_areas_ask(EpfQuestion *q)
{
    struct iovec iov = { .iov_base = &q->areas, .iov_len = q->len };
    EpwMsg *reply = NULL;
    int err = epf_remote_call(q->remote, q->cmd, &iov, 1, NULL, 0, &reply);

    epf_areas_take(q, err, reply);
    epw_msg_free(reply);
}

void epf_areas_query(EpfRemote *r, unsigned bar, unsigned revision)
{
    EpfQuestion q;

    WITH_QEMU_LOCK_GUARD(&r->lock) {
        r->backing[bar].asked_revision = revision;
    }
    epf_areas_init_memory(&q, r, bar, revision);
    epf_areas_ask(&q);
    if (epf_areas_agreed(r)) {
        epf_areas_init_doorbells(&q, r, bar, revision);
        epf_areas_ask(&q);
    }
    WITH_QEMU_LOCK_GUARD(&r->lock) {
        if (r->backing[bar].revision == revision) {
            r->backing[bar].ask_doorbells = false;
        }
    }
}

/*
 * Returns true for one caller after each revocation.  The answer to a second
 * question would take the memory away for a moment that the first one gave,
 * after the endpoint was told that the guest reaches it.
 */
static bool epf_areas_claim(EpfRemote *r, unsigned bar, unsigned *revision)
{
    EpfBacking *b = &r->backing[bar];

    QEMU_LOCK_GUARD(&r->lock);
    if (!r->bar[bar].shape.size || b->asked_revision == b->revision) {
        return false;
    }
    b->asked_revision = *revision = b->revision;
    return true;
}

void epf_areas_refetch(EpfRemote *r, unsigned bar)
{
    unsigned revision;
    EpfQuestion *q;

    if (epf_areas_claim(r, bar, &revision)) {
        q = g_new(EpfQuestion, 1);
        epf_areas_init_memory(q, r, bar, revision);
        epf_areas_ask_async(q);
    }
}

void epf_areas_refetch_revoked(EpfRemote *r)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        epf_areas_refetch(r, i);
    }
}

void epf_areas_shown(EpfRemote *r, unsigned bar, const EpfLayout *layout)
{
    EpfQuestion *q;

    WITH_QEMU_LOCK_GUARD(&r->lock) {
        EpfBacking *b = &r->backing[bar];

        if (!b->ask_doorbells || !epf_layout_equal(&b->layout, layout)) {
            return;
        }
        b->ask_doorbells = false;
        q = g_new(EpfQuestion, 1);
        epf_areas_init_doorbells(q, r, bar, b->revision);
    }
    if (epf_areas_agreed(r)) {
        epf_areas_ask_async(q);
    } else {
        g_free(q);
    }
}

/* ---- To look ---- */

unsigned epf_areas_revision(EpfRemote *r, unsigned bar)
{
    QEMU_LOCK_GUARD(&r->lock);
    return r->backing[bar].revision;
}

void epf_areas_layout(EpfRemote *r, unsigned bar, EpfLayout *layout)
{
    QEMU_LOCK_GUARD(&r->lock);
    *layout = r->backing[bar].layout;
}

EpfDoorbells *epf_areas_doorbells(EpfRemote *r, unsigned bar)
{
    EpfDoorbells *d;

    QEMU_LOCK_GUARD(&r->lock);
    d = r->backing[bar].doorbells;
    return d ? epf_doorbells_ref(d) : NULL;
}

bool epf_areas_store(EpfRemote *r, unsigned bar, uint64_t offset,
                     const void *buf, unsigned size)
{
    EpfBacking *b;

    QEMU_LOCK_GUARD(&r->lock);
    b = &r->backing[bar];
    for (unsigned i = 0; b->mapped && i < b->layout.count; i++) {
        uint64_t first = b->layout.area[i].offset;
        uint64_t in_area = offset - first;

        if (offset >= first && in_area < b->layout.area[i].size &&
            size <= b->layout.area[i].size - in_area) {
            memcpy((char *)r->bar[bar].mem + offset, buf, size);
            return true;
        }
    }
    return false;
}
