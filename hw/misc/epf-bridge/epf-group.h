/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-group: the functions of one endpoint
 *
 * A client for each; that of function 0 learns from its link which others there
 * are.  What is shown to the guest are the links of all of them, or nothing.
 * All functions: main loop.
 */
#ifndef HW_MISC_EPF_GROUP_H
#define HW_MISC_EPF_GROUP_H

#include "epf-client.h"

typedef struct EpfGroup EpfGroup;

/* As epf_client_new() */
EpfGroup *epf_group_new(const EpfClientConfig *cfg,
                        void (*changed)(void *opaque), void *opaque);
void epf_group_start(EpfGroup *g);

/*
 * The links that the guest should see, each referenced or NULL: all of them are
 * NULL until every function of the endpoint is there.  Tells the user when that
 * takes too long.
 */
void epf_group_get_links(EpfGroup *g, EpfLink *links[EPF_MAX_FUNCTIONS]);
void epf_group_put_links(EpfLink *links[EPF_MAX_FUNCTIONS]);

/* The client of function 0 */
EpfClient *epf_group_client(EpfGroup *g);
/* Messages sent and received so far by all */
uint64_t epf_group_messages(EpfGroup *g);
/* Interrupts that a thread of QEMU delivered */
uint64_t epf_group_interrupts(EpfGroup *g);

#endif /* HW_MISC_EPF_GROUP_H */
