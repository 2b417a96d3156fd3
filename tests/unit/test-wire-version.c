/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of wire/version: what peers of other projects send, what both ends
 * of this project agree on, and what is refused
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "wire-test.h"

#define ALL VFU_EP_FEATURES_ALL

/* QEMU's vfio-user-pci, a client of the Rust crate, libvfio-user's sample */
static const char stock_qemu[] =
    "{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, "
    "\"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, "
    "\"migration\": {\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, "
    "\"write_multiple\": true}}";
static const char stock_rust[] =
    "{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":1048576,"
    "\"migration\":{\"pgsize\":4096}}}";
static const char stock_sample[] =
    "{\"capabilities\":{\"max_msg_fds\":32,\"max_data_xfer_size\":1024}}";

static uint8_t *payload(uint16_t major, uint16_t minor, const char *json,
                        size_t json_len, size_t *n)
{
    VfuVersion v = { major, minor };
    uint8_t *p = g_malloc(sizeof(v) + json_len);

    memcpy(p, &v, sizeof(v));
    memcpy(p + sizeof(v), json, json_len);
    *n = sizeof(v) + json_len;
    return p;
}

/* The answer's JSON, or NULL with the reason in *@why */
static char *answer(uint16_t minor, const char *json, size_t json_len,
                    EpwCaps *caps, char **why)
{
    g_autofree uint8_t *reply = NULL;
    g_autofree uint8_t *p = NULL;
    Error *err = NULL;
    size_t n, len;

    p = payload(0, minor, json, json_len, &n);
    reply = epw_version_answer(p, n, ALL, caps, &len, &err);
    g_assert_true(!reply == !!err);
    if (!reply) {
        *why = g_strdup(error_get_pretty(err));
        error_free(err);
        return NULL;
    }
    g_assert_cmpint(((VfuVersion *)reply)->major, ==, 0);
    g_assert_cmpint(((VfuVersion *)reply)->minor, ==, caps->minor);
    if (len > 4) {
        g_assert_cmpint(strnlen((char *)reply + 4, len - 4), ==, len - 5);
    }
    return g_strndup((char *)reply + 4, len - 4);
}

static void expect_answer(uint16_t minor, const char *json, const char *want,
                          EpwCaps *caps)
{
    g_autofree char *why = NULL;
    g_autofree char *got = answer(minor, json, strlen(json) + 1, caps, &why);

    g_assert_cmpstr(got, ==, want);
}

/* Stock QEMU refuses more than 16 descriptors. */
#define LIMITS "{\"capabilities\":{\"max_msg_fds\":16," \
               "\"max_data_xfer_size\":1048576}}"
#define QEMU_LIMITS "{\"capabilities\":{\"max_msg_fds\":16," \
                    "\"max_data_xfer_size\":1048576," \
                    "\"write_multiple\":true}}"

static void test_stock(void)
{
    EpwCaps caps;

    /* the answer may be no longer than the request */
    g_assert_cmpuint(sizeof(stock_qemu), ==, 194);
    expect_answer(0, stock_qemu, QEMU_LIMITS, &caps);
    g_assert_cmpuint(caps.minor, ==, 0);
    g_assert_cmpuint(caps.features, ==, 0);
    g_assert_cmpuint(caps.max_fds, ==, 16);
    g_assert_cmpuint(caps.max_xfer, ==, 1 << 20);

    expect_answer(1, stock_rust, LIMITS, &caps);
    g_assert_cmpuint(caps.minor, ==, 1);
    g_assert_cmpuint(caps.max_fds, ==, 1);

    expect_answer(2, stock_sample, LIMITS, &caps);
    g_assert_cmpuint(caps.minor, ==, 1);
    g_assert_cmpuint(caps.max_fds, ==, 32);
    g_assert_cmpuint(caps.max_xfer, ==, 1024);
}

static void test_only_proposed(void)
{
    EpwCaps caps;

    expect_answer(0, "", NULL, &caps);          /* just a NUL: no JSON value */
    expect_answer(0, "{}", "{\"capabilities\":{}}", &caps);
    g_assert_cmpuint(caps.max_fds, ==, VFU_DEFAULT_MAX_FDS);
    g_assert_cmpuint(caps.max_xfer, ==, VFU_DEFAULT_MAX_XFER);
    expect_answer(0, "{\"capabilities\":{\"max_msg_fds\":3}}",
                  "{\"capabilities\":{\"max_msg_fds\":16}}", &caps);
    g_assert_cmpuint(caps.max_fds, ==, 3);
    expect_answer(0, "{\"capabilities\":{\"" VFU_EP_KEY "\":"
                  "{\"version\":1,\"features\":[\"reset\"]}}}",
                  "{\"capabilities\":{\"" VFU_EP_KEY "\":"
                  "{\"version\":1,\"features\":[\"reset\"]}}}", &caps);
    g_assert_cmpuint(caps.features, ==, VFU_EP_FEATURE_RESET);
    expect_answer(0, "{\"capabilities\":{\"write_multiple\":false}}",
                  "{\"capabilities\":{}}", &caps);
    expect_answer(0, "{\"capabilities\":{\"write_multiple\": true ,"
                  "\"max_msg_fds\":1,\"" VFU_EP_KEY "\":{\"version\":1}}}",
                  "{\"capabilities\":{\"max_msg_fds\":16,"
                  "\"write_multiple\":true,\"" VFU_EP_KEY "\":"
                  "{\"version\":1,\"features\":[]}}}", &caps);
}

static void test_no_json(void)
{
    EpwCaps caps;
    g_autofree char *why = NULL;
    g_autofree char *got = answer(0, "", 0, &caps, &why);

    g_assert_cmpstr(got, ==, "");
    g_assert_cmpuint(caps.max_fds, ==, VFU_DEFAULT_MAX_FDS);
}

/* Every pair of feature sets: both sides agree on the intersection. */
static void test_both_ours(void)
{
    for (unsigned offered = 0; offered <= ALL; offered++) {
        for (unsigned supported = 0; supported <= ALL; supported++) {
            g_autofree uint8_t *offer = NULL;
            g_autofree uint8_t *reply = NULL;
            EpwCaps s, c;
            size_t n, len;
            bool has_key;

            offer = epw_version_offer(offered, &n);
            has_key = strstr((char *)offer + 4, VFU_EP_KEY);
            g_assert_true(has_key == !!offered);
            reply = epw_version_answer(offer, n, supported, &s, &len,
                                       &error_abort);
            g_assert_cmpuint(len, <=, 4 + 194);
            has_key = strstr((char *)reply + 4, VFU_EP_KEY);
            g_assert_true(has_key == (offered && supported));
            g_assert_true(epw_version_accept(reply, len, offered, &c,
                                             &error_abort));
            g_assert_cmpuint(s.features, ==, offered & supported);
            g_assert_cmpuint(c.features, ==, offered & supported);
            g_assert_cmpuint(c.minor, ==, VFU_VERSION_MINOR);
            g_assert_cmpuint(s.max_fds, ==, EPW_MAX_FDS);
            g_assert_cmpuint(c.max_xfer, ==, EPW_MAX_XFER);
        }
    }
}

static void test_major(void)
{
    static const uint16_t majors[] = { 1, 2, 256, UINT16_MAX };

    for (size_t i = 0; i < ARRAY_SIZE(majors); i++) {
        g_autofree char *want = g_strdup_printf(
            "peer speaks vfio-user major %u, this side needs 0", majors[i]);
        g_autofree uint8_t *p = NULL;
        Error *err = NULL;
        EpwCaps caps;
        size_t n;

        p = payload(majors[i], 0, "{}", 3, &n);
        g_assert_false(epw_version_accept(p, n, 0, &caps, &err));
        g_assert_nonnull(strstr(error_get_pretty(err), want));
        error_free(err);
    }
}

static void refuse(const char *json, size_t len)
{
    g_autofree char *why = NULL;
    g_autofree char *got = NULL;
    EpwCaps caps;

    got = answer(0, json, len, &caps, &why);
    if (got) {
        g_error("accepted: %s", json);
    }
    g_assert_null(strchr(why, '\n'));
}

static void test_refused(void)
{
    static const char *const rows[] = {
        "", " ", "[]", "5", "\"x\"", "null", "true", "{", "}", "{}{}", "{]",
        "{\"capabilities\"}", "{\"capabilities\":", "{\"capabilities\":5}",
        "{\"capabilities\":[]}", "{\"capabilities\":null}",
        "{\"capabilities\":\"\"}", "{\"capabilities\":{}", "%d", "{%p:1}",
        "{\"capabilities\":{\"max_msg_fds\":1,\"max_msg_fds\":2}}",
        "{\"capabilities\":{\"max_msg_fds\":1},"
        "\"capabilities\":{\"max_msg_fds\":1}}",
        "{\"\xff\xfe\":1}", "{\"\\ud80\":1}", "{\"\\x\":1}", "{\"a\":\x01}",
        "{\"\x01\":1}", "{'a':1}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}",
        "{\"a\":+1}", "{\"a\":-}", "{\"a\":1e}", "{\"a\":tru}", "{\"a\":}",
        "{\"a\":1,}", "{,}", "{\"a\" 1}", "{\"a\":[1 2]}", "{\"a\":[,]}",
        "{\"a\":{},\"a\":{}", "{\"a", "{\"a\\", "{\"a\\u00",
    };
    static const char *const bad_limits[] = {
        "-1", "1.5", "1e3", "\"16\"", "null", "true", "[]", "{}",
        "-9223372036854775808", "18446744073709551616", "1e999",
    };
    static const char *const bad_writes[] = {
        "1", "0", "null", "\"true\"", "[]", "{}", "tru", "fals", "True",
        "true,\"write_multiple\":true", "false,\"write_multiple\":true",
    };
    static const char *const bad_ext[] = {
        "1", "null", "[]", "\"link\"", "{}", "{\"version\":\"1\"}",
        "{\"version\":1.0}", "{\"version\":null}", "{\"features\":[]}",
        "{\"version\":1,\"version\":1}", "{\"version\":1},\"" VFU_EP_KEY
        "\":{\"version\":1}",
        "{\"version\":1,\"features\":\"link\"}",
        "{\"version\":1,\"features\":{}}", "{\"version\":1,\"features\":1}",
    };
    static const char *const keys[] = { "max_msg_fds", "max_data_xfer_size" };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        refuse(rows[i], strlen(rows[i]) + 1);
    }
    for (size_t i = 0; i < 2 * ARRAY_SIZE(bad_limits); i++) {
        g_autofree char *json = g_strdup_printf(
            "{\"capabilities\":{\"%s\":%s}}", keys[i % 2], bad_limits[i / 2]);

        refuse(json, strlen(json) + 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_writes); i++) {
        g_autofree char *json = g_strdup_printf(
            "{\"capabilities\":{\"write_multiple\":%s}}", bad_writes[i]);

        refuse(json, strlen(json) + 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_ext); i++) {
        g_autofree char *json = g_strdup_printf(
            "{\"capabilities\":{\"" VFU_EP_KEY "\":%s}}", bad_ext[i]);

        refuse(json, strlen(json) + 1);
    }
    refuse("{\"capabilities\":{\"max_data_xfer_size\":0}}", 42);
    refuse("{\"capabilities\":{\"max_data_xfer_size\":7}}", 42);
}

/* What a newer peer may say is ignored, and limits are clamped. */
static void test_tolerated(void)
{
    static const struct {
        const char *ext;
        unsigned features;
    } rows[] = {
        { "{\"version\":2,\"features\":[\"link\"]}", 0 },
        { "{\"version\":0,\"features\":[\"link\"]}", 0 },
        { "{\"version\":-1}", 0 },
        { "{\"version\":10,\"features\":[\"link\"]}", 0 },
        { "{\"features\":[\"link\"],\"version\":1}", VFU_EP_FEATURE_LINK },
        { "{\"features\":[\"link\"],\"version\":2}", 0 },
        { "{\"x\":[{\"a\":[1,-0.5e+9,true,false,null,\"\\u00e9\\\"\xc3\xa9\"],"
          "\"b\" : { } }, [ ] ] , \"version\":1}", 0 },
        { "{\"version\":1}", 0 },
        { "{\"version\":1,\"features\":[]}", 0 },
        { "{\"version\":1,\"features\":[5,null,\"lin\",\"links\"]}", 0 },
        { "{\"version\":1,\"features\":[\"x\",\"link\",\"link\",[]]}",
          VFU_EP_FEATURE_LINK },
        { "{\"version\":1,\"features\":[\"intx\",\"remap\"],\"more\":{}}",
          VFU_EP_FEATURE_INTX | VFU_EP_FEATURE_REMAP },
    };
    EpwCaps caps;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        g_autofree char *why = NULL;
        g_autofree char *got = NULL;
        g_autofree char *json = g_strdup_printf(
            "{\"capabilities\":{\"" VFU_EP_KEY "\":%s},\"x\":1}",
            rows[i].ext);

        got = answer(1, json, strlen(json) + 1, &caps, &why);
        g_assert_cmpstr(why, ==, NULL);
        g_assert_nonnull(got);
        g_assert_cmpuint(caps.features, ==, rows[i].features);
    }
    expect_answer(0, "{\"capabilities\":{\"max_msg_fds\":1000000,"
                  "\"max_data_xfer_size\":18446744073709551615}}", LIMITS,
                  &caps);
    g_assert_cmpuint(caps.max_fds, ==, EPW_MAX_FDS);
    g_assert_cmpuint(caps.max_xfer, ==, EPW_MAX_XFER);
}

static void test_shape(void)
{
    g_autofree char *big = g_malloc(8192);
    EpwCaps caps;

    /* no NUL, NUL inside */
    refuse("{}", 2);
    refuse("{}\0", 4);
    refuse("{\0}", 4);

    /* as long as allowed and one more */
    memset(big, ' ', 8192);
    memcpy(big, "{}", 2);
    big[EPW_MAX_JSON - 1] = '\0';
    expect_answer(0, big, "{\"capabilities\":{}}", &caps);
    big[EPW_MAX_JSON - 1] = ' ';
    big[EPW_MAX_JSON] = '\0';
    refuse(big, EPW_MAX_JSON + 1);

    /* as deep as fits */
    memset(big, '[', 8192);
    big[EPW_MAX_JSON - 1] = '\0';
    refuse(big, EPW_MAX_JSON);
    for (int i = 0; i + 5 < EPW_MAX_JSON; i += 5) {
        memcpy(big + i, "{\"a\":", 5);
    }
    big[EPW_MAX_JSON - 2] = '1';
    refuse(big, EPW_MAX_JSON);

    /* nesting that is whole: some is fine, much is not */
    for (size_t depth = 10; depth <= 100; depth += 90) {
        g_autofree char *open = g_strnfill(depth, '[');
        g_autofree char *close = g_strnfill(depth, ']');
        g_autofree char *json = g_strdup_printf("{\"x\":%s%s}", open, close);

        if (depth == 10) {
            expect_answer(0, json, "{\"capabilities\":{}}", &caps);
        } else {
            refuse(json, strlen(json) + 1);
        }
    }
}

/* Cut anywhere, in a buffer that ends there */
static void test_truncated(void)
{
    g_autofree uint8_t *offer = NULL;
    size_t n;

    offer = epw_version_offer(ALL, &n);
    for (size_t len = 0; len < n; len++) {
        g_autofree uint8_t *p = g_memdup2(offer, len);
        Error *err = NULL;
        EpwCaps caps;
        bool ok = epw_version_accept(p, len, ALL, &caps, &err);

        g_assert_true(ok == (len == sizeof(VfuVersion)));
        g_assert_true(ok == !err);
        error_free(err);
    }
}

/* A server cannot switch on what was not offered. */
static void test_not_offered(void)
{
    g_autofree uint8_t *all = NULL;
    EpwCaps caps;
    size_t n;

    all = epw_version_offer(ALL, &n);
    for (unsigned offered = 0; offered <= ALL; offered++) {
        g_assert_true(epw_version_accept(all, n, offered, &caps,
                                         &error_abort));
        g_assert_cmpuint(caps.features, ==, offered);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epw/version/stock", test_stock);
    g_test_add_func("/epw/version/only-proposed", test_only_proposed);
    g_test_add_func("/epw/version/no-json", test_no_json);
    g_test_add_func("/epw/version/both-ours", test_both_ours);
    g_test_add_func("/epw/version/major", test_major);
    g_test_add_func("/epw/version/refused", test_refused);
    g_test_add_func("/epw/version/tolerated", test_tolerated);
    g_test_add_func("/epw/version/shape", test_shape);
    g_test_add_func("/epw/version/truncated", test_truncated);
    g_test_add_func("/epw/version/not-offered", test_not_offered);
    return g_test_run();
}
