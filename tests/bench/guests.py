# SPDX-License-Identifier: GPL-2.0-or-later
"""The pair of guests that is measured: boots it, runs measurements in it, and asks
the two QEMUs how many messages that took."""

import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'scripts'))

import ivshmem  # noqa: E402
from pciep import CannotRun, accel, kernels, machine  # noqa: E402
from pciep.pair import Pair, Side  # noqa: E402
from pciep.qmp import Qmp  # noqa: E402

KERNEL = '7'
ARCH = 'x86_64'
ENDPOINT = '0x1af4:0x10ff'
CMA = 'cma=64M'  # buffers of 16 MiB in one piece
BOOT = 120  # seconds; generous, machines are slow
RUN = 120
DEVICES = {'host': 'rp0', 'ep': 'epc0'}  # that have the link

EP_SETUP = (
    'insmod /root/pci-epf-bench.ko && '
    'mkdir "$CFS/functions/pci_epf_bench/func1" && epc_path && '
    'ln -s "$CFS/functions/pci_epf_bench/func1" "$EPC_PATH/" && ep_start'
)
HOST_SETUP = (
    f'insmod /root/pci-ep-bench-host.ko && wait_for {BOOT} endpoint {ENDPOINT} && '
    f'D=/sys/bus/pci/devices/$(endpoint {ENDPOINT}) && '
    'wait_for 20 test -e $D/driver && echo $D'
)


def boot(pair, **states):
    """Boots the guests and waits until each says the word of its state."""
    pair.prepare()
    pair.start()
    for role, word in states.items():
        guest = pair.guests[role]
        pair.wait(
            lambda g=guest, w=word: w in g.state or g.need or not g.alive,
            BOOT,
            f'{role} boots',
        )
        if guest.need or not guest.alive:
            raise CannotRun(guest.need or f'{role}: {guest.why_ended()}')


def run_in(pair, role, command, seconds):
    """What a command in a guest says, which must not fail."""
    status, output = pair.run(role, command, seconds)
    if status:
        raise CannotRun(
            f'{role}: {command}: exit status {status}: {output}; see {role}.log '
            f'in {pair.rundir}'
        )
    return output


class Tools:
    """What "make" built: QEMU, a kernel, the programs of the benchmark."""

    def __init__(self, build, wanted, tell):
        self.build = build
        self.qemu = machine.find_qemu(build, ARCH)
        self.kernel = kernels.built(build, KERNEL)
        self.accel = accel.choose(wanted, self.qemu, self.kernel.image, ARCH, tell)

    def program(self, name):
        path = os.path.join(self.build, 'bench', name)
        if not os.path.exists(path):
            raise CannotRun(f'no {path}: run "make bench"')
        return path

    def pair(self, rundir, host, ep, **more):
        os.makedirs(rundir, exist_ok=True)
        return Pair(rundir, self.qemu, self.accel, host, ep, ARCH, **more)

    def has_device(self, name):
        out = subprocess.run([self.qemu, '-device', f'{name},help'], capture_output=True)
        return out.returncode == 0


def samples(text):
    """Lines of numbers."""
    return [[int(w) for w in line.split()] for line in text.splitlines() if line.strip()]


class Bench:
    """Two linked guests with the benchmark's function, and ivshmem beside it."""

    def __init__(self, tools, rundir):
        self.tools = tools
        self.server = None
        self.directory = tempfile.TemporaryDirectory(prefix='pci-ep-bench-')
        where = self.directory.name
        self.qmp = {r: Qmp(os.path.join(where, f'{r}.qmp')) for r in DEVICES}
        host = Side(
            tools.kernel,
            append=CMA,
            idle=True,
            files=[tools.program('pci-ep-bench-host.ko'), tools.program('bar')],
            extra=self.qmp['host'].arguments,
        )
        ep = Side(
            tools.kernel,
            append=CMA,
            idle=True,
            files=[tools.program('pci-epf-bench.ko')],
            extra=self.qmp['ep'].arguments,
        )
        self.pair = tools.pair(rundir, host, ep)
        if tools.has_device('ivshmem-doorbell'):
            path = os.path.join(self.directory.name, 'ivshmem')
            self.server = ivshmem.Server(path, self.pair.loop)
            host.extra += self.server.arguments()
            ep.extra += self.server.arguments()

    def start(self):
        boot(self.pair, host='idle', ep='idle')
        self.on('ep', EP_SETUP)
        self.device = self.on('host', HOST_SETUP, BOOT).split()[-1]

    def on(self, role, command, seconds=RUN):
        return run_in(self.pair, role, command, seconds)

    # -- measurements: lists of [ns, ns of the yardstick]

    def bar(self, name, size, loops, count):
        return samples(
            self.on(
                'host',
                f'/root/bar {self.device}/resource0 {name} {size} {loops} {count}',
            )
        )

    def endpoint(self, name, size, loops, count, channels=1):
        run = '/sys/kernel/debug/pci_epf_bench.0/run'
        args = f'{name} {size} {loops} {count} {channels}'
        return samples(self.on('ep', f'echo {args} >{run} && cat {run}'))

    def doorbell(self, name, size, loops, count):
        """Rung by the host; there is one kind, of one size."""
        run = '/sys/kernel/debug/pci-ep-bench-host/doorbell'
        return samples(self.on('host', f'echo {loops} {count} >{run} && cat {run}'))

    def mmap_pair(self, loops, count):
        out = subprocess.run(
            [self.tools.program('mmap-pair'), str(loops), str(count)],
            capture_output=True,
            check=True,
            timeout=RUN,
        )
        return samples(out.stdout.decode())

    def copies(self, size, loops, count, *more):
        out = subprocess.run(
            [self.tools.program('copies'), str(size), str(loops), str(count), *more],
            capture_output=True,
            check=True,
            timeout=RUN,
        )
        return samples(out.stdout.decode())

    # -- what the QEMUs did

    def messages(self):
        """Messages that both sides sent and received so far."""
        return sum(
            self.qmp[role].get(f'/machine/peripheral/{device}', 'messages')
            for role, device in DEVICES.items()
        )

    def config_writes(self, count):
        """Configuration writes by the host, which are messages."""
        self.on(
            'host',
            f'for i in $(seq {count}); do printf "\\x$((i % 10))" | '
            f'dd of={self.device}/config bs=1 seek=60 count=1 conv=notrunc 2>/dev/null; '
            'done',
        )

    def close(self):
        self.pair.close()
        for qmp in self.qmp.values():
            qmp.close()
        if self.server:
            self.server.close()
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
