/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the wire's fuzz target without a fuzzer
 *
 * With arguments: on each named file, to see a finding again.  Without: on
 * generated messages of every command and on mutations of them, the same ones
 * every time.
 */
#include "qemu/osdep.h"
#include "fuzz-epw.h"
#include "hw/pci-ep/epw.h"

#define ROUNDS 60000
#define INPUT_SIZE 4096

typedef struct Input {
    size_t len;
    uint8_t data[INPUT_SIZE];
} Input;

static uint64_t state = 0x9e3779b97f4a7c15;

static uint32_t rnd(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 32) % below;
}

static void append(Input *in, const void *p, size_t n)
{
    n = MIN(n, sizeof(in->data) - in->len);
    memcpy(in->data + in->len, p, n);
    in->len += n;
}

static void append_byte(Input *in, uint8_t b)
{
    append(in, &b, 1);
}

/* Sizes the commands have, and values their members like */
static const uint32_t sizes[] = { 0, 16, 20, 24, 32 };
static const uint32_t values[] = { 0, 1, 2, 3, 4, 5, 16, 20, 24, 32, 0x21,
                                   0x24, 0x1000, 0x7fffffff, 0x80000000,
                                   0xffffffff };
static const char *const words[] = {
    "{", "}", "[", "]", ":", ",", "\"", "\\", "'", "capabilities",
    "\"capabilities\":{", "\"max_msg_fds\":", "\"max_data_xfer_size\":",
    "\"" VFU_EP_KEY "\":{", "\"version\":1,", "\"features\":[", "\"link\"",
    "1", "-1", "1e9", "null", "true", "\\u0000", "\xff", "%s",
};

static void generate_message(Input *in)
{
    uint8_t buf[64] = { 0 };
    VfuHeader hdr = { .id = rnd(4), .flags = rnd(8) ? 0 : rnd(64) };
    size_t n = sizeof(hdr) + sizes[rnd(ARRAY_SIZE(sizes))] + 4 * !rnd(4);
    size_t cut = rnd(4) ? n : rnd(n);

    hdr.command = rnd(4) ? 1 + rnd(14) : VFU_CMD_EP_LINK + rnd(4);
    hdr.size = n;
    memcpy(buf, &hdr, sizeof(hdr));
    for (size_t i = sizeof(hdr); i + 4 <= n; i += 4) {
        memcpy(buf + i, &values[rnd(ARRAY_SIZE(values))], 4);
    }
    if (n > sizeof(hdr) && rnd(4)) {
        uint32_t argsz = n - sizeof(hdr);

        memcpy(buf + sizeof(hdr), &argsz, 4);
    }
    if (!rnd(3)) {
        append_byte(in, 0x80 | rnd(rnd(4) ? 3 : 20));
    }
    append_byte(in, cut);
    append(in, buf, cut);
    if (cut < n) {
        append_byte(in, n - cut);
        append(in, buf + cut, n - cut);
    }
}

static void generate(Input *in)
{
    in->len = 0;
    if (rnd(2)) {
        append_byte(in, rnd(256) & ~1u);
        for (int i = rnd(4); i >= 0; i--) {
            generate_message(in);
        }
    } else if (rnd(2)) {
        size_t n;
        g_autofree uint8_t *offer = epw_version_offer(rnd(16), &n);

        append_byte(in, rnd(256) | 1);
        append(in, offer, n);
    } else {
        append_byte(in, rnd(256) | 1);
        append(in, "\0\0\1\0{", 5);
        for (int i = rnd(20); i >= 0; i--) {
            const char *word = words[rnd(ARRAY_SIZE(words))];

            append(in, word, strlen(word));
        }
        append(in, "}}", 3);
    }
}

static void mutate(Input *in)
{
    size_t at = rnd(in->len);

    switch (rnd(6)) {
    case 0:
        in->data[at] ^= 1u << rnd(8);
        break;
    case 1:
        in->data[at] = rnd(256);
        break;
    case 2:
        in->len = at + 1;
        break;
    case 3:
        memmove(in->data + at, in->data + at + 1, in->len - at - 1);
        in->len = MAX(in->len - 1, 1);
        break;
    case 4: {
        const char *word = words[rnd(ARRAY_SIZE(words))];

        memcpy(in->data + at, word, MIN(strlen(word), in->len - at));
        break;
    }
    default:
        if (at + 4 <= in->len) {
            memcpy(in->data + at, &values[rnd(ARRAY_SIZE(values))], 4);
        }
        break;
    }
}

static void test_generated(void)
{
    g_autofree Input *in = g_new0(Input, 1);

    for (int i = 0; i < ROUNDS; i++) {
        generate(in);
        for (int j = rnd(4); j > 0; j--) {
            mutate(in);
        }
        LLVMFuzzerTestOneInput(in->data, in->len);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (argc > 1) {
        for (int i = 1; i < argc; i++) {
            g_autofree char *data = NULL;
            size_t n;

            if (!g_file_get_contents(argv[i], &data, &n, NULL)) {
                g_printerr("cannot read '%s'; name files that exist\n",
                           argv[i]);
                return 1;
            }
            LLVMFuzzerTestOneInput((uint8_t *)data, n);
        }
        return 0;
    }
    g_test_add_func("/fuzz/epw/generated", test_generated);
    return g_test_run();
}
