/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DMA channels of a pci-epc, linked to a scripted host with some memory
 */
#ifndef TESTS_QTEST_PCI_EP_DMA_H
#define TESTS_QTEST_PCI_EP_DMA_H

#include "pci-ep-endpoint.h"
#include "pci-ep-peer.h"

#define MEM_SIZE    (4u << 20)      /* of the host, at HOST in its PCI space */
#define HOST        0x40000000ull
#define RW          (VFU_DMA_READ | VFU_DMA_WRITE)

/* The same memory over and over: a range that it takes long to copy */
#define LONG        0x1000000000ull
#define LONG_SIZE   (0x100000000ull + MEM_SIZE)

/* Memory of the endpoint */
#define RING(n)     (0x1000000ull + (n) * 0x20000)
#define BUFFER      0x2000000ull
#define RAM_END     ((uint64_t)EPE_RAM_SIZE)

#define SHORT       50              /* ms in which nothing must happen */
#define TO_HOST     EPC_DMA_DST_HOST
#define FROM_HOST   EPC_DMA_SRC_HOST
#define IN_HOST     (EPC_DMA_SRC_HOST | EPC_DMA_DST_HOST)

typedef struct EpDma {
    EpEndpoint *e;
    PepClient *c;
    int fd;
    uint8_t *mem;
    uint32_t base, stride;
    uint32_t size[EPC_DMA_CHANNELS];
    uint32_t next[EPC_DMA_CHANNELS];    /* producer index */
} EpDma;

/* A link, HOST mapped, bus mastering on, channel 0 enabled with 16 places */
EpDma epd_start(const char *props);
void epd_end(EpDma *d);
/* Maps LONG */
void epd_map_long(EpDma *d);
void epd_fill_host(EpDma *d, uint32_t salt);

uint64_t epd_reg_at(EpDma *d, unsigned ch, uint32_t reg);
uint32_t epd_reg(EpDma *d, unsigned ch, uint32_t r);
void epd_set(EpDma *d, unsigned ch, uint32_t r, uint32_t v);
uint32_t epd_bad_access(EpDma *d);
/* Afresh, also when it was enabled */
void epd_enable(EpDma *d, unsigned ch, uint64_t ring, uint32_t size);

/* Fills the next descriptor; returns its index */
uint32_t epd_add(EpDma *d, unsigned ch, uint64_t src, uint64_t dst,
                 uint32_t length, uint32_t flags);
/* Tells the device of all that were added */
void epd_go(EpDma *d, unsigned ch);
uint32_t epd_status(EpDma *d, unsigned ch, uint32_t i);
uint32_t epd_done(EpDma *d, unsigned ch, uint32_t i);
uint32_t epd_last_done(EpDma *d, unsigned ch);
uint32_t epd_wait_status(EpDma *d, unsigned ch, uint32_t i);
void epd_wait_consumer(EpDma *d, unsigned ch, uint32_t v);

/* One descriptor of channel 0 */
uint32_t epd_copy(EpDma *d, uint64_t src, uint64_t dst, uint32_t length,
                  uint32_t flags);
/* A copy within the host that takes long */
uint32_t epd_start_long(EpDma *d, unsigned ch, uint32_t flags);

#endif /* TESTS_QTEST_PCI_EP_DMA_H */
