/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint that behaves: its answers to the questions of a bridge
 *
 * fuzz-remote.c sends them as they are, or changes them before.
 */
#ifndef TESTS_FUZZ_ENDPOINT_H
#define TESTS_FUZZ_ENDPOINT_H

#include "tests/qtest/pci-ep/vfu-msg.h"

#define FUZZ_MAX_PAYLOAD 0x4000     /* bytes */

typedef struct FuzzReply {
    size_t len;
    uint8_t p[FUZZ_MAX_PAYLOAD];
    int fds[VFU_MSG_MAX_FDS + 1];
    unsigned nfds;
} FuzzReply;

enum { FD_MEMORY, FD_MEMORY2, FD_EVENT, FD_NULL, FD_UNSEALED, FD_COUNT };

/* A file of each kind, which stays open */
int fuzz_endpoint_fd(unsigned n);

/*
 * Fills @r, which is zeroed, with the answer to @m. Bits 0 and 1 of @layout are
 * what VERSION offers: nothing, no areas, areas, small messages. Bit 2 is which
 * file the areas are in, and with bit 3 doorbells have a value.
 */
void fuzz_endpoint_answer(uint8_t layout, const VfuMsg *m, FuzzReply *r);

#endif /* TESTS_FUZZ_ENDPOINT_H */
