# SPDX-License-Identifier: GPL-2.0-or-later
"""
Cold start to verdict, against booting the same two guests alone.

At the end of both this reads what the devices add to the memory of the two
QEMUs.
"""

import os
import re
import time

from guests import BOOT, CannotRun
from pciep import functions

ENDPOINT = functions.instances(['test'])[0].endpoint
SETTLE = 0.5  # seconds until memory that is freed later is freed
# An ordinary root port with an ordinary function that has memory, to compare
PLAIN = [
    '-device', 'pcie-root-port,id=plain0,chassis=9',
    '-object', 'memory-backend-memfd,id=plain,size=1M,share=on',
    '-device', 'ivshmem-plain,memdev=plain,bus=plain0',
]
_MAPPING = re.compile(r'^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ \d+ *(.*)$')


def own_memory(pid):
    """
    Return how many bytes of a QEMU's own memory are resident.

    These are anonymous pages, also those of private file mappings.  RAM of a
    guest does not count, nor does the code that TCG generated, which depends
    on what the guest ran.
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
    """
    Boot both guests once.

    :param link: Whether they are linked.
    :param idle: Run no test.  With the link this waits until the host has
                 the endpoint, before it reads the memory.
    :param extra: More arguments for the QEMU of the host.
    :return: Seconds, and bytes of own memory by guest.
    """
    since = time.monotonic()
    host = {'idle': idle, 'extra': list(extra)}
    what = {'functions': functions.instances(['test']), 'link': link}
    with tools.testbed(rundir, host, {}, **what) as bed:
        bed.prepare()
        bed.start()
        guests = bed.guests

        def done():
            if any(g.need or not g.alive for g in guests.values()):
                return True
            ended = bed.host.status is not None or bed.host.state == 'idle'
            return ended and all(g.release for g in guests.values())

        bed.wait(done, BOOT, 'both guests boot')
        seconds = time.monotonic() - since
        for role, g in guests.items():
            if g.need or not g.alive:
                raise CannotRun(f'{role}: {g.need or g.why_ended()}')
        if bed.host.status:
            raise CannotRun(f'the selftest failed, see host.log in {rundir}')
        if link and idle:
            command = f'wait_for {BOOT} endpoint {ENDPOINT}'
            status, _ = bed.run('host', command, BOOT)
            if status:
                raise CannotRun(
                    f'no endpoint in the host, see host.log in {rundir}')
        bed.pump(SETTLE)
        return seconds, {
            r: own_memory(g.pid)
            for r, g in guests.items()
        }


def mebibytes(more, less):
    return (more - less) / (1 << 20)


def round_of_boots(tools, rundir, start, memory):
    """
    Measure once.

    :param start: Row of the cold start.
    :param memory: Rows of what the devices add, by guest.
    """
    alone, without = boot(tools, os.path.join(rundir, 'alone'), False)
    linked, _ = boot(tools, os.path.join(rundir, 'linked'), True, idle=False)
    start.add(linked, alone)
    _, idle = boot(tools, os.path.join(rundir, 'idle'), True)
    _, plain = boot(tools, os.path.join(rundir, 'plain'), False, extra=PLAIN)
    memory['host'].add(mebibytes(idle['host'], without['host']),
                       mebibytes(plain['host'], without['host']))
    memory['ep'].add(mebibytes(idle['ep'], without['ep']))
