# SPDX-License-Identifier: GPL-2.0-or-later
"""Cold start to verdict, against booting the same two guests alone; and what the
devices add to the memory of the two QEMUs, read at the end of both."""

import os
import re
import time

from guests import BOOT, CannotRun
from pciep import functions
from pciep.pair import Side

ENDPOINT = functions.FUNCTIONS['test'].endpoint
SETTLE = 0.5  # seconds
# An ordinary port with an ordinary function that has memory, beside the devices'
PLAIN = [
    '-device',
    'pcie-root-port,id=plain0,chassis=9',
    '-object',
    'memory-backend-memfd,id=plain,size=1M,share=on',
    '-device',
    'ivshmem-plain,memdev=plain,bus=plain0',
]
_MAPPING = re.compile(r'^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ \d+ *(.*)$')


def own_memory(pid):
    """Bytes of a QEMU's own memory that are resident.

    Anonymous pages, those of private file mappings included: not guest RAM of
    either side, and not the code that TCG generated, which depends on what the
    guest ran.
    """
    total, counts = 0, False
    with open(f'/proc/{pid}/smaps') as f:
        for line in f:
            m = _MAPPING.match(line)
            if m:
                counts = 'x' not in m[1]
            elif counts and line.startswith('Anonymous:'):
                total += int(line.split()[1]) << 10
    return total


def boot(tools, rundir, link, idle=True, extra=()):
    """One cold start: (seconds, {role: bytes}).

    @idle: without a test; with the link, memory is read when the endpoint has
    appeared in the host.
    """
    since = time.monotonic()
    host = Side(tools.kernel, idle=idle, extra=extra)
    what = {'functions': functions.instances(['test']), 'link': link}
    with tools.pair(rundir, host, Side(tools.kernel), **what) as pair:
        pair.prepare()
        pair.start()
        guests = pair.guests
        pair.wait(
            lambda: all(g.release for g in guests.values())
            and (pair.host.status is not None or pair.host.state == 'idle')
            or any(g.need or not g.alive for g in guests.values()),
            BOOT,
            'both guests boot',
        )
        seconds = time.monotonic() - since
        for role, g in guests.items():
            if g.need or not g.alive:
                raise CannotRun(f'{role}: {g.need or g.why_ended()}')
        if pair.host.status:
            raise CannotRun(f'the selftest failed, see host.log in {rundir}')
        if link and idle:
            command = f'wait_for {BOOT} endpoint {ENDPOINT}'
            status, _ = pair.run('host', command, BOOT)
            if status:
                raise CannotRun(f'no endpoint in the host, see host.log in {rundir}')
        pair.pump(SETTLE)
        return seconds, {r: own_memory(g.process.pid) for r, g in guests.items()}


def mebibytes(more, less):
    return (more - less) / (1 << 20)


def round_of_boots(tools, rundir, start, memory):
    """Adds a cold start to the row @start, what the devices add to rows @memory."""
    alone, without = boot(tools, os.path.join(rundir, 'alone'), False)
    linked, _ = boot(tools, os.path.join(rundir, 'linked'), True, idle=False)
    start.add(linked, alone)
    _, idle = boot(tools, os.path.join(rundir, 'idle'), True)
    _, plain = boot(tools, os.path.join(rundir, 'plain'), False, extra=PLAIN)
    memory['host'].add(
        mebibytes(idle['host'], without['host']),
        mebibytes(plain['host'], without['host']),
    )
    memory['ep'].add(mebibytes(idle['ep'], without['ep']))
