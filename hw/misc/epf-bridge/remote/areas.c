/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-areas: what is behind the BARs of a remote function
 *
 * With "areas" agreed the endpoint lists the parts of a BAR that are memory
 * (EP_AREAS) and its doorbells (GET_REGION_IO_FDS).  Without, memory covers the
 * BAR as a whole or not at all (GET_REGION_INFO).
 *
 * An EP_REMAP leaves the layout as it is: the guest reads all ones where memory
 * was until the endpoint was asked again, and often the new memory is in the
 * same places.  The endpoint is asked for doorbells only when the guest reaches
 * all that is new, so that the question tells the endpoint just that.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "epf-client.h"
#include "trace.h"

bool epf_layout_equal(const EpfLayout *a, const EpfLayout *b)
{
    return a->count == b->count &&
           !memcmp(a->part, b->part, a->count * sizeof(a->part[0]));
}

static void layout_add(EpfLayout *l, uint64_t offset, uint64_t size)
{
    unsigned n = l->count;

    if (n && l->part[n - 1].offset + l->part[n - 1].size == offset) {
        l->part[n - 1].size += size;
    } else {
        l->part[n].offset = offset;
        l->part[n].size = size;
        l->count++;
    }
}

static bool has_areas(EpfLink *l)
{
    return epf_link_caps(l).features & VFU_EP_FEATURE_AREAS;
}

/*
 * ------------------------------------------------------------------------
 * Taking away; with the lock of the link
 */
static void unmap_locked(EpfBar *b)
{
    for (unsigned i = 0; b->live && i < b->layout.count; i++) {
        ep_mem_unmap((char *)b->mem + b->layout.part[i].offset,
                     b->layout.part[i].size);
    }
    b->live = false;
}

static void set_doorbells_locked(EpfBar *b, EpfDoorbells *d)
{
    if (b->doorbells) {
        epf_doorbells_stop(b->doorbells);
        epf_doorbells_unref(b->doorbells);
    }
    b->doorbells = d;
}

void epf_areas_kill_locked(EpfLink *l)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        unmap_locked(&l->bar[i]);
        set_doorbells_locked(&l->bar[i], NULL);
        l->bar[i].ask_doorbells = false;
    }
}

void epf_areas_revoke(EpfLink *l, unsigned bar)
{
    QEMU_LOCK_GUARD(&l->lock);
    l->bar[bar].revoked++;
    l->bar[bar].ask_doorbells = false;
    unmap_locked(&l->bar[bar]);
    set_doorbells_locked(&l->bar[bar], NULL);
}

/*
 * ------------------------------------------------------------------------
 * Memory
 */
static bool areas_sound(const VfuEpArea *a, unsigned n, uint64_t bar_size,
                        unsigned nfds)
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

/* Takes the descriptors that @a uses. */
static bool open_files(EpfLink *l, unsigned bar, const VfuEpArea *a,
                       unsigned n, EpwMsg *reply, EpFile **files, Error **errp)
{
    bool trust = epf_client_trusts_unsealed(l->client);

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
            error_setg(errp, "the endpoint's memory for BAR %u is not all "
                       "inside of its file; it is reached by messages, which "
                       "is slow", bar);
            return false;
        }
    }
    return true;
}

static int map_locked(EpfBar *b, const VfuEpArea *a, unsigned n,
                      EpFile **files)
{
    int ret = 0;

    for (unsigned i = 0; i < n && !ret; i++) {
        ret = ep_mem_map((char *)b->mem + a[i].offset, a[i].size,
                         files[a[i].fd_index], a[i].fd_offset,
                         a[i].flags & VFU_REGION_FLAG_WRITE);
        layout_add(&b->layout, a[i].offset, a[i].size);
        b->live = true;
    }
    if (ret) {
        unmap_locked(b);
        b->layout.count = 0;
    }
    return ret;
}

/* All of @a, or, when something is wrong with it, nothing. */
static void show(EpfLink *l, unsigned bar, unsigned revoked,
                 const VfuEpArea *a, unsigned n, EpwMsg *reply)
{
    EpfBar *b = &l->bar[bar];
    EpFile *files[EPW_MAX_FDS] = { NULL };
    Error *err = NULL;
    int ret = 0;

    if (!b->mem) {
        n = 0;
    }
    if (n && !areas_sound(a, n, b->size, reply->nfds)) {
        error_setg(&err, "the endpoint does not describe the memory of BAR %u "
                   "page by page, in order and inside of the BAR; it is "
                   "reached by messages, which is slow", bar);
    } else {
        open_files(l, bar, a, n, reply, files, &err);
    }
    WITH_QEMU_LOCK_GUARD(&l->lock) {
        if (!epf_link_dead(l) && b->revoked == revoked) {
            unmap_locked(b);
            b->layout.count = 0;
            ret = err ? 0 : map_locked(b, a, n, files);
            b->ask_doorbells = true;
        }
        trace_epf_areas_show(l->generation, bar, b->size, n, b->live);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        ep_file_unref(files[i]);
    }
    if (ret) {
        error_setg_errno(&err, -ret, "cannot map the endpoint's memory for "
                         "BAR %u; it is reached by messages, which is slow",
                         bar);
    }
    if (err) {
        epf_client_report(l->client, "%s", error_get_pretty(err));
        error_free(err);
    }
}

static void take_areas(EpfLink *l, unsigned bar, unsigned revoked,
                       EpwMsg *reply)
{
    const VfuEpAreas *head = (const void *)reply->payload;
    const VfuEpArea *a = (const void *)(head + 1);
    int err = epw_check_reply(reply, VFU_CMD_EP_AREAS, sizeof(*head),
                              sizeof(*head) + VFU_EP_MAX_AREAS * sizeof(*a));

    if (!err && (head->region != bar || head->generation != l->generation ||
                 epw_msg_len(reply) != sizeof(*head) +
                                       head->count * sizeof(*a) ||
                 head->argsz != epw_msg_len(reply))) {
        err = EINVAL;
    }
    if (err) {
        epf_client_report(l->client, "the endpoint does not tell what of BAR "
                          "%u is memory: %s; it is reached by messages, which "
                          "is slow", bar, strerror(err));
        show(l, bar, revoked, NULL, 0, reply);
    } else {
        show(l, bar, revoked, a, head->count, reply);
    }
}

/* Without "areas": only memory that covers the BAR as a whole. */
static void take_region(EpfLink *l, unsigned bar, unsigned revoked,
                        EpwMsg *reply)
{
    const VfuRegionInfo *info = (const void *)reply->payload;
    VfuEpArea a = { .size = l->bar[bar].size };
    bool mappable;

    if (epw_check_reply(reply, VFU_CMD_GET_REGION_INFO, sizeof(*info),
                        sizeof(*info)) ||
        info->index != bar || info->size != l->bar[bar].size) {
        epf_client_report(l->client, "the endpoint changed the size of BAR %u "
                          "with the link up; take the link down for that",
                          bar);
        show(l, bar, revoked, NULL, 0, reply);
        return;
    }
    mappable = (info->flags & VFU_REGION_FLAG_MMAP) &&
               (info->flags & VFU_REGION_FLAG_READ) &&
               !(info->flags & VFU_REGION_FLAG_CAPS) &&
               info->argsz == sizeof(*info) && reply->nfds == 1;
    a.fd_offset = info->offset;
    a.flags = info->flags & (VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE);
    show(l, bar, revoked, &a, mappable, reply);
}

/*
 * ------------------------------------------------------------------------
 * Doorbells
 */
static void take_doorbells(EpfLink *l, unsigned bar, unsigned revoked,
                           EpwMsg *reply)
{
    EpfBar *b = &l->bar[bar];
    Error *err = NULL;
    EpfDoorbells *d;

    d = epf_doorbells_new(reply, bar, b->size,
                          epf_client_trusts_unsealed(l->client), &err);
    if (err) {
        epf_client_report(l->client, "%s", error_get_pretty(err));
        error_free(err);
    }
    WITH_QEMU_LOCK_GUARD(&l->lock) {
        if (!epf_link_dead(l) && b->revoked == revoked) {
            set_doorbells_locked(b, d);
            d = NULL;
        }
        trace_epf_areas_doorbells(l->generation, bar, b->doorbells != NULL);
    }
    epf_doorbells_unref(d);
}

/*
 * ------------------------------------------------------------------------
 * Asking
 */
typedef struct Question {
    EpfLink *link;
    unsigned bar;
    unsigned revoked;
    void (*take)(EpfLink *l, unsigned bar, unsigned revoked, EpwMsg *reply);
    uint16_t cmd;
    size_t len;
    union {
        VfuEpAreas areas;
        VfuRegionInfo region;
        VfuRegionIoFds io_fds;
    };
} Question;

static void init_memory(Question *q, EpfLink *l, unsigned bar,
                        unsigned revoked)
{
    *q = (Question) { .link = l, .bar = bar, .revoked = revoked };
    if (has_areas(l)) {
        q->take = take_areas;
        q->cmd = VFU_CMD_EP_AREAS;
        q->len = sizeof(q->areas);
        q->areas = (VfuEpAreas) {
            .argsz = sizeof(q->areas), .generation = l->generation,
            .region = bar,
        };
    } else {
        q->take = take_region;
        q->cmd = VFU_CMD_GET_REGION_INFO;
        q->len = sizeof(q->region);
        q->region = (VfuRegionInfo) {
            .argsz = sizeof(q->region), .index = bar,
        };
    }
}

static void init_doorbells(Question *q, EpfLink *l, unsigned bar,
                           unsigned revoked)
{
    *q = (Question) {
        .link = l, .bar = bar, .revoked = revoked,
        .take = take_doorbells, .cmd = VFU_CMD_GET_REGION_IO_FDS,
        .len = sizeof(q->io_fds),
        .io_fds = {
            .argsz = sizeof(q->io_fds) +
                     EPF_MAX_DOORBELLS * sizeof(VfuRegionIoFd),
            .index = bar,
        },
    };
}

static void take(const Question *q, int err, EpwMsg *reply)
{
    bool link_gone = err == -ENOTCONN || err == -ESTALE || err == -ETIMEDOUT;

    if (!err) {
        q->take(q->link, q->bar, q->revoked, reply);
    } else if (!link_gone) {
        epf_client_report(q->link->client, "the endpoint refuses %s of BAR %u: "
                          "%s; what it does not describe is reached by "
                          "messages, which is slow",
                          epw_command_name(q->cmd), q->bar, strerror(-err));
        if (q->take != take_doorbells) {
            show(q->link, q->bar, q->revoked, NULL, 0, NULL);
        }
    }
}

static void answered(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    Question *q = opaque;

    take(q, err, reply);
    epf_link_changed(q->link);
    epf_link_unref(q->link);
    g_free(q);
}

static void ask_async(Question *q)
{
    struct iovec iov = { .iov_base = &q->areas, .iov_len = q->len };

    epf_link_ref(q->link);
    epf_link_call_async(q->link, q->cmd, &iov, 1, NULL, 0, answered, q);
}

static void ask(Question *q)
{
    struct iovec iov = { .iov_base = &q->areas, .iov_len = q->len };
    EpwMsg *reply = NULL;
    int err = epf_link_call(q->link, q->cmd, &iov, 1, NULL, 0, &reply);

    take(q, err, reply);
    epw_msg_free(reply);
}

void epf_areas_query(EpfLink *l, unsigned bar, unsigned revoked)
{
    Question q;

    init_memory(&q, l, bar, revoked);
    ask(&q);
    if (has_areas(l)) {
        init_doorbells(&q, l, bar, revoked);
        ask(&q);
    }
    WITH_QEMU_LOCK_GUARD(&l->lock) {
        l->bar[bar].queried = revoked;
        if (l->bar[bar].revoked == revoked) {
            l->bar[bar].ask_doorbells = false;
        }
    }
}

void epf_areas_refetch(EpfLink *l, unsigned bar)
{
    Question *q = g_new(Question, 1);

    init_memory(q, l, bar, epf_areas_revoked(l, bar));
    ask_async(q);
}

static bool revoked_since(EpfLink *l, unsigned bar)
{
    QEMU_LOCK_GUARD(&l->lock);
    return l->bar[bar].size && l->bar[bar].revoked != l->bar[bar].queried;
}

void epf_areas_refetch_revoked(EpfLink *l)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        if (revoked_since(l, i)) {
            epf_areas_refetch(l, i);
        }
    }
}

/*
 * ------------------------------------------------------------------------
 * Looking
 */
unsigned epf_areas_revoked(EpfLink *l, unsigned bar)
{
    QEMU_LOCK_GUARD(&l->lock);
    return l->bar[bar].revoked;
}

void epf_areas_layout(EpfLink *l, unsigned bar, EpfLayout *layout)
{
    QEMU_LOCK_GUARD(&l->lock);
    *layout = l->bar[bar].layout;
}

EpfDoorbells *epf_areas_doorbells(EpfLink *l, unsigned bar)
{
    QEMU_LOCK_GUARD(&l->lock);
    return l->bar[bar].doorbells ? epf_doorbells_ref(l->bar[bar].doorbells) :
           NULL;
}

void epf_areas_shown(EpfLink *l, unsigned bar, const EpfLayout *layout)
{
    EpfBar *b = &l->bar[bar];
    Question *q;

    WITH_QEMU_LOCK_GUARD(&l->lock) {
        if (!b->ask_doorbells || !epf_layout_equal(&b->layout, layout)) {
            return;
        }
        b->ask_doorbells = false;
        q = g_new(Question, 1);
        init_doorbells(q, l, bar, b->revoked);
    }
    if (has_areas(l)) {
        ask_async(q);
    } else {
        g_free(q);
    }
}

bool epf_areas_store(EpfLink *l, unsigned bar, uint64_t offset,
                     const void *buf, unsigned size)
{
    EpfBar *b = &l->bar[bar];

    QEMU_LOCK_GUARD(&l->lock);
    for (unsigned i = 0; b->live && i < b->layout.count; i++) {
        uint64_t at = offset - b->layout.part[i].offset;

        if (offset >= b->layout.part[i].offset &&
            at < b->layout.part[i].size && size <= b->layout.part[i].size - at) {
            memcpy((char *)b->mem + offset, buf, size);
            return true;
        }
    }
    return false;
}
