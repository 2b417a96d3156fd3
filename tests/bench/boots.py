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


def boot(tools, rundir, link, idle=False):
    """One cold start: (seconds, {role: bytes}).

    @idle: the endpoint appears in the host, and that is all.
    """
    since = time.monotonic()
    pair = tools.pair(
        rundir, Side(tools.kernel, idle=idle), Side(tools.kernel), link=link
    )
    with pair:
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
        if idle:
            status, _ = pair.run('host', f'wait_for {BOOT} endpoint {ENDPOINT}', BOOT)
            if status:
                raise CannotRun(f'no endpoint in the host, see host.log in {rundir}')
            pair.pump(SETTLE)
        return seconds, {r: own_memory(g.process.pid) for r, g in guests.items()}


def round_of_boots(tools, rundir, start, memory):
    """Adds one boot with and one without the link to the rows."""
    alone, without = boot(tools, os.path.join(rundir, 'alone'), False)
    linked, _ = boot(tools, os.path.join(rundir, 'linked'), True)
    start.add(linked, alone)
    _, idle = boot(tools, os.path.join(rundir, 'idle'), True, True)
    for role, row in memory.items():
        row.add((idle[role] - without[role]) / (1 << 20))
