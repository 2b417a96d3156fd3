/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scripted endpoint and a host machine linked to it
 */
#ifndef TESTS_QTEST_PCI_EP_FIXTURE_H
#define TESTS_QTEST_PCI_EP_FIXTURE_H

#include "pci-ep-host.h"
#include "pci-ep-server.h"

#define FIXTURE_DEADLINE_MS 1000

typedef struct Fixture {
    EpServer *ep;
    QTestState *q;
} Fixture;

/* Both run; the link is down */
void fixture_start(Fixture *f);
/* The same with a vCPU that runs @firmware */
void fixture_start_vcpu(Fixture *f, const char *args, const char *firmware);
/* An endpoint with more features, a host with more arguments; not linked yet */
void fixture_start_with(Fixture *f, unsigned features, const char *args);
/* The link comes up, and the function is there */
void fixture_link_up(Fixture *f, bool master);
/* The function is in the slot, with its BARs */
void fixture_start_up(Fixture *f, bool master);
void fixture_end(Fixture *f);

/* The guest sees what eps_new() describes */
void fixture_check_identity(QTestState *q);

#endif /* TESTS_QTEST_PCI_EP_FIXTURE_H */
