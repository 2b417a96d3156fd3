# SPDX-License-Identifier: GPL-2.0-or-later
"""A private directory for the sockets of a run, and those of other runs."""

import os
import shutil
import tempfile
from typing import Iterator, List, Optional, Tuple

from .. import CannotRun


# sun_path has 108 bytes.
PATH_MAX = 107
LONGEST = '/host2.monitor'  # of the names in the directory
# The socket on which a launcher serves other terminals
CONTROL = 'control'


def _bases() -> List[str]:
    """
    Return the directories that may have it, the best one first.

    A directory that the user names is the only one, so that nobody sees runs
    of another one.
    """
    bases = [os.environ.get('PCI_EP_RUNTIME_DIR', '')]
    if not bases[0]:
        bases = [os.environ.get('XDG_RUNTIME_DIR', ''),
                 os.environ.get('TMPDIR', ''), '/tmp',
                 f'/run/user/{os.getuid()}']
    return [base for base in dict.fromkeys(bases)
            if base and os.path.isdir(base) and os.access(base, os.W_OK)]


def _pid_of(name: str) -> Optional[int]:
    """Return whose directory has that name, None if it is not ours."""
    part = name.split('-')
    if name.startswith('pci-ep-') and len(part) == 4 and part[2].isdigit():
        return int(part[2])
    return None


def _ours() -> Iterator[Tuple[int, str]]:
    """Return process and path of each such directory of this user."""
    for base in _bases():
        for name in sorted(os.listdir(base)):
            pid, path = _pid_of(name), os.path.join(base, name)
            try:
                if pid and os.stat(path).st_uid == os.getuid():
                    yield pid, path
            except OSError:
                pass


def _remove_stale() -> None:
    """Remove the directories of launchers that were killed."""
    for pid, path in _ours():
        if not os.path.exists(f'/proc/{pid}'):
            shutil.rmtree(path, ignore_errors=True)


def controls() -> List[Tuple[int, str]]:
    """Return process and control socket of each launcher that runs."""
    _remove_stale()
    found = [(pid, os.path.join(path, CONTROL)) for pid, path in _ours()]
    return [(pid, path) for pid, path in found if os.path.exists(path)]


def make_directory() -> str:
    """Return a new directory that only this user can read."""
    _remove_stale()
    for base in _bases():
        try:
            path = tempfile.mkdtemp(prefix=f'pci-ep-{os.getpid()}-', dir=base)
        except OSError:
            continue
        if len(os.fsencode(path) + LONGEST.encode()) <= PATH_MAX:
            return path
        os.rmdir(path)
    raise CannotRun(
        'no directory for the sockets of a run: make /tmp writable, or set '
        'PCI_EP_RUNTIME_DIR to a directory with a short path')
