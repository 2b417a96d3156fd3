# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of a run: verdict, files, and what a person needs to go on."""

import os

from . import tap

PASSED, FAILED, CANNOT = 0, 1, 2


class Verdict:
    """Collects why a run is not a success; the worst wins."""

    def __init__(self):
        self.failures = []
        self.cannot = None

    def fail(self, text):
        if text not in self.failures:
            self.failures.append(text)

    def cannot_run(self, text):
        self.cannot = self.cannot or text

    @property
    def status(self):
        if self.cannot and not self.failures:
            return CANNOT
        return FAILED if self.failures else PASSED


def add_console_results(collector, verdict, pair):
    """The consoles are results like any other."""
    for role, g in pair.guests.items():
        if g.process is None:
            continue
        faults = g.console.faults
        notes = [f'# {ln}' for ln in faults.found[:20]]
        notes += [f'# allowed: {ln} ({why})' for ln, why in faults.excused]
        if faults.found:
            collector.add(f'console.{role}', 'fail', faults.found[0], notes)
            verdict.fail(f'the kernel of the {role} guest reported: {faults.found[0]}')
        else:
            collector.add(f'console.{role}', 'pass', '', notes)


def write_files(rundir, scenario, collector, verdict, seconds):
    results = list(collector.results)
    if verdict.cannot:
        results.append(
            tap.Result(
                'run',
                'fail',
                f'could not run: {verdict.cannot}',
                [f'# could not run: {verdict.cannot}'],
            )
        )
    else:
        notes = [f'# {f}' for f in verdict.failures]
        results.append(
            tap.Result(
                'run',
                'fail' if verdict.failures else 'pass',
                verdict.failures[0] if verdict.failures else '',
                notes,
            )
        )
    tap.write_tap(os.path.join(rundir, 'results.tap'), results)
    tap.write_junit(
        os.path.join(rundir, 'junit.xml'), f'pci-ep.{scenario}', results, seconds
    )


def tails(pair):
    """The last lines of both consoles, for when it went wrong."""
    for role, g in pair.guests.items():
        if g.process is None:
            yield f'{role}: never started'
            continue
        yield f'--- last lines of the {role} console ({g.console.filename})'
        yield from g.console.tail


def summary(scenario, collector, verdict, pair, seconds, rundir, rerun):
    """Lines of the closing table."""
    word = {PASSED: 'PASSED', FAILED: 'FAILED', CANNOT: 'COULD NOT RUN'}[verdict.status]
    yield ''
    for r in collector.results:
        if r.status == 'fail':
            yield f'  not ok  {r.name}' + (f': {r.reason}' if r.reason else '')
    counts = ', '.join(
        f'{collector.count(s)} {w}'
        for s, w in (('pass', 'passed'), ('fail', 'failed'), ('skip', 'skipped'))
    )
    skipped = [r for r in collector.results if r.status == 'skip']
    for reason in dict.fromkeys(r.reason for r in skipped):
        names = [r.name for r in skipped if r.reason == reason]
        yield f'  skipped {", ".join(names)}: {reason or "no reason given"}'
    for f in verdict.failures:
        yield f'  reason  {f}'
    yield f'  {scenario}: {word}: {counts}, {seconds:.1f} s with {pair.accel}'
    logs = ' '.join(f'{name}.log' for name in pair.guests)
    scripts = ' and '.join(f'{rundir}/{name}.sh' for name in pair.guests)
    yield f'  files   {rundir}: results.tap junit.xml {logs}'
    yield f'  by hand {scripts}, each in a terminal'
    yield f'  again   {rerun}'
