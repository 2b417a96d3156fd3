/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mailbox: the DOE mailbox of a function, between its host and the driver
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/endpoint/mailbox.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/trace.h"

#define MAILBOX_CAP_ID      0x2e        /* not in every pci_regs.h */
#define MAILBOX_CAP_VERSION 1
#define MAILBOX_DWORD       4u          /* bytes */

/* ---- Interrupts and events ---- */

/*
 * The vector that the mailbox raises. A host that has enabled fewer vectors of
 * MSI gets the first one (7.9.24.2).
 */
static unsigned mailbox_vector(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static unsigned mailbox_vector(const EpcFunction *fn)
{
    unsigned enabled = epc_config_msi_enabled(&fn->cfg);
    bool masked;

    if (!epc_config_msix_enabled(&fn->cfg, &masked) && enabled &&
        fn->mailbox.doe.vector >= enabled) {
        return 0;
    }
    return fn->mailbox.doe.vector;
}

/* Tells both sides what has happened since the state was @before. */
static void mailbox_report(EpcFunction *fn, uint32_t before)
    EP_REQUIRES(&fn->epc->lock);
static void mailbox_report(EpcFunction *fn, uint32_t before)
{
    EpcDoe *d = &fn->mailbox.doe;
    uint32_t caused = epc_doe_take_caused(d);

    if (d->state != before) {
        trace_pci_epc_doe_state(epc_name(fn->epc), fn->index, before, d->state,
                                d->number, d->request.len, d->response.len);
    }
    if (caused & EPC_DOE_GAVE) {
        epc_fn_event(fn, EPC_FN_EVENT_DOE);
    }
    if (caused & EPC_DOE_INTERRUPTS) {
        epc_raise_message(fn, mailbox_vector(fn));
    }
}

/* ---- Accesses to configuration space ---- */

void epc_mailbox_config_read(EpcFunction *fn, uint32_t offset, void *buf,
                             uint32_t len)
{
    EP_LOCK_HELD(&fn->epc->lock);
    epc_doe_read(&fn->mailbox.doe, mailbox_vector(fn), offset, buf, len);
}

void epc_mailbox_config_write(EpcFunction *fn, uint32_t offset, const void *buf,
                              uint32_t len)
{
    uint32_t before = fn->mailbox.doe.state;

    EP_LOCK_HELD(&fn->epc->lock);
    epc_doe_write(&fn->mailbox.doe, offset, buf, len);
    mailbox_report(fn, before);
}

/* ---- Life cycle ---- */

uint32_t epc_mailbox_add(EpcFunction *fn, uint32_t irq)
{
    const uint32_t id = EPC_CAP_EXT | MAILBOX_CAP_ID |
                        MAILBOX_CAP_VERSION << EPC_CAP_VERSION_SHIFT;
    unsigned at;

    EP_LOCK_HELD(&fn->epc->lock);
    if (irq & ~(EPC_DOE_IRQ | EPC_DOE_IRQ_MASK)) {
        return EPC_STATUS_BAD_ARG;
    }
    if (fn->mailbox.doe.state != EPC_DOE_STATE_ABSENT) {
        return EPC_STATUS_BAD_STATE;
    }
    at = epc_config_add_own(&fn->cfg, id, EPC_DOE_SIZE);
    if (!at) {
        return EPC_STATUS_NO_SPACE;
    }
    epc_doe_add(&fn->mailbox.doe, at, irq);
    fn->cap_offset = at;
    return EPC_STATUS_OK;
}

void epc_mailbox_remove(EpcFunction *fn)
{
    epc_doe_remove(&fn->mailbox.doe);
}

void epc_mailbox_clear(EpcFunction *fn)
{
    epc_doe_clear(&fn->mailbox.doe);
    fn->mailbox.result = EPC_STATUS_OK;
}

void epc_mailbox_function_reset(EpcFunction *fn)
{
    uint32_t before = fn->mailbox.doe.state;

    EP_LOCK_HELD(&fn->epc->lock);
    epc_doe_reset(&fn->mailbox.doe);
    mailbox_report(fn, before);
}

/* ---- Registers ---- */

static bool mailbox_is_protocol(hwaddr reg)
{
    return reg >= EPC_FN_DOE_PROTOCOL(0) &&
           reg < EPC_FN_DOE_PROTOCOL(EPC_DOE_PROTOCOLS);
}

bool epc_mailbox_read(EpcFunction *fn, hwaddr reg, uint32_t *v)
{
    const EpcDoe *d = &fn->mailbox.doe;

    if (mailbox_is_protocol(reg)) {
        *v = d->protocol[(reg - EPC_FN_DOE_PROTOCOL(0)) / 4];
        return true;
    }
    switch (reg) {
    case EPC_FN_DOE_STATE:
        *v = d->state;
        return true;
    case EPC_FN_DOE_OBJECT:
        *v = epc_doe_waiting(d);
        return true;
    case EPC_FN_DOE_LENGTH:
        *v = epc_doe_length(d);
        return true;
    case EPC_FN_DOE_CMD:        /* write only */
        *v = 0;
        return true;
    case EPC_FN_DOE_RESULT:
        *v = fn->mailbox.result;
        return true;
    case EPC_FN_DOE_OBJECTS:
        *v = d->objects;
        return true;
    case EPC_FN_DOE_ABORTED:
        *v = d->aborted;
        return true;
    case EPC_FN_DOE_DISCARDED:
        *v = d->discarded;
        return true;
    case EPC_FN_DOE_FAILED:
        *v = d->failed;
        return true;
    default:
        return false;
    }
}

bool epc_mailbox_write(EpcFunction *fn, hwaddr reg, uint32_t v)
{
    return mailbox_is_protocol(reg) &&
           epc_doe_set_protocol(&fn->mailbox.doe,
                                (reg - EPC_FN_DOE_PROTOCOL(0)) / 4, v);
}

/* ---- Commands ---- */

/*
 * Copies @count dwords between @buf and the memory of the driver. Other devices
 * are not reached: an access to them fails.
 */
static bool mailbox_copy(EpcFunction *fn, void *buf, uint32_t count,
                         DMADirection way) EP_REQUIRES(&ep_bql);
static bool mailbox_copy(EpcFunction *fn, void *buf, uint32_t count,
                         DMADirection way)
{
    PCIDevice *pdev = PCI_DEVICE(fn->epc);
    MemTxAttrs attrs = {
        .memory = 1,
        .requester_id = pci_requester_id(pdev),
    };

    return pci_dma_rw(pdev, fn->args.doe_addr, buf, count * MAILBOX_DWORD, way,
                      attrs) == MEMTX_OK;
}

/*
 * The copy does not hold the lock. If the object ends meanwhile, the driver
 * finds out by its next command.
 */
static uint32_t mailbox_fetch(EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t mailbox_fetch(EpcFunction *fn)
{
    const EpcArgs *a = &fn->args;
    g_autofree void *buf = g_malloc(EPC_DOE_COPY_MAX * MAILBOX_DWORD);
    uint32_t result;

    WITH_QEMU_LOCK_GUARD(&fn->epc->lock) {
        result = epc_doe_fetch(&fn->mailbox.doe, a->doe_token, a->doe_offset,
                               a->doe_count, buf);
    }
    if (result == EPC_STATUS_OK &&
        !mailbox_copy(fn, buf, a->doe_count, DMA_DIRECTION_FROM_DEVICE)) {
        return EPC_STATUS_BAD_TARGET;
    }
    return result;
}

static uint32_t mailbox_store(EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t mailbox_store(EpcFunction *fn)
{
    const EpcArgs *a = &fn->args;
    g_autofree void *buf = g_malloc(EPC_DOE_COPY_MAX * MAILBOX_DWORD);

    if (!a->doe_count || a->doe_count > EPC_DOE_COPY_MAX) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!mailbox_copy(fn, buf, a->doe_count, DMA_DIRECTION_TO_DEVICE)) {
        return EPC_STATUS_BAD_TARGET;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    return epc_doe_store(&fn->mailbox.doe, a->doe_token, a->doe_offset,
                         a->doe_count, buf);
}

static uint32_t mailbox_end(EpcFunction *fn, uint32_t cmd)
    EP_REQUIRES(&ep_bql);
static uint32_t mailbox_end(EpcFunction *fn, uint32_t cmd)
{
    uint32_t before, result;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    before = fn->mailbox.doe.state;
    if (cmd == EPC_DOE_ANSWER) {
        result = epc_doe_answer(&fn->mailbox.doe, fn->args.doe_token);
    } else {
        result = epc_doe_fail(&fn->mailbox.doe, fn->args.doe_token);
    }
    mailbox_report(fn, before);
    return result;
}

static uint32_t mailbox_run(EpcFunction *fn, uint32_t cmd)
    EP_REQUIRES(&ep_bql);
static uint32_t mailbox_run(EpcFunction *fn, uint32_t cmd)
{
    switch (cmd) {
    case EPC_DOE_FETCH:
        return mailbox_fetch(fn);
    case EPC_DOE_STORE:
        return mailbox_store(fn);
    case EPC_DOE_ANSWER:
    case EPC_DOE_FAIL:
        return mailbox_end(fn, cmd);
    default:
        return EPC_STATUS_BAD_CMD;
    }
}

void epc_mailbox_command(EpcFunction *fn, uint32_t cmd)
{
    uint32_t result = mailbox_run(fn, cmd);

    QEMU_LOCK_GUARD(&fn->epc->lock);
    fn->mailbox.result = result;
}
