# SPDX-License-Identifier: GPL-2.0-or-later
"""
The guests that are measured.

Boots them, runs measurements in them, and asks both QEMUs how many messages
that took.
"""

import os
import subprocess
import sys
import tempfile

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '../..'))
sys.path.insert(0, os.path.join(TOP, 'scripts'))

import ivshmem  # noqa: E402
from pciep import CannotRun  # noqa: E402
from pciep.image import kernels  # noqa: E402
from pciep.vm import accel, machine  # noqa: E402
from pciep.vm.qmp import Qmp  # noqa: E402
from pciep.vm.setup import GuestOptions, Setup  # noqa: E402
from pciep.vm.testbed import Testbed  # noqa: E402

KERNEL = '7'
ENDPOINT = '0x1af4:0x10ff'
CMA = 'cma=64M'  # buffers of 16 MiB in one piece
BOOT = 120  # seconds, enough for slow machines
RUN = 120
DEVICES = {'host': 'rp0', 'ep': 'epc0'}  # ids of both ends of the link

EP_SETUP = (
    'insmod /root/pci-epf-bench.ko && '
    'mkdir "$CFS/functions/pci_epf_bench/func1" && epc_path && '
    'ln -s "$CFS/functions/pci_epf_bench/func1" "$EPC_PATH/" && ep_start')
HOST_SETUP = (
    'insmod /root/pci-ep-bench-host.ko && '
    f'wait_for {BOOT} endpoint {ENDPOINT} && '
    f'D=/sys/bus/pci/devices/$(endpoint {ENDPOINT}) && '
    'wait_for 20 test -e $D/driver && echo $D')


def boot(bed):
    """Prepare guests, and boot them."""
    bed.prepare()
    bed.boot(seconds=BOOT)


def run_in(bed, role, command, seconds):
    """Return the output of a command in a guest, which must not fail."""
    status, output = bed.run(role, command, seconds)
    if status:
        raise CannotRun(f'{role}: {command}: exit status {status}: {output}; '
                        f'see {role}.log in {bed.setup.rundir}')
    return output


class Tools:
    """What "make" built: QEMU, a kernel, the programs of the benchmark."""
    def __init__(self, build, wanted, tell):
        self.build = build
        self.kernel = kernels.built(build, KERNEL)
        self.qemu = machine.find_qemu(build, self.kernel.arch)
        self.accel = accel.choose(wanted, self.qemu, self.kernel.image,
                                  self.kernel.arch, tell)

    def program(self, name):
        path = os.path.join(self.build, 'bench', name)
        if not os.path.exists(path):
            raise CannotRun(f'no {path}: run "make bench"')
        return path

    def testbed(self, rundir, host, ep, **more):
        """
        Return two guests that are not prepared.

        :param rundir: Directory for their files.
        :param host: More options of the host guest.
        :param ep: More options of the endpoint guest.
        :param more: More members of Setup.
        """
        os.makedirs(rundir, exist_ok=True)
        return Testbed(Setup(
            rundir=rundir,
            qemu=self.qemu,
            accel=self.accel,
            guests=[GuestOptions(name='host', kernel=self.kernel, **host),
                    GuestOptions(name='ep', kernel=self.kernel, **ep)],
            **more,
        ))

    def has_device(self, name):
        out = subprocess.run([self.qemu, '-device', f'{name},help'],
                             capture_output=True)
        return out.returncode == 0


def samples(text):
    """Return lines of numbers as lists."""
    return [[int(w) for w in line.split()] for line in text.splitlines()
            if line.strip()]


class Bench:
    """Two guests with the function of the benchmark, and with ivshmem."""

    def __init__(self, tools, rundir):
        self.tools = tools
        self.server = None
        self.directory = tempfile.TemporaryDirectory(prefix='pci-ep-bench-')
        where = self.directory.name
        self.qmp = {r: Qmp(os.path.join(where, f'{r}.qmp')) for r in DEVICES}
        common = {'append': CMA, 'idle': True}
        host = {**common, 'extra': self.qmp['host'].arguments,
                'files': [tools.program('pci-ep-bench-host.ko'),
                          tools.program('bar'),
                          tools.program('message-read')]}
        ep = {**common, 'extra': self.qmp['ep'].arguments,
              'files': [tools.program('pci-epf-bench.ko')]}
        self.bed = tools.testbed(rundir, host, ep)
        if tools.has_device('ivshmem-doorbell'):
            path = os.path.join(self.directory.name, 'ivshmem')
            self.server = ivshmem.Server(path, self.bed.loop)
            for guest in self.bed.setup.guests:
                guest.extra += self.server.arguments()

    def start(self):
        boot(self.bed)
        self.on('ep', EP_SETUP)
        self.device = self.on('host', HOST_SETUP, BOOT).split()[-1]

    def on(self, role, command, seconds=RUN):
        return run_in(self.bed, role, command, seconds)

    # Measurements: lists of [ns, ns of the yardstick]

    def bar(self, name, size, loops, count):
        return samples(self.on('host', f'/root/bar {self.device}/resource0 '
                               f'{name} {size} {loops} {count}'))

    def message_read(self, loops, count):
        """Read the BAR of the doorbell, which is no memory."""
        return samples(self.on('host', '/root/message-read '
                               f'{self.device}/resource5 {loops} {count}'))

    def endpoint(self, name, size, loops, count, channels=1):
        run = '/sys/kernel/debug/pci_epf_bench.0/run'
        args = f'{name} {size} {loops} {count} {channels}'
        return samples(self.on('ep', f'echo {args} >{run} && cat {run}'))

    def doorbell(self, _name, _size, loops, count):
        """The host rings; there is one kind of doorbell, of one size."""
        run = '/sys/kernel/debug/pci-ep-bench-host/doorbell'
        return samples(
            self.on('host', f'echo {loops} {count} >{run} && cat {run}'))

    def _process(self, name, *args):
        """Return the samples of a program that runs outside the guests."""
        words = [self.tools.program(name)] + [str(arg) for arg in args]
        out = subprocess.run(words, capture_output=True, check=True,
                             timeout=RUN)
        return samples(out.stdout.decode())

    def mmap_pair(self, loops, count):
        return self._process('mmap-pair', loops, count)

    def round_trips(self, loops, count):
        return self._process('round-trips', loops, count)

    def copies(self, size, loops, count, *more):
        return self._process('copies', size, loops, count, *more)

    # What the QEMUs did

    def messages(self):
        """Return how many messages both sides sent and received so far."""
        return sum(self.qmp[role].get(f'/machine/peripheral/{device}',
                                      'messages')
                   for role, device in DEVICES.items())

    def config_writes(self, count):
        """The host writes its configuration space; each is a message."""
        self.on('host', f'for i in $(seq {count}); do '
                'printf "\\x$((i % 10))" | '
                f'dd of={self.device}/config bs=1 seek=60 count=1 '
                'conv=notrunc 2>/dev/null; done')

    def close(self):
        self.bed.close()
        for qmp in self.qmp.values():
            qmp.close()
        if self.server:
            self.server.close()
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
