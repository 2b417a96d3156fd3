/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake endpoint and a host machine that is linked to it
 */
#ifndef TESTS_QTEST_PCI_EP_FIXTURE_H
#define TESTS_QTEST_PCI_EP_FIXTURE_H

#include "machine-host.h"
#include "fake-endpoint.h"
#include "wait.h"

#define FIXTURE_DEADLINE_MS wait_scaled(1000)

typedef struct Fixture {
    FakeEp *ep;
    QTestState *q;
} Fixture;

/* Starts both. The link stays down. */
void fixture_start(Fixture *f);
/* The same with a vCPU that runs the file @firmware */
void fixture_start_vcpu(Fixture *f, const char *args, const char *firmware);
/* The same with more features of the endpoint and arguments of the host */
void fixture_start_with(Fixture *f, unsigned features, const char *args);
/* Brings the link up, waits for the function and gives it addresses. */
void fixture_link_up(Fixture *f, bool master);
/* fixture_start() and fixture_link_up() */
void fixture_start_up(Fixture *f, bool master);
void fixture_end(Fixture *f);

/* The configuration space is the one that fakeep_new() describes. */
void fixture_check_identity(QTestState *q);

#endif /* TESTS_QTEST_PCI_EP_FIXTURE_H */
