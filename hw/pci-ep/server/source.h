/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * source: event sources of GLib's default context, which QEMU's main loop runs
 */
#ifndef HW_PCI_EP_SERVER_SOURCE_H
#define HW_PCI_EP_SERVER_SOURCE_H

/* Lets the main loop call @func for @source.  Returns @source. */
static inline GSource *epc_source_run(GSource *source, GSourceFunc func,
                                      void *opaque)
{
    g_source_set_callback(source, func, opaque, NULL);
    g_source_attach(source, NULL);
    return source;
}

/* Ends *@source and clears the pointer.  Main loop only. */
static inline void epc_source_drop(GSource **source)
{
    g_source_destroy(*source);
    g_source_unref(*source);
    *source = NULL;
}

#endif /* HW_PCI_EP_SERVER_SOURCE_H */
