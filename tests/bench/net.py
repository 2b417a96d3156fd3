# SPDX-License-Identifier: GPL-2.0-or-later
"""
The rows of virtio-net: TCP between the guests over the function virtio-net.

The yardstick is QEMU's virtio-net-pci in both guests, whose back ends are the
two ends of a UNIX socket. So the same kernels talk to each other.
"""

import os

from guests import BOOT, boot, run_in
from measures import SPEED, Row
from pciep import functions

SECONDS = 2  # of each run
PORT = 7100
SOCKET = 'virtio-net-pci'
# name, unit, target, mode of net-rate, divisor
JOBS = [
    ('virtio-net, to the endpoint', 'MB/s', 0.3, 'send', 1e6),
    ('virtio-net, from the endpoint', 'MB/s', 0.3, 'receive', 1e6),
    ('virtio-net, one byte and back', '1/s', 0.3, 'echo', 1),
]
# Networks: of the function, and of the yardstick with the addresses MAC
OURS, YARD = '10.96.0', '10.97.0'
MAC = '02:00:00:00:09:0'
FIND = {
    OURS: ('ls /sys/bus/pci/devices/$(endpoint {0})/virtio*/net',
           'echo epnet0'),
    YARD: (f'basename $(dirname $(grep -l {MAC} '
           '/sys/class/net/*/address))', ) * 2,
}


class Net:
    def __init__(self, tools, rundir):
        found = functions.instances(['virtio-net,mtu=1500'])
        self.endpoint = found[0].function.endpoint
        program = tools.program('net-rate')
        path = os.path.join(rundir, 'yardstick')
        os.makedirs(rundir, exist_ok=True)
        self.bed = tools.testbed(
            rundir,
            {'idle': True, 'files': [program],
             'extra': self.card('server=on', path, 1)},
            {'files': [program],
             'extra': self.card('server=off,reconnect-ms=100', path, 2)},
            functions=found)

    @staticmethod
    def card(side, path, number):
        """Return arguments of QEMU for the card of the yardstick."""
        return ['-netdev', f'stream,id=yard,addr.type=unix,addr.path={path},'
                f'{side}', '-device',
                f'virtio-net-pci,netdev=yard,mac={MAC}{number}']

    def on(self, role, command, seconds=BOOT):
        return run_in(self.bed, role, command, seconds)

    def start(self):
        boot(self.bed)
        self.on('host', f'wait_for {BOOT} endpoint {self.endpoint} && '
                'wait_for 20 eval "ls /sys/bus/pci/devices/'
                f'$(endpoint {self.endpoint})/virtio*/net"')
        for net, finds in FIND.items():
            for n, role in enumerate(('host', 'ep')):
                self.on(role, f'N=$({finds[n].format(self.endpoint)}); '
                        f'ip addr add {net}.{n + 1}/24 dev $N; '
                        'ip link set $N up')
        self.on('ep', f'/root/net-rate serve {PORT} >/dev/null 2>&1 &')
        for net in FIND:
            self.on('host', f'wait_for 20 ping -c 1 -W 1 {net}.2')

    def rate(self, net, mode):
        return float(self.on('host', f'/root/net-rate {mode} {net}.2 {PORT} '
                             f'{SECONDS}').split()[-1])

    def close(self):
        self.bed.close()


def rows(tools, rundir, rounds, tell):
    """Return the rows, each measured @rounds times."""
    found = [
        Row(name, unit, SPEED, goal, SOCKET) for name, unit, goal, *_ in JOBS
    ]
    bench = Net(tools, os.path.join(rundir, 'net'))
    try:
        bench.start()
        for n in range(rounds):
            tell(f'virtio-net, round {n + 1} of {rounds}')
            for row, (*_, mode, divisor) in zip(found, JOBS):
                yard = bench.rate(YARD, mode) / divisor
                row.add(bench.rate(OURS, mode) / divisor, yard)
    finally:
        bench.close()
    return found
