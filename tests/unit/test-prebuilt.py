#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of kernels that a CI system built: image/prebuilt.py."""

import contextlib
import gzip
import http.server
import os
import shutil
import subprocess
import sys
import threading
import time

from kernel_tree import with_place
from python_tests import contains, equal, main, raises
from pciep import CannotRun
from pciep.image import kernels, prebuilt

RELEASE = '7.9.9'


def x86_image(word='good'):
    """Return what looks like a bzImage; the last line is for the stand-in."""
    head = bytearray(0x400)
    head[0x202:0x206] = b'HdrS'
    head[0x20e:0x210] = (0x100).to_bytes(2, 'little')
    head[0x300:0x300 + len(RELEASE)] = RELEASE.encode()
    return bytes(head) + f'\n{word}\n'.encode()


def arm_image():
    """Return what looks like an Image."""
    head = bytearray(0x400)
    head[0x38:0x3c] = b'ARM\x64'
    return bytes(head) + f'Linux version {RELEASE} (x)'.encode()


class Tree:
    """Files that a CI system published, and a cache."""

    def __init__(self, place):
        self.top = place.directory
        self.place = place
        self.said = []

    def image(self, content, name='bzImage'):
        """Write an image, and return its path."""
        path = os.path.join(self.top, name)
        with open(path, 'wb') as file:
            file.write(content)
        return path

    def tar(self, name='modules.tar', below='lib', dep=True, builtin=''):
        """Pack modules, and return the path of the tar."""
        root = os.path.join(self.top, f'root of {name}')
        tree = os.path.join(root, below, 'modules', RELEASE)
        os.makedirs(tree)
        for file, text in (('one.ko', 'x'), ('modules.builtin', builtin)):
            self.place.write(os.path.join(tree, file), text)
        if dep:
            self.place.write(os.path.join(tree, 'modules.dep'), 'one.ko:\n')
        path = os.path.join(self.top, name)
        subprocess.run(['tar', '-caf', path, '-C', root,
                        below.partition('/')[0]], check=True)
        return path


def with_tree(test):
    """Decorator: the test gets a Tree."""
    @with_place
    def run(place):
        test(Tree(place))
    return run


@contextlib.contextmanager
def server(directory, handle=None):
    """Serve a directory on the loopback address, and yield the URL."""
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=directory)

        def do_GET(self):
            if handle:
                handle(self)
            else:
                super().do_GET()

        def log_message(self, *_args):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        try:
            yield f'http://127.0.0.1:{httpd.server_port}'
        finally:
            httpd.shutdown()


@contextlib.contextmanager
def limits(**values):
    """Change constants of prebuilt for a while."""
    before = {name: getattr(prebuilt, name) for name in values}
    for name, value in values.items():
        setattr(prebuilt, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(prebuilt, name, value)


def content(path):
    """Return the bytes of a file."""
    with open(path, 'rb') as file:
        return file.read()


@with_tree
def test_images(tree):
    for data in (x86_image(), arm_image()):
        for packed in (data, gzip.compress(data)):
            path = prebuilt.image(tree.image(packed), tree.said.append)
            equal(content(path), data, 'the image')
            equal(kernels.read_release(path), RELEASE, 'its release')
    for data, why in ((b'\x7fELF' + bytes(2000), 'is no kernel image: give'),
                      (gzip.compress(x86_image())[:40], 'pack it again')):
        contains(raises(CannotRun, prebuilt.image, tree.image(data), print),
                 why, 'the error')


@with_tree
def test_tars(tree):
    for ending, program in (('tar', 'tar'), ('tar.gz', 'gzip'),
                            ('tar.xz', 'xz'), ('tar.zst', 'zstd')):
        if shutil.which(program):
            top = prebuilt.modules(tree.tar(f'm.{ending}'), print)
            found = kernels.find_modules(top, RELEASE)
            equal(list(found.path), ['one'], f'modules of .{ending}')
    top = prebuilt.modules(tree.tar('usr.tar', below='usr/lib'), print)
    equal(list(kernels.find_modules(top, RELEASE).path), ['one'], 'usr')
    top = prebuilt.modules(tree.tar('nodep.tar', dep=False), print)
    kernels.find_modules(top, RELEASE)


@with_tree
def test_wrong_tars(tree):
    path = tree.tar('m.tar.xz')
    whole = content(path)
    for data in (whole[:len(whole) // 2], b'<html>404</html>', b''):
        with open(path, 'wb') as file:
            file.write(data)
        error = raises(CannotRun, prebuilt.modules, path, print)
        equal(len(error.splitlines()), 1, f'lines of {error}')
        contains(error, r'm\.tar\.xz (is damaged or no tar \(.*pack it again'
                 '|has no lib/modules: pack what)', 'the error')
    path = tree.tar('other.tar', below='other')
    contains(raises(CannotRun, prebuilt.modules, path, print),
             'has no lib/modules: pack what "make modules_install', 'error')
    equal([name for name in os.listdir(prebuilt._top())
           if not name.startswith('image-')], [], 'what is left')


@with_tree
def test_driver_is_built_in(tree):
    top = prebuilt.modules(tree.tar(
        builtin='kernel/drivers/pci/controller/pcie-qemu-ep.ko\n'), print)
    image = prebuilt.image(tree.image(x86_image()), print)
    kernel = kernels.custom(tree.top, '7', image=image, moduledir=top)
    equal(kernel.driver(), None, 'the file of the driver')
    top = prebuilt.modules(tree.tar('none.tar'), print)
    kernel = kernels.custom(tree.top, '7', image=image, moduledir=top)
    contains(raises(CannotRun, kernel.driver), 'no pcie-qemu-ep.ko for the '
             r'endpoint kernel 7\.9\.9: .* among the modules', 'the error')


@with_tree
def test_urls(tree):
    tree.image(x86_image())
    with server(tree.top) as url:
        first = prebuilt.image(f'{url}/bzImage', tree.said.append)
        equal(content(first), x86_image(), 'the image')
        equal(prebuilt.image(f'{url}/bzImage', print), first, 'once more')
        tree.image(x86_image('other'))
        equal(content(prebuilt.image(f'{url}/bzImage', print)),
              x86_image('other'), 'another one at the same place')
        contains(raises(CannotRun, prebuilt.image, f'{url}/none', print),
                 'cannot download .*/none: 404 .*; check the URL', 'error')
    equal(tree.said, [f'downloading {url}/bzImage'], 'what is said')
    contains(raises(CannotRun, prebuilt.image, f'{url}/bzImage', print),
             'cannot download .*refused.*; check the URL', 'no server')


@with_tree
def test_url_that_does_not_answer(tree):
    done = threading.Event()

    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        while not done.wait(0.05):
            try:
                handler.wfile.write(b'x')
            except OSError:
                return

    def short(handler):
        handler.send_response(200)
        handler.send_header('Content-Length', '1000')
        handler.end_headers()
        handler.wfile.write(b'x')

    for handle, why in ((lambda _: done.wait(10), 'timed out'),
                        (drip, 'not complete within 0.5 s'),
                        (short, 'ended after 1 of 1000|IncompleteRead')):
        done.clear()
        began = time.monotonic()
        with server(tree.top, handle) as url, limits(SILENT=0.3, WHOLE=0.5):
            try:
                contains(raises(CannotRun, prebuilt.image, f'{url}/x', print),
                         f'cannot download http.*({why})', 'the error')
                equal(time.monotonic() - began < 5, True, 'soon')
            finally:
                done.set()
    with server(tree.top) as url, limits(MOST=10):
        tree.image(x86_image())
        contains(raises(CannotRun, prebuilt.image, f'{url}/bzImage', print),
                 'has more than', 'the error')


@with_tree
def test_cache_is_bounded(tree):
    with limits(_KEPT=2, _RECENT=-1):
        for number in range(5):
            prebuilt.image(tree.image(x86_image(f'{number}')), print)
    equal(len(os.listdir(prebuilt._top())), 2, 'kernels that are kept')


@with_tree
def test_runs(tree):
    """Each kernel ends a run with one line and a status."""
    tree.place.add_programs()
    good = tree.image(x86_image())
    arm = tree.image(arm_image(), 'Image')
    tar = tree.tar(builtin='pcie-qemu-ep.ko\n')
    wrong = tree.image(b'no tar', 'x.tar')
    for args, status, pattern in (
            (['--kernel-image', good, '--modules-tar', tar], 0, 'PASSED'),
            (['--kernel-image', arm], 2, 'is a kernel for arm64 and the'),
            (['--kernel-image', wrong], 2, 'is no kernel image: give the bz'),
            (['--kernel-image', good, '--modules-tar', wrong], 2, 'damaged'),
            (['--kernel-image', good], 2, 'no pcie-qemu-ep.ko for the end'),
            (['--kernel-image', 'http://127.0.0.1:1/x'], 2, 'cannot downl'),
            (['--kernel-image', 'ftp://x/y'], 2, 'a URL of http or https'),
            (['--kernel-image', '/none'], 2, 'no file /none: check the'),
            (['--modules-tar', tar], 2, '--modules-tar needs --kernel-im'),
            (['--kernel-image', good, '--kernel-src', '/'], 2, 'exclude')):
        seen, out = tree.place.run(*args)
        equal(seen, status, f'exit status of {args}; output:\n{out}')
        contains(out, pattern, f'output of {args}')
        if status:
            lines = [x for x in out.splitlines() if 'pci-ep-run: ' in x]
            equal(len(lines), 1, f'lines that say why: {lines}')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
