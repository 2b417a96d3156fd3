/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * masks: tells the endpoint which vectors of MSI-X the guest has masked
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/masks.h"
#include "hw/misc/epf-bridge/remote/remote.h"
#include "hw/misc/epf-bridge/trace.h"

/*
 * Takes vectors that have changed and are masked alike.  Returns false if there
 * are none, or if the endpoint has not answered the last message yet.
 */
static bool epf_masks_take(EpfMasks *m, VfuSetIrqs *msg)
{
    unsigned first, end;
    bool masked;

    QEMU_LOCK_GUARD(&m->lock);
    first = find_first_bit(m->changed, EPF_MAX_MSIX);
    if (m->sending || first >= EPF_MAX_MSIX) {
        return false;
    }
    masked = test_bit(first, m->masked);
    for (end = first; end < EPF_MAX_MSIX && test_bit(end, m->changed) &&
                      test_bit(end, m->masked) == masked; end++) {
        clear_bit(end, m->changed);
    }
    *msg = (VfuSetIrqs) {
        .argsz = sizeof(*msg),
        .flags = VFU_IRQ_DATA_NONE | (masked ? VFU_IRQ_ACTION_MASK :
                                               VFU_IRQ_ACTION_UNMASK),
        .index = VFU_IRQ_MSIX, .start = first, .count = end - first,
    };
    m->sending = true;
    return true;
}

static void epf_masks_send(EpfRemote *r);

/* After an error nothing more is sent until a mask changes again. */
static void epf_masks_sent(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    EpfRemote *r = opaque;

    WITH_QEMU_LOCK_GUARD(&r->masks.lock) {
        r->masks.sending = false;
    }
    if (!err) {
        epf_masks_send(r);
    }
    epf_remote_unref(r);
}

static void epf_masks_send(EpfRemote *r)
{
    VfuSetIrqs msg;
    struct iovec iov = { .iov_base = &msg, .iov_len = sizeof(msg) };

    if (!epf_masks_take(&r->masks, &msg)) {
        return;
    }
    trace_epf_bridge_masks(r->device, r->func, r->generation, msg.start,
                           msg.count, msg.flags & VFU_IRQ_ACTION_MASK);
    epf_remote_call_async(r, VFU_CMD_SET_IRQS, &iov, 1, NULL, 0,
                          epf_masks_sent, epf_remote_ref(r));
}

static bool epf_masks_agreed(EpfRemote *r)
{
    return epf_remote_caps(r).features & VFU_EP_FEATURE_MASK;
}

static void epf_masks_note(EpfMasks *m, unsigned vector, bool masked)
    EP_REQUIRES(&m->lock);
static void epf_masks_note(EpfMasks *m, unsigned vector, bool masked)
{
    if (test_bit(vector, m->masked) != masked) {
        change_bit(vector, m->masked);
        set_bit(vector, m->changed);
    }
}

void epf_masks_set(EpfRemote *r, unsigned vector, bool masked)
{
    if (vector >= r->irqs[VFU_IRQ_MSIX] || !epf_masks_agreed(r)) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&r->masks.lock) {
        epf_masks_note(&r->masks, vector, masked);
    }
    epf_masks_send(r);
}

/* The endpoint may have reset itself already, or will; both is right. */
void epf_masks_reset(EpfRemote *r)
{
    WITH_QEMU_LOCK_GUARD(&r->masks.lock) {
        for (unsigned v = 0; v < EPF_MAX_MSIX; v++) {
            epf_masks_note(&r->masks, v, true);
        }
    }
    epf_masks_send(r);
}
