/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server-listen: the socket in the file system
 *
 * The file is private to its user from the moment it exists, a file that a dead
 * QEMU left behind is replaced, one that somebody listens on is not, and only a
 * file that is still ours is removed.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "hw/pci-ep/epc-server-int.h"

#define EPC_SERVER_BACKLOG 8

static void set_bind_error(Error **errp, const char *path, int err)
{
    g_autofree char *dir = g_path_get_dirname(path);

    switch (err) {
    case ENOENT:
        error_setg(errp, "directory %s does not exist: create it", dir);
        break;
    case ENOTDIR:
        error_setg(errp, "%s is not a directory: choose another socket path",
                   dir);
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        error_setg(errp, "no permission to create socket %s: choose a "
                   "directory that you may write to", path);
        break;
    default:
        error_setg_errno(errp, err, "cannot create socket %s: choose another "
                         "path", path);
    }
}

/* True when the file at @addr is a socket that nobody listens on. */
static bool is_stale(const struct sockaddr_un *addr, Error **errp)
{
    struct stat st;
    int fd, err;

    if (lstat(addr->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        error_setg(errp, "%s exists and is not a socket: choose another path "
                   "or remove it", addr->sun_path);
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        set_bind_error(errp, addr->sun_path, errno);
        return false;
    }
    err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? errno : 0;
    close(fd);

    switch (err) {
    case ECONNREFUSED:
    case ENOENT:
        return true;
    case EACCES:
    case EPERM:
        error_setg(errp, "socket %s belongs to another user: choose another "
                   "path", addr->sun_path);
        return false;
    default:
        error_setg(errp, "socket %s is in use by a running QEMU: choose "
                   "another path or stop it", addr->sun_path);
        return false;
    }
}

static bool bind_at(int fd, const struct sockaddr_un *addr, Error **errp)
{
    const struct sockaddr *sa = (const struct sockaddr *)addr;

    /* Before bind(), so that the file never has another mode. */
    if (fchmod(fd, 0600) < 0) {
        set_bind_error(errp, addr->sun_path, errno);
        return false;
    }
    if (bind(fd, sa, sizeof(*addr)) == 0) {
        return true;
    }
    if (errno != EADDRINUSE) {
        set_bind_error(errp, addr->sun_path, errno);
        return false;
    }
    if (!is_stale(addr, errp)) {
        return false;
    }
    if (unlink(addr->sun_path) < 0 && errno != ENOENT) {
        error_setg_errno(errp, errno, "cannot remove the old socket %s: "
                         "remove it or choose another path", addr->sun_path);
        return false;
    }
    if (bind(fd, sa, sizeof(*addr)) < 0) {
        set_bind_error(errp, addr->sun_path, errno);
        return false;
    }
    return true;
}

bool epc_server_listen(EpcServer *s, Error **errp)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct stat st;
    int fd;

    if (!*s->path) {
        error_setg(errp, "the socket path is empty: give one");
        return false;
    }
    if (strlen(s->path) >= sizeof(addr.sun_path)) {
        error_setg(errp, "socket path %s is too long: use at most %zu bytes",
                   s->path, sizeof(addr.sun_path) - 1);
        return false;
    }
    pstrcpy(addr.sun_path, sizeof(addr.sun_path), s->path);

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        set_bind_error(errp, s->path, errno);
        return false;
    }
    if (!bind_at(fd, &addr, errp)) {
        close(fd);
        return false;
    }
    if (listen(fd, EPC_SERVER_BACKLOG) < 0 || lstat(s->path, &st) < 0) {
        set_bind_error(errp, s->path, errno);
        unlink(s->path);
        close(fd);
        return false;
    }
    s->listen_fd = fd;
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    return true;
}

void epc_server_unlisten(EpcServer *s)
{
    struct stat st;

    if (s->listen_fd < 0) {
        return;
    }
    if (lstat(s->path, &st) == 0 && st.st_dev == s->dev &&
        st.st_ino == s->ino) {
        unlink(s->path);
    }
    close(s->listen_fd);
    s->listen_fd = -1;
}

bool epc_server_peer_allowed(int fd, uid_t *uid)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    *uid = -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
        return false;
    }
    *uid = cred.uid;
    return cred.uid == geteuid() || cred.uid == 0;
}
