# SPDX-License-Identifier: GPL-2.0-or-later
"""Which accelerator really works here: found out by booting, because a /dev/kvm
that opens may still not be able to run a Linux guest."""

import hashlib
import json
import os
import platform
import tempfile
import time

from . import CannotRun, initramfs, machine, process

PROBE_SECONDS = 10
MARK = b'pciep-accelerator-works'


def cache_dir():
    return os.environ.get('PCI_EP_CACHE') or os.path.join(
        os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'pci-ep'
    )


def _key(qemu, kernel):
    """Everything the answer depends on; a new boot of this machine asks again."""
    parts = [platform.release()]
    for path in (qemu, kernel, '/dev/kvm'):
        st = os.stat(path)
        parts.append(
            f'{os.path.realpath(path)} {st.st_mtime_ns} {st.st_size} {st.st_rdev}'
        )
    try:
        with open('/proc/sys/kernel/random/boot_id') as f:
            parts.append(f.read())
    except OSError:
        pass
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:24]


def _boots(qemu, kernel, arch):
    """Boots @kernel under KVM into a shell that prints MARK: None, or why it did not."""
    with tempfile.TemporaryDirectory(prefix='pci-ep-probe-') as tmp:
        archive = initramfs.Archive()
        archive.device('dev/console', 5, 1)
        archive.file('bin/busybox', initramfs.find_busybox())
        archive.data(
            'init',
            '#!/bin/busybox sh\n'
            f'/bin/busybox echo {MARK.decode()}\n'
            '/bin/busybox reboot -f\n',
            0o755,
        )
        image = os.path.join(tmp, 'initramfs')
        archive.write(image)
        spec = machine.Spec(
            'host', arch, qemu, kernel, image, 'kvm', 1, '256M', name='probe'
        )
        log = os.path.join(tmp, 'log')
        args = spec.command(
            None,
            ['-chardev', f'file,id=console,path={log}', '-chardev', 'null,id=results'],
        )
        with open(os.path.join(tmp, 'err'), 'w+b') as err:
            p = process.spawn(args, stderr=err, core=False)
            try:
                deadline = time.monotonic() + PROBE_SECONDS
                while True:
                    ended = p.poll() is not None
                    try:
                        with open(log, 'rb') as f:
                            if MARK in f.read():
                                return None
                    except OSError:
                        pass
                    if ended:
                        err.seek(0)
                        text = err.read().decode(errors='replace').strip().splitlines()
                        return _short(text[-1]) if text else 'the guest ended at once'
                    if time.monotonic() > deadline:
                        return f'a Linux guest did not boot within {PROBE_SECONDS} s'
                    time.sleep(0.05)
            finally:
                process.end([p], 0.2)


def _short(text):
    """The part of a message that a person needs; an assertion's is long."""
    text = text.split(': ', 1)[-1]
    return text if len(text) <= 100 else 'QEMU ended: ...' + text[-80:]


def _probe(qemu, kernel, arch):
    """(works, reason); the answer is cached until anything it depends on changes."""
    if not os.path.exists('/dev/kvm'):
        return False, 'there is no /dev/kvm'
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return False, '/dev/kvm may not be opened (add yourself to its group)'
    if platform.machine() != arch:
        return False, f'this machine is {platform.machine()}, the guests are {arch}'
    name = os.path.join(cache_dir(), 'accel', _key(qemu, kernel))
    try:
        with open(name) as f:
            d = json.load(f)
            return bool(d['works']), str(d['reason'])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    why = _boots(qemu, kernel, arch)
    try:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name + f'.{os.getpid()}', 'w') as f:
            json.dump({'works': why is None, 'reason': why or ''}, f)
        os.replace(name + f'.{os.getpid()}', name)
    except OSError:
        pass  # asked again next time
    return why is None, why or ''


def choose(wanted, qemu, kernel, arch, tell):
    """ "kvm" or "tcg"; @tell gets one line when the choice needs a word."""
    if wanted == 'tcg':
        return 'tcg'
    works, why = _probe(qemu, kernel, arch)
    if works:
        return 'kvm'
    if wanted == 'kvm':
        raise CannotRun(
            f'KVM does not work here: {why}; leave out --accel to run with TCG'
        )
    tell(f'KVM does not work here ({why}): using TCG')
    return 'tcg'
