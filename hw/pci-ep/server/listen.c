/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listen: the socket in the file system
 *
 * The socket is private to its user from the moment its file exists. A socket
 * that nobody listens on was left behind by a QEMU that is dead, and is
 * replaced. A socket that is in use, and a file that is no socket, are errors.
 * epc_server_unlisten() removes the file only if it is still the one that
 * epc_server_listen() created.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "qapi/error.h"
#include "hw/pci-ep/server/listen.h"
#include "hw/pci-ep/shared/socket.h"
#include "hw/pci-ep/wire/closer.h"

/* Connections that the kernel queues until the main loop accepts them */
#define EPC_SERVER_BACKLOG 8

static void listen_error(Error **errp, const char *path, int err)
{
    ERRP_GUARD();
    error_setg_errno(errp, err, "cannot create socket %s", path);
    if (err == EACCES || err == EPERM || err == EROFS) {
        error_append_hint(errp, "Choose a directory that you may write to.\n");
    }
}

/*
 * Returns true when the file at @addr is a socket that nobody listens on, so
 * that it may be removed.
 */
static bool listen_is_stale(const struct sockaddr_un *addr, Error **errp)
{
    const char *path = addr->sun_path;
    struct stat st;
    int fd, err;

    ERRP_GUARD();
    /* connect() would follow a symbolic link, which is somebody else's. */
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        error_setg(errp, "%s exists and is not a socket", path);
        error_append_hint(errp, "Remove the file, or choose another path.\n");
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        listen_error(errp, path, errno);
        return false;
    }
    err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? errno : 0;
    epw_close(fd);

    switch (err) {
    case ECONNREFUSED:
    case ENOENT:
        return true;
    case EACCES:
    case EPERM:
        error_setg(errp, "socket %s belongs to another user", path);
        error_append_hint(errp, "Choose another path.\n");
        return false;
    default:
        error_setg(errp, "socket %s is in use by a running QEMU", path);
        error_append_hint(errp, "Choose another path, or stop that QEMU.\n");
        return false;
    }
}

static bool listen_bind(int fd, const struct sockaddr_un *addr, Error **errp)
{
    const struct sockaddr *sa = (const struct sockaddr *)addr;

    ERRP_GUARD();
    /* Before bind(), so that the file never has another mode */
    if (fchmod(fd, 0600) < 0) {
        listen_error(errp, addr->sun_path, errno);
        return false;
    }
    if (bind(fd, sa, sizeof(*addr)) == 0) {
        return true;
    }
    if (errno != EADDRINUSE) {
        listen_error(errp, addr->sun_path, errno);
        return false;
    }
    if (!listen_is_stale(addr, errp)) {
        return false;
    }
    if (unlink(addr->sun_path) < 0 && errno != ENOENT) {
        error_setg_errno(errp, errno, "cannot remove the old socket %s",
                         addr->sun_path);
        error_append_hint(errp, "Remove it, or choose another path.\n");
        return false;
    }
    if (bind(fd, sa, sizeof(*addr)) < 0) {
        listen_error(errp, addr->sun_path, errno);
        return false;
    }
    return true;
}

bool epc_server_listen(EpcServer *s, Error **errp)
{
    struct sockaddr_un addr;
    struct stat st;
    int fd;

    if (!ep_socket_check_path(s->path, errp)) {
        return false;
    }
    ep_socket_fill_address(s->path, &addr);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        listen_error(errp, s->path, errno);
        return false;
    }
    if (!listen_bind(fd, &addr, errp)) {
        close(fd);
        return false;
    }
    if (listen(fd, EPC_SERVER_BACKLOG) < 0 || lstat(s->path, &st) < 0) {
        listen_error(errp, s->path, errno);
        unlink(s->path);
        epw_close(fd);
        return false;
    }
    s->listen_fd = fd;
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    return true;
}

bool epc_server_can_be_found(const EpcServer *s)
{
    struct stat st;

    return s->listen_fd >= 0 && lstat(s->path, &st) == 0 &&
           st.st_dev == s->dev && st.st_ino == s->ino;
}

void epc_server_unlisten(EpcServer *s)
{
    if (s->listen_fd < 0) {
        return;
    }
    if (epc_server_can_be_found(s)) {
        unlink(s->path);
    }
    /* Clients that nobody accepted may have passed descriptors already. */
    epw_close(s->listen_fd);
    s->listen_fd = -1;
}
