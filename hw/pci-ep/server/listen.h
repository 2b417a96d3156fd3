/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listen: the socket in the file system
 */
#ifndef HW_PCI_EP_SERVER_LISTEN_H
#define HW_PCI_EP_SERVER_LISTEN_H

#include "hw/pci-ep/server/server-int.h"

/*
 * Creates the socket at @s->path, listens on it and fills listen_fd, dev and
 * ino.  Called in the main loop.
 */
bool epc_server_listen(EpcServer *s, Error **errp);

/*
 * Is the file at @s->path still the socket on which @s listens?  False when
 * somebody has removed or replaced it.  Called in the main loop.
 */
bool epc_server_can_be_found(const EpcServer *s);

/* Closes the socket, and removes its file if it is still ours. */
void epc_server_unlisten(EpcServer *s);

#endif /* HW_PCI_EP_SERVER_LISTEN_H */
