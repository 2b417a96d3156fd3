/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share
 *
 * A target is one file, fuzz-NAME.c. It is linked with fuzz-libfuzzer.c and
 * libFuzzer, which looks for inputs that reach new code, or with fuzz-replay.c,
 * which runs the corpus and inputs that the target makes itself. An input is a
 * program: its bytes say what the peer and the owner of the code do, one after
 * the other. Any bytes are an input; behind its end all bytes are 0.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#define FUZZ_MAX_INPUT 4096     /* bytes */

/* The code under test broke a promise. Both drivers report the input. */
#define REQUIRE(x)                                                      \
    do {                                                                \
        if (!(x)) {                                                     \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, \
                    #x);                                                \
            abort();                                                    \
        }                                                               \
    } while (0)

/* ---- A target ---- */

extern const char fuzz_name[];

/* Runs one input. Its name is libFuzzer's. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- libFuzzer's names ---- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
                               unsigned seed);

/* ---- For targets: to read an input ---- */

typedef struct FuzzInput {
    const uint8_t *p;
    size_t left;
} FuzzInput;

static inline uint8_t fuzz_u8(FuzzInput *in)
{
    if (!in->left) {
        return 0;
    }
    in->left--;
    return *in->p++;
}

static inline uint32_t fuzz_u32(FuzzInput *in)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 4; i++) {
        v |= (uint32_t)fuzz_u8(in) << 8 * i;
    }
    return v;
}

static inline uint64_t fuzz_u64(FuzzInput *in)
{
    uint64_t low = fuzz_u32(in);

    return low | (uint64_t)fuzz_u32(in) << 32;
}

/* A number of which small values and the edges of 2^n are likely */
uint64_t fuzz_value(FuzzInput *in);

/* Descriptors that this process has open */
unsigned fuzz_count_fds(void);
/* Fails, and lists them, when there are not @want. */
void fuzz_check_fds(unsigned want);

/* ---- For targets: to make an input ---- */

typedef struct FuzzBytes {
    size_t len;
    uint8_t data[FUZZ_MAX_INPUT];
} FuzzBytes;

/* Makes an input of its own, from nothing but fuzz_random(). */
void fuzz_generate(FuzzBytes *out);

void fuzz_seed(uint64_t seed);
/* A number below @below, which is not 0 */
uint32_t fuzz_random(uint32_t below);
void fuzz_add(FuzzBytes *out, const void *p, size_t n);
void fuzz_add_u8(FuzzBytes *out, uint8_t v);
/* Adds @n random bytes. */
void fuzz_add_random(FuzzBytes *out, size_t n);

#endif /* TESTS_FUZZ_FUZZ_H */
