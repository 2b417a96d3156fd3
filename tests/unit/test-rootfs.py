#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of --rootfs: how its disk is made, and how ssh finds a guest."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile

from python_tests import Skipped, contains, equal, main, raises
from pciep import CannotRun
from pciep.image import rootfs
from pciep.vm import ssh

# Stands for mmdebstrap: its last argument is the archive to write.
GOOD = '''#!/bin/sh
for last; do :; done
cd "$(mktemp -d)"
mkdir -p etc dev locked
echo content >etc/file
chmod 600 etc/file
chmod 500 locked
echo "$*" >>"$CALLS"
exec /bin/tar -c -f "$last" --owner=0 --group=0 --numeric-owner .
'''
BAD = '#!/bin/sh\necho "I: begins"; echo "E: no network"; exit 25\n'


class Cache:
    """A cache of its own, and a program in the place of mmdebstrap."""

    def __init__(self, script):
        self._script = script
        self._old = dict(os.environ), rootfs._PATH
        self.said = []

    def __enter__(self):
        self.top = tempfile.mkdtemp(prefix='with blank ')
        os.environ['PCI_EP_CACHE'] = os.path.join(self.top, 'cache')
        os.environ['CALLS'] = os.path.join(self.top, 'calls')
        tools = os.path.join(self.top, 'bin')
        os.mkdir(tools)
        if self._script:
            path = os.path.join(tools, 'mmdebstrap')
            with open(path, 'w', encoding='ascii') as file:
                file.write(self._script)
            os.chmod(path, 0o755)
            rootfs._PATH = f'{tools}:{rootfs._PATH}'
        else:
            rootfs._PATH = tools
        return self

    def find(self):
        """Return the path of the disk."""
        return rootfs.find(self.said.append)

    def files(self):
        """Return names in the cache."""
        place = os.path.join(self.top, 'cache', 'rootfs')
        return sorted(os.listdir(place)) if os.path.isdir(place) else []

    def __exit__(self, *_exc):
        os.environ.clear()
        os.environ.update(self._old[0])
        rootfs._PATH = self._old[1]
        shutil.rmtree(self.top)


def test_build():
    """The disk is made once, belongs to root in the guest, and has no more."""
    with Cache(GOOD) as cache:
        path = cache.find()
        equal(cache.find(), path, 'the second time')
        equal(len(cache.said), 1, 'lines about the build')
        with open(os.environ['CALLS'], encoding='ascii') as file:
            calls = file.read()
        equal(calls.count('\n'), 1, 'number of builds')
        contains(calls, 'openssh-server.* ' + rootfs.release(), 'arguments')
        said = subprocess.run(
            ['/sbin/debugfs', '-R', 'stat /etc/file', path], check=True,
            capture_output=True, text=True).stdout
        contains(said, r'User: +0 +Group: +0', 'owner of a file')
        contains(said, r'Mode: +0600', 'mode of a file')
        equal(stat.S_ISREG(os.stat(path).st_mode), True, 'whether it is there')
        equal([n for n in cache.files() if n[0] == '.'], [], 'what is left')


def test_failure():
    """What mmdebstrap says is the reason, and the next run tries again."""
    with Cache(BAD) as cache:
        line = raises(CannotRun, cache.find)
        contains(line, 'cannot build a Debian: E: no network; .*ext4.log has',
                 'the line')
        contains(raises(CannotRun, cache.find), 'no network', 'once more')
        equal([n for n in cache.files() if n.endswith('ext4') or n[0] == '.'],
              [], 'what is left')


def test_programs():
    """Missing packages are named."""
    with Cache('') as cache:
        contains(raises(CannotRun, cache.find),
                 'install the packages mmdebstrap e2fsprogs tar', 'the line')


def test_key():
    """Other packages are another disk."""
    with Cache(GOOD):
        old, packages = rootfs.place(), rootfs.PACKAGES
        rootfs.PACKAGES = packages + ('gdb',)
        try:
            equal(rootfs.place() == old, False, 'whether it is the same')
        finally:
            rootfs.PACKAGES = packages


def test_ssh():
    """ssh takes the configuration, whatever the name of the directory."""
    if not shutil.which('ssh'):
        raise Skipped('the package openssh-client is not installed')
    with tempfile.TemporaryDirectory(prefix='50% blank ') as directory:
        ssh.write(directory, {'host': 1234, 'ep': 4321})
        ssh.write(directory, {'host': 1234, 'ep': 4321})  # once more
        seen = subprocess.run(
            ['ssh', '-G', '-F', f'{directory}/ssh_config', 'ep'], check=True,
            capture_output=True, text=True).stdout
        for line in ('hostname 127.0.0.1', 'port 4321', 'user root',
                     'stricthostkeychecking true',
                     f'userknownhostsfile {directory}/ssh_known_hosts'):
            contains(seen, f'(?m)^{line}$', 'what ssh uses')
        contains(seen, '(?m)^identityfile .*/ssh_key$', 'what ssh uses')
        equal(os.stat(f'{directory}/ssh_key').st_mode & 0o77, 0,
              'mode of the key, for others')


if __name__ == '__main__':
    sys.exit(main(globals()))
