# SPDX-License-Identifier: GPL-2.0-or-later
"""
The row of a trapped read: the endpoint's kernel answers a load of the host.

The yardstick is what it cannot do without: a read that the endpoint's QEMU
answers, and a doorbell that wakes the endpoint's kernel.
"""

import os

from guests import BOOT, CMA, ENDPOINT, RUN, boot, run_in, samples
from measures import COST, Row, per_loop
from pciep import functions

LOOPS, SAMPLES = 100, 5
BELLS = 100
TRAPPED = '0x1af4:0x10fd'
YARDSTICK = 'read by message + doorbell'
MODULES = {'pci_epf_bench': 'pci-epf-bench.ko',
           'pci_epf_trap_test': 'pci-epf-trap-test.ko'}
EP_SETUP = 'epc_path; ' + ''.join(
    f'insmod /root/{file} && mkdir $CFS/functions/{name}/{name} && '
    f'ln -s $CFS/functions/{name}/{name} $EPC_PATH/ || exit 1; '
    for name, file in MODULES.items()) + 'ep_start'
DEVICE = '/sys/bus/pci/devices/$(endpoint {})'
HOST_SETUP = (
    f'insmod /root/pci-ep-bench-host.ko && wait_for {BOOT} endpoint {TRAPPED}'
    f' && wait_for 20 test -e {DEVICE.format(ENDPOINT)}/driver && '
    f'echo 1 >{DEVICE.format(TRAPPED)}/enable')
BELL = '/sys/kernel/debug/pci-ep-bench-host/doorbell'


class Trap:
    """Two guests with the function of the benchmark, and one that answers."""

    def __init__(self, tools, rundir):
        common = {'append': CMA, 'idle': True}
        trap = os.path.join(tools.build, 'modules-7', 'pci-epf-trap-test.ko')
        self.bed = tools.testbed(
            rundir,
            {**common, 'files': [tools.program('pci-ep-bench-host.ko'),
                                 tools.program('message-read')]},
            {**common, 'files': [tools.program('pci-epf-bench.ko'), trap]},
            functions=functions.instances(['test'] * len(MODULES)), msix=8)

    def on(self, role, command, seconds=RUN):
        return run_in(self.bed, role, command, seconds)

    def start(self):
        boot(self.bed)
        self.on('ep', EP_SETUP)
        self.on('host', HOST_SETUP, BOOT)

    def read(self, endpoint, bar):
        """Return ns of a load from a BAR that is no memory."""
        got = samples(self.on('host', '/root/message-read '
                              f'{DEVICE.format(endpoint)}/resource{bar} '
                              f'{LOOPS} {SAMPLES}'))
        return per_loop(got, LOOPS, 0)

    def doorbell(self):
        """Return ns from the host's store to that of the interrupt handler."""
        got = samples(self.on('host', f'echo 1 {BELLS} >{BELL} && cat {BELL}'))
        return per_loop(got, 1, 0)

    def close(self):
        self.bed.close()


def rows(tools, rundir, rounds, tell):
    """Return the row, measured @rounds times."""
    row = Row('trapped read, 4 B', 'us', COST, 1.3, YARDSTICK)
    bench = Trap(tools, os.path.join(rundir, 'trap'))
    try:
        bench.start()
        for n in range(rounds):
            tell(f'trapped read, round {n + 1} of {rounds}')
            value = bench.read(TRAPPED, 0)
            yard = bench.read(ENDPOINT, 5) + bench.doorbell()
            row.add(value / 1000, yard / 1000)
    finally:
        bench.close()
    return [row]
