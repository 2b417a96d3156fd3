/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doe: the mailbox of a Data Object Exchange capability
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci-ep/config/doe.h"

/* Registers, as offsets in the capability (7.9.24) */
#define DOE_CAP             0x04
#define DOE_CAP_IRQ         (1u << 0)
#define DOE_CAP_VECTOR      1           /* shift */
#define DOE_CONTROL         0x08
#define DOE_CONTROL_ABORT   (1u << 0)
#define DOE_CONTROL_IRQ     (1u << 1)
#define DOE_CONTROL_GO      (1u << 31)
#define DOE_STATUS          0x0c
#define DOE_STATUS_BUSY     (1u << 0)
#define DOE_STATUS_IRQ      (1u << 1)
#define DOE_STATUS_ERROR    (1u << 2)
#define DOE_STATUS_READY    (1u << 31)
#define DOE_WRITE_MAILBOX   0x10
#define DOE_READ_MAILBOX    0x14

#define DOE_DWORD           4u          /* bytes */
#define DOE_HEADER          2u          /* dwords */
#define DOE_KIND_MASK       0xffffffu   /* vendor id and type */
#define DOE_ROOM_MIN        64u         /* dwords */

/* Discovery (6.30.1.1) */
#define DOE_DISCOVERY       0x000001u   /* vendor PCI-SIG, type 0 */
#define DOE_DISCOVERY_LEN   3u
#define DOE_NO_PROTOCOL     0x00ffffu

/* ---- Objects ---- */

static uint32_t doe_dword(const EpcDoeObject *o, uint32_t i)
{
    return ldl_le_p(o->data + i * DOE_DWORD);
}

/* Whether an object is as long as its header says */
static bool doe_is_whole(const EpcDoeObject *o)
{
    uint32_t len;

    if (o->len < DOE_HEADER) {
        return false;
    }
    len = doe_dword(o, 1) & (EPC_DOE_MAX_LENGTH - 1);
    return o->len == (len ?: EPC_DOE_MAX_LENGTH);
}

/* The caller has checked that the part ends at EPC_DOE_MAX_LENGTH or before. */
static void doe_put(EpcDoeObject *o, uint32_t offset, uint32_t count,
                    const void *buf)
{
    uint32_t end = offset + count;

    if (end > o->room) {
        o->room = MIN(MAX(MAX(end, 2 * o->room), DOE_ROOM_MIN),
                      EPC_DOE_MAX_LENGTH);
        o->data = g_realloc(o->data, o->room * DOE_DWORD);
    }
    memcpy(o->data + offset * DOE_DWORD, buf, count * DOE_DWORD);
    o->len = MAX(o->len, end);
}

static void doe_put_dword(EpcDoeObject *o, uint32_t v)
{
    uint32_t le = cpu_to_le32(v);

    doe_put(o, o->len, 1, &le);
}

static void doe_free_object(EpcDoeObject *o)
{
    g_free(o->data);
    *o = (EpcDoeObject) { };
}

/* ---- States ---- */

static void doe_set_irq(EpcDoe *d, bool enabled, bool status)
{
    if (enabled && status && !(d->irq_enabled && d->irq_status)) {
        d->caused |= EPC_DOE_INTERRUPTS;
    }
    d->irq_enabled = enabled;
    d->irq_status = status;
}

static void doe_interrupt(EpcDoe *d)
{
    if (d->irq && d->irq_enabled) {
        doe_set_irq(d, true, true);
    }
}

static void doe_become_idle(EpcDoe *d)
{
    d->state = EPC_DOE_STATE_IDLE;
    d->request.len = 0;
    d->overflow = false;
    d->response.len = 0;
    d->taken = 0;
}

static void doe_become_ready(EpcDoe *d)
{
    d->state = EPC_DOE_STATE_READY;
    doe_interrupt(d);
}

static void doe_become_error(EpcDoe *d)
{
    doe_become_idle(d);
    d->state = EPC_DOE_STATE_ERROR;
    d->failed++;
    doe_interrupt(d);
}

static void doe_become_working(EpcDoe *d)
{
    d->state = EPC_DOE_STATE_WORKING;
    d->number = d->number + 1 ?: 1;
    d->objects++;
    d->caused |= EPC_DOE_GAVE;
}

static void doe_abort(EpcDoe *d)
{
    if (d->state == EPC_DOE_STATE_WORKING) {
        d->aborted++;
    }
    if (d->state != EPC_DOE_STATE_ABSENT) {
        doe_become_idle(d);
    }
}

/* ---- Discovery ---- */

/*
 * Finds the protocol with @index, counted from 1 as Discovery does. Sets *@next
 * to the index behind it, or to 0.
 */
static uint32_t doe_protocol_at(const EpcDoe *d, unsigned index, unsigned *next)
{
    uint32_t found = DOE_NO_PROTOCOL;
    unsigned n = 0;

    *next = 0;
    for (unsigned i = 0; i < EPC_DOE_PROTOCOLS; i++) {
        if (!(d->protocol[i] & EPC_DOE_PROTOCOL_VALID)) {
            continue;
        }
        n++;
        if (n == index) {
            found = d->protocol[i] & DOE_KIND_MASK;
        } else if (n == index + 1) {
            *next = n;
        }
    }
    return index ? found : DOE_DISCOVERY;
}

static void doe_discover(EpcDoe *d)
{
    uint32_t kind;
    unsigned next;

    if (d->request.len < DOE_DISCOVERY_LEN) {
        doe_become_error(d);
        return;
    }
    kind = doe_protocol_at(d, doe_dword(&d->request, 2) & 0xff, &next);
    doe_put_dword(&d->response, DOE_DISCOVERY);
    doe_put_dword(&d->response, DOE_DISCOVERY_LEN);
    doe_put_dword(&d->response, kind | next << 24);
    doe_become_ready(d);
}

static bool doe_has_protocol(const EpcDoe *d, uint32_t kind)
{
    for (unsigned i = 0; i < EPC_DOE_PROTOCOLS; i++) {
        if (d->protocol[i] == (kind | EPC_DOE_PROTOCOL_VALID)) {
            return true;
        }
    }
    return false;
}

/* ---- Accesses of the host ---- */

static void doe_go(EpcDoe *d)
{
    uint32_t kind;

    if (d->state != EPC_DOE_STATE_IDLE) {
        return;
    }
    if (d->overflow || !doe_is_whole(&d->request)) {
        d->discarded++;
        doe_become_idle(d);
        return;
    }
    kind = doe_dword(&d->request, 0) & DOE_KIND_MASK;
    if (kind == DOE_DISCOVERY) {
        doe_discover(d);
    } else if (doe_has_protocol(d, kind)) {
        doe_become_working(d);
    } else {
        doe_become_error(d);
    }
}

/* The bits of @v that are set in @mask were written. */
static void doe_write_control(EpcDoe *d, uint32_t v, uint32_t mask)
{
    if (mask & DOE_CONTROL_IRQ) {
        doe_set_irq(d, v & DOE_CONTROL_IRQ, d->irq_status);
    }
    if (v & DOE_CONTROL_ABORT) {
        doe_abort(d);
    } else if (v & DOE_CONTROL_GO) {
        doe_go(d);
    }
}

static void doe_write_dword(EpcDoe *d, uint32_t v)
{
    if (d->state != EPC_DOE_STATE_IDLE) {
        return;
    }
    if (d->request.len == EPC_DOE_MAX_LENGTH) {
        d->overflow = true;
    } else {
        doe_put_dword(&d->request, v);
    }
}

static void doe_take_dword(EpcDoe *d)
{
    if (d->state == EPC_DOE_STATE_READY && ++d->taken == d->response.len) {
        doe_become_idle(d);
    }
}

static void doe_write_register(EpcDoe *d, unsigned reg, uint32_t v,
                               uint32_t mask)
{
    switch (reg) {
    case DOE_CONTROL:
        doe_write_control(d, v, mask);
        break;
    case DOE_STATUS:
        if (v & DOE_STATUS_IRQ) {
            doe_set_irq(d, d->irq_enabled, false);
        }
        break;
    case DOE_WRITE_MAILBOX:
        if (mask == UINT32_MAX) {
            doe_write_dword(d, v);
        }
        break;
    case DOE_READ_MAILBOX:
        if (mask == UINT32_MAX) {
            doe_take_dword(d);
        }
        break;
    }
}

static uint32_t doe_status(const EpcDoe *d)
{
    uint32_t v = d->irq_status ? DOE_STATUS_IRQ : 0;

    switch (d->state) {
    case EPC_DOE_STATE_WORKING:
        return v | DOE_STATUS_BUSY;
    case EPC_DOE_STATE_READY:
        return v | DOE_STATUS_BUSY | DOE_STATUS_READY;
    case EPC_DOE_STATE_ERROR:
        return v | DOE_STATUS_ERROR;
    default:
        return v;
    }
}

static uint32_t doe_read_register(const EpcDoe *d, unsigned reg,
                                  unsigned vector)
{
    switch (reg) {
    case DOE_CAP:
        return d->irq ? DOE_CAP_IRQ | vector << DOE_CAP_VECTOR : 0;
    case DOE_CONTROL:
        return d->irq_enabled ? DOE_CONTROL_IRQ : 0;
    case DOE_STATUS:
        return doe_status(d);
    case DOE_READ_MAILBOX:
        return d->state == EPC_DOE_STATE_READY ?
               doe_dword(&d->response, d->taken) : 0;
    default:
        return 0;
    }
}

/*
 * The bytes that an access at @offset has in common with register @reg. Sets
 * *@in to the first one in the register, *@from to it in the access.
 */
static unsigned doe_overlap(const EpcDoe *d, unsigned reg, uint32_t offset,
                            uint32_t len, unsigned *in, uint32_t *from)
{
    uint64_t at = d->at + reg, end = (uint64_t)offset + len;
    uint64_t first = MAX(at, offset), last = MIN(at + DOE_DWORD, end);

    if (first >= last) {
        return 0;
    }
    *in = first - at;
    *from = first - offset;
    return last - first;
}

void epc_doe_read(const EpcDoe *d, unsigned vector, uint32_t offset, void *buf,
                  uint32_t len)
{
    uint8_t raw[DOE_DWORD];
    uint32_t from;
    unsigned in, n;

    if (d->state == EPC_DOE_STATE_ABSENT) {
        return;
    }
    for (unsigned reg = DOE_CAP; reg < EPC_DOE_SIZE; reg += DOE_DWORD) {
        n = doe_overlap(d, reg, offset, len, &in, &from);
        if (n) {
            stl_le_p(raw, doe_read_register(d, reg, vector));
            memcpy((uint8_t *)buf + from, raw + in, n);
        }
    }
}

void epc_doe_write(EpcDoe *d, uint32_t offset, const void *buf, uint32_t len)
{
    uint32_t from;
    unsigned in, n;

    if (d->state == EPC_DOE_STATE_ABSENT) {
        return;
    }
    for (unsigned reg = DOE_CAP; reg < EPC_DOE_SIZE; reg += DOE_DWORD) {
        uint8_t raw[DOE_DWORD] = { 0 }, mask[DOE_DWORD] = { 0 };

        n = doe_overlap(d, reg, offset, len, &in, &from);
        if (n) {
            memcpy(raw + in, (const uint8_t *)buf + from, n);
            memset(mask + in, 0xff, n);
            doe_write_register(d, reg, ldl_le_p(raw), ldl_le_p(mask));
        }
    }
}

void epc_doe_reset(EpcDoe *d)
{
    doe_abort(d);
    doe_set_irq(d, false, false);
}

uint32_t epc_doe_take_caused(EpcDoe *d)
{
    uint32_t caused = d->caused;

    d->caused = 0;
    return caused;
}

/* ---- The driver ---- */

uint32_t epc_doe_waiting(const EpcDoe *d)
{
    return d->state == EPC_DOE_STATE_WORKING ? d->number : 0;
}

uint32_t epc_doe_length(const EpcDoe *d)
{
    return epc_doe_waiting(d) ? d->request.len : 0;
}

/* Whether @count dwords at @offset end at @end or before */
static bool doe_is_part(uint32_t offset, uint32_t count, uint32_t end)
{
    return count && count <= EPC_DOE_COPY_MAX && offset <= end &&
           count <= end - offset;
}

static bool doe_is_waiting(const EpcDoe *d, uint32_t number)
{
    return number && epc_doe_waiting(d) == number;
}

bool epc_doe_set_protocol(EpcDoe *d, unsigned n, uint32_t v)
{
    if ((v & ~(EPC_DOE_PROTOCOL_VALID | DOE_KIND_MASK)) ||
        v == (EPC_DOE_PROTOCOL_VALID | DOE_DISCOVERY)) {
        return false;
    }
    d->protocol[n] = v;
    return true;
}

uint32_t epc_doe_fetch(const EpcDoe *d, uint32_t number, uint32_t offset,
                       uint32_t count, void *buf)
{
    if (!doe_is_waiting(d, number)) {
        return EPC_STATUS_BAD_STATE;
    }
    if (!doe_is_part(offset, count, d->request.len)) {
        return EPC_STATUS_BAD_ARG;
    }
    memcpy(buf, d->request.data + offset * DOE_DWORD, count * DOE_DWORD);
    return EPC_STATUS_OK;
}

uint32_t epc_doe_store(EpcDoe *d, uint32_t number, uint32_t offset,
                       uint32_t count, const void *buf)
{
    if (!doe_is_waiting(d, number)) {
        return EPC_STATUS_BAD_STATE;
    }
    if (offset > d->response.len ||
        !doe_is_part(offset, count, EPC_DOE_MAX_LENGTH)) {
        return EPC_STATUS_BAD_ARG;
    }
    doe_put(&d->response, offset, count, buf);
    return EPC_STATUS_OK;
}

uint32_t epc_doe_answer(EpcDoe *d, uint32_t number)
{
    if (!doe_is_waiting(d, number)) {
        return EPC_STATUS_BAD_STATE;
    }
    if (!doe_is_whole(&d->response)) {
        return EPC_STATUS_BAD_ARG;
    }
    doe_become_ready(d);
    return EPC_STATUS_OK;
}

uint32_t epc_doe_fail(EpcDoe *d, uint32_t number)
{
    if (!doe_is_waiting(d, number)) {
        return EPC_STATUS_BAD_STATE;
    }
    doe_become_error(d);
    return EPC_STATUS_OK;
}

/* ---- Life cycle ---- */

void epc_doe_add(EpcDoe *d, unsigned at, uint32_t irq)
{
    d->at = at;
    d->irq = irq & EPC_DOE_IRQ;
    d->vector = irq & EPC_DOE_IRQ_MASK;
    doe_become_idle(d);
}

void epc_doe_remove(EpcDoe *d)
{
    epc_doe_reset(d);
    d->state = EPC_DOE_STATE_ABSENT;
    d->caused = 0;
    doe_free_object(&d->request);
    doe_free_object(&d->response);
}

void epc_doe_clear(EpcDoe *d)
{
    epc_doe_remove(d);
    *d = (EpcDoe) { .number = d->number };
}
