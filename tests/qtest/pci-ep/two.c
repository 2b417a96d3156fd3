/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two controllers in one machine, each with a fake host
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "two.h"

#include <sys/mman.h>

static void two_host_memory(TwoHost *h)
{
    fakehost_set_config(h->c, PCI_COMMAND, 2,
                        PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    g_assert_cmpint(fakehost_dma_map(h->c, TWO_HOST, TWO_MEM_SIZE, h->fd, 0,
                                     VFU_DMA_READ | VFU_DMA_WRITE), ==, 0);
    g_assert_cmpint(fakehost_dma_map(h->c, TWO_REMOTE, TWO_MEM_SIZE, -1, 0,
                                     VFU_DMA_READ | VFU_DMA_WRITE), ==, 0);
}

static void two_host_start(TwoHost *h)
{
    h->c = epvm_attach(h->e);
    h->fd = fakehost_memfd(TWO_MEM_SIZE, &h->mem);
    two_host_memory(h);
    g_assert_cmpuint(epvm_map(h->e, TWO_FAST, TWO_HOST, TWO_MEM_SIZE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_map(h->e, TWO_SLOW, TWO_REMOTE, TWO_MEM_SIZE), ==,
                     EPC_STATUS_OK);
}

/* It leaves and comes back. */
void two_leave(TwoHost *h)
{
    fakehost_free(h->c);
    epvm_wait_link(h->e, false);
}

void two_join(TwoHost *h)
{
    h->c = fakehost_attach(h->e->socket, NULL);
    fakehost_link(h->c, VFU_EP_LINK_UP);
    epvm_wait_link(h->e, true);
    two_host_memory(h);
}

void two_rejoin(TwoHost *h)
{
    two_leave(h);
    two_join(h);
}

void two_lead_to(TwoHost *h, TwoHost *other)
{
    g_assert_cmpuint(epvm_set_bar(h->e, 2,
                                  EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH,
                                  other->e->window, EPVM_BAR2_SIZE), ==,
                     EPC_STATUS_OK);
}

void two_start(Two *t, const char *machine)
{
    t->a.e = epvm_start_two(machine, &t->b.e);
    two_host_start(&t->a);
    two_host_start(&t->b);
    two_lead_to(&t->a, &t->b);
    two_lead_to(&t->b, &t->a);
}

static void two_host_end(TwoHost *h)
{
    munmap(h->mem, TWO_MEM_SIZE);
    close(h->fd);
    fakehost_free(h->c);
}

void two_end(Two *t)
{
    two_host_end(&t->a);
    two_host_end(&t->b);
    epvm_stop(t->a.e);
    epvm_stop(t->b.e);
}

uint32_t two_load(TwoHost *h, uint64_t offset)
{
    uint32_t v;

    g_assert_cmpint(fakehost_read(h->c, 2, offset, &v, 4), ==, 0);
    return v;
}

void two_store(TwoHost *h, uint64_t offset, uint32_t v)
{
    g_assert_cmpint(fakehost_write(h->c, 2, offset, &v, 4), ==, 0);
}

/* Sends an access and does not wait for the answer. */
uint16_t two_begin(TwoHost *h, uint16_t cmd, uint64_t offset,
                   uint32_t count)
{
    bool write = cmd == VFU_CMD_REGION_WRITE;
    size_t len = sizeof(VfuRegionRw) + (write ? count : 0);
    g_autofree VfuRegionRw *rw = g_malloc0(len);
    VfuHeader hdr = vfu_msg_command(h->c->next_id++, cmd, 0, len);

    *rw = (VfuRegionRw) { .offset = offset, .region = 2, .count = count };
    g_assert_true(vfu_msg_send(h->c->sock, &hdr, rw, NULL, 0));
    return hdr.id;
}

/* Its answer; NULL: none within @ms */
VfuMsg *two_reply(TwoHost *h, uint16_t id, unsigned ms)
{
    bool closed = false;
    VfuMsg *m = vfu_msg_recv(h->c->sock, ms, &closed);

    g_assert_false(closed);
    if (m) {
        g_assert_cmphex(m->hdr.flags, ==, VFU_FLAG_REPLY);
        g_assert_cmpuint(m->hdr.id, ==, id);
    }
    return m;
}

void two_check_reply(TwoHost *h, uint16_t id)
{
    VfuMsg *m = two_reply(h, id, FAKEHOST_TIMEOUT_MS);

    g_assert_nonnull(m);
    vfu_msg_free(m);
}

uint32_t two_read_value(TwoHost *h, uint16_t id, unsigned ms)
{
    VfuMsg *m = two_reply(h, id, ms);
    uint32_t v;

    g_assert_nonnull(m);
    g_assert_cmpuint(m->len, ==, sizeof(VfuRegionRw) + 4);
    v = ldl_le_p(m->payload + sizeof(VfuRegionRw));
    vfu_msg_free(m);
    return v;
}

/*
 * The access of @h that another host was asked about is not answered yet. INTx
 * is sent on the same session, and would come behind a reply.
 */
void two_expect_no_reply(TwoHost *h)
{
    VfuMsg *m;

    epvm_raise(h->e, EPC_RAISE_INTX, 1);
    m = vfu_msg_recv(h->c->sock, FAKEHOST_TIMEOUT_MS, NULL);
    g_assert_nonnull(m);
    g_assert_cmphex(m->hdr.command, ==, VFU_CMD_EP_INTX);
    vfu_msg_free(m);
}

/* The host is asked for so much there. */
VfuMsg *two_expect_access(TwoHost *h, uint16_t cmd, uint64_t offset,
                          uint32_t count)
{
    VfuMsg *m = fakehost_command(h->c, cmd);
    const VfuDmaRw *rw = (const VfuDmaRw *)m->payload;

    g_assert_cmphex(rw->address, ==, TWO_REMOTE + offset);
    g_assert_cmpuint(rw->count, ==, count);
    return m;
}

void two_answer_write(TwoHost *h, VfuMsg *m)
{
    VfuHeader hdr = vfu_msg_reply(&m->hdr, 0, sizeof(VfuDmaRw));

    g_assert_true(vfu_msg_send(h->c->sock, &hdr, m->payload, NULL, 0));
    vfu_msg_free(m);
}

void two_answer_read(TwoHost *h, VfuMsg *m, uint32_t v)
{
    struct {
        VfuDmaRw rw;
        uint32_t v;
    } QEMU_PACKED r = { .v = cpu_to_le32(v) };
    VfuHeader hdr = vfu_msg_reply(&m->hdr, 0, sizeof(r));

    memcpy(&r.rw, m->payload, sizeof(r.rw));
    g_assert_true(vfu_msg_send(h->c->sock, &hdr, &r, NULL, 0));
    vfu_msg_free(m);
}

uint32_t two_value_of(const VfuMsg *m)
{
    return ldl_le_p(m->payload + sizeof(VfuDmaRw));
}
