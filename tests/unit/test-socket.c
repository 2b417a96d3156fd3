/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of shared/socket.c
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/socket.h>
#include "qapi/error.h"
#include "hw/pci-ep/shared/socket.h"

#define OTHER_USER 12345

static char *dir;

static void assert_refused(const char *path, const char *text)
{
    Error *err = NULL;

    g_assert_false(ep_socket_check_path(path, &err));
    if (!strstr(error_get_pretty(err), text)) {
        g_error("'%s' does not say '%s'", error_get_pretty(err), text);
    }
    error_free(err);
}

static void assert_accepted(const char *path)
{
    struct sockaddr_un addr;

    g_assert_true(ep_socket_check_path(path, &error_abort));
    memset(&addr, 0xff, sizeof(addr));
    ep_socket_fill_address(path, &addr);
    g_assert_cmpint(addr.sun_family, ==, AF_UNIX);
    g_assert_cmpstr(addr.sun_path, ==, path);
}

static void test_length(void)
{
    size_t max = sizeof_field(struct sockaddr_un, sun_path) - 1;
    g_autofree char *longest = g_strnfill(max, 'x');
    g_autofree char *longer = g_strnfill(max + 1, 'x');

    assert_refused(NULL, "is empty");
    assert_refused("", "is empty");
    assert_refused(longer, "longer than 107 bytes");
    assert_accepted(longest);
}

static void test_directory(void)
{
    g_autofree char *sock = g_build_filename(dir, "sock", NULL);
    g_autofree char *none = g_build_filename(dir, "none", "sock", NULL);
    g_autofree char *file = g_build_filename(dir, "file", NULL);
    g_autofree char *below = g_build_filename(file, "sock", NULL);

    assert_accepted(sock);
    assert_refused(none, "none does not exist");
    g_assert_true(g_file_set_contents(file, "x", 1, NULL));
    assert_refused(below, "file is not a directory");
    assert_refused(file, "exists and is not a socket");
    g_assert_cmpint(g_unlink(file), ==, 0);
}

/* A socket that exists is accepted, whether or not somebody listens on it. */
static void test_socket(void)
{
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    struct sockaddr_un addr;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ep_socket_fill_address(path, &addr);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    assert_accepted(path);
    close(fd);
    assert_accepted(path);
    g_assert_cmpint(g_unlink(path), ==, 0);
}

static int connect_errno(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un addr;
    int err;

    ep_socket_fill_address(path, &addr);
    err = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? errno : 0;
    close(fd);
    return err;
}

/*
 * To connect needs no check of the path: where the directory or the socket is
 * absent, connect() gives an error that passes.
 */
static void test_absent(void)
{
    g_autofree char *sock = g_build_filename(dir, "sock", NULL);
    g_autofree char *none = g_build_filename(dir, "none", "sock", NULL);

    g_assert_cmpint(connect_errno(sock), ==, ENOENT);
    g_assert_cmpint(connect_errno(none), ==, ENOENT);
    g_assert_true(g_file_set_contents(sock, "x", 1, NULL));
    g_assert_cmpint(connect_errno(sock), ==, ECONNREFUSED);
    g_assert_cmpint(g_unlink(sock), ==, 0);
}

static void test_peer(void)
{
    int fd[2];
    uid_t uid;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), ==, 0);
    g_assert_true(ep_socket_peer_allowed(fd[0], &uid));
    g_assert_cmpuint(uid, ==, geteuid());
    close(fd[0]);
    close(fd[1]);
    g_assert_false(ep_socket_peer_allowed(fd[0], &uid));
    g_assert_cmpuint(uid, ==, (uid_t)-1);
}

/* Of two users only root may talk to the other one. */
static void test_other_user(void)
{
    int of_root[2], of_other[2];
    uid_t uid;

    if (geteuid()) {
        g_test_skip("needs root");
        return;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, of_root), ==, 0);
    g_assert_cmpint(seteuid(OTHER_USER), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, of_other), ==, 0);
    g_assert_true(ep_socket_peer_allowed(of_root[0], &uid));
    g_assert_cmpuint(uid, ==, 0);
    g_assert_true(ep_socket_peer_allowed(of_other[0], &uid));
    g_assert_cmpint(seteuid(0), ==, 0);
    g_assert_false(ep_socket_peer_allowed(of_other[0], &uid));
    g_assert_cmpuint(uid, ==, OTHER_USER);
    for (unsigned i = 0; i < 2; i++) {
        close(of_root[i]);
        close(of_other[i]);
    }
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("test-socket-XXXXXX", NULL);
    g_assert_nonnull(dir);
    g_test_add_func("/socket/length", test_length);
    g_test_add_func("/socket/directory", test_directory);
    g_test_add_func("/socket/socket", test_socket);
    g_test_add_func("/socket/absent", test_absent);
    g_test_add_func("/socket/peer", test_peer);
    g_test_add_func("/socket/other-user", test_other_user);
    ret = g_test_run();
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(dir);
    return ret;
}
