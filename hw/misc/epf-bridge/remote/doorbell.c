/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doorbell: the doorbells in one BAR of a remote function
 *
 * The files that take the values are mapped in a reservation, with a page for
 * each doorbell that has a value.  So epf_doorbells_stop() can take them away
 * even while a vCPU is about to store.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/event_notifier.h"
#include "qemu/host-utils.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/pci-ep/shared/eventfd.h"
#include "system/kvm.h"
#include "hw/misc/epf-bridge/remote/doorbell.h"

/* Bytes of a doorbell */
#define DOORBELL_SIZE   4

/*
 * Sizes of stores for which KVM signals alone: those that drivers use.  KVM also
 * has eventfds for any size.  They swallow loads as well, since
 * handle_ept_misconfig() of Linux does not decode the instruction, and a doorbell
 * reads zero.
 */
static const unsigned doorbell_kvm_sizes[] = { 2, 4 };

typedef struct EpfDoorbell {
    uint64_t offset;
    bool any_size;              /* rings for 1, 2 and 4 bytes, not just 4 */
    EventNotifier *notifier;
    uint32_t *value;            /* in @shadow; NULL: it has no value */
} EpfDoorbell;

struct EpfDoorbells {
    unsigned refs;
    bool stopped;               /* atomic; the rest is constant */
    unsigned count;
    EpfDoorbell doorbell[EPF_MAX_DOORBELLS];
    unsigned num_notifiers;
    EventNotifier notifier[EPW_MAX_FDS];    /* each owns its descriptor */
    char *shadow;               /* reservation */
    size_t shadow_size;
    unsigned num_files;
    /* Freed behind @shadow, so that closing one drops the last reference */
    EpFile *file[EPF_MAX_DOORBELLS];
};

/* ---- The description by the endpoint ---- */

static bool epf_doorbell_is_sound(const VfuRegionIoFd *io, unsigned i,
                                  uint64_t size, const EpwMsg *reply)
{
    uint64_t end;

    for (unsigned n = 0; n < i; n++) {
        if (io[n].offset == io[i].offset) {
            return false;
        }
    }
    return (io[i].size == DOORBELL_SIZE || !io[i].size) &&
           !(io[i].offset & 3) && !io[i].flags && !io[i].datamatch &&
           !uadd64_overflow(io[i].offset, DOORBELL_SIZE, &end) &&
           end <= size &&
           io[i].fd_index < reply->nfds &&
           (io[i].type == VFU_IO_FD_IOEVENTFD ||
            (io[i].type == VFU_IO_FD_SHADOW &&
             io[i].shadow_fd_index < reply->nfds &&
             io[i].shadow_fd_index != io[i].fd_index &&
             !(io[i].shadow_offset & 3)));
}

static bool epf_doorbells_check(const EpwMsg *reply, unsigned bar,
                                uint64_t size, Error **errp)
{
    const VfuRegionIoFds *head = (const void *)reply->payload;
    const VfuRegionIoFd *io = (const void *)(head + 1);
    size_t room = (size_t)EPF_MAX_DOORBELLS * sizeof(*io);
    int err = epw_check_reply(reply, VFU_CMD_GET_REGION_IO_FDS, sizeof(*head),
                              sizeof(*head) + room);
    bool ok = !err && head->index == bar &&
              epw_msg_len(reply) == sizeof(*head) + head->count * sizeof(*io);

    for (unsigned i = 0; ok && i < head->count; i++) {
        ok = epf_doorbell_is_sound(io, i, size, reply);
    }
    if (!ok) {
        error_setg(errp, "the doorbells of BAR %u are reached by messages, "
                   "since the endpoint does not describe them properly%s%s",
                   bar, err ? ": " : "", err ? strerror(err) : "");
    }
    return ok;
}

static EventNotifier *epf_doorbells_take_notifier(EpfDoorbells *d,
                                                  EpwMsg *reply, unsigned index,
                                                  EventNotifier **taken)
{
    if (!taken[index] && epw_is_eventfd(reply->fds[index])) {
        taken[index] = &d->notifier[d->num_notifiers++];
        event_notifier_init_fd(taken[index], reply->fds[index]);
        reply->fds[index] = -1;
    }
    return taken[index];
}

static bool epf_doorbells_reserve(EpfDoorbells *d, const VfuRegionIoFd *io,
                                  Error **errp)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->count; i++) {
        n += io[i].type == VFU_IO_FD_SHADOW;
    }
    if (n) {
        d->shadow_size = n * qemu_real_host_page_size();
        d->shadow = ep_mem_reserve(d->shadow_size, errp);
    }
    return !n || d->shadow;
}

static bool epf_doorbells_map(EpfDoorbells *d, unsigned i, char *at,
                              const VfuRegionIoFd *io, const EpwMsg *reply,
                              bool trust_unsealed, Error **errp)
{
    size_t page = qemu_real_host_page_size();
    uint64_t begin = QEMU_ALIGN_DOWN(io->shadow_offset, page);
    int fd = fcntl(reply->fds[io->shadow_fd_index], F_DUPFD_CLOEXEC, 0);
    EpFile *f;
    int ret;

    ERRP_GUARD();
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot keep the file of a doorbell");
        error_append_hint(errp, "Raise 'ulimit -n'.\n");
        return false;
    }
    f = ep_file_new(fd, trust_unsealed, errp);
    if (!f) {
        return false;
    }
    d->file[d->num_files++] = f;
    ret = ep_mem_map(at, page, f, begin, true);
    if (ret) {
        error_setg_errno(errp, -ret, "cannot map the page of a doorbell's "
                         "file");
        return false;
    }
    d->doorbell[i].value = (uint32_t *)(at + (io->shadow_offset - begin));
    return true;
}

static bool epf_doorbells_fill(EpfDoorbells *d, EpwMsg *reply,
                               bool trust_unsealed, Error **errp)
{
    const VfuRegionIoFds *head = (const void *)reply->payload;
    const VfuRegionIoFd *io = (const void *)(head + 1);
    EventNotifier *taken[EPW_MAX_FDS] = { NULL };
    char *at;

    d->count = head->count;
    if (!epf_doorbells_reserve(d, io, errp)) {
        return false;
    }
    at = d->shadow;
    for (unsigned i = 0; i < d->count; i++) {
        EpfDoorbell *b = &d->doorbell[i];

        b->offset = io[i].offset;
        b->any_size = !io[i].size;
        if (io[i].type == VFU_IO_FD_SHADOW) {
            if (!epf_doorbells_map(d, i, at, &io[i], reply, trust_unsealed,
                                   errp)) {
                return false;
            }
            at += qemu_real_host_page_size();
        }
        b->notifier = epf_doorbells_take_notifier(d, reply, io[i].fd_index,
                                                  taken);
        if (!b->notifier) {
            error_setg(errp, "the doorbells are reached by messages, since "
                       "the endpoint passed something for one that is not an "
                       "eventfd");
            return false;
        }
    }
    return true;
}

EpfDoorbells *epf_doorbells_new(EpwMsg *reply, unsigned bar, uint64_t size,
                                bool trust_unsealed, Error **errp)
{
    EpfDoorbells *d;

    if (!epf_doorbells_check(reply, bar, size, errp) ||
        !((const VfuRegionIoFds *)reply->payload)->count ||
        !ep_eventfd_init(errp)) {
        return NULL;
    }
    d = g_new0(EpfDoorbells, 1);
    d->refs = 1;
    if (!epf_doorbells_fill(d, reply, trust_unsealed, errp)) {
        epf_doorbells_unref(d);
        return NULL;
    }
    return d;
}

/* ---- Life ---- */

EpfDoorbells *epf_doorbells_ref(EpfDoorbells *d)
{
    qatomic_inc(&d->refs);
    return d;
}

void epf_doorbells_unref(EpfDoorbells *d)
{
    if (!d || qatomic_fetch_dec(&d->refs) > 1) {
        return;
    }
    for (unsigned i = 0; i < d->num_notifiers; i++) {
        close(event_notifier_get_fd(&d->notifier[i]));
    }
    ep_mem_release(d->shadow, d->shadow_size);
    for (unsigned i = 0; i < d->num_files; i++) {
        ep_file_free(d->file[i]);
    }
    g_free(d);
}

void epf_doorbells_stop(EpfDoorbells *d)
{
    qatomic_set(&d->stopped, true);
    if (d->shadow) {
        ep_mem_unmap(d->shadow, d->shadow_size);
    }
}

static bool epf_doorbell_takes(const EpfDoorbell *b, unsigned size)
{
    return size == DOORBELL_SIZE || (b->any_size && size < DOORBELL_SIZE);
}

bool epf_doorbells_ring(EpfDoorbells *d, uint64_t offset, unsigned size,
                        uint64_t val)
{
    if (!d || qatomic_read(&d->stopped)) {
        return false;
    }
    for (unsigned i = 0; i < d->count; i++) {
        EpfDoorbell *b = &d->doorbell[i];

        if (b->offset == offset) {
            if (!epf_doorbell_takes(b, size)) {
                return false;
            }
            if (b->value) {
                qatomic_set(b->value, val & MAKE_64BIT_MASK(0, size * 8));
            }
            ep_eventfd_signal(event_notifier_get_fd(b->notifier));
            return true;
        }
    }
    return false;
}

/*
 * KVM does not store values.  Without KVM, QEMU would signal the eventfd by a
 * write, which an endpoint that fills the counter could block for ever.
 */
static bool epf_doorbell_is_for_kvm(const EpfDoorbell *b, unsigned size)
{
    return kvm_enabled() && !b->value && epf_doorbell_takes(b, size);
}

typedef void (*EpfDoorbellChange)(MemoryRegion *mr, hwaddr addr, unsigned size,
                                  bool match_data, uint64_t data,
                                  EventNotifier *e);

static void epf_doorbells_change(EpfDoorbells *d, MemoryRegion *mr,
                                 EpfDoorbellChange change)
{
    memory_region_transaction_begin();
    for (unsigned i = 0; i < d->count; i++) {
        EpfDoorbell *b = &d->doorbell[i];

        for (unsigned n = 0; n < ARRAY_SIZE(doorbell_kvm_sizes); n++) {
            unsigned size = doorbell_kvm_sizes[n];

            if (epf_doorbell_is_for_kvm(b, size)) {
                change(mr, b->offset, size, false, 0, b->notifier);
            }
        }
    }
    memory_region_transaction_commit();
}

void epf_doorbells_attach(EpfDoorbells *d, MemoryRegion *mr)
{
    epf_doorbells_change(d, mr, memory_region_add_eventfd);
}

void epf_doorbells_detach(EpfDoorbells *d, MemoryRegion *mr)
{
    epf_doorbells_change(d, mr, memory_region_del_eventfd);
}
