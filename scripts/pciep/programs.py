# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of this machine that a guest needs, with the libraries they load."""

import os
import re
import shutil
import subprocess

from . import CannotRun

PACKAGES = {
    'fio': 'fio',
    'mkfs.ext4': 'e2fsprogs',
    'fsck.ext4': 'e2fsprogs',
    'ping': 'iputils-ping',
}
PATH = os.pathsep.join(['/usr/sbin', '/usr/bin', '/sbin', '/bin'])


def _libraries(program):
    """Paths as the loader finds them, itself included."""
    try:
        out = subprocess.run(
            ['ldd', program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError) as e:
        raise CannotRun(
            f'cannot tell the libraries of {program}: {e}; reinstall its package'
        ) from e
    missing = re.findall(r'(\S+) => not found', out)
    if missing:
        raise CannotRun(
            f'{program} lacks {", ".join(missing)}: reinstall its package'
        )
    return re.findall(r'(/\S+) \(0x', out)


def add(archive, names):
    """Puts the programs @names into the archive, under /bin."""
    for name in dict.fromkeys(names):
        path = shutil.which(name, path=PATH)
        if not path:
            raise CannotRun(
                f'no program {name} for the guests: install the package '
                f'{PACKAGES.get(name, name)}'
            )
        archive.file(f'bin/{name}', path)
        for library in _libraries(path):
            archive.file(library, library)
