# SPDX-License-Identifier: GPL-2.0-or-later
"""How the cost grows with the number of functions behind one link."""

import os
import time

from boots import SETTLE, own_memory
from guests import BOOT, RUN, CannotRun, boot, run_in, samples
from measures import median
from pciep import functions

COUNTS = [1, 2, 4, 8]
STARTS = 5
INTERRUPTS = 200
COPY, QUEUED, COPY_SAMPLES = 1 << 20, 64, 40
# The benchmark's functions take 16 MiB in one piece each, on both sides.
MEMORY, CMA = '1G', 'cma=256M'

# Each such file is a function that has its driver in the host.
TESTS = '/dev/pci-endpoint-test.*'
BENCHES = '/sys/bus/pci/drivers/pci-ep-bench-host/0*'
BENCH_SETUP = (
    'insmod /root/pci-epf-bench.ko; epc_path; n=0; while [ $n -lt {} ]; do '
    'f=$CFS/functions/pci_epf_bench/f$n; '
    'mkdir $f && ln -s $f $EPC_PATH/ || exit 1; '
    'n=$((n + 1)); done')
RUN_FILE = '/sys/kernel/debug/pci_epf_bench.{}/run'
MEASURED = {
    'appear': 'ms from start to bound',
    'msix': 'us for MSI-X',
    'dma': 'MB/s by DMA, all at once',
    'host': 'MiB, host QEMU',
    'ep': 'MiB, endpoint QEMU'
}


class Scale:
    """Two guests whose device has @count functions."""

    def __init__(self, tools, rundir, count):
        self.count = count
        common = {'mem': MEMORY, 'append': CMA, 'idle': True}
        self.bed = tools.testbed(
            rundir,
            {**common, 'files': [tools.program('pci-ep-bench-host.ko')]},
            {**common, 'files': [tools.program('pci-epf-bench.ko')]},
            functions=functions.instances(['test'] * count), msix=8)

    def on(self, role, command, seconds=RUN):
        return run_in(self.bed, role, command, seconds)

    def start(self):
        boot(self.bed)

    def link(self, command, count, files):
        """Return seconds from @command until the host has @count @files."""
        wait = self.bed.host.command(
            f'while set -- {files}; [ -e "$1" ] || shift; '
            f'[ $# != {count} ]; do sleep 0.01; done')
        since = time.monotonic()
        self.on('ep', command)
        self.bed.wait(lambda: wait.status is not None, BOOT,
                      f'{count} functions in the host')
        return time.monotonic() - since

    def appear(self):
        """Return ms until all are bound, and MiB of both QEMUs after that."""
        self.on('host', 'load pci_endpoint_test')
        self.link('epc_path; role_setup', self.count, TESTS)
        self.bed.pump(SETTLE)
        memory = {
            role: own_memory(g.pid) / (1 << 20)
            for role, g in self.bed.guests.items()
        }
        times = []
        for _ in range(STARTS):
            self.link('ep_stop', 0, TESTS)
            times.append(self.link('ep_start', self.count, TESTS) * 1000)
        self.link('role_finish', 0, TESTS)
        return {'appear': median(times), **memory}

    def traffic(self):
        """Return us for an interrupt, and MB/s that all copy at once."""
        self.on('host', 'insmod /root/pci-ep-bench-host.ko')
        self.on('ep', BENCH_SETUP.format(self.count))
        self.link('ep_start', self.count, BENCHES)
        runs = [RUN_FILE.format(n) for n in range(self.count)]
        for run in runs:
            # The file is there before the driver is ready.
            self.on('ep', f'wait_for {BOOT} sh -c "echo msix 1 1 1 >{run}"')
        irqs = samples(
            self.on('ep', f'echo msix 1 1 {INTERRUPTS} >{run} && cat {run}'))
        all_runs = ' '.join(runs)
        copied = samples(
            self.on(
                'ep',
                f'for r in {all_runs}; do '
                f'echo dma_read {COPY} {QUEUED} {COPY_SAMPLES} >$r & done; '
                f'wait; cat {all_runs}'))
        if len(copied) != self.count * COPY_SAMPLES:
            raise CannotRun(
                'not all functions copied; see ep.log in '
                f'{self.bed.setup.rundir}')
        speed = 0
        for n in range(self.count):
            own = copied[n * COPY_SAMPLES:(n + 1) * COPY_SAMPLES]
            speed += COPY * QUEUED * 1000 / median([s[0] for s in own])
        return {'msix': median([s[0] for s in irqs]) / 1000, 'dma': speed}

    def close(self):
        self.bed.close()


def measure(tools, rundir, tell):
    """Return a dictionary for each count, with the keys of MEASURED."""
    found = []
    for count in COUNTS:
        tell(f'functions behind one link: {count}')
        scale = Scale(tools, os.path.join(rundir, f'functions-{count}'), count)
        try:
            scale.start()
            found.append({
                'functions': count,
                **scale.appear(),
                **scale.traffic()
            })
        finally:
            scale.close()
    return found


def each_more(found, name):
    """Return what one more function costs on average."""
    first, last = found[0], found[-1]
    return (last[name] - first[name]) / (last['functions'] -
                                         first['functions'])


def table(found):
    lines = [['functions', *MEASURED.values()]]
    for row in found:
        lines.append([str(row['functions'])] +
                     [f'{row[k]:.1f}' for k in MEASURED])
    lines.append(['each more'] +
                 [f'{each_more(found, k):+.1f}' for k in MEASURED])
    width = [max(len(ln[i]) for ln in lines) for i in range(len(lines[0]))]
    return '\n'.join('  '.join(c.rjust(w) for c, w in zip(ln, width)).rstrip()
                     for ln in lines)
