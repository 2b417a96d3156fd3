# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of pci-ep-run, from the options to the verdict."""

import argparse
import os
import signal
import sys
import time
from types import FrameType
from typing import Callable, Dict, List, Optional, Sequence

from .. import BadFunction, BadKernel, CannotRun, functions
from ..vm.console import Console
from ..vm.guest import Guest
from ..vm.setup import Setup
from ..timeline import merge
from ..timeline.record import Recorder
from ..vm.testbed import Testbed, TimeLimit
from . import (
    debug, explain, fault_steps, faults, kcidb, report, rundir as directory,
    status, tap)
from .decode import Decoder
from .hands import BOTH, Hands
from .progress import Progress
from .screen import Screen


# Seconds after the time limit at which the run ends even if the terminal
# does not take our output
BACKSTOP = 20
# Seconds that tests have after an oops to say what they saw
CRASHED = 3

# What a demo with the selftest has shown
DEMO = '''
What you saw: two kernels on one PCI Express link. In the endpoint guest the
driver pcie-qemu-ep gave the endpoint framework a controller, and pci-epf-test
became a PCI function through configfs. In the host guest the root port
reported link up, pciehp enumerated the function, and the kernel's own selftest
read and wrote its BARs, received INTx, MSI and MSI-X from it, and let it read,
write and copy host memory.'''

MakeSetup = Callable[[argparse.Namespace, str, Callable[[str], None]], Setup]


class Interrupted(Exception):
    """A person or a service manager wants the run to end by this signal."""

    def __init__(self, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__('Ctrl-C' if number == signal.SIGINT else name)
        self.number = number


class Session:
    """
    A run.

    :param options: The options of pci-ep-run.
    :param scenario: Name for the results.
    :param rundir: Directory for the results; without --log-dir another one
                   beside it when a run writes to it.
    :param rerun: Command that repeats the run.
    :param make_setup: Returns the guests that the options ask for.  Its
                       last argument is a function that shows a line.
    """

    def __init__(self, *, options: argparse.Namespace, scenario: str,
                 rundir: str, rerun: str, make_setup: MakeSetup) -> None:
        self.options = options
        self.scenario = scenario
        self.rundir = rundir
        self.rerun = rerun
        self.collector = tap.Collector()
        self.verdict = report.Verdict()
        self.screen = Screen(
            consoles=not options.no_console and not options.interactive,
            quiet=options.quiet, raw=bool(options.interactive))
        # What the timeline gets besides the logs of QEMU; None without one
        self.recorder = Recorder() if options.trace_events else None
        self.injector = faults.Injector(options.faults, options.fault_seed)
        in_turn = (len(options.functions) == 1 or bool(options.host_cmd)
                   or options.scenario == 'faults')
        self.explainer = explain.Explainer(self._consoles, in_turn,
                                           self._decode)
        self._streams: Dict[str, tap.Stream] = {}  # by guest
        self._lock: Optional[int] = None  # of the directory
        self._booted = False  # all guests run init
        self._make_setup = make_setup
        self._bed: Optional[Testbed] = None
        self._decoders: Dict[str, Decoder] = {}  # by guest
        self._started = time.monotonic()
        self._hands: Optional[Hands] = None
        self._progress = Progress()
        self._cut = False  # The guests did not get to the end of their tests.
        self._escape = False  # The person wants to end the run.

    @property
    def bed(self) -> Testbed:
        """The guests, once they are made."""
        assert self._bed
        return self._bed

    def _command(self, guest: str) -> Optional[str]:
        """Return --host-cmd or --ep-cmd."""
        command: Optional[str] = getattr(self.options, f'{guest}_cmd', None)
        return command

    # What comes from the guests

    def _ep_tests(self) -> bool:
        """Return whether a function has tests for the endpoint guest."""
        return not (self.options.interactive or self._command('host')
                    or self._command('ep')) \
            and functions.ep_commands(self.options.functions)

    def _consoles(self) -> Dict[str, Console]:
        return {name: guest.console
                for name, guest in self.bed.guests.items()}

    def _decode(self, guest: str, lines: Sequence[str]) -> List[str]:
        return self._decoders[guest].lines(lines)

    def _on_result(self, guest: str, result: tap.Result) -> None:
        """Take a result from a guest."""
        now = time.monotonic()
        if result.status == tap.FAIL:
            # They may say where processes hang, see guest/own.sh.
            result.notes = self._decode(guest, result.notes)
        self.explainer.add(result, now)
        self._progress.result(guest, result, now)
        if self.recorder:
            self.recorder.add(guest, 'test', f'{result.status} {result.name}',
                              result.seconds)

    def _stream_of(self, guest: str) -> Optional[tap.Stream]:
        """Return what reads the TAP of a guest, if something tests there."""
        command = bool(self._command(guest))
        if guest != 'host' and not command and not self._ep_tests():
            return None
        if guest not in self._streams:
            prefix = f'{guest}.' if command and guest != 'host' else ''
            self._streams[guest] = self.collector.stream(
                strict=command, prefix=prefix)
        return self._streams[guest]

    def _on_tap(self, guest: str, line: str) -> None:
        stream, console = self._stream_of(guest), self._consoles()[guest]
        if not stream:
            if line:
                console.note(line)
            return
        self._progress.line(guest, line, time.monotonic())
        result = stream.line(line)
        command = bool(self._command(guest))
        if command and line:
            # The log has all output of a command.
            console.note(line, not stream.took)
        if result:
            self._on_result(guest, result)
        if stream.took or not command:
            self.screen.tap(result, line)

    def _on_console(self, guest: str, line: str) -> None:
        if self.recorder:
            self.recorder.add(guest, 'console', line)
        self.screen.console(guest, line)

    def _on_turn(self) -> None:
        if self._hands:
            self._hands.turn()
        self.screen.progress(self.bed.guests)
        now = time.monotonic()
        self.explainer.turn(now)
        for guest in self.bed.guests.values():
            self._progress.state(guest.name, guest.state, now)
        if not self._booted and all(
                guest.release for guest in self.bed.guests.values()):
            self._booted = True
            self.explainer.begin()
            if self.options.gdb:
                debug.begin(self.bed, self.screen.line)
        if self.options.faults:
            for fault in self.injector.turn(self.bed, time.monotonic()):
                if self.recorder:
                    self.recorder.add(fault.guest, 'faults',
                                      f'asked for: {fault.request}')

    # Signals and terminal

    def _catch_signals(self) -> None:
        ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

        def interrupt(number: int, _frame: Optional[FrameType]) -> None:
            for other in ends:
                # Nothing interrupts the clean-up.
                signal.signal(other, signal.SIG_IGN)
            raise Interrupted(number)

        def backstop(_number: int, _frame: Optional[FrameType]) -> None:
            raise TimeLimit('the output of pci-ep-run was blocked')

        for number in ends:
            signal.signal(number, interrupt)
        signal.signal(signal.SIGALRM, backstop)

    def _on_escape(self) -> None:
        self._escape = True

    def _on_stop(self) -> None:
        """Another terminal ends the run."""
        if self.options.interactive:
            self._escape = True
        else:
            raise Interrupted(signal.SIGTERM)

    def _restore_terminal(self) -> None:
        if self._hands:
            self._hands.close()
            self._hands = None
            self.screen.raw = False

    # The run

    def _awaited(self) -> List[str]:
        """Return the guests whose end is the end of the run."""
        if self.options.interactive == BOTH:
            return list(self.bed.guests)
        if self.options.interactive:
            return [self.options.interactive]
        guests = [name for name in ('host', 'ep') if self._command(name)]
        return guests or ['host'] + ['ep'] * self._ep_tests()

    def _watch(self) -> None:
        """Serve the guests until the run is over."""
        end = float('inf')
        if self.options.timeout:
            end = time.monotonic() + self.options.timeout
        guests = self.bed.guests
        awaited = [guests[name] for name in self._awaited()]
        last = float('inf')  # when a guest has crashed
        while True:
            self.bed.turn()
            for guest in guests.values():
                if guest.need:
                    raise guest.need
                if not guest.alive:
                    self._guest_ended(guest)
                    return
                self._check_setup(guest)
            up = all(guest.release for guest in guests.values())
            done = all(guest.status is not None for guest in awaited)
            if self._escape or up and done:
                return
            now = time.monotonic()
            if self._crashed() and not self.options.interactive:
                last = min(last, now + CRASHED)
            if now >= last:
                self._end_crashed()
                return
            if now >= end:
                self._time_is_over()
                return

    def _crashed(self) -> List[str]:
        """Return the guests whose kernel has had an oops."""
        return [name for name, guest in self.bed.guests.items()
                if guest.console.faults.fatal]

    def _end_crashed(self) -> None:
        """End a run in which a kernel is of no use any more."""
        self._cut = True
        for name in self._crashed():
            self.verdict.fail(f'the {name} guest crashed (when last heard of: '
                              f'{self.bed.guests[name].state})', error=True)
        guests = ' and '.join(self._crashed())
        for name in self._awaited():
            command = self._progress.commands.get(name)
            if command and self.bed.guests[name].status is None:
                result = self.collector.add(
                    f'{"ep." if name == "ep" else ""}{command}.crashed',
                    tap.FAIL, f'the kernel of the {guests} guest crashed '
                    f'{CRASHED} s before', error=True)
                self.explainer.add(result, time.monotonic())

    def _check_setup(self, guest: Guest) -> None:
        """End the run if a script ended instead of offering functions."""
        if (guest.name == 'ep' and guest.status and not guest.link_started
                and not self._command('ep')):
            raise BadFunction(
                f'the scripts of the endpoint guest ended with status '
                f'{guest.status} before the link was started: see the last '
                f'lines of {guest.console.filename}')

    def _guest_ended(self, guest: Guest) -> None:
        """Find out who is to blame: the kernel, QEMU, or nobody."""
        self._cut = True
        self.bed.pump(0.2)
        why = guest.why_ended()
        if self.options.interactive:
            return
        if guest.need:
            raise guest.need
        assert guest.process
        if guest.process.returncode and not guest.release:
            raise CannotRun(f'QEMU of the {guest.name} guest ended: {why}')
        guest.console.faults.end()
        if guest.console.faults.found and not guest.release:
            self.verdict.unbooted = True
            self.verdict.fail(
                f'the {guest.name} guest crashed before its init ran: see the '
                f'last lines of {guest.name}.log, and try --kernel-name 7 '
                'with the same options', error=True)
        elif guest.console.faults.found:
            self.verdict.fail(f'the {guest.name} guest crashed '
                              f'(when last heard of: {guest.state})',
                              error=True)
        elif not guest.release:
            raise BadKernel(
                f'the {guest.name} guest ended before its init ran: check '
                f'its kernel and {guest.console.filename}')
        elif guest.status is None:
            self.verdict.fail(f'the {guest.name} guest ended before the test '
                              f'did ({why}; when last heard of: '
                              f'{guest.state})', error=True)

    def _time_is_over(self) -> None:
        self._cut = True
        limit = f'{self.options.timeout:g} s'
        guests = self.bed.guests
        never = [name for name, guest in guests.items() if not guest.release]
        mute = [name for name in never if not guests[name].console.tail]
        if mute:
            options = ' or '.join(dict.fromkeys(
                self.bed.setup.guest(name).arch.console_option
                for name in mute))
            self.verdict.cannot_run(
                f'the kernel of the {" and ".join(mute)} guest printed '
                f'nothing within {limit}: it needs {options}=y, or it does '
                'not start at all', BadKernel.outcome)
        elif never:
            self.verdict.cannot_run(
                f'no init in the {" and ".join(never)} guest within {limit}: '
                'see the last lines of its console, or give more time with '
                '--timeout', BadKernel.outcome)
        else:
            states = ', '.join(f'{name}: {guest.state}'
                               for name, guest in guests.items())
            self.verdict.fail(f'time limit of {limit} reached ({states})',
                              error=True)

    def _judge_commands(self) -> None:
        """Judge the exit status of what was awaited."""
        for name in self._awaited():
            ended, command = self.bed.guests[name].status, self._command(name)
            if ended is None or self.options.interactive:
                continue
            if command:
                failed = self.collector.count(tap.FAIL)
                result = self.collector.add(
                    f'{name}.cmd', tap.of_status(ended),
                    f'exit status {ended}' if ended else '',
                    [f'# {line}' for line in command.splitlines()])
                # Its tests have the consoles already.
                if not failed:
                    self.explainer.add(result, time.monotonic())
            elif tap.of_status(ended) == tap.FAIL \
                    and not self.collector.count(tap.FAIL):
                self.verdict.fail(
                    f'the scripts of the {name} guest ended with status '
                    f'{ended}, and no test failed: see the last lines of '
                    f'{name}.log')

    def _judge(self) -> None:
        self.explainer.end()
        self.collector.end(self._cut)
        # A stream or script that stops in a run that cannot take place is no
        # news.
        if not self.verdict.cannot:
            for problem in self.collector.problems:
                self.verdict.fail(problem)
            self._judge_commands()
        self.explainer.end()
        if self.options.faults and not self.verdict.cannot:
            self.collector.results.append(self.injector.result())
        report.add_console_results(
            self.collector, self.verdict, self.bed, self._decoders,
            lambda since: self._progress.at(since + explain.LATE))
        failed = [
            r.name for r in self.collector.results
            if r.status == tap.FAIL and not r.name.startswith('console.')
        ]
        if failed:
            more = ', ...' if len(failed) > 4 else ''
            self.verdict.fail(
                f'{len(failed)} failed: {", ".join(failed[:4])}{more}')

    def run(self) -> int:
        """Do it, and return the exit status of pci-ep-run."""
        self._catch_signals()
        try:
            self.rundir, self._lock = directory.claim(
                self.rundir, bool(self.options.log_dir))
            setup = self._make_setup(self.options, self.rundir,
                                     self.screen.line)
            self._bed = Testbed(setup, self._on_tap, self._on_console)
            self._decoders = {guest.name: Decoder(guest.kernel)
                              for guest in setup.guests}
            with self._bed:
                self._run_guests()
        except CannotRun as error:
            self.verdict.cannot_run(str(error), error.outcome)
        except Interrupted as error:
            self.verdict.interrupt(error.number, f'ended by {error}')
        except TimeLimit as error:
            self.verdict.fail(str(error), error=True)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._restore_terminal()
            self.screen.end()
        return self._close()

    def _introduce(self) -> None:
        """Show which guests are about to run."""
        setup = self.bed.setup
        host = setup.guest('host')
        other = f'device {setup.device}'
        if not setup.device:
            ep = setup.guest('ep')
            other = f'endpoint {ep.kernel.label} ({ep.cpus} CPUs, {ep.mem})'
        count = sum(guest.role == 'host' for guest in setup.guests)
        self.screen.line(
            f'{self.scenario}: {"host" if count == 1 else f"{count} hosts"} '
            f'{host.kernel.label} ({host.cpus} CPUs, {host.mem}), {other}, '
            f'accelerator {setup.accels}')

    def _run_fault_steps(self) -> None:
        """Run the scenario "faults"."""

        def show(result: tap.Result) -> None:
            line = result.line(len(self.collector.results))
            self.explainer.add(result, time.monotonic())
            self.screen.tap(result, line)
            if self.recorder:
                self.recorder.add('host', 'test', line, result.seconds)

        fault_steps.Runner(self.bed, self.collector, self.options.timeout,
                           show).run()
        for guest in self.bed.guests.values():
            if not guest.alive:
                self._guest_ended(guest)
                return

    def _run_guests(self) -> None:
        bed = self.bed
        bed.prepare()
        debug.check_ftrace(bed.setup)
        self._introduce()
        if self.options.gdb:
            debug.prepare(bed, self.screen.line)
        bed.on_turn = self._on_turn
        if self.options.timeout:
            signal.setitimer(signal.ITIMER_REAL,
                             self.options.timeout + BACKSTOP)
        try:
            self._hands = Hands(bed, {
                'name': os.path.basename(self.rundir), 'rundir': self.rundir,
                'checkout': report.TOP, 'command': self.rerun},
                self._on_escape, self._on_stop)
            bed.start()
            if self.options.interactive:
                self._hands.take_terminal(self.options.interactive)
            if self.options.scenario == 'faults':
                self._run_fault_steps()
            else:
                self._watch()
            if self.explainer.waiting:
                bed.pump(explain.LATE)
                self.explainer.end()
            if self.options.faults:
                self.injector.collect(bed)
            wrong = (self.verdict.failures or self.verdict.cannot
                     or self._crashed())
            alive = all(guest.alive for guest in bed.guests.values())
            if not wrong and alive and not self.options.interactive:
                if not bed.finish():
                    self.verdict.fail(
                        'a guest did not take the link down at the end')
        except CannotRun as error:
            self.verdict.cannot_run(str(error), error.outcome)
        finally:
            self._restore_terminal()
            if self.options.faults:
                self.injector.collect(bed)
            bed.close()

    def _write_faults(self) -> None:
        """Write faults.json, or remove that of an earlier run."""
        path = os.path.join(self.rundir, 'faults.json')
        if self.options.faults:
            self.injector.write(path)
        elif os.path.exists(path):
            os.unlink(path)

    def _all_booted(self) -> Optional[bool]:
        """Return whether all guests ran init, None if nobody can know."""
        guests = self._bed.guests.values() if self._bed else ()
        if guests and all(guest.release for guest in guests):
            return True
        known = self.verdict.outcome in ('unbooted', BadKernel.outcome)
        return False if known and not any(
            guest.need for guest in guests) else None

    def _write_kcidb(self, seconds: float, setup: Optional[Setup],
                     known: Dict[str, str],
                     results: Sequence[tap.Result]) -> None:
        """Write kcidb.json, or remove that of an earlier run."""
        path = os.path.join(self.rundir, kcidb.FILE)
        if os.path.exists(path):
            os.unlink(path)
        if not self.options.kcidb:
            return
        kcidb.write(self.rundir, self.options.kcidb, kcidb.Run(
            scenario=self.scenario, outcome=self.verdict.outcome,
            why=(self.verdict.failures or [self.verdict.cannot or ''])[0],
            results=results, seconds=seconds, booted=self._all_booted(),
            setup=setup, known=known, sources=debug.sources(self.options)))

    def _write(self, seconds: float) -> None:
        """
        Write the results, also of a run that could not take place.

        Otherwise old results would be taken for those of this run.
        """
        try:
            setup = self._bed.setup if self._bed else None
            known = report.properties(setup, self.rerun)
            results = report.write_files(
                self.rundir, self.scenario, self.collector, self.verdict,
                seconds, known)
            self._write_kcidb(seconds, setup, known, results)
            self._write_faults()
        except OSError as error:
            self.verdict.cannot_run(f'cannot write the results: {error}; '
                                    'choose another --log-dir')

    def _write_timeline(self) -> Optional[merge.Timeline]:
        """Write the timeline, or remove that of an earlier run."""
        try:
            if not self.recorder or not self._bed:
                merge.remove(self.rundir)
                return None
            traces = [guest.trace for guest in self._bed.guests.values()
                      if guest.trace]
            return merge.write(
                self.rundir,
                {name: guest.trace.filename
                 for name, guest in self._bed.guests.items() if guest.trace},
                self.recorder, [trace.note for trace in traces if trace.note])
        except NotADirectoryError:
            return None  # _write() reports it.
        except OSError as error:
            self.verdict.cannot_run(f'cannot write the timeline: {error}; '
                                    'choose another --log-dir')
            return None

    def _pack(self) -> None:
        """Write what --archive asks for."""
        if not self.options.archive:
            return
        try:
            directory.archive(self.rundir, self.options.archive)
        except OSError as error:
            text = (f'cannot write the archive: {error}; choose another '
                    '--archive')
            if self.verdict.failures:
                self.verdict.fail(text)
            else:
                self.verdict.cannot_run(text)

    def _ran_selftest(self) -> bool:
        """Return whether this was the demo, and so what DEMO tells of."""
        options = self.options
        return (options.scenario == 'demo' and not options.no_link
                and not options.interactive
                and not options.host_cmd and not options.ep_cmd
                and [i.name for i in options.functions] == ['test'])

    def _close(self) -> int:
        """Judge and report after the guests have ended."""
        seconds = time.monotonic() - self._started
        booted = self._bed is not None and bool(self._bed.guests)
        if booted:
            self._judge()
            self.verdict.skipped = report.all_skipped(self.collector)
        timeline = None
        # Nothing is written to the directory of another run.
        if self._lock is not None:
            timeline = self._write_timeline()
            self._write(seconds)
            self._pack()
        if booted:
            if self.verdict.status() != status.PASSED \
                    and not self.options.quiet:
                for line in report.tails(self.bed, self._decoders):
                    self.screen.line(line, True)
            for line in report.summary(self.scenario, self.collector,
                                       self.verdict, self.bed, seconds,
                                       self.rerun, timeline,
                                       self.options.quiet):
                self.screen.line(line, True)
            if self.options.archive and not self.verdict.cannot:
                self.screen.line(f'  archive {self.options.archive}')
        if self.verdict.cannot and not self.verdict.failures \
                or self.verdict.signal:
            print(f'pci-ep-run: {self.verdict.cannot}', file=sys.stderr)
        elif self.verdict.status() == status.PASSED and self._ran_selftest():
            self.screen.line(DEMO)
        return self.verdict.status(self.options.bisect)
