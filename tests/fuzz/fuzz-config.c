/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the configuration space and of the log of writes
 *
 * The endpoint describes a function and changes it, the host reads, writes and
 * resets it. All that the endpoint does is done to a second space as well,
 * which no host writes. After a reset both must be the same.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "fuzz.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/config/write-log.h"
#include "hw/pci-ep/pci-epc-regs.h"

const char fuzz_name[] = "config";

typedef struct FuzzConfig {
    EpcConfig cfg;
    EpcConfig twin;         /* the same without a host */
    EpcWriteLog log;
    unsigned logged;        /* writes in the log */
} FuzzConfig;

/* The kinds of steps; the first byte of a step picks one. */
enum {
    STEP_HEADER,
    STEP_BAR,
    STEP_MSI,
    STEP_MSIX,
    STEP_CAP,
    STEP_REGISTER,
    STEP_VFS,
    STEP_VF_BAR,
    STEP_MULTI,
    STEP_READ,
    STEP_WRITE,
    STEP_WRITE_WORD,
    STEP_RESET,
    STEP_LOG,
    STEP_COUNT,
};

/* ---- What always holds ---- */

/* Both lists of capabilities end, inside of their half of the space. */
static void check_lists(const EpcConfig *c)
{
    unsigned at = c->data[PCI_CAPABILITY_LIST], n = 0;
    uint32_t header;

    while (at) {
        REQUIRE(at >= EPC_CONFIG_PM && at < PCI_CFG_SPACE_SIZE && n++ < 48);
        at = c->data[at + PCI_CAP_LIST_NEXT];
    }
    at = PCI_CFG_SPACE_SIZE;
    for (n = 0; at; n++) {
        REQUIRE(at >= PCI_CFG_SPACE_SIZE && at <= EPC_CONFIG_SIZE - 4);
        REQUIRE(n <= (EPC_CONFIG_SIZE - PCI_CFG_SPACE_SIZE) / 4);
        header = ldl_le_p(c->data + at);
        at = header >> 20;
    }
}

static void check_queries(const EpcConfig *c)
{
    unsigned capable = epc_config_msi_capable(c);
    EpcSriov sriov = epc_config_sriov(c);
    bool masked;

    REQUIRE(capable <= EPC_MAX_MSI);
    REQUIRE(epc_config_msi_enabled(c) <= capable);
    REQUIRE(epc_config_msix_size(c) <= EPC_MAX_MSIX);
    REQUIRE(!epc_config_msix_enabled(c, &masked) || c->msix);
    REQUIRE(epc_config_dstate(c) == 0 || epc_config_dstate(c) == 3);
    REQUIRE(c->free <= PCI_CFG_SPACE_SIZE && c->ext_free <= EPC_CONFIG_SIZE);
    /* The host enables no more virtual functions than there are. */
    if (c->sriov && (sriov.control & PCI_SRIOV_CTRL_VFE)) {
        REQUIRE(sriov.num <= lduw_le_p(c->data + EPC_CONFIG_SRIOV +
                                       PCI_SRIOV_TOTAL_VF));
    }
}

/* ---- The endpoint, to both spaces, as endpoint/ does it ---- */

static void step_header(FuzzConfig *f, FuzzInput *in)
{
    EpcHeader h = {
        .vendor = fuzz_u8(in), .device = fuzz_u8(in),
        .class_rev = fuzz_u32(in), .int_pin = fuzz_u8(in) % 5,
    };

    epc_config_set_header(&f->cfg, &h);
    epc_config_set_header(&f->twin, &h);
}

static bool bar_fits(const EpcConfig *c, unsigned bar, uint32_t flags)
{
    bool wide = flags & EPC_BAR_FLAG_64;

    if (bar && c->bar_size[bar - 1] &&
        (c->data[PCI_BASE_ADDRESS_0 + 4 * (bar - 1)] &
         PCI_BASE_ADDRESS_MEM_TYPE_64)) {
        return false;
    }
    return !wide || (bar < EPC_NUM_BARS - 1 && !c->bar_size[bar + 1]);
}

static void step_bar(FuzzConfig *f, FuzzInput *in, bool virtual)
{
    unsigned bar = fuzz_u8(in) % EPC_NUM_BARS;
    uint32_t flags = fuzz_u8(in) & (EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH);
    unsigned max = flags & EPC_BAR_FLAG_64 ? 40 : 31;
    unsigned bit = 12 + fuzz_u8(in) % 30;
    uint64_t size = bit <= max ? 1ull << bit : 0;

    if (virtual) {
        if (f->cfg.sriov && size && (bar < 5 || !(flags & EPC_BAR_FLAG_64))) {
            epc_config_set_vf_bar(&f->cfg, bar, flags, size);
            epc_config_set_vf_bar(&f->twin, bar, flags, size);
        }
    } else if (!size || (!f->cfg.bar_size[bar] &&
                         bar_fits(&f->cfg, bar, flags))) {
        epc_config_set_bar(&f->cfg, bar, flags, size);
        epc_config_set_bar(&f->twin, bar, flags, size);
    }
}

static void step_msi(FuzzConfig *f, FuzzInput *in)
{
    unsigned n = fuzz_u8(in) % (EPC_MAX_MSI + 1);

    epc_config_set_msi(&f->cfg, n);
    epc_config_set_msi(&f->twin, n);
}

static void step_msix(FuzzConfig *f, FuzzInput *in)
{
    unsigned n = fuzz_u32(in) % (EPC_MAX_MSIX + 1);
    unsigned bar = fuzz_u8(in) % EPC_NUM_BARS;
    uint32_t table = fuzz_u32(in) & 0x7ffffff8;

    epc_config_set_msix(&f->cfg, n, bar, table, table + 16 * n);
    epc_config_set_msix(&f->twin, n, bar, table, table + 16 * n);
}

static void step_cap(FuzzConfig *f, FuzzInput *in)
{
    uint32_t id = fuzz_u32(in);
    uint64_t size = fuzz_value(in);
    unsigned at;

    /* Most ids that the input spells are not valid. */
    if (fuzz_u8(in) & 1) {
        id &= EPC_CAP_EXT | 0xff;
        size &= 0x3f;
    }
    if (!epc_config_cap_valid(id, size)) {
        return;
    }
    at = epc_config_add_cap(&f->cfg, id, size);
    REQUIRE(at == epc_config_add_cap(&f->twin, id, size));
    REQUIRE(at + size <= (id & EPC_CAP_EXT ? EPC_CONFIG_SIZE :
                                             PCI_CFG_SPACE_SIZE) || !at);
}

static void step_register(FuzzConfig *f, FuzzInput *in)
{
    uint64_t offset = fuzz_u8(in) & 1 ? fuzz_value(in) :
                      EPC_CONFIG_FREE + fuzz_u8(in);
    uint64_t size = fuzz_u8(in) & 1 ? 1u << fuzz_u8(in) % 3 : fuzz_value(in);
    uint32_t value = fuzz_u32(in), wmask = fuzz_u32(in);
    bool set = epc_config_set_register(&f->cfg, offset, size, value, wmask);

    REQUIRE(set == epc_config_set_register(&f->twin, offset, size, value,
                                           wmask));
}

static void step_vfs(FuzzConfig *f, FuzzInput *in)
{
    unsigned total = fuzz_u8(in) % 8;
    uint16_t device = fuzz_u8(in);

    /* START does this, and the host's registers were reset before. */
    if (f->cfg.sriov) {
        epc_config_reset(&f->cfg, EPC_CONFIG_RESET_POWER);
        epc_config_reset(&f->twin, EPC_CONFIG_RESET_POWER);
        epc_config_set_vfs(&f->cfg, total, device);
        epc_config_set_vfs(&f->twin, total, device);
    }
}

/* ---- The host ---- */

static void step_read(FuzzConfig *f, FuzzInput *in)
{
    uint32_t offset = fuzz_value(in), len = fuzz_value(in);
    g_autofree uint8_t *buf = g_malloc(MIN(len, EPC_CONFIG_SIZE) + 1);
    bool inside = (uint64_t)offset + len <= EPC_CONFIG_SIZE;

    REQUIRE(epc_config_read(&f->cfg, offset, buf, len) == inside);
}

static void log_wrote(void *opaque, unsigned offset, unsigned size,
                      uint32_t value)
{
    FuzzConfig *f = opaque;

    REQUIRE((size == 1 || size == 2 || size == 4) && !(offset & (size - 1)));
    REQUIRE(offset + size <= EPC_CONFIG_SIZE);
    REQUIRE(size == 4 || !(value >> 8 * size));
    epc_write_log_add(&f->log, offset, size, value);
    f->logged = MIN(f->logged + 1, EPC_FN_WRITES_MAX);
}

/* Only bits that the host may write or clear have changed. */
static void check_written(const EpcConfig *now, const EpcConfig *before)
{
    for (unsigned i = 0; i < EPC_CONFIG_SIZE; i++) {
        REQUIRE(!((now->data[i] ^ before->data[i]) &
                  ~(now->wmask[i] | now->w1cmask[i])));
    }
}

static void host_write(FuzzConfig *f, uint32_t offset, const uint8_t *buf,
                       uint32_t len)
{
    g_autofree EpcConfig *before = g_memdup2(&f->cfg, sizeof(f->cfg));
    bool inside = (uint64_t)offset + len <= EPC_CONFIG_SIZE;
    uint32_t events = ~0u;

    REQUIRE(epc_config_write(&f->cfg, offset, buf, len, &events) == inside);
    REQUIRE(!(events & ~EPC_FN_EVENT_ALL));
    check_written(&f->cfg, before);
    epc_config_added_writes(&f->cfg, offset, buf, len, log_wrote, f);
}

static void step_write(FuzzConfig *f, FuzzInput *in)
{
    uint32_t offset = fuzz_value(in), len = fuzz_value(in);
    uint32_t have = MIN(len, EPC_CONFIG_SIZE + 16);
    g_autofree uint8_t *buf = g_malloc0(have + 1);

    memset(buf, fuzz_u8(in), have);
    for (unsigned i = 0; i < have && in->left && i < 64; i++) {
        buf[i] = fuzz_u8(in);
    }
    if (len == have) {
        host_write(f, offset, buf, len);
    }
}

static void step_write_word(FuzzConfig *f, FuzzInput *in)
{
    uint32_t offset = fuzz_u8(in) | (fuzz_u8(in) & 0xf) << 8;
    uint32_t v = cpu_to_le32(fuzz_u32(in));

    host_write(f, MIN(offset, EPC_CONFIG_SIZE - 4), (uint8_t *)&v, 4);
}

/* The twin has nothing that the host wrote, and sticky bits stay. */
static void step_reset(FuzzConfig *f, FuzzInput *in)
{
    static const EpcConfigReset kinds[] = {
        EPC_CONFIG_RESET_POWER, EPC_CONFIG_RESET_HOT, EPC_CONFIG_RESET_FLR,
    };
    EpcConfigReset kind = kinds[fuzz_u8(in) % ARRAY_SIZE(kinds)];

    epc_config_reset(&f->cfg, kind);
    epc_config_reset(&f->twin, kind);
    REQUIRE(kind != EPC_CONFIG_RESET_POWER ||
            !memcmp(&f->cfg, &f->twin, sizeof(f->cfg)));
    for (unsigned i = 0; kind == EPC_CONFIG_RESET_POWER &&
                         i < EPC_CONFIG_SIZE; i++) {
        uint8_t host = f->cfg.wmask[i] | f->cfg.w1cmask[i];

        REQUIRE((f->cfg.data[i] & host) == (f->cfg.init[i] & f->cfg.wmask[i]));
    }
    epc_write_log_clear(&f->log);
    f->logged = 0;
    REQUIRE(!epc_write_log_info(&f->log));
}

/* ---- The endpoint reads the log ---- */

static void step_log(FuzzConfig *f, FuzzInput *in)
{
    uint8_t what = fuzz_u8(in);
    uint32_t info;

    if (what & 1) {
        info = epc_write_log_info(&f->log);
        REQUIRE(!!(info & EPC_WRITE_VALID) == !!f->logged);
    }
    if (what & 2) {
        bool shown = f->log.shown;

        epc_write_log_next(&f->log);
        f->logged -= shown && f->logged;
    }
    REQUIRE(f->log.count == f->logged);
}

static void run_step(FuzzConfig *f, FuzzInput *in)
{
    bool multi;

    switch (fuzz_u8(in) % STEP_COUNT) {
    case STEP_HEADER:
        step_header(f, in);
        break;
    case STEP_BAR:
        step_bar(f, in, false);
        break;
    case STEP_MSI:
        step_msi(f, in);
        break;
    case STEP_MSIX:
        step_msix(f, in);
        break;
    case STEP_CAP:
        step_cap(f, in);
        break;
    case STEP_REGISTER:
        step_register(f, in);
        break;
    case STEP_VFS:
        step_vfs(f, in);
        break;
    case STEP_VF_BAR:
        step_bar(f, in, true);
        break;
    case STEP_MULTI:
        multi = fuzz_u8(in) & 1;
        epc_config_set_multifunction(&f->cfg, multi);
        epc_config_set_multifunction(&f->twin, multi);
        break;
    case STEP_READ:
        step_read(f, in);
        break;
    case STEP_WRITE:
        step_write(f, in);
        break;
    case STEP_WRITE_WORD:
        step_write_word(f, in);
        break;
    case STEP_RESET:
        step_reset(f, in);
        break;
    case STEP_LOG:
        step_log(f, in);
        break;
    }
}

static void start(EpcConfig *c, uint8_t kind)
{
    unsigned speed = 1 + (kind >> 2) % 6;

    if ((kind & 3) == 1) {
        epc_config_init_vf(c, speed, 4);
    } else {
        epc_config_init(c, speed, 1u << (kind >> 5) % 6);
    }
    if ((kind & 3) == 2) {
        epc_config_add_sriov(c, 1 + kind % 8);
    }
    if (kind & 2) {
        epc_config_add_aer(c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree FuzzConfig *f = g_new0(FuzzConfig, 1);
    FuzzInput in = { data, size };
    uint8_t kind = fuzz_u8(&in);

    start(&f->cfg, kind);
    start(&f->twin, kind);
    while (in.left) {
        run_step(f, &in);
        check_lists(&f->cfg);
        check_queries(&f->cfg);
    }
    step_reset(f, &in);
    return 0;
}

void fuzz_generate(FuzzBytes *out)
{
    fuzz_add_u8(out, fuzz_random(256));
    for (unsigned i = 1 + fuzz_random(24); i; i--) {
        fuzz_add_u8(out, fuzz_random(STEP_COUNT));
        fuzz_add_random(out, fuzz_random(12));
    }
}
