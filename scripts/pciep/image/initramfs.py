# SPDX-License-Identifier: GPL-2.0-or-later
"""
The initramfs of a guest: a newc cpio archive, written for every run.

Each run has its own modules, files and settings.  Writing a few megabytes
takes less time than a cache would save.
"""

import os
import stat
from typing import BinaryIO, Dict, NamedTuple, Tuple, Union

from .. import CannotRun


class Entry(NamedTuple):
    """A file, directory, link or device node in the archive."""
    mode: int
    data: bytes = b''
    device: Tuple[int, int] = (0, 0)


class Archive:
    """
    Collects entries and writes them.

    The format is that of driver-api/early-userspace/buffer-format.rst in
    the documentation of Linux.
    """

    def __init__(self) -> None:
        self.entries: Dict[str, Entry] = {}  # by path in the guest

    def _add(self, path: str, entry: Entry) -> None:
        path = path.strip('/')
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self.directory(parent)
        self.entries[path] = entry

    def directory(self, path: str) -> None:
        """Add a directory unless it is there."""
        if path.strip('/') and path.strip('/') not in self.entries:
            self._add(path, Entry(stat.S_IFDIR | 0o755))

    def data(self, path: str, data: Union[str, bytes],
             mode: int = 0o644) -> None:
        """Add a file with the given contents."""
        if isinstance(data, str):
            data = data.encode()
        self._add(path, Entry(stat.S_IFREG | mode, data))

    def device(self, path: str, major: int, minor: int,
               mode: int = 0o600) -> None:
        """Add the node of a character device."""
        self._add(path, Entry(stat.S_IFCHR | mode, b'', (major, minor)))

    def symlink(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(path, Entry(stat.S_IFLNK | 0o777, target.encode()))

    def file(self, path: str, source: str) -> None:
        """Add a file or a whole directory of this machine."""
        if os.path.isdir(source):
            self.directory(path)
            for name in sorted(os.listdir(source)):
                self.file(os.path.join(path, name),
                          os.path.join(source, name))
            return
        if os.path.islink(source) and not os.path.exists(source):
            self.symlink(path, os.readlink(source))
            return
        try:
            with open(source, 'rb') as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                self.data(path, file.read(), mode | 0o400)
        except OSError as error:
            raise CannotRun(
                f'cannot read {source} for the guest: {error.strerror}; '
                'check the path') from error

    @staticmethod
    def _record(out: BinaryIO, ino: int, path: str, entry: Entry) -> None:
        name = path.encode() + b'\0'
        fields = (ino, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0,
                  *entry.device, len(name), 0)
        head = b'070701' + b''.join(b'%08x' % f for f in fields) + name
        out.write(head + b'\0' * (-len(head) % 4))
        out.write(entry.data + b'\0' * (-len(entry.data) % 4))

    def write(self, filename: str) -> None:
        """Write the archive, under another name until it is complete."""
        partial = filename + '.part'
        with open(partial, 'wb') as out:
            # The kernel wants a directory before what is in it.  A parent
            # sorts before its children.
            for ino, path in enumerate(sorted(self.entries), 1):
                self._record(out, ino, path, self.entries[path])
            self._record(out, 0, 'TRAILER!!!', Entry(0))
        os.replace(partial, filename)


def find_busybox(root: str = '') -> str:
    """
    Return the path of a busybox that is linked statically.

    :param root: Directory with the programs of another architecture.
    """
    own = os.environ.get('PCI_EP_BUSYBOX') if not root else None
    for path in [own] if own else [f'{root}/bin/busybox',
                                   f'{root}/usr/bin/busybox']:
        if os.path.isfile(path) and os.access(path, os.R_OK):
            with open(path, 'rb') as file:
                # A dynamic program names its loader in the first page.  The
                # guest does not have that loader.
                if b'/ld-' not in file.read(4096):
                    return path
    if own:
        raise CannotRun(f'{own} is no static busybox: check PCI_EP_BUSYBOX')
    if root:
        raise CannotRun(f'no static busybox in {root}: remove that directory '
                        'and run "make aarch64"')
    raise CannotRun('no static busybox for the guests: install the package '
                    'busybox-static (or name one in PCI_EP_BUSYBOX)')


def base(guest_scripts: str, root: str = '') -> Archive:
    """
    Return what every guest has: busybox, a console node, our scripts.

    :param root: As for find_busybox().
    """
    archive = Archive()
    for path in ('proc', 'sys', 'dev', 'tmp', 'run', 'etc', 'root',
                 'lib/modules'):
        archive.directory(path)
    archive.device('dev/console', 5, 1)
    archive.device('dev/null', 1, 3, 0o666)
    archive.file('bin/busybox', find_busybox(root))
    archive.symlink('bin/sh', 'busybox')
    archive.symlink('sbin', 'bin')
    archive.data('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n')
    archive.data('etc/hosts', '127.0.0.1 localhost\n')
    archive.file('pciep', guest_scripts)
    archive.symlink('init', 'pciep/init')
    return archive
