# SPDX-License-Identifier: GPL-2.0-or-later
"""
Which accelerator really works here.

A guest is booted to find out, since a /dev/kvm that can be opened may still
not be able to run a Linux guest.
"""

import hashlib
import json
import os
import platform
import tempfile
import time
from typing import Callable, Optional, Tuple

from .. import CannotRun, cache_dir
from ..arch import ARCH
from ..image import initramfs
from . import process
from .machine import MachineSpec


PROBE_SECONDS = 10
MARK = b'pciep-accelerator-works'


def _key(qemu: str, kernel: str) -> str:
    """
    Return a name for all that the answer depends on.

    It differs after each boot of this machine.
    """
    parts = [platform.release()]
    for path in (qemu, kernel, '/dev/kvm'):
        st = os.stat(path)
        parts.append(f'{os.path.realpath(path)} {st.st_mtime_ns} '
                     f'{st.st_size} {st.st_rdev}')
    try:
        with open('/proc/sys/kernel/random/boot_id',
                  encoding='ascii') as file:
            parts.append(file.read())
    except OSError:
        pass
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:24]


def _says_mark(log: str) -> bool:
    try:
        with open(log, 'rb') as file:
            return MARK in file.read()
    except OSError:
        return False


def _boots(qemu: str, kernel: str, arch: str) -> Optional[str]:
    """
    Boot a kernel under KVM into a shell that prints MARK.

    :return: Why that did not work, None if it did.
    """
    with tempfile.TemporaryDirectory(prefix='pci-ep-probe-') as directory:
        archive = initramfs.Archive()
        archive.device('dev/console', 5, 1)
        archive.file('bin/busybox', initramfs.find_busybox())
        archive.data('init', '#!/bin/busybox sh\n'
                     f'/bin/busybox echo {MARK.decode()}\n'
                     '/bin/busybox reboot -f\n', 0o755)
        image = os.path.join(directory, 'initramfs')
        archive.write(image)
        spec = MachineSpec(name='probe', role='host', arch=arch, qemu=qemu,
                           kernel=kernel, initramfs=image, accel='kvm',
                           cpus=1, mem='256M')
        log = os.path.join(directory, 'log')
        args = spec.command(None, [
            '-chardev', f'file,id=console,path={log}',
            '-chardev', 'null,id=results'])
        with open(os.path.join(directory, 'err'), 'w+b') as err:
            qemu_process = process.spawn(args, stderr=err, core=False)
            try:
                deadline = time.monotonic() + PROBE_SECONDS
                while True:
                    ended = qemu_process.poll() is not None
                    if _says_mark(log):
                        return None
                    if ended:
                        err.seek(0)
                        text = err.read().decode(errors='replace').split('\n')
                        return _last_line(text)
                    if time.monotonic() > deadline:
                        return ('a Linux guest did not boot within '
                                f'{PROBE_SECONDS} s')
                    time.sleep(0.05)
            finally:
                process.end([qemu_process], 0.2)


def _last_line(lines: list[str]) -> str:
    """Return what QEMU said at last, shortened if it is an assertion."""
    lines = [line for line in lines if line.strip()]
    if not lines:
        return 'the guest ended at once'
    text = lines[-1].strip().split(': ', 1)[-1]
    return text if len(text) <= 100 else 'QEMU ended: ...' + text[-80:]


def _probe(qemu: str, kernel: str, arch: str) -> Tuple[bool, str]:
    """
    Find out whether KVM works, and why not.

    The answer is remembered until anything it depends on changes.
    """
    if platform.machine() != ARCH[arch].uname:
        return (False, f'this machine is {platform.machine()}, and a guest is '
                f'{arch}')
    if not os.path.exists('/dev/kvm'):
        return False, 'there is no /dev/kvm'
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return (False,
                '/dev/kvm may not be opened (add yourself to its group)')
    name = os.path.join(cache_dir(), 'accel', _key(qemu, kernel))
    try:
        with open(name, encoding='utf-8') as file:
            answer = json.load(file)
            return bool(answer['works']), str(answer['reason'])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    why = _boots(qemu, kernel, arch)
    partial = f'{name}.{os.getpid()}'
    try:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(partial, 'w', encoding='utf-8') as file:
            json.dump({'works': why is None, 'reason': why or ''}, file)
        os.replace(partial, name)
    except OSError:
        pass  # The next run finds out again.
    return why is None, why or ''


def choose(wanted: str, qemu: str, kernel: str, arch: str,
           tell: Callable[[str], object]) -> str:
    """
    Return "kvm" or "tcg".

    :param wanted: "kvm", "tcg" or "auto".
    :param tell: Called with one line when "auto" is not KVM, but could be on
                 this machine.
    """
    foreign = platform.machine() != ARCH[arch].uname
    if wanted == 'tcg' or foreign and wanted == 'auto':
        return 'tcg'
    works, why = _probe(qemu, kernel, arch)
    if works:
        return 'kvm'
    if wanted == 'kvm':
        raise CannotRun(f'KVM does not work here: {why}; leave out --accel '
                        'to run with TCG')
    tell(f'KVM does not work here ({why}): using TCG')
    return 'tcg'
