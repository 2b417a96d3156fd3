# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of pci-ep-run, from the options to the verdict, whatever happens in between."""

import os
import signal
import sys
import termios
import time
import tty

from . import CannotRun, report, tap
from .pair import TimeLimit
from .screen import Screen

ESCAPE = b'\x1d'  # Ctrl-]
BACKSTOP = 20  # seconds after the time limit at which even a blocked terminal is given up

DEMO = '''
What you saw: two kernels on one PCI Express link. In the endpoint guest the driver
pcie-qemu-ep gave the endpoint framework a controller, and pci-epf-test became a PCI
function through configfs. In the host guest the root port reported link up, pciehp
enumerated the function, and the kernel's own selftest read and wrote its BARs, received
INTx, MSI and MSI-X from it, and let it read, write and copy host memory.'''


class Interrupted(Exception):
    """The person, or whoever started us, wants it to end."""


class Session:
    def __init__(self, options, scenario, rundir, rerun, build_pair):
        self.o, self.scenario, self.rundir, self.rerun = options, scenario, rundir, rerun
        self.build_pair = build_pair
        self.collector = tap.Collector()
        self.verdict = report.Verdict()
        self.screen = Screen(
            not options.no_console and not options.interactive,
            options.quiet,
            bool(options.interactive),
        )
        self.pair = None
        self.started = time.monotonic()
        self._tty = None
        self._escape = False

    # -- what comes from the guests

    def _on_tap(self, role, line):
        if role == 'host' or self.o.ep_cmd:
            self.screen.tap(self.collector.line(line), line)
        else:
            self.pair.guests[role].console.note(line)

    def _states(self):
        self.screen.progress(self.pair.guests)

    # -- signals and terminal

    def _signals(self):
        def interrupt(number, frame):
            for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(s, signal.SIG_IGN)  # the clean-up is not interrupted
            raise Interrupted(signal.Signals(number).name)

        def backstop(number, frame):
            raise TimeLimit('the output of pci-ep-run was blocked')

        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, interrupt)
        if self.o.timeout:
            signal.signal(signal.SIGALRM, backstop)
            signal.setitimer(signal.ITIMER_REAL, self.o.timeout + BACKSTOP)

    def _keys(self):
        data = os.read(sys.stdin.fileno(), 1024)
        if not data or ESCAPE in data:
            self._escape = True
            self.pair.loop.remove(sys.stdin)
            return
        self.pair.guests[self.o.interactive].type(data)

    def _terminal(self):
        self._tty = termios.tcgetattr(sys.stdin)
        tty.setraw(sys.stdin)
        self.pair.loop.add(sys.stdin, self._keys)
        self.pair.guests[self.o.interactive].raw = lambda d: os.write(
            sys.stdout.fileno(), d
        )

    def _restore(self):
        if self._tty:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._tty)
            self._tty = None
            self.screen.raw = False

    # -- the run

    def _awaited(self):
        """Roles whose end is the end of the run."""
        if self.o.interactive:
            return [self.o.interactive]
        roles = [r for r in ('host', 'ep') if getattr(self.o, f'{r}_cmd')]
        return roles or ['host']

    def _watch(self):
        """Serves the guests until the run is over, one way or the other."""
        end = time.monotonic() + self.o.timeout if self.o.timeout else float('inf')
        awaited = [self.pair.guests[r] for r in self._awaited()]
        while True:
            self.pair.turn()
            for g in self.pair.guests.values():
                if g.need:
                    raise CannotRun(g.need)
                if not g.alive:
                    self._ended(g)
                    return
            up = all(g.release for g in self.pair.guests.values())
            if self._escape or up and all(g.status is not None for g in awaited):
                return
            if time.monotonic() >= end:
                self._too_long()
                return

    def _ended(self, g):
        """A guest ended by itself: the kernel's fault, QEMU's, or somebody's wish?"""
        self.pair.pump(0.2)
        why = g.why_ended()
        if self.o.interactive:
            return
        if g.need:
            raise CannotRun(g.need)
        if g.process.returncode and not g.release:
            raise CannotRun(f'QEMU of the {g.role} guest ended: {why}')
        g.console.faults.end()
        if g.console.faults.found:
            self.verdict.fail(f'the {g.role} guest crashed')
        elif not g.release:
            raise CannotRun(
                f'the {g.role} guest ended before its init ran: check its kernel and '
                f'{g.console.filename}'
            )
        elif g.status is None:
            self.verdict.fail(f'the {g.role} guest ended before the test did ({why})')

    def _too_long(self):
        limit = f'{self.o.timeout:g} s'
        never = [r for r, g in self.pair.guests.items() if not g.release]
        if never:
            self.verdict.cannot_run(
                f'no init in the {" and ".join(never)} guest within {limit}: see the '
                'last lines of its console, or give more time with --timeout'
            )
        else:
            states = ', '.join(f'{r}: {g.state}' for r, g in self.pair.guests.items())
            self.verdict.fail(f'time limit of {limit} reached ({states})')

    def _judge(self):
        self.collector.end()
        if not self.verdict.cannot:  # otherwise a stream that stops is no news
            for p in self.collector.problems:
                self.verdict.fail(p)
        for r in self._awaited():
            g, cmd = self.pair.guests[r], getattr(self.o, f'{r}_cmd')
            if g.status is None or self.o.interactive:
                continue
            if cmd:
                self.collector.add(
                    f'{r}.cmd',
                    'fail' if g.status else 'pass',
                    f'exit status {g.status}' if g.status else '',
                    [f'# {cmd}'],
                )
            elif g.status and not self.collector.count('fail'):
                self.verdict.fail(f'the test program ended with status {g.status}')
        report.add_console_results(self.collector, self.verdict, self.pair)
        failed = [
            r.name
            for r in self.collector.results
            if r.status == 'fail' and not r.name.startswith('console.')
        ]
        if failed:
            self.verdict.fail(
                f'{len(failed)} failed: {", ".join(failed[:4])}'
                + (', ...' if len(failed) > 4 else '')
            )

    def run(self):
        self._signals()
        tell = self.screen.line
        try:
            self.pair = self.build_pair(
                self.o,
                self.rundir,
                lambda t: tell(t, True),
                self._on_tap,
                self.screen.console,
            )
            with self.pair:
                self._run_pair(tell)
        except CannotRun as e:
            self.verdict.cannot_run(str(e))
        except Interrupted as e:
            self.verdict.cannot_run(f'ended by {e}')
        except TimeLimit as e:
            self.verdict.fail(str(e))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._restore()
            self.screen.end()
        return self._close()

    def _run_pair(self, tell):
        p = self.pair
        p.prepare()
        host, ep = p.sides['host'], p.sides['ep']
        hosts = 'host' if len(p.sides) == 2 else f'{len(p.sides) - 1} hosts'
        tell(
            f'{self.scenario}: {hosts} {host.kernel.label} ({host.cpus} CPUs, '
            f'{host.mem}), endpoint {ep.kernel.label} ({ep.cpus} CPUs, {ep.mem}), '
            f'accelerator {p.accel}'
        )
        p.on_turn = self._states
        try:
            p.start()
            if self.o.interactive:
                self._terminal()
            self._watch()
            if (
                not self.verdict.failures
                and not self.verdict.cannot
                and not self.o.interactive
            ):
                if all(g.alive for g in p.guests.values()) and not p.finish():
                    self.verdict.fail('a guest did not let go of the link at the end')
        except CannotRun as e:
            self.verdict.cannot_run(str(e))
        finally:
            self._restore()
            p.close()

    def _write(self, took):
        """Also for a run that could not take place, or old results would stand for it."""
        try:
            os.makedirs(self.rundir, exist_ok=True)
            report.write_files(
                self.rundir, self.scenario, self.collector, self.verdict, took
            )
        except OSError as e:
            self.verdict.cannot_run(
                f'cannot write the results: {e}; choose another --log-dir'
            )

    def _close(self):
        """Judges and reports; the guests are gone."""
        took = time.monotonic() - self.started
        booted = self.pair is not None and bool(self.pair.guests)
        if booted:
            self._judge()
        self._write(took)
        if booted:
            if self.verdict.status != report.PASSED:
                for line in report.tails(self.pair):
                    self.screen.line(line, True)
            for line in report.summary(
                self.scenario,
                self.collector,
                self.verdict,
                self.pair,
                took,
                self.rundir,
                self.rerun,
            ):
                self.screen.line(line, True)
        if self.verdict.status == report.CANNOT:
            print(f'pci-ep-run: {self.verdict.cannot}', file=sys.stderr)
        elif self.scenario == 'demo' and self.verdict.status == report.PASSED:
            self.screen.line(DEMO)
        return self.verdict.status
