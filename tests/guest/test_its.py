# SPDX-License-Identifier: GPL-2.0-or-later
"""Doorbells of the ITS of an arm64 endpoint, after "make aarch64"."""

from lib import (Link, arm64, build_program, contains, equal, lacks, limit,
                 long)
from pciep.vm import machine
from test_arm64 import SECONDS, needs_arm64

# Registers of pci-epf-test in BAR 0, as SIZE:OFFSET of bar-io
COMMAND, STATUS = '4:4', '4:8'
DOORBELL = ('4:52', '4:56', '4:60')  # BAR, offset, data
IRQ_RAISED = 1 << 6
ENABLE, ENABLED = 1 << 6, 1 << 10 | IRQ_RAISED
DISABLE, DISABLED = 1 << 7, 1 << 12 | IRQ_RAISED
# What pci-epf-vntb tells the host in BAR 0: data and offset of doorbell N
VNTB_BAR, VNTB_DOORBELLS = 2, 4
VNTB_HANDLER = 'pci_epf_vntb_db'
DRIVER = '/sys/bus/pci/drivers/pcie-qemu-ep'
# Event ids that are not mapped, or none at all
WRONG = (1, 31, 32, 1023, 1024, 0xffff, 0xffffffff)


def vntb_doorbell(n):
    return f'4:{52 + 4 * n}', f'4:{180 + 4 * n}'


class Its(Link):
    """An x86-64 host without a driver, and an arm64 endpoint."""

    def __init__(self, t, function):
        needs_arm64(t)
        self.test = t
        program = build_program(t, 'bar-io')
        super().__init__(t.testbed(
            host={'files': [f'{program}:/bin/bar-io']},
            ep={'kernel': t.kernel('7-arm64'), 'accel': 'tcg',
                'qemu': machine.find_qemu(t.build, 'arm64')},
            function=(function,)))
        self.device = f'/sys/bus/pci/devices/$(endpoint {self.endpoint})'

    def boot(self):
        self.bed.boot(seconds=200)
        self.appears()
        self.host(f'echo 1 >{self.device}/enable')

    def io(self, bar, *commands):
        """Run commands of bar-io, and return what was read."""
        out = self.host(f'bar-io {self.device}/resource{bar} '
                        + ' '.join(commands))
        return [int(line, 16) for line in out.split()]

    def counts(self, handler):
        """Return how often each interrupt with that handler came."""
        lines = [line.split() for line in
                 self.ep('cat /proc/interrupts').splitlines()
                 if line.split()[-1:] == [handler]]
        for line in lines:
            contains(' '.join(line), r' ITS-pMSI\S* ', '/proc/interrupts')
        return [int(line[1]) + int(line[2]) for line in lines]

    def come(self, handler, expected):
        """Wait until the interrupts have come that often."""
        seen = []
        for _ in range(50):
            seen = self.counts(handler)
            if seen == expected:
                return
            self.bed.pump(0.1)
        equal(seen, expected, f'interrupts of {handler}')

    def end(self):
        """No warning, and not the doorbell of the controller."""
        self.check_consoles()
        lacks(self.test.read('ep.log'), 'embedded', 'ep.log')


@arm64
@limit(SECONDS)
def test_count(t):
    """Each ring is an interrupt, of 16 and of 32 bits; others are none."""
    its = Its(t, 'test')
    handler = 'pci-ep-test-doorbell'
    with its.bed:
        its.boot()
        its.io(0, f'w{COMMAND}={ENABLE:#x}', f'u{STATUS}={ENABLED:#x}')
        bar, offset, data = its.io(0, *(f'r{place}' for place in DOORBELL))
        its.come(handler, [0])
        for n in range(10):
            its.io(bar, f'w{4 if n % 2 else 2}:{offset}={data}')
            its.come(handler, [n + 1])

        its.io(bar, *(f'w4:{offset}={data + n & 0xffffffff}' for n in WRONG),
               f'w4:{offset + 4}={data}', f'w4:{offset - 4}={data}')
        # A ring that follows comes alone.
        its.io(bar, f'w4:{offset}={data}')
        its.come(handler, [11])
        its.bed.pump(1)
        equal(its.counts(handler), [11], 'interrupts after wrong rings')

        its.io(0, f'w{COMMAND}={DISABLE:#x}', f'u{STATUS}={DISABLED:#x}')
        its.come(handler, [])
        its.end()


@arm64
@limit(SECONDS)
def test_several(t):
    """Each doorbell of vntb has an interrupt of its own."""
    its = Its(t, 'vntb')
    with its.bed:
        its.boot()
        counts = its.counts(VNTB_HANDLER)
        equal(len(counts), VNTB_DOORBELLS, 'interrupts of vntb')
        places = [its.io(0, *(f'r{place}' for place in vntb_doorbell(n)))
                  for n in range(VNTB_DOORBELLS)]
        equal(len({data for data, _ in places}), VNTB_DOORBELLS, 'event ids')
        for n, (data, offset) in enumerate(places):
            for _ in range(n + 1):
                its.io(VNTB_BAR, f'w4:{offset}={data}')
                counts[n] += 1
                its.come(VNTB_HANDLER, counts)
        its.end()


@long
@limit(SECONDS)
def test_unbind(t):
    """A function keeps its doorbells when the controller goes away."""
    its = Its(t, 'vntb')
    with its.bed:
        its.boot()
        address = its.ep(f'basename $(ls -d {DRIVER}/0000:*)').strip()
        for _ in range(2):
            its.ep(f'echo {address} >{DRIVER}/unbind', 30)
            its.vanishes()
            equal(len(its.counts(VNTB_HANDLER)), VNTB_DOORBELLS,
                  'interrupts of vntb')
            its.ep(f'echo {address} >{DRIVER}/bind; wait_for 10 epc_path', 30)
        its.end()
