/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target without a fuzzer
 *
 *   fuzz-NAME FILE...          run these inputs, to reproduce a finding
 *   fuzz-NAME --write DIR N    write N generated inputs into DIR
 *   fuzz-NAME                  as a unit test: the corpus, then generated
 *                              inputs and mutations of them for FUZZ_SECONDS
 *                              (10), from FUZZ_SEED (1) on
 *
 * Each input has a seed of its own, one more than the input before. The program
 * names the seed, and keeps the input in a file, when the target fails.
 */
#include "qemu/osdep.h"
#include "fuzz.h"

#define DEFAULT_SECONDS 10

/* Of the sanitizers; NULL without one. It is called before they exit. */
void __sanitizer_set_death_callback(void (*callback)(void))
    __attribute__((weak));

/* ---- The input that runs now, for a report ---- */

static const uint8_t *now_data;
static size_t now_size;
static const char *now_file;        /* NULL: generated */
static uint64_t now_seed;

/* Async-signal-safe: it runs in signal handlers. */
static void report_text(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        _exit(2);
    }
}

static void report_number(uint64_t n)
{
    char text[24];
    unsigned at = sizeof(text) - 1;

    text[at] = '\0';
    do {
        text[--at] = '0' + n % 10;
        n /= 10;
    } while (n);
    report_text(text + at);
}

static void report_input(void)
{
    static bool once;
    const char *path = "fuzz-failed-input";
    int fd;

    if (once || !now_data) {
        return;
    }
    once = true;
    report_text("\nfuzz: the target fails with ");
    if (now_file) {
        report_text(now_file);
        report_text("\n");
        return;
    }
    report_text("FUZZ_SEED=");
    report_number(now_seed);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, now_data, now_size) == now_size) {
        report_text("; the input is in ./");
        report_text(path);
    }
    report_text("\n");
}

/* SA_RESETHAND: the second time the signal ends the program. */
static void report_signal(int number)
{
    report_input();
    raise(number);
}

static void report_start(void)
{
    struct sigaction action = {
        .sa_handler = report_signal, .sa_flags = SA_RESETHAND | SA_NODEFER,
    };

    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(report_input);
    } else {
        sigaction(SIGSEGV, &action, NULL);
        sigaction(SIGBUS, &action, NULL);
    }
    sigaction(SIGABRT, &action, NULL);
}

/* ---- Runs ---- */

/* In memory of just that size, so that a sanitizer sees what reads further */
static void run(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = g_memdup2(data, size);

    now_data = data;
    now_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    now_data = NULL;
}

static bool run_file(const char *path)
{
    g_autofree char *data = NULL;
    size_t n;

    if (!g_file_get_contents(path, &data, &n, NULL)) {
        g_printerr("cannot read '%s'; name files that exist\n", path);
        return false;
    }
    now_file = path;
    run((uint8_t *)data, n);
    now_file = NULL;
    return true;
}

static void mutate(FuzzBytes *in)
{
    size_t at = fuzz_random(in->len);

    switch (fuzz_random(5)) {
    case 0:
        in->data[at] ^= 1u << fuzz_random(8);
        break;
    case 1:
        in->data[at] = fuzz_random(256);
        break;
    case 2:
        in->len = at + 1;
        break;
    case 3:
        memmove(in->data + at, in->data + at + 1, in->len - at - 1);
        in->len = MAX(in->len - 1, 1);
        break;
    default:
        memset(in->data + at, fuzz_random(2) ? 0xff : 0,
               MIN(in->len - at, 4));
        break;
    }
}

static void make(FuzzBytes *in, uint64_t seed)
{
    fuzz_seed(seed);
    in->len = 0;
    fuzz_generate(in);
    if (!in->len) {
        fuzz_add_u8(in, 0);
    }
    for (unsigned i = fuzz_random(4); i; i--) {
        mutate(in);
    }
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

/* ---- Tests ---- */

/* The paths of the files in @directory. It is not open while they run. */
static GPtrArray *list_corpus(const char *directory)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    GDir *d = g_dir_open(directory, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_ptr_array_add(paths, g_build_filename(directory, name, NULL));
    }
    if (d) {
        g_dir_close(d);
    }
    return paths;
}

static void test_corpus(const void *directory)
{
    g_autoptr(GPtrArray) paths = list_corpus(directory);

    for (unsigned i = 0; i < paths->len; i++) {
        g_assert_true(run_file(g_ptr_array_index(paths, i)));
    }
    g_test_message("%u inputs", paths->len);
    g_assert_cmpuint(paths->len, >, 0);
}

static void test_generated(void)
{
    uint64_t seconds = from_env("FUZZ_SECONDS", DEFAULT_SECONDS);
    int64_t end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
    uint64_t first = from_env("FUZZ_SEED", 1);
    g_autofree FuzzBytes *in = g_new0(FuzzBytes, 1);

    now_seed = first;
    do {
        make(in, now_seed);
        run(in->data, in->len);
        now_seed++;
    } while (g_get_monotonic_time() < end);
    g_test_message("%" PRIu64 " inputs from FUZZ_SEED=%" PRIu64 " on",
                   now_seed - first, first);
}

static int write_inputs(const char *directory, unsigned n)
{
    g_autofree FuzzBytes *in = g_new0(FuzzBytes, 1);

    for (unsigned i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("%s/%05u", directory, i);

        make(in, i);
        if (!g_file_set_contents(path, (char *)in->data, in->len, NULL)) {
            g_printerr("cannot write '%s'\n", path);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    g_autofree char *corpus = g_build_filename(FUZZ_CORPUS, fuzz_name, NULL);
    g_autofree char *corpus_test = g_strdup_printf("/fuzz/%s/corpus",
                                                   fuzz_name);
    g_autofree char *generated_test = g_strdup_printf("/fuzz/%s/generated",
                                                      fuzz_name);

    g_test_init(&argc, &argv, NULL);
    if (argc == 4 && !strcmp(argv[1], "--write")) {
        return write_inputs(argv[2], atoi(argv[3]));
    }
    report_start();
    if (argc > 1) {
        bool ok = true;

        for (int i = 1; i < argc; i++) {
            ok &= run_file(argv[i]);
        }
        return !ok;
    }
    g_test_add_data_func(corpus_test, corpus, test_corpus);
    g_test_add_func(generated_test, test_generated);
    return g_test_run();
}
