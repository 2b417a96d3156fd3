# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the initramfs of a guest: a newc cpio archive, made from scratch for every run.

Made at run time because each run has its own modules, files and settings, and
writing a few megabytes is quicker than any cache would be to get right.
"""

import os
import stat

from . import CannotRun


class Archive:
    """Collects entries, writes them in newc format (early-userspace/buffer-format)."""

    def __init__(self):
        self.entries = {}  # path in the guest -> (mode, data, rdev)

    def _parents(self, path):
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self.directory(parent)

    def directory(self, path, mode=0o755):
        path = path.strip('/')
        if path:
            self._parents(path)
            self.entries.setdefault(path, (stat.S_IFDIR | mode, b'', (0, 0)))

    def data(self, path, data, mode=0o644):
        path = path.strip('/')
        self._parents(path)
        if isinstance(data, str):
            data = data.encode()
        self.entries[path] = (stat.S_IFREG | mode, data, (0, 0))

    def device(self, path, major, minor, mode=0o600):
        path = path.strip('/')
        self._parents(path)
        self.entries[path] = (stat.S_IFCHR | mode, b'', (major, minor))

    def symlink(self, path, target):
        path = path.strip('/')
        self._parents(path)
        self.entries[path] = (stat.S_IFLNK | 0o777, target.encode(), (0, 0))

    def file(self, path, source):
        """A file or a whole directory from this machine."""
        if os.path.isdir(source):
            self.directory(path)
            for name in sorted(os.listdir(source)):
                self.file(os.path.join(path, name), os.path.join(source, name))
            return
        if os.path.islink(source) and not os.path.exists(source):
            self.symlink(path, os.readlink(source))
            return
        try:
            with open(source, 'rb') as f:
                mode = stat.S_IMODE(os.fstat(f.fileno()).st_mode)
                self.data(path, f.read(), mode | 0o400)
        except OSError as e:
            raise CannotRun(
                f'cannot read {source} for the guest: {e.strerror}; ' 'check the path'
            ) from e

    @staticmethod
    def _record(out, ino, path, mode, data, rdev):
        name = path.encode() + b'\0'
        fields = (ino, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0)
        head = b'070701' + b''.join(b'%08x' % f for f in fields) + name
        out.write(head + b'\0' * (-len(head) % 4))
        out.write(data)
        out.write(b'\0' * (-len(data) % 4))

    def write(self, filename):
        partial = filename + '.part'
        with open(partial, 'wb') as out:
            # A parent sorts before its children, and the kernel wants it first.
            for ino, path in enumerate(sorted(self.entries), 1):
                self._record(out, ino, path, *self.entries[path])
            self._record(out, 0, 'TRAILER!!!', 0, b'', (0, 0))
        os.replace(partial, filename)


def find_busybox():
    for path in (os.environ.get('PCI_EP_BUSYBOX'), '/bin/busybox', '/usr/bin/busybox'):
        if path and os.access(path, os.R_OK):
            with open(path, 'rb') as f:
                # A dynamic one names its loader in the first page; it cannot run there.
                if b'/ld-' not in f.read(4096):
                    return path
    raise CannotRun(
        'no static busybox for the guests: install the package busybox-static '
        '(or name one in PCI_EP_BUSYBOX)'
    )


def base(guest_scripts):
    """What every guest has: busybox, a console node, our scripts."""
    ar = Archive()
    for d in ('proc', 'sys', 'dev', 'tmp', 'run', 'etc', 'root', 'lib/modules'):
        ar.directory(d)
    ar.device('dev/console', 5, 1)
    ar.device('dev/null', 1, 3, 0o666)
    ar.file('bin/busybox', find_busybox())
    ar.symlink('bin/sh', 'busybox')
    ar.symlink('sbin', 'bin')
    ar.data('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n')
    ar.data('etc/hosts', '127.0.0.1 localhost\n')
    ar.file('pciep', guest_scripts)
    ar.symlink('init', 'pciep/init')
    return ar
