/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a fuzz target offers: libFuzzer's entry point, also called by
 * fuzz-replay.c
 */
#ifndef TESTS_FUZZ_FUZZ_EPW_H
#define TESTS_FUZZ_FUZZ_EPW_H

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* TESTS_FUZZ_FUZZ_EPW_H */
