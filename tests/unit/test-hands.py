#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Unit tests of exec, cp, list and stop: run/control.py and what talks to it.

The guest is a shell of this machine with the scripts of the guests.
"""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from python_tests import TOP, contains, equal, main
from pciep.run.control import Control
from pciep.vm import sockets
from pciep.vm.guest import Guest
from pciep.vm.loop import Loop

PROGRAM = os.path.join(TOP, 'scripts/pci-ep-run')
SECONDS = 60
GUEST = r'''
exec 3>"$1" </dev/fd/"${2##*/}"
cd "$3"
HOME=$3
poweroff() { exit; }
. "$4/lib.sh"
. "$4/listen.sh"
EXECUTE=$3/exec
say "!ready 7.0.0"
listen
'''


class Spec:
    """What a MachineSpec is for Guest: a shell instead of QEMU."""

    socket = None

    def __init__(self, home):
        self.home = home

    def command(self, _socket, chardevs, _monitors):
        """Return the command line of the shell."""
        out, into = (word.partition('=')[2]
                     for word in chardevs[3].split(',')[2:])
        return ['sh', '-c', GUEST, 'sh', out, into, self.home,
                os.path.join(TOP, 'scripts/guest')]


class Bed:
    """A run with one guest, served by a thread of its own."""

    def __init__(self, directory, name='test', checkout=TOP):
        self.home = os.path.join(directory, f'guest of {name}')
        os.makedirs(self.home)
        self.loop = Loop()
        self.sockets = sockets.make_directory()
        self.guests = {'ep': Guest(
            'ep', Spec(self.home), os.path.join(directory, f'{name}.log'), (),
            lambda guest, line: None)}
        self.stopped = False
        self.most = 0  # blocks that waited for the guest
        self.control = Control(
            self, {'name': name, 'rundir': directory, 'checkout': checkout,
                   'command': ''}, self._stop)
        self.guests['ep'].start(self.loop)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _stop(self):
        self.stopped = True

    def _serve(self):
        guest = self.guests['ep']
        while not self.stopped:
            self.loop.turn(0.05)
            guest.flush()
            self.control.turn()
            self.most = max([self.most, *(
                c.execution.waiting for c in self.control._clients
                if c.execution)])
        self.control.close()
        guest.stop()
        for name in os.listdir(self.sockets):
            os.unlink(os.path.join(self.sockets, name))
        os.rmdir(self.sockets)
        self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.stopped = True
        self._thread.join(SECONDS)


def run(*words, data=None, status=0):
    """Return what pci-ep-run prints; fail unless it ends with status."""
    result = subprocess.run(
        [sys.executable, PROGRAM, *words], input=data, timeout=SECONDS,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
        stdin=None if data is not None else subprocess.DEVNULL)
    equal(result.returncode, status,
          f'exit status of {words}, which says {result.stderr}')
    return result.stdout, result.stderr.decode()


def take_ctrl_c():
    """Undo that a shell has its background processes ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def with_bed(function):
    """Decorator: the test gets a directory and a run."""

    def test():
        with tempfile.TemporaryDirectory(prefix='with blank ') as directory:
            os.environ['PCI_EP_RUNTIME_DIR'] = directory
            with Bed(directory) as bed:
                function(directory, bed)

    return test


def blob(count):
    """Return bytes of all values, which repeat nowhere."""
    return b''.join(hashlib.sha256(b'%d' % n).digest()
                    for n in range(count // 32))


@with_bed
def test_exec(_directory, _bed):
    """Output, errors and status of a command come back, byte for byte."""
    seen = run('exec', 'ep', r"printf 'a\000b\n'; echo c >&2; exit 7",
               status=7)
    equal(seen, (b'a\0b\n', 'c\n'), 'output and errors')
    equal(run('exec', 'ep', 'printf', '%s|', 'two words', '$HOME', '--run'),
          (b'two words|$HOME|--run|', ''), 'arguments')
    equal(run('exec', 'ep', 'cat'), (b'', ''), 'what standard input has')
    run('exec', 'ep', 'no-such-program', status=127)


@with_bed
def test_exec_input(_directory, bed):
    """Input is complete and is read no faster than the guest takes it."""
    data = blob(1500000)
    equal(run('exec', '-i', 'ep', 'sha256sum', data=data)[0].split()[0],
          hashlib.sha256(data).hexdigest().encode(), 'the hash of the input')
    if bed.most > 80:
        raise AssertionError(f'{bed.most} blocks waited for the guest')
    equal(run('exec', '-i', 'ep', 'cat', data=data[:200001])[0],
          data[:200001], 'the input, once more')
    equal(os.listdir(bed.home), [], 'files that are left in the guest')


@with_bed
def test_exec_streams(_directory, _bed):
    """Output comes at once; two commands run at a time."""
    with subprocess.Popen(
            [sys.executable, PROGRAM, 'exec', 'ep', 'echo one; sleep 600'],
            stdout=subprocess.PIPE, preexec_fn=take_ctrl_c) as slow:
        equal(slow.stdout.readline(), b'one\n', 'output')
        equal(run('exec', 'ep', 'echo two')[0], b'two\n', 'the other command')
        slow.send_signal(signal.SIGINT)
        equal(slow.wait(SECONDS), 130, 'exit status after Ctrl-C')


@with_bed
def test_exec_ends(_directory, bed):
    """A command ends when nobody waits for it any more."""
    file = os.path.join(bed.home, 'pid')
    with subprocess.Popen([sys.executable, PROGRAM, 'exec', 'ep',
                           'echo $$ >pid.new; mv pid.new pid; sleep 600'],
                          stdout=subprocess.DEVNULL) as slow:
        end = time.monotonic() + SECONDS
        while not os.path.exists(file) and time.monotonic() < end:
            time.sleep(0.05)
        slow.kill()
    with open(file, encoding='ascii') as opened:
        pid = opened.read().strip()
    while os.path.exists(f'/proc/{pid}') and time.monotonic() < end:
        time.sleep(0.05)
    equal(os.path.exists(f'/proc/{pid}'), False, 'whether the command runs')


@with_bed
def test_copy_file(directory, bed):
    """A file arrives with its mode, under its name or another one."""
    source = os.path.join(directory, "it's a file")
    data = blob(100000)
    with open(source, 'wb') as file:
        file.write(data)
    os.chmod(source, 0o741)
    run('cp', source, 'ep:')
    run('cp', source, 'ep:other name')
    run('cp', source, 'ep:none/', status=1)
    for name in ("it's a file", 'other name'):
        there = os.path.join(bed.home, name)
        with open(there, 'rb') as file:
            equal(file.read() == data, True, f'whether {name} is the same')
        equal(os.stat(there).st_mode & 0o777, 0o741, f'mode of {name}')
    run('cp', 'ep:other name', directory)
    with open(os.path.join(directory, 'other name'), 'rb') as file:
        equal(file.read() == data, True, 'whether what came back is the same')
    run('cp', 'ep:/proc/version', f'{directory}/version')
    with open(f'{directory}/version', 'rb') as file:
        contains(file.read().decode(), '^Linux', 'a file without a size')
    equal(sorted(os.listdir(bed.home)), ["it's a file", 'other name'],
          'files in the guest')


@with_bed
def test_copy_directory(directory, bed):
    """A directory goes there and back with all that is in it."""
    source = os.path.join(directory, 'tree')
    os.makedirs(os.path.join(source, 'a b', 'c'))
    os.symlink('a b', os.path.join(source, 'link'))
    with open(os.path.join(source, 'a b', 'file'), 'w',
              encoding='ascii') as file:
        file.write('text\n')
    run('cp', source, 'ep:')
    run('cp', source, 'ep:copy')
    equal(sorted(os.listdir(bed.home)), ['copy', 'tree'], 'names in the guest')
    run('cp', 'ep:copy', f'{directory}/back')
    run('cp', 'ep:copy', f'{directory}/back')  # into it
    for place in ('back', 'back/copy'):
        with open(f'{directory}/{place}/a b/file', encoding='ascii') as file:
            equal(file.read(), 'text\n', f'the file in {place}')
        equal(os.readlink(f'{directory}/{place}/link'), 'a b', 'the link')


@with_bed
def test_copy_mistakes(directory, _bed):
    """What cannot be copied is one line, and no file is made."""
    seen = run('cp', f'{directory}/none', 'ep:', status=2)[1]
    contains(seen, '^pci-ep-run: no file .*/none on this machine', 'the line')
    seen = run('cp', 'ep:/none', f'{directory}/new', status=1)[1]
    contains(seen, '/none', 'the line')
    seen = run('cp', 'ep:/proc/version', '/proc/none/new', status=2)[1]
    contains(seen, 'cannot write /proc/none/new', 'the line')
    seen = run('cp', '/etc/passwd', '/tmp/x', status=2)[1]
    contains(seen, 'write it as ep:PATH or host:PATH', 'the line')
    equal([n for n in os.listdir(directory) if 'new' in n or 'cp' in n], [],
          'files that are left')


def test_copy_stays_inside():
    """A guest cannot write elsewhere than into the copy."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ['PCI_EP_RUNTIME_DIR'] = directory
        os.mkdir(f'{directory}/bin')
        script = f'''#!/bin/sh
mkdir -p "{directory}/evil"; cd "{directory}/evil"
ln -s .. up; echo x >file
exec /bin/tar -c -f - --transform='s,^file,up/written,' up file
'''
        with open(f'{directory}/bin/tar', 'w', encoding='ascii') as file:
            file.write(script)
        os.chmod(f'{directory}/bin/tar', 0o755)
        path = os.environ['PATH']
        os.environ['PATH'] = f'{directory}/bin:{path}'
        try:
            with Bed(directory):
                seen = run('cp', 'ep:.', f'{directory}/new', status=2)[1]
        finally:
            os.environ['PATH'] = path
        contains(seen, 'would not be below the copy', 'the line')
        equal(os.path.exists(f'{directory}/written'), False, 'what it wrote')


@with_bed
def test_list_and_choose(directory, _bed):
    """Runs are listed and chosen by name; several need a choice."""
    contains(run('list')[0].decode(),
             f'^NAME .*\ntest +{os.getpid()} +{directory} +ep: up\n$',
             'the list')
    with Bed(f'{directory}', 'other'):
        seen = run('exec', 'ep', 'true', status=2)[1]
        contains(seen, 'choose one of test, other with --run|'
                 'choose one of other, test with --run', 'the line')
        equal(run('exec', '--run', 'other', 'ep', 'pwd')[0],
              f'{directory}/guest of other\n'.encode(), 'where it ran')
        seen = run('exec', '--run=none', 'ep', 'true', status=2)[1]
        contains(seen, 'no run none goes on', 'the line')
    seen = run('exec', 'host', 'true', status=2)[1]
    contains(seen, 'no guest host in this run: write ep', 'the line')
    seen = run('attach', 'ep', status=2)[1]
    contains(seen, 'attach needs a terminal', 'the line')


def test_other_checkout():
    """A run of another checkout is not taken for the user's own."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ['PCI_EP_RUNTIME_DIR'] = directory
        with Bed(directory, 'theirs', '/their/tree'):
            seen = run('exec', 'ep', 'true', status=2)[1]
            contains(seen, 'the run theirs that goes on is of /their/tree: '
                     'choose it with --run theirs', 'the line')
            run('exec', '--run', 'theirs', 'ep', 'true')


@with_bed
def test_stop(_directory, bed):
    """The run ends, and then there is none."""
    run('stop')
    equal(bed.stopped, True, 'whether the launcher was told')
    seen = run('exec', 'ep', 'true', status=2)[1]
    contains(seen, 'no run goes on', 'the line')
    equal(run('list')[0].decode().count('\n'), 1, 'lines of the list')


def test_stale():
    """Directories of launchers that were killed are removed."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ['PCI_EP_RUNTIME_DIR'] = directory
        dead = subprocess.Popen(['true'])
        dead.wait()
        stale = os.path.join(directory, f'pci-ep-{dead.pid}-abc')
        os.mkdir(stale)
        with open(os.path.join(stale, 'control'), 'w', encoding='ascii'):
            pass
        run('list')
        equal(os.path.exists(stale), False, 'whether it is still there')


def test_long_path():
    """A directory whose sockets would have too long names is not used."""
    with tempfile.TemporaryDirectory() as directory:
        deep = os.path.join(directory, 'd' * 80)
        os.mkdir(deep)
        os.environ['XDG_RUNTIME_DIR'] = deep
        os.environ.pop('PCI_EP_RUNTIME_DIR', None)
        path = sockets.make_directory()
        os.rmdir(path)
        equal(path.startswith(deep), False, f'whether it is {path}')
        equal(os.listdir(deep), [], 'what is left there')


if __name__ == '__main__':
    sys.exit(main(globals()))
