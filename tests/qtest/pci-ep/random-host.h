/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random hosts: threads that attach to a controller and send anything
 */
#ifndef TESTS_QTEST_PCI_EP_RANDOM_HOST_H
#define TESTS_QTEST_PCI_EP_RANDOM_HOST_H

typedef struct RandomHosts RandomHosts;

/* Starts @n threads, one for each function of the controller at @socket. */
RandomHosts *random_hosts_start(const char *socket, unsigned n);
/* Ends all sessions and threads. Returns the messages that they sent. */
unsigned random_hosts_stop(RandomHosts *h);

#endif /* TESTS_QTEST_PCI_EP_RANDOM_HOST_H */
