/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket: the UNIX socket between the two QEMU processes
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "hw/pci-ep/shared/socket.h"

static bool socket_check_length(const char *path, Error **errp)
{
    size_t max = sizeof_field(struct sockaddr_un, sun_path) - 1;

    ERRP_GUARD();
    if (!path || !*path) {
        error_setg(errp, "the socket path is empty");
        return false;
    }
    if (strlen(path) > max) {
        error_setg(errp, "socket path %s is longer than %zu bytes", path, max);
        error_append_hint(errp, "Use a shorter path on both sides.\n");
        return false;
    }
    return true;
}

static bool socket_check_directory(const char *path, Error **errp)
{
    g_autofree char *dir = g_path_get_dirname(path);

    ERRP_GUARD();
    if (g_file_test(dir, G_FILE_TEST_IS_DIR)) {
        return true;
    }
    if (g_file_test(dir, G_FILE_TEST_EXISTS)) {
        error_setg(errp, "%s is not a directory", dir);
    } else {
        error_setg(errp, "directory %s does not exist", dir);
    }
    error_append_hint(errp, "Create the directory, or choose another socket "
                      "path.\n");
    return false;
}

bool ep_socket_check_path(const char *path, Error **errp)
{
    struct stat st;

    ERRP_GUARD();
    if (!socket_check_length(path, errp) ||
        !socket_check_directory(path, errp)) {
        return false;
    }
    if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        error_setg(errp, "%s exists and is not a socket", path);
        error_append_hint(errp, "Remove the file, or choose another socket "
                          "path on both sides.\n");
        return false;
    }
    return true;
}

void ep_socket_fill_address(const char *path, struct sockaddr_un *addr)
{
    *addr = (struct sockaddr_un) { .sun_family = AF_UNIX };
    pstrcpy(addr->sun_path, sizeof(addr->sun_path), path);
}

bool ep_socket_peer_allowed(int fd, uid_t *uid)
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
