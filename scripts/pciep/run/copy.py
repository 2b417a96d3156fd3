# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-ep-run cp: files and directories between this machine and a guest."""

import io
import os
import shlex
import shutil
import stat
import tarfile
import tempfile
from typing import IO, Iterator, Optional, Tuple, cast

from .. import CannotRun
from .remote import Command, Run, write_all


# $1 is where the copy goes and $2 the name that it has in the archive.  A
# file that programs use is replaced and not written to.
_INTO = '''
if [ -d "$1" ]; then exec tar -x -f - -C "$1"; fi
case $1 in */) echo "no directory $1" >&2; exit 1 ;; esac
new="$1.part"
mkdir "$new" || exit
tar -x -f - -C "$new" && mv -f "$new/$2" "$1"
status=$?
rm -rf "$new"
exit $status
'''
# Files of /proc and /sys do not know their size, so tar does not do for them.
_FROM = '''
if [ -d "$1" ]; then
    echo "directory 755"
    cd "$1" && exec tar -c -f - .
fi
mode=$(stat -L -c %a "$1") && exec 5<"$1" && echo "file $mode" && exec cat <&5
'''


def split(text: str) -> Tuple[Optional[str], str]:
    """Return guest and path of GUEST:PATH, None for this machine."""
    guest, colon, path = text.partition(':')
    if colon and guest in ('ep', 'host', 'host2'):
        return guest, path or '.'
    return None, text


def _script(text: str, *arguments: str) -> str:
    return f'set -- {shlex.join(arguments)}\n{text}'


def _as_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = 'root'
    return info


def into(run: Run, source: str, guest: str, path: str) -> int:
    """Copy to a guest, and return the exit status."""
    if not os.path.exists(source):
        raise CannotRun(f'no file {source} on this machine: check the path')
    name = os.path.basename(os.path.abspath(source)) or 'root'
    with Command(run, guest, _script(_INTO, path, name)) as command:
        with tarfile.open(fileobj=cast(IO[bytes], command), mode='w|',
                          dereference=not os.path.isdir(source)) as tar:
            try:
                tar.add(source, name, filter=_as_root)
            except OSError as error:
                raise CannotRun(f'cannot read {error.filename}: '
                                f'{error.strerror}') from error
        command.finish()
        return command.show()


class _Reader(io.RawIOBase):
    """Standard output of a command as a file; its errors are shown."""

    def __init__(self, command: Command) -> None:
        super().__init__()
        self._pieces: Iterator[Tuple[int, bytes]] = command.output()
        self._left = b''

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            if piece[0] == 1:
                self._left = piece[1]
            else:
                write_all(2, piece[1])
        count = min(len(view), len(self._left))
        view[:count], self._left = self._left[:count], self._left[count:]
        return count


def _extract(tar: tarfile.TarFile, top: str) -> None:
    """Extract what stays below a directory that is new."""
    for member in tar:
        place = os.path.join(top, member.name)
        parent = os.path.realpath(os.path.dirname(place))
        inside = os.path.commonpath([parent, os.path.realpath(top)]) \
            == os.path.realpath(top)
        if member.name.strip('./') and (not inside
                                        or '..' in member.name.split('/')):
            raise CannotRun(f'{member.name} would not be below the copy: the '
                            'guest sends what is no copy')
        if member.isdir():
            member.mode |= 0o700
        if member.isdir() or member.isfile() or member.issym():
            tar.extract(member, top, set_attrs=not member.issym())


def _receive(reader: IO[bytes], kind: str, mode: int, path: str) -> None:
    """Make the copy under another name, and then give it its own."""
    parent = os.path.dirname(os.path.abspath(path))
    if kind == 'directory':
        new = tempfile.mkdtemp(prefix='.pci-ep-cp-', dir=parent)
        try:
            with tarfile.open(fileobj=reader, mode='r|') as tar:
                _extract(tar, new)
            os.chmod(new, 0o755)
            os.rename(new, path)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return
    descriptor, new = tempfile.mkstemp(prefix='.pci-ep-cp-', dir=parent)
    try:
        with open(descriptor, 'wb') as out:
            shutil.copyfileobj(reader, out)
        os.chmod(new, stat.S_IMODE(mode) | 0o400)
        os.replace(new, path)
    finally:
        if os.path.exists(new):
            os.unlink(new)


def out_of(run: Run, guest: str, source: str, path: str) -> int:
    """Copy from a guest, and return the exit status."""
    if os.path.isdir(path):
        path = os.path.join(path, os.path.basename(source.rstrip('/'))
                            or guest)
    with Command(run, guest, _script(_FROM, source)) as command:
        command.finish()
        reader = io.BufferedReader(_Reader(command))
        kind, _, mode = reader.readline().decode('ascii',
                                                 'replace').partition(' ')
        try:
            if kind and mode.strip().isdigit():
                _receive(reader, kind, int(mode, 8), path)
        except OSError as error:
            raise CannotRun(f'cannot write {path}: {error.strerror}; check '
                            'the path') from error
        except tarfile.TarError as error:
            raise CannotRun(f'the copy of {source} is not complete: '
                            f'{error}') from error
        return command.show() if command.status is None else command.status
