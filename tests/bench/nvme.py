# SPDX-License-Identifier: GPL-2.0-or-later
"""
The NVMe rows: fio in the host on nvmet-pci-epf.

The yardstick is fio in the endpoint guest on nvme-loop, which serves the same
RAM disk to that guest itself.
"""

import json
import os

from guests import BOOT, boot, run_in
from measures import SPEED, Row
from pciep import functions

SECONDS = 4  # of each run of fio
# nvmet-pci-epf polls for 5 s after the last request, which slows others down.
PAUSE = 6
LOOP = 'nvme-loop'
# name, unit, target, fio's options, what it counts, divisor
JOBS = [
    ('NVMe, 4 KiB random', 'IOPS', 0.5, '--rw=randread --bs=4k', 'iops', 1),
    ('NVMe, 1 MiB sequential', 'MB/s', 0.8, '--rw=read --bs=1M', 'bw_bytes',
     1e6),
]
LOOP_SETUP = (
    'load nvme_loop && cd /sys/kernel/config/nvmet && '
    'mkdir subsystems/bench && '
    'echo 1 >subsystems/bench/attr_allow_any_host && '
    'mkdir subsystems/bench/namespaces/1 && '
    'echo /dev/ram0 >subsystems/bench/namespaces/1/device_path && '
    'echo 1 >subsystems/bench/namespaces/1/enable && '
    'mkdir ports/99 && echo loop >ports/99/addr_trtype && '
    'ln -s /sys/kernel/config/nvmet/subsystems/bench ports/99/subsystems/ && '
    'echo transport=loop,nqn=bench >/dev/nvme-fabrics')
HOST_SETUP = 'wait_for {0} endpoint {1} && load nvme'
DISK = 'wait_for 20 test -b /dev/nvme0n1'


class Nvme:
    def __init__(self, tools, rundir):
        found = functions.instances(['nvme,disk=ram,size=64M'])
        self.endpoint = found[0].function.endpoint
        self.bed = tools.testbed(rundir, {'idle': True},
                                 {'mem': '768M', 'programs': ['fio']},
                                 functions=found)

    def on(self, role, command, seconds=BOOT):
        return run_in(self.bed, role, command, seconds)

    def start(self):
        boot(self.bed)
        self.on('ep', f'{LOOP_SETUP} && {DISK}')
        self.on('host', f'{HOST_SETUP.format(BOOT, self.endpoint)} && {DISK}')
        # A RAM disk answers reads of blocks that were never written by itself.
        self.on('ep',
                'dd if=/dev/urandom of=/dev/nvme0n1 bs=1M 2>/dev/null; sync')

    def fio(self, role, options):
        out = self.on(
            role,
            'fio --name=bench --filename=/dev/nvme0n1 --ioengine=libaio '
            '--direct=1 '
            f'--iodepth=32 --time_based --runtime={SECONDS} --readonly '
            f'--output-format=json {options}')
        return json.loads(out[out.index('{'):])['jobs'][0]['read']

    def close(self):
        self.bed.close()


def rows(tools, rundir, rounds, tell):
    """Return the rows, each measured @rounds times."""
    found = [
        Row(name, unit, SPEED, goal, LOOP) for name, unit, goal, *_ in JOBS
    ]
    bench = Nvme(tools, os.path.join(rundir, 'nvme'))
    try:
        bench.start()
        for n in range(rounds):
            tell(f'NVMe, round {n + 1} of {rounds}')
            for row, (*_, options, count, divisor) in zip(found, JOBS):
                bench.bed.pump(PAUSE)
                yard = bench.fio('ep', options)[count] / divisor
                row.add(bench.fio('host', options)[count] / divisor, yard)
    finally:
        bench.close()
    return found
