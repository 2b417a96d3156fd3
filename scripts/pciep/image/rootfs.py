# SPDX-License-Identifier: GPL-2.0-or-later
"""
The disk with a Debian that a guest may have instead of busybox.

mmdebstrap makes it, as root or as an ordinary user.  It is kept in the cache
and no run writes to it: QEMU keeps what a guest writes in a file of its own.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from typing import Callable, List, Sequence

from .. import CannotRun, cache_dir
from .sources import Lock


DEBIAN = 'debian'
NAMES = (DEBIAN,)
SIZE = '4G'  # of the file system; the file has holes
SECONDS = 3600  # for the build
# Changes whenever the same packages make another disk
_RECIPE = 1
PACKAGES = (
    'busybox-static', 'e2fsprogs', 'ethtool', 'fio', 'iproute2',
    'iputils-ping', 'kmod', 'less', 'openssh-server', 'pciutils', 'procps',
    'strace',
)
# Programs that a build needs: their packages
_NEEDS = {'mmdebstrap': 'mmdebstrap', 'mkfs.ext4': 'e2fsprogs',
          'tar': 'tar'}
_PATH = f'{os.environ.get("PATH", "")}{os.pathsep}/usr/sbin:/sbin'


def release() -> str:
    """Return the release of this machine if it is Debian, or 'stable'."""
    found = {}
    try:
        with open('/etc/os-release', encoding='utf-8') as file:
            for line in file:
                key, _, value = line.strip().partition('=')
                found[key] = value.strip('"')
    except OSError:
        pass
    if found.get('ID') == DEBIAN:
        return found.get('VERSION_CODENAME', 'stable')
    return 'stable'


def place() -> str:
    """Return the path of the disk, which may not exist."""
    key = hashlib.sha256(' '.join(
        (release(), SIZE, str(_RECIPE), *PACKAGES)).encode()).hexdigest()
    return os.path.join(cache_dir(), 'rootfs',
                        f'{DEBIAN}-{release()}-{key[:16]}.ext4')


def _check_programs() -> None:
    needs = dict(_NEEDS)
    if os.getuid():
        needs['fakeroot'] = 'fakeroot'
    missing = [package for program, package in needs.items()
               if not shutil.which(program, path=_PATH)]
    if missing:
        raise CannotRun('--rootfs debian needs programs that are not here: '
                        f'install the packages {" ".join(missing)}'
                        + (' fakechroot' if os.getuid() else ''))


def _run(args: Sequence[str], log: str) -> None:
    """Run a step of the build; the log has what it says."""
    with open(log, 'ab') as out, subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
            env={**os.environ, 'PATH': _PATH, 'LC_ALL': 'C'}) as process:
        try:
            status = process.wait(SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if status:
        with open(log, encoding='utf-8', errors='replace') as file:
            lines = [line.strip() for line in file
                     if line.startswith(('E:', 'mkfs', 'tar:'))]
        said = lines[0] if lines else f'{args[0]} ended with status {status}'
        raise CannotRun(
            f'cannot build a Debian: {said}; {log} has all. It needs the '
            'network once, and as an ordinary user the package fakechroot or '
            'lines in /etc/subuid and /etc/subgid')


def _steps(work: str, image: str) -> List[List[str]]:
    """Return the commands that make an image."""
    archive, tree = os.path.join(work, 'root.tar'), os.path.join(work, 'root')
    fake = ['fakeroot'] if os.getuid() else []
    # Without an answer a server is given up, and tried again.
    return [
        ['mmdebstrap', '--variant=minbase', f'--include={",".join(PACKAGES)}',
         '--aptopt=Acquire::http::Timeout "60"',
         '--aptopt=Acquire::Retries "2"', release(), archive],
        ['mkdir', tree],
        # What a user unpacks without being root has to be read again.
        [*fake, 'sh', '-c', 'tar -x -p -f "$1" -C "$2" --numeric-owner '
         '--exclude="./dev/*" && mkfs.ext4 -q -F -L root -d "$2" "$3" "$4"',
         'sh', archive, tree, image, SIZE],
    ]


def find(tell: Callable[[str], None]) -> str:
    """
    Return the path of the disk, which is made first if there is none.

    :param tell: Called with a line before something that takes minutes.
    """
    image = place()
    if os.path.exists(image):
        return image
    _check_programs()
    try:
        os.makedirs(os.path.dirname(image), exist_ok=True)
        with Lock(image):
            if not os.path.exists(image):
                tell(f'building Debian {release()}, once; this takes a few '
                     'minutes')
                _build(image)
    except OSError as error:
        raise CannotRun(f'cannot write {image}: {error.strerror}; check '
                        'PCI_EP_CACHE') from error
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f'no Debian after {SECONDS} s: {image}.log says what '
                        'takes so long') from error
    return image


def _build(image: str) -> None:
    log = f'{image}.log'
    work = tempfile.mkdtemp(prefix='.rootfs-', dir=os.path.dirname(image))
    try:
        with open(log, 'w', encoding='utf-8'):
            pass
        new = os.path.join(work, 'new')
        for step in _steps(work, new):
            _run(step, log)
        os.replace(new, image)
    finally:
        # An ordinary user may have made directories that nobody may write.
        subprocess.run(['chmod', '-R', 'u+rwX', work], check=False,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(work, ignore_errors=True)
