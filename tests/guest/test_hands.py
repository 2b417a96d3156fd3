# SPDX-License-Identifier: GPL-2.0-or-later
"""attach, exec, cp, monitor, stop and list; both guests on one terminal."""

import contextlib
import fcntl
import hashlib
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

from lib import (LAUNCHER, TOP, Failed, Skipped, check, contains, equal,
                 expect, limit, process)

IDLE = ('--no-link', '--no-console', '--host-cmd=sleep 1000',
        '--timeout=600')
UP = 90  # seconds


def client(*words, env=None, data=None, status=0, launcher=LAUNCHER):
    """Return what a command prints; fail unless it ends with status."""
    done = subprocess.run(
        [sys.executable, launcher, *words], timeout=100, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd='/', input=data,
        stdin=None if data is not None else subprocess.DEVNULL,
        env={**os.environ, **(env or {})})
    equal(done.returncode, status,
          f'exit status of {words}, output: {done.stdout[-2000:]}')
    return done.stdout.decode(errors='replace')


class Pair:
    """Runs pci-ep-run in a directory of its own, with a name of its own."""

    def __init__(self, t, name, *args, user=(), launcher=LAUNCHER, env=None,
                 build=None, terminal=False):
        self.name, self.launcher, self.env = name, launcher, env
        self.rundir = os.path.join(t.rundir, 'with blanks', name)
        command = [*user, sys.executable, launcher, '--build-dir',
                   build or t.build, '--log-dir', self.rundir, *args]
        self.master, slave = pty.openpty() if terminal else (None, None)
        out = slave if terminal else subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=slave if terminal else subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT, cwd='/',
            env={**os.environ, **(env or {})},
            preexec_fn=process.die_with_parent())
        if terminal:
            os.close(slave)

    def do(self, command, *words, **more):
        """Run a command that acts on the pair."""
        return client(command, '--run', self.name, *words, env=self.env,
                      launcher=self.launcher, **more)

    def up(self):
        """Wait until both guests are up."""
        end = time.monotonic() + UP
        while time.monotonic() < end:
            seen = client('list', env=self.env, launcher=self.launcher)
            for line in seen.splitlines():
                if line.startswith(f'{self.name} ') \
                        and 'booting' not in line and 'started' not in line:
                    return
            if self.process.poll() is not None:
                raise Failed(f'pci-ep-run ended:\n{self.output()}')
            time.sleep(0.5)
        raise Failed(f'{self.name} is not up within {UP} s: {seen}')

    def output(self):
        """Return what pci-ep-run printed, when it has ended."""
        return self.process.communicate(timeout=30)[0].decode(
            errors='replace') if self.master is None else ''

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        process.end([self.process], 10)
        if self.master is not None:
            os.close(self.master)


class Attached:
    """pci-ep-run attach on a terminal of its own."""

    def __init__(self, pair, *words, rows=33, columns=101):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            [sys.executable, LAUNCHER, 'attach', '--run', pair.name, *words],
            stdin=slave, stdout=slave, stderr=slave,
            preexec_fn=process.die_with_parent())
        os.close(slave)

    def resize(self, rows, columns):
        """Change the size of the terminal."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ,
                    struct.pack('HHHH', rows, columns, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        process.end([self.process], 10)
        os.close(self.master)


def ask(fd, command, answer, seconds=UP):
    """Type a command until the shell answers."""
    end = time.monotonic() + seconds
    while True:
        os.write(fd, command + b'\n')
        try:
            return expect(fd, answer, 10)
        except Failed:
            if time.monotonic() > end:
                raise


@limit(240)
def test_exec_and_copy(t):
    """Status, output and files of both guests; the run ends with stop."""
    t.kernel('7')
    source = os.path.join(t.rundir, 'a file')
    data = hashlib.sha256(b'x').digest() * 8000
    with open(source, 'wb') as file:
        file.write(data)
    with Pair(t, 'pair', *IDLE) as pair:
        pair.up()
        contains(pair.do('exec', 'ep', 'hostname; echo $PWD; exit 7',
                         status=7), '^ep\r?\n/root\n$', 'output of exec')
        equal(pair.do('exec', 'host', 'load', 'no_such_module', status=1)
              .startswith('load: no module no_such_module'), True,
              'whether the command of the guest says so')
        pair.do('cp', source, 'ep:/tmp/there')
        contains(pair.do('exec', 'ep', 'sha256sum </tmp/there'),
                 hashlib.sha256(data).hexdigest(), 'the hash in the guest')
        back = os.path.join(t.rundir, 'back')
        pair.do('cp', 'ep:/tmp/there', back)
        with open(back, 'rb') as file:
            equal(file.read() == data, True, 'whether it came back as it was')
        pair.do('cp', 'host:/sys/kernel/notes', back)
        equal(pair.do('exec', '-i', 'host', 'tr a-z A-Z', data=b'shout'),
              'SHOUT', 'what standard input became')
        contains(pair.do('monitor', 'host', 'info', 'version'), r'^\d+\.\d+',
                 'what the monitor says')
        contains(pair.do('monitor', 'ep', data=b'info name\n'), 'pci-ep-ep',
                 'what the monitor says')
        pair.do('stop')
        equal(pair.process.wait(20), 128 + signal.SIGTERM, 'exit status')
        contains(client('list'), r'^NAME .*\n(?!pair )', 'list')
    t.nothing_left(pair.process.pid)


@limit(240)
def test_attach(t):
    """A shell on the console of a run that tests, with the terminal's size."""
    t.kernel('7')
    with Pair(t, 'attached', *IDLE) as pair:
        pair.up()
        with Attached(pair, 'ep') as first, Attached(pair, 'ep') as second:
            ask(first.master, b'echo $((6 * 7))-$(hostname)', b'42-ep')
            expect(second.master, b'42-ep')
            ask(first.master, b'stty size', b'33 101')
            first.resize(44, 120)
            os.kill(first.process.pid, signal.SIGWINCH)
            ask(first.master, b'stty size', b'44 120')
            os.write(first.master, b'\x1d')
            equal(first.process.wait(20), 0, 'exit status of attach')
            ask(second.master, b'echo still-$(hostname)', b'still-ep')
            equal(pair.process.poll(), None, 'whether the run goes on')
            pair.do('stop')
            equal(second.process.wait(20), 0, 'exit status of the other one')


def without_tmux(t):
    """Return a PATH that has all but tmux."""
    place = os.path.join(t.rundir, 'bin')
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    for directory in os.environ['PATH'].split(os.pathsep):
        for name in os.listdir(directory) if os.path.isdir(directory) else ():
            if name != 'tmux':
                with contextlib.suppress(FileExistsError):
                    os.symlink(os.path.join(directory, name),
                               os.path.join(place, name))
    return place


@limit(240)
def test_both_and_a_key(t):
    """Without tmux a key shows the other guest."""
    t.kernel('7')
    with Pair(t, 'key', '--interactive=both', '--no-link', terminal=True,
              env={'PATH': without_tmux(t)}) as pair:
        expect(pair.master, b'# ')
        ask(pair.master, b'echo $((6 * 7))-$(hostname)', b'42-host')
        os.write(pair.master, b'\x1c')
        expect(pair.master, b'--- ep guest')
        ask(pair.master, b'echo $((6 * 7))-$(hostname)', b'42-ep')
        os.write(pair.master, b'\x1cecho again-$(hostname)\n')
        expect(pair.master, b'again-host')
        os.write(pair.master, b'\x1d')
        expect(pair.master, b'by hand', 20)
        equal(pair.process.wait(20), 0, 'exit status')
    t.nothing_left(pair.process.pid)


@limit(240)
def test_other_guest_of_one(t):
    """An interactive run of one guest has a shell for the other one, too."""
    t.kernel('7')
    with Pair(t, 'one', '--interactive=ep', '--no-link',
              terminal=True) as pair:
        expect(pair.master, b'# ')
        os.write(pair.master, b'\x1c')
        ask(pair.master, b'echo $((6 * 7))-$(hostname)', b'42-host')
        client('stop', '--run', 'one')
        equal(pair.process.wait(20), 0, 'exit status')


@limit(240)
def test_both_in_tmux(t):
    """tmux shows both; the end of one console ends the run."""
    t.kernel('7')
    if not shutil.which('tmux'):
        raise Skipped('the package tmux is not installed')
    with Pair(t, 'tmux', '--interactive=both', '--no-link', terminal=True,
              env={'TERM': 'vt100'}) as pair:
        fcntl.ioctl(pair.master, termios.TIOCSWINSZ,
                    struct.pack('HHHH', 50, 100, 0, 0))
        pair.up()
        for name in ('ep', 'host'):
            # The pane that was made last has the keyboard.
            ask(pair.master, b'echo $((6 * 7))-$(hostname)',
                b'42-' + name.encode())
            os.write(pair.master, b'\x02o')  # the other pane
        os.write(pair.master, b'\x1d')
        expect(pair.master, b'by hand', 20)
        equal(pair.process.wait(20), 0, 'exit status')
    t.nothing_left(pair.process.pid)


@limit(300)
def test_two_pairs(t):
    """Two pairs at once; each command acts on the one that is named."""
    t.kernel('7')
    with Pair(t, 'one', *IDLE, '--ep-append=which=1') as one, \
            Pair(t, 'two', *IDLE, '--ep-append=which=2') as two:
        one.up()
        two.up()
        contains(client('exec', 'ep', 'true', status=2),
                 'several runs go on: choose one of .* with --run', 'the line')
        for pair, number in ((one, '1'), (two, '2')):
            contains(pair.do('exec', 'ep', 'cat /proc/cmdline'),
                     f'which={number}', f'what runs in {pair.name}')
        one.do('stop')
        equal(one.process.wait(20), 128 + signal.SIGTERM, 'exit status')
        contains(client('exec', '--run', str(two.process.pid), 'host',
                        'hostname'), '^host', 'the other pair')


def readable_copy(t, place):
    """Copy what another user needs of the checkout and of the build."""
    build = os.path.join(place, 'build')
    os.makedirs(build)
    subprocess.run(['cp', '-r', os.path.join(TOP, 'scripts'), place],
                   check=True)
    for name in ('qemu', 'kernel-7', 'modules-7'):
        source = os.path.realpath(os.path.join(t.build, name))
        shutil.copytree(source, os.path.join(build, name), symlinks=True,
                        ignore=shutil.ignore_patterns('kbuild', 'tests'))
    subprocess.run(['chmod', '-R', 'a+rX,a-w', place], check=True)
    return build


@limit(300)
def test_ordinary_user(t):
    """An ordinary user works with a checkout that nobody can write."""
    t.kernel('7')
    with tempfile.TemporaryDirectory(prefix='read only ') as place:
        os.chmod(place, 0o755)
        build = readable_copy(t, place)
        own = os.path.join(place, 'own')
        user = []
        os.chmod(place, 0o755)
        os.makedirs(own)
        if os.getuid() == 0:
            user = ['setpriv', '--reuid=65534', '--regid=65534',
                    '--clear-groups', '--no-new-privs']
            os.chown(own, 65534, 65534)
        env = {'HOME': own, 'PCI_EP_CACHE': f'{own}/cache', 'TMPDIR': own,
               'XDG_RUNTIME_DIR': own}

        def do(*words):
            return subprocess.run(
                [*user, sys.executable, f'{place}/scripts/pci-ep-run', *words],
                env={**os.environ, **env}, check=True, timeout=100, cwd=own,
                stdout=subprocess.PIPE).stdout.decode()

        with subprocess.Popen(
                [*user, sys.executable, f'{place}/scripts/pci-ep-run',
                 '--build-dir', build, '--log-dir', f'{own}/log', *IDLE],
                env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
            end = time.monotonic() + 2 * UP
            while 'log ' not in do('list'):
                check(time.monotonic() < end and running.poll() is None,
                      'no run in the list')
                time.sleep(0.5)
            equal(do('exec', 'ep', 'hostname'), 'ep\n', 'output of exec')
            do('cp', 'host:/etc/passwd', f'{own}/copy')
            with open(f'{own}/copy', encoding='ascii') as file:
                contains(file.read(), '^root:', 'the copy')
            do('stop')
            equal(running.wait(20), 128 + signal.SIGTERM, 'exit status')
