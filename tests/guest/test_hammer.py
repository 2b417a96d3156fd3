# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything at once, for a while: copies through the window and by DMA from four
threads, maps that come and go, a BAR that changes its target, interrupts.  All data
is verified by the modules of linux/hammer; nothing may be left behind."""

import os
import sys
import tempfile

from lib import TOP, Skipped, check, equal, limit

sys.path.insert(0, os.path.join(TOP, 'tests/bench'))

from boots import own_memory  # noqa: E402
from pciep.qmp import Qmp  # noqa: E402
from pciep.pair import Pair, Side  # noqa: E402
from pciep import accel, machine  # noqa: E402

ARCH = 'x86_64'
ENDPOINT = '0x1af4:0x10fe'
RUN = '/sys/kernel/debug/pci-epf-hammer/run'
RESULT = '/sys/kernel/debug/pci-ep-hammer/result'
WARM_UP = 5  # seconds, after which caches and pools have their size
SETTLE = 3  # seconds, for what is freed later

EP_SETUP = (
    'insmod /root/pci-epf-hammer.ko && '
    'mkdir "$CFS/functions/pci_epf_hammer/func1" && epc_path && '
    'ln -s "$CFS/functions/pci_epf_hammer/func1" "$EPC_PATH/" && ep_start'
)
HOST_SETUP = (
    f'insmod /root/pci-ep-hammer-host.ko && wait_for 60 endpoint {ENDPOINT} && '
    f'wait_for 20 test -e {RESULT}'
)

# What may be more afterwards than before, and by how much.  Own memory of a QEMU
# has its heap and what TCG keeps for translated code; 64 bytes lost with each copy
# of a minute would be more.  Guest: caches of the kernel.
MAY_GROW = {
    'fds': 0,
    'mappings': 32,
    'own KiB': 4 << 10,
    'guest KiB': 8 << 10,
}


def numbers(text):
    """Lines of a name and a number."""
    return {k: int(v) for k, v in (line.split() for line in text.splitlines())}


class Hammer:
    """Two guests with the function of the load test."""

    def __init__(self, t, **host):
        kernel = t.kernel('7')
        modules = [
            os.path.join(t.build, 'bench', n)
            for n in ('pci-ep-hammer-host.ko', 'pci-epf-hammer.ko')
        ]
        if not all(os.path.exists(m) for m in modules):
            raise Skipped('the modules of the load test are not built: run "make bench"')
        self.directory = tempfile.TemporaryDirectory(prefix='pci-ep-hammer-')
        self.qmp = Qmp(os.path.join(self.directory.name, 'qmp'))
        qemu = machine.find_qemu(t.build, ARCH)
        which = accel.choose('auto', qemu, kernel.image, ARCH, lambda text: None)
        self.pair = Pair(
            t.rundir,
            qemu,
            which,
            Side(kernel, append='cma=64M', idle=True, files=modules[:1], **host),
            Side(kernel, idle=True, files=modules[1:], extra=self.qmp.arguments),
            ARCH,
        )

    def start(self):
        self.pair.prepare()
        self.pair.start()
        for role, g in self.pair.guests.items():
            self.pair.wait(
                lambda g=g: g.state == 'idle' or g.need or not g.alive,
                90,
                f'{role} boots',
            )
            check(not g.need and g.alive, f'{role}: {g.need or "ended"}')
        self.on('ep', EP_SETUP)
        self.on('host', HOST_SETUP, 90)

    def on(self, role, command, seconds=60):
        status, output = self.pair.run(role, command, seconds)
        check(not status, f'{role}: {command}: exit status {status}\n{output}')
        return output

    def run(self, seconds):
        """What both guests counted; a failure is in the endpoint's log."""
        command = f'echo {seconds} >{RUN} || {{ dmesg | tail -20; false; }}'
        self.on('ep', command, seconds + 60)
        seen = numbers(self.on('host', f'cat {RESULT}'))
        return numbers(self.on('ep', f'cat {RUN}')), seen

    def quiet(self):
        """Neither kernel reported a fault."""
        for role, g in self.pair.guests.items():
            faults = g.console.faults
            faults.end()
            check(not faults.found, f'the kernel of {role} reported: {faults.found}')

    def state(self):
        """What must not grow, and what must be the same."""
        found = {}
        self.pair.pump(SETTLE)
        maps = {
            name: self.qmp.get('/machine/peripheral/epc0', name)
            for name in ('live-maps', 'dma-regions', 'generation')
        }
        for role, g in self.pair.guests.items():
            proc = f'/proc/{g.process.pid}'
            found[role] = state = {'fds': len(os.listdir(f'{proc}/fd'))}
            with open(f'{proc}/maps') as f:
                state['mappings'] = len(f.readlines())
            state['own KiB'] = own_memory(g.process.pid) >> 10
            self.on(role, 'sync; echo 3 >/proc/sys/vm/drop_caches')
            info = numbers(self.on(role, "awk '{print $1, $2}' /proc/meminfo"))
            state['guest KiB'] = info['MemTotal:'] - info['MemFree:']
        return found, maps

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.pair.close()
        self.qmp.close()
        self.directory.cleanup()


def note(title, found):
    print(f'# {title}: ' + ', '.join(f'{k} {v}' for k, v in found.items()))


def judge_work(ep, host):
    """Everything took part, and the host saw nothing it must not see."""
    note('endpoint', ep)
    note('host', host)
    for name, count in ep.items():
        check(count, f'endpoint: no {name}')
    equal(host['stale'], 0, 'reads of an old target of the BAR')
    for name in ('reads', 'writes', 'interrupts'):
        check(host[name], f'host: no {name}')


def judge_state(before, after):
    """Nothing is left behind."""
    for role in before[0]:
        note(f'{role} before', before[0][role])
        note(f'{role} after', after[0][role])
    note('device before', before[1])
    note('device after', after[1])
    equal(after[1], before[1], 'maps, DMA regions and link-ups')
    equal(after[1]['live-maps'], 0, 'live maps after the run')
    for role, state in before[0].items():
        for name, value in state.items():
            more = after[0][role][name] - value
            check(more <= MAY_GROW[name], f'{role}: {name}: {more} more than before')


def hammer(t, seconds, **host):
    with Hammer(t, **host) as h:
        h.start()
        h.run(WARM_UP)
        before = h.state()
        judge_work(*h.run(seconds))
        judge_state(before, h.state())
        h.quiet()


@limit(300)
def test_one_minute(t):
    """60 s: all data right, nothing stale behind the BAR, nothing left behind."""
    hammer(t, 60)


@limit(180)
def test_behind_iommu(t):
    """10 s behind an IOMMU of the host that tells of its mappings."""
    hammer(t, 10, iommu='intel-cm')
