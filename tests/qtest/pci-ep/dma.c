/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DMA channels of a pci-epc that is linked to a fake host with some memory
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "dma.h"
#include "wait.h"

#include <sys/mman.h>

#define EPDMA_WAIT_MS   (6 * WAIT_MS)   /* some copies are long */

/* ---- Channels ---- */

uint64_t epdma_reg_at(EpDma *d, unsigned ch, uint32_t reg)
{
    return d->base + ch * d->stride + reg;
}

uint32_t epdma_reg(EpDma *d, unsigned ch, uint32_t r)
{
    return epvm_read(d->e, epdma_reg_at(d, ch, r), 4);
}

void epdma_set_reg(EpDma *d, unsigned ch, uint32_t r, uint32_t v)
{
    epvm_write(d->e, epdma_reg_at(d, ch, r), 4, v);
}

uint32_t epdma_bad_access(EpDma *d)
{
    return epvm_reg(d->e, EPC_REG_BAD_ACCESS);
}

void epdma_enable(EpDma *d, unsigned ch, uint64_t ring, uint32_t size)
{
    epdma_set_reg(d, ch, EPC_DMA_CTRL, 0);
    epvm_write(d->e, epdma_reg_at(d, ch, EPC_DMA_RING), 8, ring);
    epdma_set_reg(d, ch, EPC_DMA_SIZE, size);
    epdma_set_reg(d, ch, EPC_DMA_CTRL, EPC_DMA_CTRL_ENABLE);
    d->size[ch] = size;
    d->next[ch] = 0;
}

static uint64_t epdma_desc_at(EpDma *d, unsigned ch, uint32_t i)
{
    return RING(ch) + (i % d->size[ch]) * EPC_DMA_DESC_SIZE;
}

uint32_t epdma_add_desc(EpDma *d, unsigned ch, uint64_t src, uint64_t dst,
                        uint32_t length, uint32_t flags)
{
    uint64_t at = epdma_desc_at(d, ch, d->next[ch]);

    qtest_writeq(d->e->q, at + EPC_DMA_DESC_SRC, src);
    qtest_writeq(d->e->q, at + EPC_DMA_DESC_DST, dst);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_LENGTH, length);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_FLAGS, flags);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_STATUS, EPC_DMA_PENDING);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_DONE, 0x55555555);
    return d->next[ch]++;
}

void epdma_submit(EpDma *d, unsigned ch)
{
    epdma_set_reg(d, ch, EPC_DMA_PRODUCER, d->next[ch]);
}

uint32_t epdma_desc_status(EpDma *d, unsigned ch, uint32_t i)
{
    return qtest_readl(d->e->q, epdma_desc_at(d, ch, i) + EPC_DMA_DESC_STATUS);
}

uint32_t epdma_desc_done(EpDma *d, unsigned ch, uint32_t i)
{
    return qtest_readl(d->e->q, epdma_desc_at(d, ch, i) + EPC_DMA_DESC_DONE);
}

uint32_t epdma_wait_desc(EpDma *d, unsigned ch, uint32_t i)
{
    uint32_t v;

    wait_until_ms(EPDMA_WAIT_MS,
                  (v = epdma_desc_status(d, ch, i)) != EPC_DMA_PENDING,
                  "descriptor %u of channel %u", i, ch);
    return v;
}

void epdma_wait_consumer(EpDma *d, unsigned ch, uint32_t v)
{
    wait_until_ms(EPDMA_WAIT_MS, epdma_reg(d, ch, EPC_DMA_CONSUMER) == v,
                  "CONSUMER of channel %u to become %u", ch, v);
}

uint32_t epdma_copy(EpDma *d, uint64_t src, uint64_t dst, uint32_t length,
                    uint32_t flags)
{
    uint32_t i = epdma_add_desc(d, 0, src, dst, length, flags);

    epdma_submit(d, 0);
    return epdma_wait_desc(d, 0, i);
}

uint32_t epdma_last_desc_done(EpDma *d, unsigned ch)
{
    return epdma_desc_done(d, ch, d->next[ch] - 1);
}

/* ---- Both ends ---- */

EpDma epdma_start(const char *props)
{
    EpDma d = { };

    d.e = epvm_start(EPVM_SHARED, props);
    d.c = epvm_attach(d.e);
    d.fd = fakehost_memfd(MEM_SIZE, &d.mem);
    fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(fakehost_dma_map(d.c, HOST, MEM_SIZE, d.fd, 0, RW), ==, 0);
    d.base = epvm_reg(d.e, EPC_REG_DMA_BASE);
    d.stride = epvm_reg(d.e, EPC_REG_DMA_STRIDE);
    epdma_enable(&d, 0, RING(0), 16);
    return d;
}

void epdma_end(EpDma *d)
{
    epvm_detach(d->e, d->c);
    munmap(d->mem, MEM_SIZE);
    close(d->fd);
}

void epdma_map_long(EpDma *d)
{
    for (uint64_t at = 0; at < LONG_SIZE; at += MEM_SIZE) {
        g_assert_cmpint(fakehost_dma_map(d->c, LONG + at, MEM_SIZE, d->fd, 0,
                                         RW),
                        ==, 0);
    }
}

uint32_t epdma_start_long(EpDma *d, unsigned ch, uint32_t flags)
{
    uint32_t i = epdma_add_desc(d, ch, LONG + MEM_SIZE / 2, LONG, UINT32_MAX,
                                flags | IN_HOST);

    epdma_submit(d, ch);
    return i;
}

void epdma_fill_host(EpDma *d, uint32_t salt)
{
    for (uint32_t i = 0; i < MEM_SIZE; i += 4) {
        stl_le_p(d->mem + i, i * 2654435761u + salt);
    }
}
