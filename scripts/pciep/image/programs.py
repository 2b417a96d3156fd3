# SPDX-License-Identifier: GPL-2.0-or-later
"""
Programs for a guest, with the libraries they load.

They are those of this machine.  For a guest of another architecture they are
in a directory that scripts/build/userland.sh has filled, which is called root
here; '' stands for this machine.
"""

import os
import re
import shutil
import struct
import subprocess
from typing import Dict, Iterable, List, NamedTuple, Tuple

from .. import CannotRun
from ..arch import ARCH, MACHINES
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


def sysroot(build: str, arch: str) -> str:
    """Return the directory with programs of guests, '' for this machine."""
    here = ARCH[arch]
    if not here.sysroot:
        return ''
    root = os.path.join(build, here.sysroot)
    if not os.path.isdir(root):
        raise CannotRun(f'no programs for {arch} guests at {root}: run '
                        f'"{here.make}" first')
    return root


class _Dynamic(NamedTuple):
    """What an ELF file says about its libraries."""
    loader: str
    needs: List[str]
    places: List[str]  # where to look first


def _dynamic(program: str) -> _Dynamic:
    """Return what a program or library of any machine says."""
    try:
        text = subprocess.run(
            ['readelf', '-W', '-l', '-d', program], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotRun(f'cannot tell the libraries of {program}: {error}'
                        ) from error
    loader = re.search(r'program interpreter: (/[^\]]+)\]', text)
    paths = re.findall(r'\(R(?:UN)?PATH\).*\[([^\]]+)\]', text)
    return _Dynamic(loader[1] if loader else '',
                    re.findall(r'\(NEEDED\).*\[([^\]]+)\]', text),
                    [place for path in paths for place in path.split(':')])


def foreign_libraries(program: str, root: str) -> List[str]:
    """Return the same as libraries(), as paths relative to a root."""
    found: Dict[str, str] = {}
    places = ['/lib', '/usr/lib']
    # Debian has a directory for each architecture.
    places += [os.path.join(place, name) for place in tuple(places)
               if os.path.isdir(root + place)
               for name in sorted(os.listdir(root + place))
               if name.endswith('-linux-gnu')]
    first = _dynamic(program)
    todo = [(name, first.places) for name in first.needs]
    while todo:
        name, own = todo.pop()
        if name in found:
            continue
        path = next((f'{place}/{name}' for place in [*own, *places]
                     if os.path.exists(f'{root}{place}/{name}')), '')
        if not path:
            raise CannotRun(f'{program} needs {name}, which {root} does not '
                            'have: link the program statically')
        found[name] = path
        then = _dynamic(root + path)
        todo += [(more, then.places) for more in then.needs]
    return [*filter(None, [first.loader]), *found.values()]


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


def _check_machine(path: str, data: bytes, root: str) -> None:
    """Refuse a program that is not for the architecture of a root."""
    arch = next(key for key, arch in ARCH.items()
                if arch.sysroot == os.path.basename(root))
    built_for = MACHINES.get(struct.unpack_from('<H', data, 18)[0])
    if built_for != ARCH[arch].uname:
        raise CannotRun(f'{path} is a program for {built_for} and the guest '
                        f'is {arch}: build it with {ARCH[arch].cross}gcc')


def copy(archive: Archive, path: str, root: str = '') -> None:
    """Put a program into /bin of the archive, with its libraries."""
    name = os.path.basename(path)
    is_elf, is_dynamic = kind(path)
    if not is_elf:
        _check_script(path)
    with open(path, 'rb') as file:
        program = file.read()
    archive.data(f'bin/{name}', program, 0o755)
    needs: List[str] = []
    if is_elf and root:
        _check_machine(path, program, root)
        needs = foreign_libraries(path, root) if is_dynamic else []
    elif is_elf and is_dynamic:
        needs = libraries(path)
    for file_name in [*needs, *DATA.get(name, [])]:
        if file_name in needs or os.path.exists(root + file_name):
            archive.file(file_name, root + file_name)


def _search_path(root: str) -> str:
    return os.pathsep.join(root + place for place in PATH.split(os.pathsep))


def tools(root: str = '') -> List[str]:
    """Return those of TOOLS that there are."""
    return [name for name in TOOLS
            if shutil.which(name, path=_search_path(root))]


def find(name: str, root: str = '') -> str:
    """Return the path of a program: a name, or a path with a slash."""
    if '/' in name:
        path = os.path.abspath(name)
        if not os.path.isfile(path):
            raise CannotRun(f'no program {name} on this machine: check the '
                            'path')
        return path
    if root:
        path = shutil.which(name, path=_search_path(root)) or ''
        if not path:
            raise CannotRun(f'no program {name} for the guest: {root} has '
                            'none; build one and give its path')
        return path
    path = shutil.which(name, path=f'{os.environ.get("PATH", "")}'
                        f'{os.pathsep}{PATH}') or ''
    if not path:
        raise CannotRun(f'no program {name} for the guests: '
                        f'install the package {PACKAGES.get(name, name)}')
    return path


def add(archive: Archive, names: Iterable[str], root: str = '') -> None:
    """Put the named programs into the archive, in /bin."""
    for name in dict.fromkeys(names):
        copy(archive, find(name, root), root)
