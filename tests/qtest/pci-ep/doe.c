/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DOE mailboxes: the driver of the endpoint that answers objects
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "doe.h"
#include "wait.h"

uint32_t doe_add(EpVm *e, uint32_t irq)
{
    epvm_set_fn_reg(e, EPC_FN_VALUE, irq);
    return epvm_command(e, EPC_CMD_ADD_DOE);
}

unsigned doe_must_add(EpVm *e, uint32_t irq)
{
    g_assert_cmpuint(doe_add(e, irq), ==, EPC_STATUS_OK);
    epvm_set_fn_reg(e, EPC_FN_DOE_PROTOCOL(0),
                    DOE_KIND | EPC_DOE_PROTOCOL_VALID);
    return epvm_fn_reg(e, EPC_FN_CAP_OFFSET);
}

uint32_t doe_command(EpVm *e, uint32_t cmd)
{
    epvm_set_fn_reg(e, EPC_FN_DOE_CMD, cmd);
    return epvm_fn_reg(e, EPC_FN_DOE_RESULT);
}

uint32_t doe_copy(EpVm *e, uint32_t cmd, uint32_t token, uint32_t offset,
                  uint32_t count)
{
    epvm_set_fn_reg(e, EPC_FN_DOE_TOKEN, token);
    epvm_set_fn_reg64(e, EPC_FN_DOE_ADDR, DOE_BUFFER);
    epvm_set_fn_reg(e, EPC_FN_DOE_OFFSET, offset);
    epvm_set_fn_reg(e, EPC_FN_DOE_COUNT, count);
    return doe_command(e, cmd);
}

uint32_t doe_wait_object(EpVm *e)
{
    wait_until(epvm_fn_reg(e, EPC_FN_DOE_OBJECT), "an object");
    return epvm_fn_reg(e, EPC_FN_DOE_OBJECT);
}

uint32_t doe_dword(uint32_t seed, uint32_t len, uint32_t i)
{
    if (i < 2) {
        return i ? len & (EPC_DOE_MAX_LENGTH - 1) : DOE_KIND;
    }
    return (seed + i) * 2654435761u;
}

void doe_expect_object(EpVm *e, uint32_t token, uint32_t seed, uint32_t len)
{
    g_autofree uint8_t *raw = g_malloc(EPC_DOE_COPY_MAX * 4);
    uint32_t n;

    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_DOE_LENGTH), ==, len);
    for (uint32_t at = 0; at < len; at += n) {
        n = MIN(len - at, EPC_DOE_COPY_MAX);
        g_assert_cmpuint(doe_copy(e, EPC_DOE_FETCH, token, at, n), ==,
                         EPC_STATUS_OK);
        qtest_memread(e->q, DOE_BUFFER, raw, n * 4);
        for (uint32_t i = 0; i < n; i++) {
            g_assert_cmphex((uint32_t)ldl_le_p(raw + 4 * i), ==,
                            doe_dword(seed, len, at + i));
        }
    }
}

void doe_store(EpVm *e, uint32_t token, uint32_t seed, uint32_t len)
{
    g_autofree uint8_t *raw = g_malloc(EPC_DOE_COPY_MAX * 4);
    uint32_t n;

    for (uint32_t at = 0; at < len; at += n) {
        n = MIN(len - at, EPC_DOE_COPY_MAX);
        for (uint32_t i = 0; i < n; i++) {
            stl_le_p(raw + 4 * i, doe_dword(seed, len, at + i));
        }
        qtest_memwrite(e->q, DOE_BUFFER, raw, n * 4);
        g_assert_cmpuint(doe_copy(e, EPC_DOE_STORE, token, at, n), ==,
                         EPC_STATUS_OK);
    }
}
