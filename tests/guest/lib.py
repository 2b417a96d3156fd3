# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest tests share: a context that boots pairs of guests or runs pci-ep-run."""

import os
import re
import shlex
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from pciep import accel, functions, kernels, machine, process  # noqa: E402
from pciep.pair import Pair, Side  # noqa: E402

LAUNCHER = os.path.join(TOP, 'scripts/pci-ep-run')
APPEAR = 40  # seconds for the endpoint to appear or vanish; generous, machines are slow
DEFAULT_LIMIT = 120

READY = 'load pci_endpoint_test; wait_for 20 test -c /dev/pci-endpoint-test.0;'
# For --host-cmd: the selftest of kernels from 6.14 on; -V leaves out a variant
SELFTEST = READY + '/pciep/bin/pci_endpoint_test'


def copies(sizes):
    """For --host-cmd: copies by the endpoint's CPU, with the program of older kernels."""
    return (
        READY + f' for s in {sizes}; do for o in -r -w -c; do'
        ' /pciep/bin/pcitest $o -s $s || exit 1; done; done'
    )


class Failed(Exception):
    """The test failed; the text says what was expected and what was seen."""


class Skipped(Exception):
    """The test cannot run here; the text says why."""


def limit(seconds):
    """Decorator: the time a test may take."""

    def mark(function):
        function.limit = seconds
        return function

    return mark


def long(function):
    """Decorator: only in "make check-long"."""
    function.long = True
    return function


def check(condition, text):
    if not condition:
        raise Failed(text)


def equal(seen, expected, what):
    check(seen == expected, f'{what}: expected {expected!r}, saw {seen!r}')


def contains(text, pattern, what):
    check(
        re.search(pattern, text),
        f'{what}: nothing matches {pattern!r} in:\n{text[-3000:]}',
    )


class Link:
    """A booted pair and the steps tests are made of."""

    def __init__(self, pair):
        self.pair = pair
        self.endpoint = pair.functions[0].function.endpoint

    def on(self, role, command, seconds=30, status=0):
        """Runs a command in a guest; fails unless it ends with @status (None: any)."""
        got, output = self.pair.run(role, command, seconds)
        if status is not None and got != status:
            raise Failed(
                f'{role}: {command}: exit status {got}, expected {status}\n{output}'
            )
        return output

    def host(self, command, seconds=30, status=0):
        return self.on('host', command, seconds, status)

    def ep(self, command, seconds=30, status=0):
        return self.on('ep', command, seconds, status)

    def ready(self, role, seconds=60):
        g = self.pair.guests[role]
        self.pair.wait(lambda: g.release or not g.alive, seconds, f'{role} boots')
        check(g.alive, f'{role} ended: {g.why_ended() if not g.alive else ""}')

    def set_up(self, seconds=60):
        """The endpoint guest's own set-up is done."""
        g = self.pair.ep
        self.pair.wait(
            lambda: 'link started' in g.state or g.need or not g.alive,
            seconds,
            'the endpoint guest sets the function up',
        )
        check(not g.need, f'endpoint guest: {g.need}')
        check(g.alive, 'the endpoint guest ended')

    def start(self, seconds=60):
        """Both guests, until the endpoint is there in the host."""
        self.pair.start()
        self.ready('host', seconds)
        self.ready('ep', seconds)
        self.set_up(seconds)
        self.appears()

    def appears(self, seconds=APPEAR):
        self.host(
            f'wait_for {seconds} endpoint {self.endpoint} || {{ pci_list; false; }}',
            seconds + 20,
        )

    def vanishes(self, seconds=APPEAR):
        self.host(
            f'wait_for {seconds} no_endpoint {self.endpoint} || {{ pci_list; false; }}',
            seconds + 20,
        )

    def bind(self):
        self.host(
            'load pci_endpoint_test; wait_for 20 test -c /dev/pci-endpoint-test.0', 40
        )

    def works(self, *tests):
        """The selftest passes the tests named (default BAR_TEST), each at least once."""
        self.bind()
        for test in tests or ('BAR_TEST',):
            out = self.host(f'/pciep/bin/pci_endpoint_test -V dma -t {test}', 60)
            check(
                re.search(r'^ok ', out, re.M)
                and not re.search(r'^not ok|# SKIP', out, re.M),
                f'{test} did not pass:\n{out}',
            )

    def quiet(self):
        """Neither kernel reported a fault so far."""
        for role, g in self.pair.guests.items():
            g.console.faults.end()
            check(
                not g.console.faults.found,
                f'the kernel of {role} reported: {g.console.faults.found}',
            )


class Context:
    """One test: where its files go and how it starts things."""

    def __init__(self, name, build):
        self.name, self.build = name, build
        self.rundir = os.path.join(build, 'results', 'guest', name)
        os.makedirs(self.rundir, exist_ok=True)

    def kernel(self, name):
        if not os.path.exists(os.path.join(self.build, f'kernel-{name}', 'bzImage')):
            raise Skipped(f'kernel {name} is not built: run "make kernels"')
        return kernels.built(self.build, name)

    def pair(self, kernel='7', host=None, ep=None, function=('test',), **kw):
        """Two guests, not yet started: the host idle, the endpoint with the function."""
        k = self.kernel(kernel)
        arch = 'x86_64'
        qemu = machine.find_qemu(self.build, arch)
        which = accel.choose('auto', qemu, k.image, arch, lambda text: None)
        pair = Pair(
            self.rundir,
            qemu,
            which,
            Side(k, idle=True, **(host or {})),
            Side(k, **(ep or {})),
            arch,
            functions.instances(function),
            **kw,
        )
        pair.prepare()
        return pair

    def command(self, *args):
        return [
            sys.executable,
            LAUNCHER,
            '--build-dir',
            self.build,
            '--log-dir',
            self.rundir,
            *args,
        ]

    def launch(self, *args, seconds=110, cwd='/', env=None):
        """Runs pci-ep-run to its end: (status, output)."""
        p = self.start(*args, cwd=cwd, env=env)
        try:
            out = p.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            p.kill()
            raise Failed(
                f'pci-ep-run {shlex.join(args)} did not end within {seconds} s:\n'
                f'{p.communicate()[0].decode(errors="replace")[-3000:]}'
            ) from None
        return p.returncode, out.decode(errors='replace')

    def start(self, *args, cwd='/', env=None):
        """Starts pci-ep-run, with everything it prints in one pipe."""
        return subprocess.Popen(
            self.command(*args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            preexec_fn=process.die_with_parent(),
        )

    def file(self, name, text, mode=0o755):
        path = os.path.join(self.rundir, name)
        with open(path, 'w') as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def read(self, name):
        with open(os.path.join(self.rundir, name), errors='replace') as f:
            return f.read()

    def results(self):
        """results.tap as {name: (status, reason)}."""
        found = {}
        for line in self.read('results.tap').splitlines():
            m = re.match(r'(ok|not ok) \d+ (\S+)(?: # SKIP (.*))?$', line)
            if m:
                status = (
                    'fail'
                    if m.group(1) == 'not ok'
                    else 'pass'
                    if m.group(3) is None
                    else 'skip'
                )
                found[m.group(2)] = (status, m.group(3) or '')
        return found

    # -- what must not be left behind

    def qemus(self):
        """Processes whose command line names this test's directory, without ourselves."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', 'rb') as f:
                    line = f.read().split(b'\0')
            except OSError:
                continue
            if b'qemu-system' in line[0] and any(self.rundir.encode() in a for a in line):
                found.append(int(pid))
        return found

    def sockets(self, pid):
        """Socket directories of the launcher @pid."""
        found = []
        for base in {
            os.environ.get('XDG_RUNTIME_DIR'),
            os.environ.get('TMPDIR'),
            '/tmp',
        } - {None}:
            if os.path.isdir(base):
                found += [n for n in os.listdir(base) if n.startswith(f'pci-ep-{pid}-')]
        return found

    def nothing_left(self, pid):
        end = time.monotonic() + 5
        while time.monotonic() < end and (self.qemus() or self.sockets(pid)):
            time.sleep(0.1)
        equal(self.qemus(), [], 'QEMU processes left behind')
        equal(self.sockets(pid), [], 'socket directories left behind')
