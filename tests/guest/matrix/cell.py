# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults under one load: what must hold, and what was seen."""

import json
import os
import re

from lib import Failed, Link, check
from pciep.vm.testbed import TimeLimit

from .faults import BOOT
from .loads import LOOP
from .monitors import Monitors
from .processor import Clock

READY_LIMIT = 120  # seconds until the function is usable at first
LATE = 0.1  # seconds that a monitor may take longer than the yardstick
RECOVERY = 10  # seconds from the end of the cause until all works
KERNEL = 60  # the same where a driver of the kernel waits for its own timeout
LONGEST = 240  # seconds for one command, whatever the machine does
BEFORE = 2  # seconds of load before the fault

# What Linux does by itself, in a function and a version that kernel-findings
# names: load, expression for side.name of faults, reason
TIMEOUTS = [
    ('selftest', r'.*',
     'pci_endpoint_test waits for a lost interrupt, or 30 s'),
    ('nvme', r'host\.(bus_resets|flr|d3hot)|ep\..*',
     'nvme waits for its commands, up to 30 s'),
]


class Cell:
    """
    Two guests under one load, to which faults happen.

    :param t: Context of the test.
    :param load: The load.
    :param late: Seconds that a monitor may take longer than the yardstick.
    """

    def __init__(self, t, load, late=LATE):
        self.load, self.late = load, late
        self.note = os.path.join(t.rundir, 'cell.json')
        if os.path.exists(self.note):
            os.unlink(self.note)
        self.bed = t.testbed(
            function=[load.function],
            host={'programs': ['setpci']},
            monitors=True,
        )
        self.link = Link(self.bed)
        self.monitors = Monitors(self.bed)
        self.qmp = {name: self.bed.monitor(name) for name in self.bed.guests}
        self.asleep = None  # the command that lets a machine sleep
        self._usual = 0.0  # seconds that its check takes without a fault
        self._oopses = 0  # of the host that are excused, before its reset
        self._resets = 0  # of the host, since its kernel could not go on
        for guest in self.bed.guests.values():
            guest.spec.reboot = True
        faults = self.bed.host.console.faults
        faults.allowed = [*faults.allowed, *(
            (re.compile(text), reason) for text, reason in load.excuses)]

    def forget_qmp(self, name):
        """Connect again at the next command, since that QEMU has ended."""
        self.qmp[name].close()

    def host_lost(self):
        """Have the endpoint notice that the host is gone."""
        if self.load.lost:
            self.link.ep(self.load.lost)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.bed.close()
        self.monitors.stop()

    def run(self, fault):
        """Boot, and let one fault happen; Failed says what did not hold."""
        with self:
            self.start()
            self.once(fault)

    def start(self):
        """Boot both guests, and wait until the function works."""
        self.bed.boot(seconds=BOOT)
        self.link.appears(READY_LIMIT)
        self.link.host(self.load.setup, READY_LIMIT)
        clock = Clock(self.bed.guests.values())
        self.link.host(self.load.works, LONGEST)
        self._usual = clock.seconds()

    def once(self, fault):
        """Let a fault happen under the load, and check what must hold."""
        limit, waits = RECOVERY, ''
        for name, expression, reason in TIMEOUTS:
            if name == self.load.name and \
                    re.fullmatch(expression, f'{fault.side}.{fault.name}'):
                limit, waits = KERNEL, reason
        if self.load.loop:
            self.bed.host.command(LOOP.format(self.load.loop))
            self.bed.pump(BEFORE)
        before = self._resets
        self.monitors.reset()
        try:
            fault.inject(self)
            fault.gone(self)
        except TimeLimit:
            # The kernel that was to do it may have died of it.
            if self._host_oopses() == self._oopses:
                raise
        took = self._recover(fault, limit)
        times, idle = self.monitors.seen(fault.answers)
        self._write_note(fault, took, times, idle, {
            'waits': waits if took > RECOVERY else '',
            'reset': self._resets > before,
        })
        self._judge(fault, times, idle)
        self.link.host(f'wait_for {KERNEL} test ! -e /tmp/loop', KERNEL + 10)

    def _recover(self, fault, limit):
        """
        Wait until all works again, and return the seconds that it took.

        They begin anew when the host has to be reset. What the check takes
        without a fault does not count.
        """
        end = limit + self._usual
        clock = Clock(self.bed.guests.values())
        before, last = self._resets, ''
        while True:
            if clock.seconds() < end:
                status, last = self._works(clock, end)
                if not status:
                    return max(clock.seconds() - self._usual, 0.0)
            elif self._resets > before or not self._host_stuck(fault):
                raise Failed(f'not usable {limit} s after the cause was gone:'
                             f'\n{last}')
            else:
                self._reset_host()
                clock = Clock(self.bed.guests.values())
            if self._host_oopses() > self._oopses:
                self._reset_host()
                clock = Clock(self.bed.guests.values())
            self.bed.pump(0.1)

    def _works(self, clock, end):
        """Return status and output of the command that has failed, or 0."""
        status, last = self._try(f'>/tmp/end; {self.load.again}', clock, end)
        if not status:
            status, last = self._try(self.load.works, clock, end)
        return status, last

    def _try(self, command, clock, end):
        """
        Return status and output of a command in the host.

        It fails when the kernel dies, or the time is over.
        """
        running = self.bed.host.command(command)
        self.bed.wait(
            lambda: running.status is not None or clock.seconds() >= end or
            self._host_oopses() > self._oopses, LONGEST, f'host: {command}')
        if running.status is None:
            return 1, f'{command}: it has not ended\n' + self._so_far(running)
        return running.status, running.output

    def _so_far(self, running):
        """Return what a command of the host has printed, and who runs."""
        try:
            return self.bed.run('host', f'tail -n 20 /tmp/out.{running.id}; '
                                'ps | grep -v "\\["', LONGEST)[1]
        except TimeLimit as error:
            return str(error)

    def _host_oopses(self):
        """Return how many oopses are excused that the host dies of."""
        return self.load.mortal and sum(
            text.startswith('BUG: ')
            for text, _ in self.bed.host.console.faults.excused)

    def _host_stuck(self, fault):
        """Return whether a process waits for ever, as the load excuses."""
        faults, text = self.load.stuck
        if not re.fullmatch(faults, f'{fault.side}.{fault.name}'):
            return False
        stacks = self.link.host('cat /proc/[0-9]*/stack 2>/dev/null; true', 60)
        found = re.search(f'.*{text}.*', stacks)
        if found:
            print(f'# a process of the host waits in {found[0].strip()}')
        return bool(found)

    def _reset_host(self):
        """The kernel of the host cannot go on."""
        self._resets += 1
        self.bed.pump(1)  # The dying thread reports another fault.
        self._oopses = self._host_oopses()
        self.bed.host.release = None
        self.qmp['host'].command('system_reset')
        self.bed.wait_booted('host', BOOT)
        self.host_lost()
        self.link.host(self.load.setup, READY_LIMIT)

    def _write_note(self, fault, took, times, idle, more):
        """Note what was seen, for a person and for the table."""
        note = {
            'side': fault.side,
            'fault': fault.name,
            'load': self.load.name,
            'recovery': round(took, 1),
            'monitors': {name: round(t, 3) for name, t in times.items()},
            'yardstick': round(idle, 3),
            **more,
        }
        with open(self.note, 'w', encoding='utf-8') as file:
            json.dump(note, file)
        print(f'# works {took:.1f} s after; longest answer of a monitor: '
              + ', '.join(f'{n} {t * 1000:.0f} ms' for n, t in times.items())
              + f' (yardstick {idle * 1000:.0f} ms)', flush=True)

    def _judge(self, fault, times, idle):
        """Check reports and monitors."""
        for guest in self.bed.guests.values():
            self._excuse(fault, guest.console.faults)
        self.link.check_consoles()
        for name, seconds in times.items():
            check(seconds <= idle + self.late,
                  f'the monitor of {name} answered after '
                  f'{seconds * 1000:.0f} ms, the one of an idle QEMU after '
                  f'{idle * 1000:.0f} ms')

    @staticmethod
    def _excuse(fault, faults):
        """Drop reports that the fault itself makes the kernel print."""
        faults.end()
        faults.found[:] = [
            text for text in faults.found
            if not any(re.search(r, text) for r in fault.reports)
        ]
