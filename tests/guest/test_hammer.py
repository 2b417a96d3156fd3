# SPDX-License-Identifier: GPL-2.0-or-later
"""
Everything at once, for a while.

Four threads copy through the window and by DMA, maps come and go, a BAR
changes its target, and there are interrupts.  The modules of linux/hammer
verify all data, and nothing may be left behind.
"""

import os

from lib import Link, Skipped, check, equal, limit, long
import resources

ENDPOINT = '0x1af4:0x10fe'
RUN = '/sys/kernel/debug/pci-epf-hammer/run'
RESULT = '/sys/kernel/debug/pci-ep-hammer/result'
WARM_UP = 5  # seconds until caches and pools have their size
SETTLE = 3  # seconds until what is freed later is freed

EP_SETUP = (
    'insmod /root/pci-epf-hammer.ko && '
    'mkdir "$CFS/functions/pci_epf_hammer/func1" && epc_path && '
    'ln -s "$CFS/functions/pci_epf_hammer/func1" "$EPC_PATH/" && ep_start')
HOST_SETUP = (
    'insmod /root/pci-ep-hammer-host.ko && '
    f'wait_for 60 endpoint {ENDPOINT} && '
    f'wait_for 20 test -e {RESULT}')

# What may be more afterwards than before, and by how much.  If each copy in a
# minute lost 64 bytes the own memory would grow by more.  In a guest caches of
# the kernel grow.
MAY_GROW = {**resources.MAY_GROW, 'own KiB': 4 << 10, 'guest KiB': 8 << 10}


def numbers(text):
    """Return lines of a name and a number as a dictionary."""
    return {k: int(v) for k, v in (line.split() for line in text.splitlines())}


class Hammer(Link):
    """Two guests with the function of the load test."""

    def __init__(self, t, **host):
        t.kernel('7')
        modules = [os.path.join(t.build, 'bench', name) for name in (
            'pci-ep-hammer-host.ko', 'pci-epf-hammer.ko')]
        if not all(os.path.exists(module) for module in modules):
            raise Skipped('the modules of the load test are not built: '
                          'run "make bench"')
        super().__init__(t.testbed(
            host={'append': 'cma=64M', 'files': modules[:1], **host},
            ep={'idle': True, 'files': modules[1:]},
            function=(), monitors=True))
        self.qmp = self.bed.monitor('ep')

    def start(self):
        self.bed.boot(seconds=90)
        self.ep(EP_SETUP, 60)
        self.host(HOST_SETUP, 90)

    def run(self, seconds):
        """Run the load, and return what the endpoint and the host counted."""
        command = f'echo {seconds} >{RUN} || {{ dmesg | tail -20; false; }}'
        self.ep(command, seconds + 60)
        seen = numbers(self.host(f'cat {RESULT}'))
        return numbers(self.ep(f'cat {RUN}')), seen

    def state(self):
        """Return what must not grow, and what must be the same."""
        found = {}
        self.bed.pump(SETTLE)
        maps = {
            name: self.qmp.get('/machine/peripheral/epc0', name)
            for name in ('live-maps', 'dma-regions', 'generation')
        }
        for role, g in self.bed.guests.items():
            found[role] = state = resources.held(g.pid)
            self.on(role, 'sync; echo 3 >/proc/sys/vm/drop_caches')
            info = numbers(self.on(role, "awk '{print $1, $2}' /proc/meminfo"))
            state['guest KiB'] = info['MemTotal:'] - info['MemFree:']
        return found, maps

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.bed.close()


def note(title, found):
    print(f'# {title}: ' + ', '.join(f'{k} {v}' for k, v in found.items()))


def judge_work(ep, host):
    """Everything took part, and the host read no stale data."""
    note('endpoint', ep)
    note('host', host)
    for name, count in ep.items():
        check(count, f'the endpoint counted no {name}')
    equal(host['stale'], 0, 'reads that reached an old target of the BAR')
    for name in ('reads', 'writes', 'interrupts'):
        check(host[name], f'the host counted no {name}')


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
            check(more <= MAY_GROW[name],
                  f'{role}: {name}: {more} more than before, '
                  f'{MAY_GROW[name]} are allowed')


def hammer(t, seconds, **host):
    with Hammer(t, **host) as h:
        h.start()
        h.run(WARM_UP)
        before = h.state()
        judge_work(*h.run(seconds))
        judge_state(before, h.state())
        h.check_consoles()


@limit(180)
def test_hammer(t):
    """20 s: all data is right, and nothing is left behind."""
    hammer(t, 20)


@long
@limit(300)
def test_one_minute(t):
    hammer(t, 60)


@limit(180)
def test_behind_iommu(t):
    """10 s behind an IOMMU of the host that announces its mappings."""
    hammer(t, 10, iommu='intel-cm')
