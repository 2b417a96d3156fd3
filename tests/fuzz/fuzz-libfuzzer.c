/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of a libFuzzer program that all targets share: new inputs
 *
 * libFuzzer changes bytes, which seldom makes a whole new step of an input. So
 * from time to time the target makes an input, and the old one is lost or comes
 * behind it.
 */
#include "qemu/osdep.h"
#include "fuzz.h"

#define GENERATE_EVERY 16

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
                               unsigned seed)
{
    g_autofree FuzzBytes *made = NULL;
    size_t n;

    fuzz_seed(seed);
    if (fuzz_random(GENERATE_EVERY)) {
        return LLVMFuzzerMutate(data, size, max);
    }
    made = g_new0(FuzzBytes, 1);
    fuzz_generate(made);
    if (fuzz_random(2)) {
        fuzz_add(made, data, size);
    }
    n = MIN(made->len, max);
    memcpy(data, made->data, n);
    return MAX(n, 1);
}
