/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket: the UNIX socket between the two QEMU processes
 *
 * The functions take no lock and may be called in any thread.
 */
#ifndef HW_PCI_EP_SHARED_SOCKET_H
#define HW_PCI_EP_SHARED_SOCKET_H

#include <sys/un.h>

/*
 * Returns false when @path is NULL, empty or longer than sun_path, when its
 * directory does not exist, or when there is a file that is no socket. A socket
 * that is absent is no error, and nobody needs to listen on one that exists.
 * Called when a device is realized and before bind(). A thread that connects
 * again and again does not call it: directory and socket may come and go.
 */
bool ep_socket_check_path(const char *path, Error **errp);

/*
 * Fills @addr with @path, for bind() or connect(). The caller, or the realize
 * function of its device, called ep_socket_check_path() before.
 */
void ep_socket_fill_address(const char *path, struct sockaddr_un *addr);

/*
 * Returns true when the process at the other end of the connected socket @fd
 * may talk to this one: it belongs to the same effective user or to root. Sets
 * *@uid to the user of that process, or to -1 when the kernel does not say.
 */
bool ep_socket_peer_allowed(int fd, uid_t *uid);

#endif /* HW_PCI_EP_SHARED_SOCKET_H */
