# SPDX-License-Identifier: GPL-2.0-or-later
"""The endpoint's driver raises interrupts without reading a register."""

import re

from lib import check, contains, equal, limit, steps
from test_ext import DEBUGFS, HOST_MODULE, POWER_CAP, WithQmp

RAISES = 20
READ = 'memory_region_ops_read'


class Traced(WithQmp):
    """The QEMU of the endpoint logs each register read while trace() is on."""

    def __init__(self, t):
        super().__init__(t, 'ep')
        self.log = lambda: t.read('ep.log')

    def trace(self, enable):
        line = f'trace-event {READ} {"on" if enable else "off"}'
        self.qmp.command('human-monitor-command', **{'command-line': line})

    def reads(self, run):
        """Offsets of the controller's registers that were read during @run."""
        before = len(self.log())
        self.trace(True)
        run()
        self.trace(False)
        pattern = rf"{READ} .*addr (0x[0-9a-f]+) .*name 'pci-epc-regs'"
        return re.findall(pattern, self.log()[before:])

    def raises(self, what, count=1, status=0):
        self.ep(
            f'n=0; while [ $n -lt {count} ]; do'
            f' echo {what} >{DEBUGFS}/raise || exit 1; n=$((n + 1)); done',
            status=status,
        )

    def taken(self, at_least):
        """So many interrupts, at least, arrived in the host."""
        for _ in range(50):
            row = self.host(f'grep {HOST_MODULE} /proc/interrupts').split()
            seen = sum(int(word) for word in row[1:3])
            if seen >= at_least:
                return
            self.bed.pump(0.2)
        check(False, f'the host took {seen} interrupts of {at_least}')


def read_no_register(link):
    """A raise that succeeds reads none; one that fails reads before."""
    seen = link.reads(lambda: link.raises('msix 1', status=1))
    check(seen, 'MSI-X is off: no register was read before the error')

    link.host(f'insmod /root/{HOST_MODULE}.ko')
    link.raises('msix 1')
    link.taken(1)
    seen = link.reads(lambda: link.raises('msix 1', RAISES))
    equal(seen, [], f'registers read for {RAISES} MSI-X')
    seen = link.reads(lambda: link.raises('msix 2', status=1))
    check(seen,
          'vector 2 is not enabled: no register was read before the error')

    # The driver learns that the host has disabled MSI-X.
    link.host(f'rmmod {HOST_MODULE}')
    out = link.ep(f'echo msix 1 >{DEBUGFS}/raise', status=1)
    contains(out, 'not supported', 'a raise with MSI-X disabled')
    link.host(f'insmod /root/{HOST_MODULE}.ko')
    link.raises('msix 1')
    seen = link.reads(lambda: link.raises('msix 1', RAISES))
    equal(seen, [], f'registers read for {RAISES} MSI-X, enabled again')
    link.host(f'rmmod {HOST_MODULE}')


def refuse_outside_of_d0(link):
    """A raise fails while the host has the function in D3hot."""
    link.host(f'insmod /root/{HOST_MODULE}.ko')
    link.raises('msix 1')
    link.taken(1)
    power = next(at for at, kind in link.capabilities().items()
                 if kind == POWER_CAP) + 4
    old = link.config(power, 2)
    link.write_config(power, 2, old | 3)
    out = link.ep(f'echo msix 1 >{DEBUGFS}/raise', status=1)
    contains(out, 'not supported', 'a raise in D3hot')
    link.write_config(power, 2, old)
    link.raises('msix 1')
    link.taken(2)
    link.host(f'rmmod {HOST_MODULE}')


@limit(200)
def test_raise(t):
    link = Traced(t)
    with link.bed:
        link.boot()
        link.connect()
        steps(link, read_no_register, refuse_outside_of_d0)
        link.close()
