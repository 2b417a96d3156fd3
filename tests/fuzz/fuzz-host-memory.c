/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of endpoint/host-memory: the ranges that the host maps and unmaps
 *
 * A model has one entry for each half page of a small bus. What the ranges say
 * of each address is compared with it.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "fuzz.h"
#include "hw/pci-ep/endpoint/host-memory.h"

#include <sys/mman.h>

const char fuzz_name[] = "host-memory";

#define UNIT        0x800u          /* bytes */
#define UNITS       96u             /* of the bus that the model has */
#define FILES       3u
#define FILE_SIZE   (64u * UNIT)
#define NO_FILE     0xff

typedef struct FuzzUnit {
    bool mapped, writable;
    uint8_t file;           /* NO_FILE: by message */
    uint32_t offset;        /* in the file */
} FuzzUnit;

typedef struct FuzzBus {
    EpcHostMemory *t;
    uint64_t base;          /* bus address of unit 0 */
    bool messages;
    FuzzUnit unit[UNITS];
} FuzzBus;

enum { STEP_ADD, STEP_ADD_FILE, STEP_REMOVE, STEP_ANY, STEP_POINT, STEP_COUNT };

static int memory_fd(unsigned n)
{
    static int fds[FILES];

    if (!fds[n]) {
        fds[n] = qemu_memfd_create("fuzz", FILE_SIZE, false, 0, F_SEAL_SHRINK,
                                   &error_abort);
    }
    return fds[n];
}

static EpFile *open_file(unsigned n)
{
    return ep_file_new(fcntl(memory_fd(n), F_DUPFD_CLOEXEC, 0), false,
                       &error_abort);
}

/* ---- The model ---- */

static bool model_free(const FuzzBus *b, unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++) {
        if (b->unit[i].mapped) {
            return false;
        }
    }
    return true;
}

static void model_set(FuzzBus *b, unsigned first, unsigned n,
                      const FuzzUnit *u)
{
    for (unsigned i = 0; i < n; i++) {
        b->unit[first + i] = *u;
        b->unit[first + i].offset += i * UNIT;
    }
}

static void check_unit(FuzzBus *b, unsigned i)
{
    const FuzzUnit *u = &b->unit[i];
    uint64_t addr = b->base + i * UNIT, hole = 0;
    EpcHostRun run = { .size = 0 };
    int err = epc_host_memory_find(b->t, addr, UNIT, &run);
    bool none = epc_host_memory_hole(b->t, addr, addr + UNIT - 1, &hole);

    REQUIRE(none == !u->mapped && (!none || hole == addr));
    if (!u->mapped) {
        REQUIRE(err == -EFAULT);
    } else if (u->file == NO_FILE) {
        REQUIRE(err == (b->messages ? -ENOTSUP : -EACCES));
        REQUIRE(run.size == UNIT);
    } else {
        struct stat have, want;

        REQUIRE(!err && run.size == UNIT && run.offset == u->offset);
        REQUIRE(run.writable == u->writable);
        REQUIRE(!fstat(ep_file_fd(run.file), &have) &&
                !fstat(memory_fd(u->file), &want));
        REQUIRE(have.st_ino == want.st_ino);
    }
}

/* ---- Steps ---- */

static void step_add(FuzzBus *b, FuzzInput *in, bool with_file)
{
    unsigned first = fuzz_u8(in) % UNITS;
    unsigned n = fuzz_u8(in) % (UNITS - first + 1);
    unsigned flags = fuzz_u8(in) & (VFU_DMA_READ | VFU_DMA_WRITE);
    unsigned file = fuzz_u8(in) % FILES;
    VfuDmaMap map = {
        .address = b->base + first * UNIT, .size = n * UNIT, .flags = flags,
        .offset = with_file ? (fuzz_u8(in) % 70) * UNIT : 0,
    };
    FuzzUnit u = {
        .mapped = true, .writable = flags & VFU_DMA_WRITE, .file = NO_FILE,
        .offset = map.offset,
    };
    int err = epc_host_memory_add(b->t, &map, with_file ? open_file(file) :
                                                          NULL);

    if (!n || (with_file && map.offset + map.size > FILE_SIZE)) {
        REQUIRE(err == EINVAL);
        return;
    }
    REQUIRE(err == (model_free(b, first, n) ? 0 : EEXIST));
    if (err) {
        return;
    }
    if (with_file && (flags & VFU_DMA_READ) &&
        !((map.address | map.offset | map.size) % 4096)) {
        u.file = file;
    }
    model_set(b, first, n, &u);
}

static void step_remove(FuzzBus *b, FuzzInput *in)
{
    static const FuzzUnit none;
    unsigned first = fuzz_u8(in) % UNITS;
    unsigned n = 1 + fuzz_u8(in) % (UNITS - first);

    epc_host_memory_remove(b->t, b->base + first * UNIT,
                           b->base + (first + n) * UNIT - 1);
    model_set(b, first, n, &none);
}

/* Any numbers: there is no model of these. */
static void step_any(FuzzBus *b, FuzzInput *in)
{
    g_autofree FuzzBus *other = g_new0(FuzzBus, 1);
    VfuDmaMap map = {
        .address = fuzz_value(in), .size = fuzz_value(in),
        .offset = fuzz_value(in), .flags = fuzz_u8(in) & 3,
    };
    uint64_t a = fuzz_value(in), z = fuzz_value(in), hole;
    EpcHostRun run;

    other->t = epc_host_memory_new();
    epc_host_memory_add(other->t, &map, fuzz_u8(in) & 1 ? open_file(0) : NULL);
    epc_host_memory_find(other->t, a, MAX(z, 1), &run);
    if (a <= z) {
        epc_host_memory_hole(other->t, a, z, &hole);
        epc_host_memory_remove(other->t, a, z);
        REQUIRE(epc_host_memory_find(other->t, a, 1, &run) == -EFAULT);
        REQUIRE(epc_host_memory_find(other->t, z, 1, &run) == -EFAULT);
    }
    epc_host_memory_free(other->t);
}

static void step_point(FuzzBus *b, FuzzInput *in)
{
    unsigned i = fuzz_u8(in) % UNITS;
    const FuzzUnit *u = &b->unit[i];
    bool write = fuzz_u8(in) & 1;
    uint64_t size = 1 + fuzz_u32(in) % (2 * FILE_SIZE);
    EpcHostPointer p;
    int err = epc_host_memory_point(b->t, b->base + i * UNIT, size, write, &p);

    if (!u->mapped || (write && !u->writable)) {
        REQUIRE(err == -EFAULT);
    } else if (u->file == NO_FILE) {
        REQUIRE(err == -ENOTSUP);
    } else {
        REQUIRE(!err && p.size && p.size <= size);
        REQUIRE(u->offset + p.size <= FILE_SIZE);
        if (write) {
            p.ptr[0] = p.ptr[p.size - 1] = i;
        } else {
            REQUIRE(p.ptr[0] <= 0xff && p.ptr[p.size - 1] <= 0xff);
        }
        epc_host_view_unref(p.view);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree FuzzBus *b = g_new0(FuzzBus, 1);
    FuzzInput in = { data, size };
    uint8_t kind = fuzz_u8(&in);

    b->t = epc_host_memory_new();
    /* The last addresses are where sums wrap. */
    b->base = kind & 1 ? -(uint64_t)(UNITS * UNIT) : (kind & 2) * 0x10000000ull;
    b->messages = kind & 4;
    epc_host_memory_set_messages(b->t, b->messages);
    while (in.left) {
        switch (fuzz_u8(&in) % STEP_COUNT) {
        case STEP_ADD:
            step_add(b, &in, false);
            break;
        case STEP_ADD_FILE:
            step_add(b, &in, true);
            break;
        case STEP_REMOVE:
            step_remove(b, &in);
            break;
        case STEP_ANY:
            step_any(b, &in);
            break;
        default:
            step_point(b, &in);
            break;
        }
        check_unit(b, fuzz_u8(&in) % UNITS);
    }
    for (unsigned i = 0; i < UNITS; i++) {
        check_unit(b, i);
    }
    epc_host_memory_free(b->t);
    return 0;
}

void fuzz_generate(FuzzBytes *out)
{
    fuzz_add_u8(out, fuzz_random(256));
    for (unsigned i = 1 + fuzz_random(40); i; i--) {
        fuzz_add_u8(out, fuzz_random(STEP_COUNT));
        fuzz_add_random(out, 3 + fuzz_random(8));
    }
}
