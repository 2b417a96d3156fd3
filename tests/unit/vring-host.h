/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host for tests of linux/functions/virtio/vring: memory with a ring, and a
 * driver that fills it
 */
#ifndef TESTS_UNIT_VRING_HOST_H
#define TESTS_UNIT_VRING_HOST_H

#include "linux/functions/virtio/vring.h"

#define HOST_BASE       0x7ffff0000000ull       /* bus address of the memory */
#define HOST_SIZE       0x100000u
#define HOST_DESC       (HOST_BASE + 0x0)
#define HOST_AVAIL      (HOST_BASE + 0x8000)
#define HOST_USED       (HOST_BASE + 0xc000)
#define HOST_TABLES     (HOST_BASE + 0x10000)   /* indirect tables */
#define HOST_DATA       0x1000000ull    /* where buffers are; not in memory */

/* Flags of a descriptor */
#define NEXT        1u
#define WRITE       2u
#define INDIRECT    4u

#define NO_LIMIT    UINT_MAX

typedef struct Host Host;

struct Host {
    struct epf_vring ring;
    struct epf_vring_config conf;
    uint16_t avail_idx;
    unsigned reads, writes;         /* calls */
    unsigned read_segs;
    unsigned good_calls;            /* how many calls succeed still */
    /* After each call, before its caller goes on; may be NULL */
    void (*after)(Host *h, bool write, const struct epf_vring_seg *segs,
                  unsigned n);
    uint8_t mem[HOST_SIZE];
};

static inline void *host_at(Host *h, uint64_t addr, uint32_t len)
{
    g_assert_cmphex(addr, >=, HOST_BASE);
    g_assert_cmphex(addr + len, <=, HOST_BASE + HOST_SIZE);
    return h->mem + (addr - HOST_BASE);
}

static inline uint16_t host_get16(Host *h, uint64_t addr)
{
    return lduw_le_p(host_at(h, addr, 2));
}

static inline uint32_t host_get32(Host *h, uint64_t addr)
{
    return ldl_le_p(host_at(h, addr, 4));
}

static inline void host_set16(Host *h, uint64_t addr, uint16_t v)
{
    stw_le_p(host_at(h, addr, 2), v);
}

/* ---- How the ring reaches the memory ---- */

static inline int host_copy(Host *h, bool write,
                            const struct epf_vring_seg *segs, unsigned n)
{
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <=, EPF_VRING_BURST);
    if (!h->good_calls) {
        return -EFAULT;
    }
    if (h->good_calls != NO_LIMIT) {
        h->good_calls--;
    }
    for (unsigned i = 0; i < n; i++) {
        void *p = host_at(h, segs[i].addr, segs[i].len);

        g_assert_cmpuint(segs[i].len, >, 0);
        memcpy(write ? p : segs[i].buf, write ? segs[i].buf : p, segs[i].len);
    }
    if (h->after) {
        h->after(h, write, segs, n);
    }
    return 0;
}

static inline int host_read(void *data, const struct epf_vring_seg *segs,
                            unsigned n)
{
    Host *h = data;

    h->reads++;
    h->read_segs += n;
    return host_copy(h, false, segs, n);
}

static inline int host_write(void *data, const struct epf_vring_seg *segs,
                             unsigned n)
{
    Host *h = data;

    h->writes++;
    return host_copy(h, true, segs, n);
}

static inline struct epf_vring_mem host_mem(Host *h)
{
    return (struct epf_vring_mem) { host_read, host_write, h };
}

static inline Host *host_new_at(uint16_t size, bool indirect, bool event_idx)
{
    Host *h = g_new0(Host, 1);
    struct epf_vring_mem mem = host_mem(h);

    h->good_calls = NO_LIMIT;
    h->conf = (struct epf_vring_config) {
        .size = size, .desc = HOST_DESC, .avail = HOST_AVAIL,
        .used = HOST_USED, .indirect = indirect, .event_idx = event_idx,
    };
    g_assert_cmpint(epf_vring_init(&h->ring, &h->conf, &mem), ==, 0);
    return h;
}

static inline Host *host_new(uint16_t size)
{
    return host_new_at(size, true, false);
}

static inline void host_free(Host *h)
{
    epf_vring_destroy(&h->ring);
    g_free(h);
}

/* ---- The driver ---- */

static inline void host_desc_at(Host *h, uint64_t addr, uint64_t buf,
                                uint32_t len, uint16_t flags, uint16_t next)
{
    uint8_t *d = host_at(h, addr, 16);

    stq_le_p(d, buf);
    stl_le_p(d + 8, len);
    stw_le_p(d + 12, flags);
    stw_le_p(d + 14, next);
}

static inline void host_desc(Host *h, unsigned i, uint64_t buf, uint32_t len,
                             uint16_t flags, uint16_t next)
{
    host_desc_at(h, HOST_DESC + i * 16, buf, len, flags, next);
}

/* The indirect table @table, which has room for 256 descriptors */
static inline uint64_t host_table(unsigned table)
{
    return HOST_TABLES + table * 256 * 16;
}

static inline void host_set_avail(Host *h, uint16_t idx)
{
    h->avail_idx = idx;
    host_set16(h, HOST_AVAIL + 2, idx);
}

/* Makes the chain of @head available, but does not move the index. */
static inline void host_enter(Host *h, uint16_t head)
{
    unsigned slot = h->avail_idx++ % h->conf.size;

    host_set16(h, HOST_AVAIL + 4 + slot * 2, head);
}

static inline void host_post(Host *h, uint16_t head)
{
    host_enter(h, head);
    host_set_avail(h, h->avail_idx);
}

/* A chain of one descriptor */
static inline void host_post_one(Host *h, uint16_t head)
{
    host_desc(h, head, HOST_DATA + head * 0x1000, 512, WRITE, 0);
    host_post(h, head);
}

#endif /* TESTS_UNIT_VRING_HOST_H */
