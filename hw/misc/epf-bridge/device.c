/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device: the functions of one endpoint
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "hw/misc/epf-bridge/device.h"
#include "hw/misc/epf-bridge/dma/access.h"
#include "hw/misc/epf-bridge/dma/worker.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/report.h"

typedef struct EpfDeviceFunction {
    EpfDevice *dev;
    EpfConnection *connection;  /* NULL: not needed so far */
    EpfWorker *worker;
} EpfDeviceFunction;

struct EpfDevice {
    char *path, *name;
    EpfConnectionConfig cfg;
    void (*changed)(void *opaque);
    void *opaque;
    EpfDeviceFunction function[EPF_MAX_FUNCTIONS];
    QEMUTimer *late;        /* the other functions should be there by then */
    EpfRemote *waiting;     /* of function 0, while others are missing */
    uint32_t missing;       /* functions, as bits */

    QemuMutex lock;         /* a leaf */
    /* What epf_device_get_remotes() gave last, referenced; NULL: nothing */
    EpfRemote *together[EPF_MAX_FUNCTIONS] EP_GUARDED_BY(&lock);
};

/* ---- Connections ---- */

static void epf_device_changed(void *opaque)
{
    EpfDeviceFunction *f = opaque;

    f->dev->changed(f->dev->opaque);
}

static void epf_device_dma(void *opaque, EpfRemote *r, const VfuDmaRw *rw,
                           bool is_write, EpwRequest *req)
{
    EpfDeviceFunction *f = opaque;

    epf_access_dma(f->worker, r, rw, is_write, req);
}

static void epf_device_fault(void *opaque, EpfRemote *r, uint64_t addr,
                             bool is_write)
{
    EpfDeviceFunction *f = opaque;

    epf_worker_fault(f->worker, r, addr, is_write);
}

/*
 * Copies the remotes that the guest sees together with @r, referenced, without
 * @r itself.
 */
static void epf_device_get_siblings(EpfDevice *dev, EpfRemote *r,
                                    EpfRemote *siblings[EPF_MAX_FUNCTIONS])
{
    QEMU_LOCK_GUARD(&dev->lock);
    if (dev->together[r->func] != r) {
        return;
    }
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (dev->together[i] && i != r->func) {
            siblings[i] = epf_remote_ref(dev->together[i]);
        }
    }
}

/*
 * The others are of a link-up that is over.  If their sessions went on, the
 * guest and the main loop could wait a deadline for each of them.
 */
static void epf_device_lost(void *opaque, EpfRemote *r, const char *why)
{
    EpfDeviceFunction *f = opaque;
    EpfRemote *siblings[EPF_MAX_FUNCTIONS] = { };

    epf_device_get_siblings(f->dev, r, siblings);
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (siblings[i]) {
            epf_remote_end(siblings[i], why);
        }
    }
    epf_device_put_remotes(siblings);
}

static const EpfConnectionOps epf_device_ops = {
    .changed = epf_device_changed,
    .dma = epf_device_dma,
    .fault = epf_device_fault,
    .lost = epf_device_lost,
};

static void epf_device_add(EpfDevice *dev, unsigned func)
{
    g_autofree char *path = g_strdup_printf("%s.%u", dev->path, func);
    g_autofree char *name = g_strdup_printf("%s.%u", dev->name, func);
    EpfDeviceFunction *f = &dev->function[func];
    EpfConnectionConfig cfg = dev->cfg;

    if (func) {
        cfg.path = path;
        cfg.name = name;
        cfg.func = func;
        cfg.first = dev->function[0].connection;
    }
    f->dev = dev;
    f->connection = epf_connection_new(&cfg, &epf_device_ops, f);
    f->worker = epf_worker_new(func ? dev->function[0].worker : NULL);
}

/* Has the functions connect that function 0 names, and no others. */
static void epf_device_want(EpfDevice *dev, uint32_t functions)
{
    for (unsigned i = 1; i < EPF_MAX_FUNCTIONS; i++) {
        EpfDeviceFunction *f = &dev->function[i];
        bool want = functions & BIT(i);

        if (want && !f->connection) {
            epf_device_add(dev, i);
            epf_connection_start(f->connection);
        }
        if (f->connection) {
            epf_connection_want(f->connection, want);
        }
    }
}

/* ---- Functions that are missing ---- */

static void epf_device_stop_waiting(EpfDevice *dev)
{
    timer_del(dev->late);
    epf_remote_unref(dev->waiting);
    dev->waiting = NULL;
}

static void epf_device_wait(EpfDevice *dev, EpfRemote *first)
{
    if (dev->waiting != first) {
        epf_device_stop_waiting(dev);
        dev->waiting = epf_remote_ref(first);
        /* One deadline to connect, and one to describe the function */
        timer_mod(dev->late, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                  2 * dev->cfg.deadline_ms);
    }
}

static void epf_device_report_missing(void *opaque)
{
    EpfDevice *dev = opaque;
    g_autoptr(GString) list = g_string_new(NULL);
    g_autofree char *hint = NULL;

    for (unsigned i = 1; i < EPF_MAX_FUNCTIONS; i++) {
        if (dev->missing & BIT(i)) {
            g_string_append_printf(list, "%s%u", list->len ? ", " : "", i);
        }
    }
    hint = g_strdup_printf("see whether the endpoint serves '%s.N' for each of "
                           "them and no other host uses it", dev->path);
    epf_connection_report(dev->function[0].connection, hint,
                          "the endpoint is not shown, since it has functions "
                          "that did not come up: %s", list->str);
}

/* ---- Interface ---- */

/* Remembers @remotes.  The last reference of an old one may unmap its BARs. */
static void epf_device_set_together(EpfDevice *dev, EpfRemote **remotes)
{
    EpfRemote *old[EPF_MAX_FUNCTIONS];

    WITH_QEMU_LOCK_GUARD(&dev->lock) {
        for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
            old[i] = dev->together[i];
            dev->together[i] = remotes[i] ? epf_remote_ref(remotes[i]) : NULL;
        }
    }
    epf_device_put_remotes(old);
}

void epf_device_get_remotes(EpfDevice *dev,
                            EpfRemote *remotes[EPF_MAX_FUNCTIONS])
{
    EpfConnection *c = dev->function[0].connection;
    EpfRemote *first = epf_connection_get_remote(c);

    memset(remotes, 0, EPF_MAX_FUNCTIONS * sizeof(remotes[0]));
    remotes[0] = first;
    dev->missing = 0;
    if (first) {
        epf_device_want(dev, first->functions);
    }
    for (unsigned i = 1; first && i < EPF_MAX_FUNCTIONS; i++) {
        if (first->functions & BIT(i)) {
            remotes[i] = epf_connection_get_remote(dev->function[i].connection);
            if (!remotes[i] || remotes[i]->functions != first->functions) {
                dev->missing |= BIT(i);
            }
        }
    }
    if (dev->missing) {
        epf_device_wait(dev, first);
        epf_device_put_remotes(remotes);
    } else {
        epf_device_stop_waiting(dev);
    }
    epf_device_set_together(dev, remotes);
}

void epf_device_put_remotes(EpfRemote *remotes[EPF_MAX_FUNCTIONS])
{
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        epf_remote_unref(remotes[i]);
        remotes[i] = NULL;
    }
}

EpfConnection *epf_device_connection(EpfDevice *dev)
{
    return dev->function[0].connection;
}

uint64_t epf_device_messages(EpfDevice *dev)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        EpfConnection *c = dev->function[i].connection;

        n += c ? epf_connection_messages(c) : 0;
    }
    return n;
}

uint64_t epf_device_interrupts(EpfDevice *dev)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        EpfConnection *c = dev->function[i].connection;

        n += c ? epf_connection_interrupts(c) : 0;
    }
    return n;
}

EpfDevice *epf_device_new(const EpfConnectionConfig *cfg,
                          void (*changed)(void *opaque), void *opaque)
{
    EpfDevice *dev = g_new0(EpfDevice, 1);

    dev->path = g_strdup(cfg->path);
    dev->name = g_strdup(cfg->name);
    dev->cfg = *cfg;
    dev->cfg.path = dev->path;
    dev->cfg.name = dev->cfg.device = dev->name;
    dev->changed = changed;
    dev->opaque = opaque;
    qemu_mutex_init(&dev->lock);
    dev->late = timer_new_ms(QEMU_CLOCK_REALTIME, epf_device_report_missing,
                             dev);
    epf_device_add(dev, 0);
    return dev;
}

void epf_device_set_wanted(EpfDevice *dev, bool wanted)
{
    if (!wanted) {
        epf_device_want(dev, 0);
    }
    epf_connection_want(epf_device_connection(dev), wanted);
}

void epf_device_start(EpfDevice *dev)
{
    epf_connection_want(epf_device_connection(dev), true);
    epf_connection_start(epf_device_connection(dev));
}
