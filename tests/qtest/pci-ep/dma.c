/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DMA channels of a pci-epc, linked to a scripted host with some memory
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-dma.h"

#include <sys/mman.h>

/* ---- Channels ---- */

uint64_t epd_reg_at(EpDma *d, unsigned ch, uint32_t reg)
{
    return d->base + ch * d->stride + reg;
}

uint32_t epd_reg(EpDma *d, unsigned ch, uint32_t r)
{
    return epe_read(d->e, epd_reg_at(d, ch, r), 4);
}

void epd_set(EpDma *d, unsigned ch, uint32_t r, uint32_t v)
{
    epe_write(d->e, epd_reg_at(d, ch, r), 4, v);
}

uint32_t epd_bad_access(EpDma *d)
{
    return epe_reg(d->e, EPC_REG_BAD_ACCESS);
}

void epd_enable(EpDma *d, unsigned ch, uint64_t ring, uint32_t size)
{
    epd_set(d, ch, EPC_DMA_CTRL, 0);
    epe_write(d->e, epd_reg_at(d, ch, EPC_DMA_RING), 8, ring);
    epd_set(d, ch, EPC_DMA_SIZE, size);
    epd_set(d, ch, EPC_DMA_CTRL, EPC_DMA_CTRL_ENABLE);
    d->size[ch] = size;
    d->next[ch] = 0;
}

static uint64_t epd_desc_at(EpDma *d, unsigned ch, uint32_t i)
{
    return RING(ch) + (i % d->size[ch]) * EPC_DMA_DESC_SIZE;
}

uint32_t epd_add(EpDma *d, unsigned ch, uint64_t src, uint64_t dst,
                 uint32_t length, uint32_t flags)
{
    uint64_t at = epd_desc_at(d, ch, d->next[ch]);

    qtest_writeq(d->e->q, at + EPC_DMA_DESC_SRC, src);
    qtest_writeq(d->e->q, at + EPC_DMA_DESC_DST, dst);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_LENGTH, length);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_FLAGS, flags);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_STATUS, EPC_DMA_PENDING);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_DONE, 0x55555555);
    return d->next[ch]++;
}

void epd_go(EpDma *d, unsigned ch)
{
    epd_set(d, ch, EPC_DMA_PRODUCER, d->next[ch]);
}

uint32_t epd_status(EpDma *d, unsigned ch, uint32_t i)
{
    return qtest_readl(d->e->q, epd_desc_at(d, ch, i) + EPC_DMA_DESC_STATUS);
}

uint32_t epd_done(EpDma *d, unsigned ch, uint32_t i)
{
    return qtest_readl(d->e->q, epd_desc_at(d, ch, i) + EPC_DMA_DESC_DONE);
}

uint32_t epd_wait_status(EpDma *d, unsigned ch, uint32_t i)
{
    gint64 end = g_get_monotonic_time() + 6 * EPE_TIMEOUT_MS * 1000ll;
    uint32_t v;

    while ((v = epd_status(d, ch, i)) == EPC_DMA_PENDING) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(200);
    }
    return v;
}

void epd_wait_consumer(EpDma *d, unsigned ch, uint32_t v)
{
    gint64 end = g_get_monotonic_time() + 6 * EPE_TIMEOUT_MS * 1000ll;

    while (epd_reg(d, ch, EPC_DMA_CONSUMER) != v) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(200);
    }
}

uint32_t epd_copy(EpDma *d, uint64_t src, uint64_t dst, uint32_t length,
                  uint32_t flags)
{
    uint32_t i = epd_add(d, 0, src, dst, length, flags);

    epd_go(d, 0);
    return epd_wait_status(d, 0, i);
}

uint32_t epd_last_done(EpDma *d, unsigned ch)
{
    return epd_done(d, ch, d->next[ch] - 1);
}

/* ---- Both ends ---- */

EpDma epd_start(const char *props)
{
    EpDma d = { };

    d.e = epe_start(EPE_SHARED, props);
    d.c = epe_attach(d.e);
    d.fd = pep_memfd(MEM_SIZE, &d.mem);
    pep_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(pep_dma_map(d.c, HOST, MEM_SIZE, d.fd, 0, RW), ==, 0);
    d.base = epe_reg(d.e, EPC_REG_DMA_BASE);
    d.stride = epe_reg(d.e, EPC_REG_DMA_STRIDE);
    epd_enable(&d, 0, RING(0), 16);
    return d;
}

void epd_end(EpDma *d)
{
    epe_detach(d->e, d->c);
    munmap(d->mem, MEM_SIZE);
    close(d->fd);
}

void epd_map_long(EpDma *d)
{
    for (uint64_t at = 0; at < LONG_SIZE; at += MEM_SIZE) {
        g_assert_cmpint(pep_dma_map(d->c, LONG + at, MEM_SIZE, d->fd, 0, RW),
                        ==, 0);
    }
}

uint32_t epd_start_long(EpDma *d, unsigned ch, uint32_t flags)
{
    uint32_t i = epd_add(d, ch, LONG + MEM_SIZE / 2, LONG, UINT32_MAX,
                         flags | IN_HOST);

    epd_go(d, ch);
    return i;
}

void epd_fill_host(EpDma *d, uint32_t salt)
{
    for (uint32_t i = 0; i < MEM_SIZE; i += 4) {
        stl_le_p(d->mem + i, i * 2654435761u + salt);
    }
}
