/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the wire: frame, check and version
 *
 * The first byte of the input picks what the rest is: bytes and descriptors
 * from a peer, or the payload of a VERSION.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "fuzz.h"
#include "hw/pci-ep/wire/wire.h"
#include "tests/qtest/pci-ep/vfu-msg.h"

#include <sys/socket.h>

const char fuzz_name[] = "wire";

/* A message that passed is what the layouts promise to its handler. */
static void check_accepted(const EpwMsg *m)
{
    size_t n = epw_msg_len(m);

    switch (m->hdr.command) {
    case VFU_CMD_DMA_MAP: {
        const VfuDmaMap *p = (const void *)m->payload;

        REQUIRE(n == sizeof(*p) && m->nfds <= 1 && p->size);
        REQUIRE(p->address + p->size > p->address);
        break;
    }
    case VFU_CMD_SET_IRQS: {
        const VfuSetIrqs *p = (const void *)m->payload;

        REQUIRE(n >= sizeof(*p) && (!m->nfds || m->nfds == p->count));
        REQUIRE(p->start + p->count >= p->start);
        break;
    }
    case VFU_CMD_REGION_WRITE: {
        const VfuRegionRw *p = (const void *)m->payload;

        REQUIRE(n == sizeof(*p) + p->count && p->count <= EPW_MAX_XFER);
        REQUIRE(p->offset + p->count > p->offset);
        break;
    }
    case VFU_CMD_DMA_WRITE: {
        const VfuDmaRw *p = (const void *)m->payload;

        REQUIRE(n == sizeof(*p) + p->count && p->count <= EPW_MAX_XFER);
        break;
    }
    default:
        REQUIRE(m->hdr.command == VFU_CMD_SET_IRQS || !m->nfds);
        break;
    }
}

/* False when the connection is over. */
static bool take_messages(EpwFrame *f, unsigned features)
{
    EpwMsg *m;
    int r;

    while ((r = epw_frame_recv(f, &m)) > 0) {
        uint8_t *p = m->payload;
        size_t n = epw_msg_len(m);

        REQUIRE(m->hdr.size >= sizeof(m->hdr) && m->hdr.size <= EPW_MAX_MSG);
        REQUIRE(m->nfds <= EPW_MAX_FDS && !p == !n);
        for (int role = EPW_SERVER; role <= EPW_CLIENT; role++) {
            if (epw_check_command(role, m, features, EPW_MAX_XFER) == 0) {
                check_accepted(m);
            }
        }
        epw_check_reply(m, m->hdr.command, 0, n);
        epw_msg_free(m);
    }
    return r == 0;
}

/*
 * Sends @n bytes, with @nfds copies of the socket itself attached. The target
 * reads all of them before it sends more, so the socket is never full.
 */
static void fuzz_send(int sock, const uint8_t *p, size_t n, unsigned nfds)
{
    int fds[32] = { -1 };

    for (unsigned i = 0; i < nfds; i++) {
        fds[i] = sock;
    }
    REQUIRE(vfu_msg_send_bytes(sock, p, n, fds, nfds));
}

/*
 * Steps of a byte each with its top bit set, the number of descriptors, or not,
 * the length of the piece that follows.
 */
static void fuzz_frame(const uint8_t *p, size_t n, unsigned features)
{
    unsigned nfds = 0;
    bool open = true;
    EpwFrame *f;
    int sv[2];

    vfu_msg_socketpair(sv);
    f = epw_frame_new(sv[1]);
    while (n && open) {
        uint8_t step = *p++;
        size_t len;

        n--;
        if (step & 0x80) {
            nfds = step & 0x1f;
            continue;
        }
        len = MIN(step, n);
        if (len) {
            fuzz_send(sv[0], p, len, nfds);
        }
        nfds = 0;
        p += len;
        n -= len;
        open = take_messages(f, features);
    }
    shutdown(sv[0], SHUT_WR);
    REQUIRE(!take_messages(f, features));
    epw_frame_free(f);
    close(sv[0]);
}

static void fuzz_version(const uint8_t *p, size_t n, unsigned features)
{
    Error *err = NULL;
    uint8_t *reply;
    EpwCaps caps;
    size_t len;

    REQUIRE(epw_version_accept(p, n, features, &caps, &err) == !err);
    error_free(err);
    err = NULL;
    reply = epw_version_answer(p, n, features, &caps, &len, &err);
    REQUIRE(!reply == !!err);
    error_free(err);
    if (reply) {
        EpwCaps client;

        REQUIRE(len <= sizeof(VfuVersion) + 194);
        REQUIRE(caps.max_fds <= EPW_MAX_FDS && caps.max_xfer <= EPW_MAX_XFER);
        REQUIRE((caps.features & ~features) == 0);
        REQUIRE(epw_version_accept(reply, len, features, &client, NULL));
        REQUIRE(client.features == caps.features);
        g_free(reply);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = NULL;
    unsigned features;

    if (size < 1) {
        return 0;
    }
    features = data[0] >> 1;
    /* to the byte, so that the address sanitizer sees what reads further */
    copy = g_memdup2(data + 1, size - 1);
    if (data[0] & 1) {
        fuzz_version(copy, size - 1, features);
    } else {
        fuzz_frame(copy, size - 1, features);
    }
    return 0;
}

/* ---- Inputs of its own ---- */

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

static void generate_message(FuzzBytes *out)
{
    uint8_t buf[64] = { 0 };
    VfuHeader hdr = {
        .id = fuzz_random(4),
        .flags = fuzz_random(8) ? 0 : fuzz_random(64),
    };
    size_t n = sizeof(hdr) + sizes[fuzz_random(ARRAY_SIZE(sizes))] +
               4 * !fuzz_random(4);
    size_t cut = fuzz_random(4) ? n : fuzz_random(n);

    hdr.command = fuzz_random(4) ? 1 + fuzz_random(14) :
                                   VFU_CMD_EP_LINK + fuzz_random(7);
    hdr.size = n;
    memcpy(buf, &hdr, sizeof(hdr));
    for (size_t i = sizeof(hdr); i + 4 <= n; i += 4) {
        memcpy(buf + i, &values[fuzz_random(ARRAY_SIZE(values))], 4);
    }
    if (n > sizeof(hdr) && fuzz_random(4)) {
        uint32_t argsz = n - sizeof(hdr);

        memcpy(buf + sizeof(hdr), &argsz, 4);
    }
    if (!fuzz_random(3)) {
        fuzz_add_u8(out, 0x80 | fuzz_random(fuzz_random(4) ? 3 : 20));
    }
    fuzz_add_u8(out, cut);
    fuzz_add(out, buf, cut);
    if (cut < n) {
        fuzz_add_u8(out, n - cut);
        fuzz_add(out, buf + cut, n - cut);
    }
}

void fuzz_generate(FuzzBytes *out)
{
    if (fuzz_random(2)) {
        fuzz_add_u8(out, fuzz_random(256) & ~1u);
        for (int i = fuzz_random(4); i >= 0; i--) {
            generate_message(out);
        }
    } else if (fuzz_random(2)) {
        size_t n;
        g_autofree uint8_t *offer = epw_version_offer(fuzz_random(128), &n);

        fuzz_add_u8(out, fuzz_random(256) | 1);
        fuzz_add(out, offer, n);
    } else {
        fuzz_add_u8(out, fuzz_random(256) | 1);
        fuzz_add(out, "\0\0\1\0{", 5);
        for (int i = fuzz_random(20); i >= 0; i--) {
            const char *word = words[fuzz_random(ARRAY_SIZE(words))];

            fuzz_add(out, word, strlen(word));
        }
        fuzz_add(out, "}}", 3);
    }
}
