# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of a run: verdict, files, and what a person needs to go on."""

import os
import subprocess
from typing import Callable, Dict, Iterator, List, Mapping, Optional

from .. import CannotRun
from ..timeline.merge import FILES, Timeline
from ..vm.setup import Setup
from ..vm.testbed import Testbed
from . import junit, status, tap
from .decode import Decoder


TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '../../..'))


class Verdict:
    """Collects why a run is not a success; a failure outweighs CANNOT."""

    def __init__(self) -> None:
        self.failures: List[str] = []
        self.cannot: Optional[str] = None
        self.error = False  # something else than a test was wrong
        self.unbooted = False  # a kernel crashed before its init ran
        self.skipped = False  # there are tests, and all were skipped
        self.signal = 0  # that ended the run
        self._why = ''  # outcome of what cannot be run

    def fail(self, text: str, error: bool = False) -> None:
        """Something was wrong; with error that was not a test's."""
        self.error |= error
        if text not in self.failures:
            self.failures.append(text)

    def cannot_run(self, text: str,
                   outcome: str = CannotRun.outcome) -> None:
        """The run does not take place; the first reason counts."""
        self.cannot = self.cannot or text
        self._why = self._why or outcome

    def interrupt(self, number: int, text: str) -> None:
        """A signal ended the run, whatever it came to until then."""
        self.signal = number
        self.cannot = text

    @property
    def outcome(self) -> str:
        """What the run came to, a key of status.py."""
        if self.failures:
            return 'unbooted' if self.unbooted else 'failed'
        if self.cannot:
            return self._why
        return 'skipped' if self.skipped else 'passed'

    def status(self, bisect: bool = False) -> int:
        """Return the exit status, that for "git bisect run" if asked."""
        if self.signal:
            return status.SIGNAL + self.signal
        return status.of(self.outcome, bisect)


def add_console_results(collector: tap.Collector, verdict: Verdict,
                        bed: Testbed, decoders: Mapping[str, Decoder],
                        during: Callable[[float], str]) -> None:
    """
    Make a result of what each kernel reported on its console.

    :param decoders: Of all guests, by name.
    :param during: Returns "while TEST ran" for a moment, or ''.
    """
    for name, guest in bed.guests.items():
        if guest.process is None:
            continue
        faults = guest.console.faults
        notes = [f'# {line}' for line in faults.found[:20]]
        decoder = decoders[name]
        reason = ''
        for text, report in faults.reports.items():
            notes += [f'# {name:<4} | {line}'
                      for line in decoder.lines(report)]
            place = decoder.place(report)
            if text == faults.found[0] and place:
                reason = f' at {place}'
        notes += [f'# allowed: {line} ({why})'
                  for line, why in faults.excused]
        if faults.found:
            ran = during(faults.since.get(faults.found[0], 0))
            reason = ' '.join(filter(None, [faults.found[0] + reason, ran]))
            collector.add(f'console.{name}', tap.FAIL, reason, notes,
                          error=True)
            verdict.fail(f'the kernel of the {name} guest reported: {reason}')
        else:
            collector.add(f'console.{name}', tap.PASS, '', notes)


def _output(*command: str) -> str:
    """Return the first line that a command prints, '' if it does not work."""
    try:
        lines = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=10, check=True).stdout.decode('utf-8', 'replace')
    except (OSError, subprocess.SubprocessError):
        return ''
    return lines.partition('\n')[0].strip()


def properties(setup: Optional[Setup], command: str) -> Dict[str, str]:
    """Return what JUnit says about a run besides its results."""
    found = {'command': command,
             'commit': _output('git', '-C', TOP, 'rev-parse', 'HEAD')}
    if setup:
        found['qemu'] = _output(setup.qemu, '--version')
        found['accelerator'] = setup.accels
        for guest in setup.guests:
            found[f'kernel.{guest.name}'] = guest.kernel.label
        found['notes'] = '; '.join(setup.notes)
    return {name: value for name, value in found.items() if value}


def write_files(rundir: str, scenario: str, collector: tap.Collector,
                verdict: Verdict, seconds: float,
                known: Mapping[str, str]) -> List[tap.Result]:
    """
    Write results.tap and junit.xml; the result "run" is the verdict.

    :param known: Properties for JUnit.
    :return: All results; the last one is the verdict.
    """
    if verdict.cannot:
        text = f'could not run: {verdict.cannot}'
        run = tap.Result('run', tap.FAIL, text, [f'# {text}'], error=True)
    elif verdict.failures:
        run = tap.Result('run', tap.FAIL, verdict.failures[0],
                         [f'# {failure}' for failure in verdict.failures],
                         error=verdict.error)
    else:
        run = tap.Result('run', tap.PASS)
    results = collector.results + [run]
    tap.write_tap(os.path.join(rundir, 'results.tap'), results)
    junit.write(os.path.join(rundir, 'junit.xml'),
                [junit.Suite(f'pci-ep.{scenario}', results, seconds,
                             properties=known)])
    return results


def all_skipped(collector: tap.Collector) -> bool:
    """Return whether there are tests of which none ran."""
    tests = [r for r in collector.results if not r.name.startswith('console.')]
    return bool(tests) and all(r.status == tap.SKIP for r in tests)


def tails(bed: Testbed, decoders: Mapping[str, Decoder]) -> Iterator[str]:
    """Return the last lines of all consoles, for a run that failed."""
    for name, guest in bed.guests.items():
        if guest.process is None:
            yield f'{name}: never started'
            continue
        yield (f'--- last lines of the {name} console '
               f'({guest.console.filename})')
        yield from decoders[name].lines(guest.console.tail)


def summary(scenario: str, collector: tap.Collector, verdict: Verdict,
            bed: Testbed, seconds: float, rerun: str,
            timeline: Optional[Timeline] = None,
            quiet: bool = False) -> Iterator[str]:
    """Return the lines at the end of a run; quiet means the verdict only."""
    word = {status.PASSED: 'PASSED', status.FAILED: 'FAILED',
            status.CANNOT: 'COULD NOT RUN'}.get(verdict.status(),
                                                'INTERRUPTED')
    if verdict.outcome == 'skipped':
        word = 'SKIPPED'
    if not quiet:
        yield ''
    if not quiet:
        for note in bed.setup.notes:
            yield f'  note    {note}'
    for result in collector.results:
        if result.status == tap.FAIL:
            reason = f': {result.reason}' if result.reason else ''
            yield f'  not ok  {result.name}{reason}'
    skipped = [r for r in collector.results
               if r.status == tap.SKIP and not quiet]
    for reason in dict.fromkeys(r.reason for r in skipped):
        names = ', '.join(r.name for r in skipped if r.reason == reason)
        yield f'  skipped {names}: {reason or "no reason given"}'
    for failure in verdict.failures:
        yield f'  reason  {failure}'
    counts = ', '.join(
        f'{collector.count(kind)} {text}'
        for kind, text in ((tap.PASS, 'passed'), (tap.FAIL, 'failed'),
                             (tap.SKIP, 'skipped')))
    yield (f'  {scenario}: {word}: {counts}, {seconds:.1f} s with '
           f'{bed.setup.accels}')
    if quiet:
        return
    rundir = bed.setup.rundir
    logs = ' '.join(f'{name}.log' for name in bed.guests)
    scripts = ' and '.join(f'{rundir}/{name}.sh' for name in bed.guests)
    faults = 'faults.json ' if os.path.exists(
        os.path.join(rundir, 'faults.json')) else ''
    yield f'  files   {rundir}: results.tap junit.xml {faults}{logs}'
    if any(guest.ftrace for guest in bed.guests.values()):
        names = ' '.join(f'{name}.ftrace' for name, guest
                         in bed.guests.items() if guest.ftrace)
        yield f'  ftrace  {rundir}: {names}'
    for guest in bed.guests.values():
        if guest.ftrace and guest.ftrace.note:
            yield f'  note    {guest.ftrace.note}'
    if timeline:
        yield (f'  trace   {rundir}: {" ".join(FILES)} '
               f'({timeline.events} events, {timeline.messages} messages)')
        for note in timeline.notes:
            yield f'  note    {note}'
    yield f'  by hand {scripts}, each in a terminal'
    yield f'  again   {rerun}'
