# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory of a run: no two runs write to one, and it can be packed."""

import fcntl
import os
import tarfile
from typing import Optional, Tuple
import zipfile

from .. import CannotRun


MODES = {'.tar': 'w', '.tar.gz': 'w:gz', '.tgz': 'w:gz', '.tar.xz': 'w:xz',
         '.zip': ''}
# Files of a run that only its QEMUs need, and keys
_LEFT_OUT = ('.initramfs', '.disk', '.part', '_key')
_MOST = 1000  # runs of one name at a time


def claim(path: str, exact: bool) -> Tuple[str, int]:
    """
    Return a directory that no other run writes to, and its lock.

    The lock is a descriptor, which is to be open as long as the run.

    :param path: The directory to use.
    :param exact: The user named it.  Otherwise this takes PATH-2, PATH-3 and
                  so on when another run has it.
    """
    for number in range(1, _MOST):
        name = path if number == 1 else f'{path}-{number}'
        try:
            os.makedirs(name, exist_ok=True)
            lock = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise CannotRun(f'cannot write the files of the run: {error}; '
                            'choose another --log-dir') from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return name, lock
        except OSError:
            os.close(lock)
        if exact:
            break
    raise CannotRun(f'another run writes to {path}: wait until it ends, or '
                    'choose another --log-dir')


def _ending(filename: str) -> Optional[str]:
    """Return the ending that says how to pack, None if it says nothing."""
    return next((end for end in MODES if filename.endswith(end)), None)


def check_archive(filename: str) -> str:
    """Return what is wrong with the name of an archive, '' if nothing is."""
    if not _ending(filename):
        return f'write a name that ends in {", ".join(MODES)}'
    directory = os.path.dirname(os.path.abspath(filename))
    if os.path.isdir(filename) or not os.access(directory, os.W_OK):
        return f'cannot write {filename}: check the path'
    return ''


def archive(rundir: str, filename: str) -> None:
    """Pack the files of a run, except what only its QEMUs need."""
    ending = _ending(filename)
    assert ending
    top = os.path.basename(rundir)
    names = [name for name in sorted(os.listdir(rundir))
             if os.path.isfile(os.path.join(rundir, name))
             and not name.endswith(_LEFT_OUT)
             and os.path.join(rundir, name) != os.path.abspath(filename)]
    partial = f'{filename}.part'
    if ending == '.zip':
        with zipfile.ZipFile(partial, 'w', zipfile.ZIP_DEFLATED) as out:
            for name in names:
                out.write(os.path.join(rundir, name), f'{top}/{name}')
    else:
        with tarfile.open(partial, MODES[ending]) as tar:
            for name in names:
                tar.add(os.path.join(rundir, name), f'{top}/{name}')
    os.replace(partial, filename)
