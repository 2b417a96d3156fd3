/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * output: what a session sends without a reply, and what waits to be sent
 *
 * A peer that does not read must not make this side end the session because of
 * what the endpoint guest or another peer did. So a posted message is dropped,
 * or replaces an earlier one, while output waits.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/wire/session-int.h"

/* Pause before the next try when the kernel takes no more descriptors */
#define OUTPUT_STALLED_US (10 * 1000)

/* ---- Posted messages ---- */

static int output_post(EpwSession *s, uint16_t cmd, const void *p, size_t len)
    EP_REQUIRES(&s->lock);
static int output_post(EpwSession *s, uint16_t cmd, const void *p, size_t len)
{
    VfuHeader hdr = {
        .id = epw_call_new_id(s),
        .command = cmd,
        .flags = VFU_FLAG_COMMAND | VFU_FLAG_NO_REPLY,
    };
    struct iovec iov = { (void *)p, len };

    return epw_session_send(s, &hdr, &iov, 1, NULL, 0);
}

static bool output_waits(EpwSession *s) EP_REQUIRES(&s->lock);
static bool output_waits(EpwSession *s)
{
    return !s->closing && epw_frame_pending(s->frame);
}

int epw_post(EpwSession *s, uint16_t cmd, const void *p, size_t len)
{
    QEMU_LOCK_GUARD(&s->lock);
    return output_waits(s) ? -EAGAIN : output_post(s, cmd, p, len);
}

int epw_post_last(EpwSession *s, uint16_t cmd, const void *p, size_t len)
{
    QEMU_LOCK_GUARD(&s->lock);
    if (!output_waits(s)) {
        return output_post(s, cmd, p, len);
    }
    if (len > sizeof(s->last.data)) {
        return -EINVAL;
    }
    s->last.waits = true;
    s->last.cmd = cmd;
    s->last.len = len;
    memcpy(s->last.data, p, len);
    return 0;
}

bool epw_post_last_waits(EpwSession *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->last.waits;
}

/* ---- The reader thread ---- */

void epw_session_flush(EpwSession *s)
{
    uint64_t sent = epw_frame_sent(s->frame);
    int err = epw_frame_flush(s->frame);

    if (err) {
        epw_session_end(s, epw_session_error(err, "send"));
        return;
    }
    if (epw_frame_sent(s->frame) != sent) {
        s->output_deadline = 0;
    }
    if (!epw_frame_pending(s->frame) && s->last.waits) {
        s->last.waits = false;
        output_post(s, s->last.cmd, s->last.data, s->last.len);
    }
}

void epw_session_watch_output(EpwSession *s, int64_t now, int64_t *until)
{
    bool late = s->output_deadline && s->output_deadline <= now;

    if (s->closing) {
        return;
    }
    /* This process may have slept while the peer read. */
    if (late || epw_frame_stalled(s->frame)) {
        epw_session_flush(s);
    }
    if (!output_waits(s)) {
        s->output_deadline = 0;
        return;
    }
    if (!s->output_deadline) {
        s->output_deadline = now + s->deadline_ms * INT64_C(1000);
    } else if (s->output_deadline <= now) {
        epw_session_end(s, g_strdup_printf("peer has read nothing for %u ms",
                                           s->deadline_ms));
        return;
    }
    *until = MIN(*until, epw_frame_stalled(s->frame) ?
                         now + OUTPUT_STALLED_US : s->output_deadline);
}
