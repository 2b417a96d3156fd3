# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of this machine for a guest, with the libraries they load."""

import os
import re
import shutil
import subprocess
from typing import Iterable, List, Tuple

from .. import CannotRun
from .initramfs import Archive


PACKAGES = {
    'fio': 'fio',
    'mkfs.ext4': 'e2fsprogs',
    'fsck.ext4': 'e2fsprogs',
    'ping': 'iputils-ping',
}
PATH = os.pathsep.join(['/usr/sbin', '/usr/bin', '/sbin', '/bin'])
# What somebody who looks into a guest expects there, if this machine has it
TOOLS = ('lspci', 'setpci', 'strace', 'trace-cmd', 'ethtool', 'nvme',
         'gdbserver')
# Files that a program reads, where distributions have them
DATA = {'lspci': ['/usr/share/misc/pci.ids', '/usr/share/hwdata/pci.ids']}
# What a guest has for scripts
SHELLS = ('/bin/sh', '/usr/bin/env sh')


def libraries(program: str) -> List[str]:
    """Return the paths that ldd prints, the one of the loader included."""
    try:
        output = subprocess.run(
            ['ldd', program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotRun(f'cannot tell the libraries of {program}: {error}; '
                        'reinstall its package') from error
    missing = re.findall(r'(\S+) => not found', output)
    if missing:
        raise CannotRun(f'{program} lacks {", ".join(missing)}: '
                        'reinstall its package')
    return re.findall(r'(/\S+) \(0x', output)


def kind(path: str) -> Tuple[bool, bool]:
    """Return whether a file is ELF, and whether it names a loader."""
    try:
        with open(path, 'rb') as file:
            head = file.read(4096)
    except OSError as error:
        raise CannotRun(f'cannot read the program {path}: '
                        f'{error.strerror}') from error
    return head[:4] == b'\x7fELF', b'/ld-' in head


def _check_script(path: str) -> None:
    """Refuse a script for a shell that the guests do not have."""
    with open(path, 'rb') as file:
        line = file.readline(200).decode('utf-8', 'replace').strip()
    shell = line[2:].strip() if line.startswith('#!') else ''
    if shell and not shell.startswith(SHELLS):
        raise CannotRun(f'{path} is a script for {shell}, which the guests '
                        'do not have: use --rootfs debian')


def copy(archive: Archive, path: str) -> None:
    """Put a program into /bin of the archive, with its libraries."""
    name = os.path.basename(path)
    is_elf, is_dynamic = kind(path)
    if not is_elf:
        _check_script(path)
    with open(path, 'rb') as file:
        archive.data(f'bin/{name}', file.read(), 0o755)
    for library in libraries(path) if is_elf and is_dynamic else []:
        archive.file(library, library)
    for data in DATA.get(name, []):
        if os.path.exists(data):
            archive.file(data, data)


def tools() -> List[str]:
    """Return those of TOOLS that this machine has."""
    return [name for name in TOOLS if shutil.which(name, path=PATH)]


def find(name: str) -> str:
    """Return the path of a program: a name, or a path with a slash."""
    if '/' in name:
        path = os.path.abspath(name)
        if not os.path.isfile(path):
            raise CannotRun(f'no program {name} on this machine: check the '
                            'path')
        return path
    path = shutil.which(name, path=f'{os.environ.get("PATH", "")}'
                        f'{os.pathsep}{PATH}') or ''
    if not path:
        raise CannotRun(f'no program {name} for the guests: '
                        f'install the package {PACKAGES.get(name, name)}')
    return path


def add(archive: Archive, names: Iterable[str]) -> None:
    """Put the named programs into the archive, in /bin."""
    for name in dict.fromkeys(names):
        copy(archive, find(name))
