# SPDX-License-Identifier: GPL-2.0-or-later
"""
The virtio-blk rows: fio in the host on a block device of pci-epf-virtio.

The yardstick is fio in the same guest on QEMU's own virtio-blk-pci.  The
sectors of both are a file in memory: of the endpoint guest, and of this
machine.
"""

import json
import os

from guests import BOOT, boot, run_in
from measures import COST, SPEED, Row
from pciep import functions

SECONDS = 4  # of each run of fio
MIB = 64
QEMU_BLK = 'virtio-blk-pci'
SERIAL = 'yardstick'
# name, unit, fio's options, what fio counts, in which part, divisor
JOBS = [
    ('virtio-blk, read 4 KiB, depth 1', 'IOPS',
     '--rw=randread --bs=4k --iodepth=1', 'read', 'iops', 1),
    ('virtio-blk, read 4 KiB, depth 32', 'IOPS',
     '--rw=randread --bs=4k --iodepth=32', 'read', 'iops', 1),
    ('virtio-blk, write 4 KiB, depth 1', 'IOPS',
     '--rw=randwrite --bs=4k --iodepth=1', 'write', 'iops', 1),
    ('virtio-blk, read 128 KiB, depth 1', 'MB/s',
     '--rw=read --bs=128k --iodepth=1', 'read', 'bw_bytes', 1e6),
]
GOAL, CPU_GOAL = 0.3, 3.3
# Threads of QEMU get names.
THREADS = ['-name', 'debug-threads=on']
DISK = '/sys/bus/pci/devices/$(endpoint {0})/virtio*/block/vd*'


def cpu_ticks(pid):
    """Return the CPU time of the threads of a process: of vCPUs, others."""
    vcpus = others = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        try:
            with open(f'/proc/{pid}/task/{task}/stat') as file:
                text = file.read()
        except FileNotFoundError:
            continue
        name = text[text.index('(') + 1:text.rindex(')')]
        words = text[text.rindex(')') + 2:].split()
        ticks = int(words[11]) + int(words[12])
        if name.startswith('CPU '):
            vcpus += ticks
        else:
            others += ticks
    return vcpus, others


class Blk:
    def __init__(self, tools, rundir):
        found = functions.instances([f'virtio-blk,disk=memory,size={MIB}M'])
        self.endpoint = found[0].function.endpoint
        os.makedirs(rundir, exist_ok=True)
        self.file = f'/dev/shm/pci-ep-bench-{os.getpid()}.disk'
        with open(self.file, 'wb') as file:
            file.truncate(MIB << 20)
        extra = ['-drive', f'if=none,id=yard,format=raw,file={self.file}',
                 '-device', f'{QEMU_BLK},drive=yard,serial={SERIAL}']
        self.bed = tools.testbed(
            rundir,
            {'idle': True, 'extra': THREADS + extra, 'programs': ['fio']},
            {'extra': list(THREADS)}, functions=found)
        self.disks = {}

    def on(self, role, command, seconds=BOOT):
        return run_in(self.bed, role, command, seconds)

    def start(self):
        boot(self.bed)
        ours = DISK.format(self.endpoint)
        out = self.on('host', f'wait_for {BOOT} endpoint {self.endpoint} && '
                      f'load virtio_blk && wait_for 20 ls -d {ours} && '
                      f'basename {ours}; basename $(dirname '
                      f'$(grep -l {SERIAL} /sys/block/vd*/serial))')
        self.disks = dict(zip(('ours', 'yard'), out.split()[-2:]))
        # Neither answers reads of sectors that were never written by itself.
        for disk in self.disks.values():
            self.on('host', f'dd if=/dev/urandom of=/dev/{disk} bs=1M '
                    f'count={MIB} oflag=direct 2>/dev/null')

    def fio(self, which, options):
        """Return what fio measured, and CPU time by part in ticks."""
        before = self.ticks()
        out = self.on(
            'host',
            f'fio --name=bench --filename=/dev/{self.disks[which]} '
            f'--ioengine=libaio --direct=1 --time_based --runtime={SECONDS} '
            f'--output-format=json {options}')
        after = self.ticks()
        job = json.loads(out[out.index('{'):])['jobs'][0]
        return job, {part: after[part] - before[part] for part in after}

    def ticks(self):
        found = {}
        for role, guest in self.bed.guests.items():
            found[role], found[f'{role} QEMU'] = cpu_ticks(guest.pid)
        return found

    def close(self):
        self.bed.close()
        os.unlink(self.file)


def microseconds(job, kind, ticks):
    requests = max(job[kind]['total_ios'], 1)
    return ticks * 1e6 / os.sysconf('SC_CLK_TCK') / requests


def rows(tools, rundir, rounds, tell):
    """
    Return the rows, each measured @rounds times.

    The CPU time of a request is that of both QEMUs, against that of the host's
    alone.  The note says how it is divided.
    """
    speed = [Row(name, unit, SPEED, GOAL, QEMU_BLK) for name, unit, *_ in JOBS]
    cpu = [Row(name.replace('virtio-blk', 'CPU time'), 'us', COST,
               CPU_GOAL, QEMU_BLK) for name, *_ in JOBS]
    bench = Blk(tools, rundir)
    try:
        bench.start()
        for n in range(rounds):
            tell(f'virtio-blk, round {n + 1} of {rounds}')
            for fast, cost, (*_, options, kind, count, divisor) in zip(
                    speed, cpu, JOBS):
                yard, own = bench.fio('yard', options)
                ours, all_parts = bench.fio('ours', options)
                fast.add(ours[kind][count] / divisor,
                         yard[kind][count] / divisor)
                parts = {part: microseconds(ours, kind, ticks)
                         for part, ticks in all_parts.items()}
                cost.add(sum(parts.values()), microseconds(
                    yard, kind, own['host'] + own['host QEMU']))
                cost.note = ', '.join(f'{part} {us:.0f}'
                                      for part, us in parts.items())
    finally:
        bench.close()
    return speed + cpu
