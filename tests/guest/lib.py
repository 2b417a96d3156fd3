# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest tests share: a context that boots guests or pci-ep-run."""

import os
import re
import select
import shlex
import subprocess
import sys
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '../..'))
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from pciep import arch, functions  # noqa: E402
from pciep.image import kernels  # noqa: E402
from pciep.run import tap  # noqa: E402
from pciep.vm import accel, machine, process  # noqa: E402
from pciep.vm.setup import GuestOptions, Setup  # noqa: E402
from pciep.vm.testbed import Testbed  # noqa: E402

LAUNCHER = os.path.join(TOP, 'scripts/pci-ep-run')
# Seconds for the endpoint to appear or vanish, enough for slow machines
APPEAR = 40
DEFAULT_LIMIT = 120

READY = ('load pci_endpoint_test; '
         'wait_for 20 test -c /dev/pci-endpoint-test.0;')
# For --host-cmd: the selftest of kernels from 6.14 on; -V leaves out a variant
SELFTEST = READY + '/pciep/bin/pci_endpoint_test'


def copies(sizes):
    """
    Return a command for --host-cmd: copies by the endpoint's CPU.

    The program is that of older kernels.
    """
    return (READY + f' for s in {sizes}; do for o in -r -w -c; do'
            ' /pciep/bin/pcitest $o -s $s || exit 1; done; done')


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


# Tests that do not run with the usual ones, and what "run --PART" runs
PARTS = {
    'long': 'the long tests',
    'faults': 'the whole fault matrix',
    'stock': 'the tests with a host that has none of our devices',
    'arm64': 'the tests with arm64 guests, but for the long ones',
}


def part(name):
    """Return a decorator: the test is in this part only."""
    assert name in PARTS

    def mark(function):
        function.part = name
        return function

    return mark


long = part('long')
faults = part('faults')
stock = part('stock')
arm64 = part('arm64')


def build_program(t, name):
    """
    Build the program NAME.c, and return its path.

    It is linked statically, since the guests have no C library.
    """
    program = os.path.join(t.rundir, name)
    source = os.path.join(TOP, 'tests/guest', f'{name}.c')
    subprocess.run(['cc', '-O1', '-Wall', '-Werror', '-static', '-o', program,
                    source], check=True)
    return program


def check(condition, text):
    """Fail unless the condition holds; the text says what went wrong."""
    if not condition:
        raise Failed(text)


def equal(seen, expected, what):
    """Fail unless two values are equal; the text says what they are."""
    check(seen == expected, f'{what}: expected {expected!r}, saw {seen!r}')


def contains(text, pattern, what):
    """Fail unless the pattern is in the text; "what" says where it is."""
    check(re.search(pattern, text),
          f'{what}: nothing matches {pattern!r} in:\n{text[-3000:]}')


def lacks(text, pattern, what):
    """Fail if the pattern is in the text; "what" says where it is."""
    lines = [line for line in text.splitlines() if re.search(pattern, line)]
    check(not lines, f'{what}: {pattern!r} must not be there, but is:\n'
          + '\n'.join(lines[:20]))


def expect(fd, text, seconds=90):
    """Read a terminal until it shows the text."""
    seen, end = b'', time.monotonic() + seconds
    while text not in seen:
        check(
            time.monotonic() < end,
            f'no {text} on the terminal within {seconds} s:\n'
            f'{seen[-2000:].decode(errors="replace")}')
        if select.select([fd], [], [], 0.5)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                check(False, f'the terminal was closed; {seen[-2000:]}')
    return seen


def selftest_passed(output):
    """Return whether a run of the selftest passed at least one test."""
    return (re.search(r'^ok ', output, re.M)
            and not re.search(r'^not ok|# SKIP', output, re.M))


class Link:
    """Guests that are linked, and the steps tests are made of."""

    def __init__(self, bed):
        self.bed = bed
        self.endpoint = ''
        if bed.setup.functions:
            self.endpoint = bed.setup.functions[0].endpoint

    def on(self, guest, command, seconds=30, status=0):
        """Run a command; fail unless it ends with status (None: any)."""
        got, output = self.bed.run(guest, command, seconds)
        if status is not None and got != status:
            raise Failed(f'{guest}: {command}: exit status {got}, '
                         f'expected {status}\n{output}')
        return output

    def host(self, command, seconds=30, status=0):
        """Run a command in the host guest, and return its output."""
        return self.on('host', command, seconds, status)

    def ep(self, command, seconds=30, status=0):
        """Run a command in the endpoint guest, and return its output."""
        return self.on('ep', command, seconds, status)

    def start(self):
        """Boot both guests until the endpoint is there in the host."""
        self.bed.boot()
        self.appears()

    def reboot_host(self):
        """Reboot the host guest, whose MachineSpec.reboot is set."""
        self.bed.host.release = None
        self.bed.host.command('reboot -f')
        self.bed.wait_booted('host')

    def appears(self, seconds=APPEAR):
        """Wait until the host has the function."""
        self.host(f'wait_for {seconds} endpoint {self.endpoint} || '
                  '{ pci_list; false; }', seconds + 20)

    def vanishes(self, seconds=APPEAR):
        """Wait until the host does not have the function any more."""
        self.host(f'wait_for {seconds} no_endpoint {self.endpoint} || '
                  '{ pci_list; false; }', seconds + 20)

    def bind(self):
        """Have pci_endpoint_test take the function."""
        self.host(READY.rstrip(';'), 40)

    def works(self, *tests):
        """The selftest passes the tests named, BAR_TEST by default."""
        self.bind()
        for test in tests or ('BAR_TEST',):
            out = self.host(f'/pciep/bin/pci_endpoint_test -V dma -t {test}',
                            60)
            check(selftest_passed(out), f'{test} did not pass:\n{out}')

    def check_consoles(self):
        """Fail if a kernel reported a fault so far."""
        for name, guest in self.bed.guests.items():
            guest.console.faults.end()
            check(not guest.console.faults.found,
                  f'the kernel of {name} reported: '
                  f'{guest.console.faults.found}')


def steps(link, *functions):
    """
    Run steps on the same guests, whose boot takes longer than most steps.

    Each step gets the link, and leaves it as it was: up, with a function that
    works.
    """
    for function in functions:
        begin = time.monotonic()
        print(f'# {function.__name__} ...', flush=True)
        function(link)
        link.check_consoles()
        print(f'# {function.__name__}: {time.monotonic() - begin:.1f} s',
              flush=True)


class ModuleFunction(Link):
    """
    Guests with an endpoint function of linux/test, which is bound by hand.

    :param module: File name of its module without ".ko". The name of the
                   function has underscores instead.
    :param endpoint: Its ids.
    :param files: More files of the host guest.
    """

    def __init__(self, t, module, endpoint, files=(), kernel='7', **kw):
        host, ep = kw.pop('host', {}), kw.pop('ep', {})
        super().__init__(t.testbed(
            kernel=kernel, host={'files': list(files), **host},
            ep={'files': [os.path.join(t.build, f'modules-{kernel}',
                                       f'{module}.ko')],
                'idle': True, **ep}, **kw))
        self.module, self.endpoint = module, endpoint
        self.function = module.replace('-', '_')

    def boot(self, seconds=60):
        self.bed.boot(seconds=seconds)
        self.ep(f'wait_for 20 epc_path; insmod /root/{self.module}.ko', 40)

    def connect(self):
        """Bind the function and start the link."""
        function = f'$CFS/functions/{self.function}/f'
        self.ep(f'epc_path; mkdir {function} && ln -s {function} $EPC_PATH/ '
                '&& ep_start')
        self.enable()

    def enable(self):
        """Enable memory and bus master, as the host has no driver for it."""
        self.appears()
        self.host('echo 1 >/sys/bus/pci/devices/'
                  f'$(endpoint {self.endpoint})/enable')

    def close(self):
        """Unbind the function and remove its module."""
        self.ep('role_finish')
        self.vanishes()
        self.ep(f'rmmod {self.function}')
        self.check_consoles()


class Context:
    """One test: where its files go and how it starts things."""

    def __init__(self, name, build):
        self.name, self.build = name, build
        self.rundir = os.path.join(build, 'results', 'guest', name)
        os.makedirs(self.rundir, exist_ok=True)

    def kernel(self, name):
        """Return a kernel that "make" builds, or skip the test."""
        image = arch.ARCH[arch.of_kernel(name)].image
        if not os.path.exists(
                os.path.join(self.build, f'kernel-{name}', image)):
            raise Skipped(f'kernel {name} is not built: '
                          f'run "make kernel-{name}"')
        return kernels.built(self.build, name)

    def testbed(self, kernel='7', host=None, ep=None, function=('test',),
                **more):
        """
        Return two guests that are not started: the host is idle.

        :param kernel: Kernel of both.
        :param host: More options of the host guest.
        :param ep: More options of the endpoint guest, which may have another
                   kernel.
        :param function: Functions, as --function names them.
        :param more: More members of Setup.
        """
        chosen = self.kernel(kernel)
        qemu = machine.find_qemu(self.build, chosen.arch)
        bed = Testbed(Setup(
            rundir=self.rundir,
            qemu=qemu,
            accel=accel.choose('auto', qemu, chosen.image, chosen.arch,
                               lambda text: None),
            guests=[
                GuestOptions(name='host', kernel=chosen, idle=True,
                             **(host or {})),
                GuestOptions(name='ep', **{'kernel': chosen, **(ep or {})}),
            ],
            functions=functions.instances(function),
            build=self.build,
            **more,
        ))
        bed.prepare()
        return bed

    def command(self, *args):
        """Return the command line of pci-ep-run with its files in rundir."""
        return [sys.executable, LAUNCHER, '--build-dir', self.build,
                '--log-dir', self.rundir, *args]

    def launch(self, *args, seconds=110, env=None):
        """Run pci-ep-run, and return its exit status and its output."""
        running = self.start(*args, env=env)
        try:
            out = running.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            running.kill()
            rest = running.communicate()[0].decode(errors='replace')
            raise Failed(f'pci-ep-run {shlex.join(args)} did not end within '
                         f'{seconds} s:\n{rest[-3000:]}') from None
        return running.returncode, out.decode(errors='replace')

    def start(self, *args, env=None):
        """Start pci-ep-run, with everything it prints in one pipe."""
        return subprocess.Popen(
            self.command(*args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd='/',
            env={**os.environ, **(env or {})},
            preexec_fn=process.die_with_parent(),
        )

    def file(self, name, text, mode=0o755):
        """Write a file, and return its path."""
        path = os.path.join(self.rundir, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def read(self, name):
        """Return the text of a file of the run."""
        with open(os.path.join(self.rundir, name), encoding='utf-8',
                  errors='replace') as file:
            return file.read()

    def results(self):
        """Return results.tap as {name: (status, reason)}."""
        return {result.name: (result.status, result.reason)
                for result in tap.read(self.read('results.tap'))}

    # What must not be left behind

    def qemus(self):
        """Return the processes of QEMU that have files of this test."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', 'rb') as file:
                    words = file.read().split(b'\0')
            except OSError:
                continue
            if b'qemu-system' in words[0] and any(
                    self.rundir.encode() in word for word in words):
                found.append(int(pid))
        return found

    def sockets(self, pid):
        """Return the socket directories of the launcher with that pid."""
        bases = {os.environ.get('XDG_RUNTIME_DIR'), os.environ.get('TMPDIR'),
                 '/tmp'}
        return [name for base in bases if base and os.path.isdir(base)
                for name in os.listdir(base)
                if name.startswith(f'pci-ep-{pid}-')]

    def nothing_left(self, pid):
        """Fail if a launcher that has ended left something behind."""
        end = time.monotonic() + 5
        while time.monotonic() < end and (self.qemus() or self.sockets(pid)):
            time.sleep(0.1)
        equal(self.qemus(), [], 'QEMU processes left behind')
        equal(self.sockets(pid), [], 'socket directories left behind')
