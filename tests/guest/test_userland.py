# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guests have besides the tests: programs and directories."""

import os
import shutil
import subprocess
import time

from lib import Skipped, check, contains, equal, limit, long, process
from pciep import CannotRun
from pciep.image import programs, rootfs

QUICK = ('--no-link', '--no-console', '--timeout=100')


@limit(150)
def test_programs(t):
    """lspci and the like are there, and what the user names."""
    t.kernel('7')
    own = os.path.join(t.rundir, 'my sort')
    shutil.copy(shutil.which('sort'), own)
    status, out = t.launch(
        f'--host-prog={own}', '--host-prog=sha512sum', '--host-cmd='
        "echo found: $(for i in " + ' '.join(programs.TOOLS) + '; do '
        '[ -e /bin/$i ] && echo $i; done); lspci; strace -V; '
        "printf 'b\\na\\n' | '/bin/my sort' && /bin/sha512sum --version",
        *QUICK)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    log = t.read('host.log')
    contains(log, f'found: {" ".join(programs.tools())}\n', 'host.log')
    if 'lspci' in programs.tools():
        contains(log, 'Intel Corporation', 'what lspci says')
    contains(log, '\na\nb\n', 'what the user\'s program says')
    contains(log, 'sha512sum .GNU coreutils', 'the program of this machine')


@limit(150)
def test_program_mistakes(t):
    """A program that cannot run in a guest is one line before the boot."""
    t.kernel('7')
    script = t.file('script', '#!/usr/bin/python3\n')
    for name, line in (('no-such-program', 'install the package'),
                       ('./no-such', 'check the path'),
                       (script, 'is a script for /usr/bin/python3')):
        status, out = t.launch(f'--ep-prog={name}', *QUICK)
        equal(status, 2, f'exit status; output:\n{out[-2000:]}')
        contains(out, f'pci-ep-run: .*{line}', 'the line')


@limit(150)
def test_share(t):
    """Both guests and this machine see what the others write."""
    t.kernel('7')
    place = os.path.join(t.rundir, 'a place, with signs')
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(os.path.join(place, 'sub'))
    program = os.path.join(place, 'sub', 'program')
    with open(program, 'w', encoding='ascii') as file:
        file.write('#!/bin/sh\necho run-$(hostname)\n')
    os.chmod(program, 0o755)
    status, out = t.launch(
        f'--share={place}:/data', f'--share={place}/sub',
        '--host-cmd=/mnt/sub/program && echo one >/data/from-host && '
        'wait_for 60 test -e /data/done && cat /data/from-ep',
        '--ep-cmd=/data/sub/program && wait_for 60 test -e /data/from-host && '
        'cat /data/from-host && echo two >/data/from-ep && mkdir /data/done',
        *QUICK, seconds=120)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    contains(t.read('host.log'), 'run-host\n(.*\n)*two', 'host.log')
    contains(t.read('ep.log'), 'run-ep\n(.*\n)*one', 'ep.log')
    with open(os.path.join(place, 'from-ep'), encoding='ascii') as file:
        equal(file.read(), 'two\n', 'what the endpoint guest wrote')
    equal(os.stat(os.path.join(place, 'from-ep')).st_uid, os.getuid(),
          'owner of that file')


@limit(150)
def test_share_without_kernel(t):
    """A kernel that cannot do it is said."""
    t.kernel('7')
    status, out = t.launch(
        f'--share={t.rundir}:/data', '--host-cmd=true',
        '--host-append=initcall_blacklist=p9_virtio_init', *QUICK)
    equal(status, 2, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'pci-ep-run: the kernel of host cannot mount /data: set '
             'CONFIG_NET_9P_VIRTIO and CONFIG_9P_FS, or leave out --share',
             'the line')


def disk():
    """Return the disk of --rootfs, or skip the test."""
    for program in ('mmdebstrap', 'ssh'):
        if not shutil.which(program):
            raise Skipped(f'there is no {program} on this machine')
    try:
        return rootfs.find(print)
    except CannotRun as error:
        raise Skipped(str(error)) from error


def ssh(t, guest, command, status=0):
    """Return the output of a command that ssh runs in a guest."""
    done = subprocess.run(
        ['ssh', '-F', os.path.join(t.rundir, 'ssh_config'), '-o',
         'ConnectTimeout=20', guest, command], stdin=subprocess.DEVNULL,
        check=False, timeout=100, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    if status is not None:
        equal(done.returncode, status, f'exit status of ssh: {done.stderr}')
    return done.stdout.decode()


@long
@limit(3600)
def test_rootfs_selftest(t):
    """The selftest passes between two Debians."""
    t.kernel('7')
    disk()
    status, out = t.launch('--rootfs=debian', '--no-console', '--timeout=600',
                           seconds=620)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@long
@limit(3600)
def test_rootfs_ssh(t):
    """A Debian with ssh, whose disk stays as it was."""
    t.kernel('7')
    image = disk()
    before = os.stat(image).st_mtime_ns
    payload = t.file('payload', 'content\n', 0o644)
    running = t.start(
        '--rootfs=debian', f'--host-file={payload}:/srv/here', '--no-link',
        '--no-console', '--timeout=600', '--host-cmd=. /etc/os-release && '
        'echo $ID && lspci && wait_for 300 test -e /root/done')
    try:
        end = time.monotonic() + 400
        for guest in ('host', 'ep'):
            while ssh(t, guest, 'hostname', None) != f'{guest}\n':
                check(time.monotonic() < end and running.poll() is None,
                      f'no ssh to the {guest} guest')
                time.sleep(1)
        equal(ssh(t, 'host', 'cat /srv/here; hostname; pwd'),
              'content\nhost\n/root\n', 'what ssh to the host says')
        contains(ssh(t, 'ep', 'which load dpkg; mount | grep " / "'),
                 '/pciep/bin/load\n/usr/bin/dpkg\n.* ext4 ', 'what the '
                 'endpoint says')
        ssh(t, 'host', 'echo x >/etc/changed && sync && touch /root/done')
        out = running.communicate(timeout=60)[0].decode(errors='replace')
    finally:
        process.end([running])
    equal(running.returncode, 0, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'ssh -F .*/ssh_config host \\| ep', 'the line on ssh')
    contains(t.read('host.log'), '\ndebian\n', 'host.log')
    equal(os.stat(image).st_mtime_ns, before, 'when the disk was changed')
