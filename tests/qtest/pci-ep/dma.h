/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DMA channels of a pci-epc that is linked to a fake host with some memory
 */
#ifndef TESTS_QTEST_PCI_EP_DMA_H
#define TESTS_QTEST_PCI_EP_DMA_H

#include "machine-endpoint.h"
#include "fake-host.h"

#define MEM_SIZE    (4u << 20)      /* memory of the host, at address HOST */
#define HOST        0x40000000ull
#define RW          (VFU_DMA_READ | VFU_DMA_WRITE)

/* A range that takes long to copy: the same memory is mapped many times. */
#define LONG        0x1000000000ull
#define LONG_SIZE   (0x100000000ull + MEM_SIZE)

/* Addresses in the memory of the endpoint */
#define RING(n)     (0x1000000ull + (n) * 0x20000)
#define BUFFER      0x2000000ull
#define RAM_END     ((uint64_t)EPVM_RAM_SIZE)

#define TO_HOST     EPC_DMA_DST_HOST
#define FROM_HOST   EPC_DMA_SRC_HOST
#define IN_HOST     (EPC_DMA_SRC_HOST | EPC_DMA_DST_HOST)

typedef struct EpDma {
    EpVm *e;
    FakeHost *c;
    int fd;
    uint8_t *mem;
    uint32_t base, stride;
    uint32_t size[EPC_DMA_CHANNELS];
    uint32_t next[EPC_DMA_CHANNELS];    /* producer index */
} EpDma;

/*
 * Starts both ends and brings the link up. HOST is mapped, bus mastering is on,
 * and channel 0 is enabled with a ring of 16 descriptors.
 */
EpDma epdma_start(const char *props);
void epdma_end(EpDma *d);
/* Maps LONG, so that epdma_start_long() works. */
void epdma_map_long(EpDma *d);
void epdma_fill_host(EpDma *d, uint32_t salt);

uint64_t epdma_reg_at(EpDma *d, unsigned ch, uint32_t reg);
uint32_t epdma_reg(EpDma *d, unsigned ch, uint32_t r);
void epdma_set_reg(EpDma *d, unsigned ch, uint32_t r, uint32_t v);
uint32_t epdma_bad_access(EpDma *d);
/* Enables a channel. One that is enabled is disabled first. */
void epdma_enable(EpDma *d, unsigned ch, uint64_t ring, uint32_t size);

/* Fills the next descriptor and returns its index. */
uint32_t epdma_add_desc(EpDma *d, unsigned ch, uint64_t src, uint64_t dst,
                        uint32_t length, uint32_t flags);
/* Writes PRODUCER, so that the device takes all that were added. */
void epdma_submit(EpDma *d, unsigned ch);
uint32_t epdma_desc_status(EpDma *d, unsigned ch, uint32_t i);
uint32_t epdma_desc_done(EpDma *d, unsigned ch, uint32_t i);
uint32_t epdma_last_desc_done(EpDma *d, unsigned ch);
uint32_t epdma_wait_desc(EpDma *d, unsigned ch, uint32_t i);
void epdma_wait_consumer(EpDma *d, unsigned ch, uint32_t v);

/* Does one copy with channel 0 and returns its status. */
uint32_t epdma_copy(EpDma *d, uint64_t src, uint64_t dst, uint32_t length,
                    uint32_t flags);
/* Starts a copy within the host that takes long; returns its index. */
uint32_t epdma_start_long(EpDma *d, unsigned ch, uint32_t flags);

#endif /* TESTS_QTEST_PCI_EP_DMA_H */
