/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace events that do nothing, in place of what QEMU generates from
 * hw/pci-ep/trace-events
 */
#ifndef TESTS_UNIT_NO_TRACE_H
#define TESTS_UNIT_NO_TRACE_H

static inline void trace_epc_server_connect(const char *name, bool refused)
{
}

static inline void trace_epc_server_disconnect(const char *name,
                                               const char *why)
{
}

static inline void trace_epc_server_link(const char *name, const char *state,
                                         uint32_t generation)
{
}

static inline void trace_epc_server_remap(const char *name, unsigned region,
                                          int err)
{
}

#endif /* TESTS_UNIT_NO_TRACE_H */
