/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands: commands of the client
 */
#ifndef HW_PCI_EP_SERVER_COMMANDS_H
#define HW_PCI_EP_SERVER_COMMANDS_H

#include "hw/pci-ep/server/conn.h"

/*
 * Carries out and answers any command but VERSION.  A client that has not sent
 * VERSION gets EINVAL and its session ends.  Reader thread.
 */
void epc_server_command(EpcConn *c, EpwMsg *msg, EpwRequest *token)
    EP_REQUIRES(&c->s->op_lock) EP_EXCLUDES(&c->s->lock);

#endif /* HW_PCI_EP_SERVER_COMMANDS_H */
