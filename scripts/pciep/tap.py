# SPDX-License-Identifier: GPL-2.0-or-later
"""TAP from the guests in, one TAP file and one JUnit file out."""

import re
import time
from xml.sax.saxutils import escape, quoteattr

_RESULT = re.compile(r'^(ok|not ok)\b\s*(\d+)?\s*(?:- )?(.*)$')
_PLAN = re.compile(r'^1\.\.(\d+)')
_SKIP = re.compile(r'\s+#\s*(SKIP|TODO)\b\s*(.*)$', re.I)


class Result:
    def __init__(self, name, status, reason='', notes=(), seconds=0.0):
        self.name, self.status, self.reason = (
            name,
            status,
            reason,
        )  # status: pass fail skip
        self.notes, self.seconds = list(notes), seconds

    def line(self, number):
        text = f'{"not ok" if self.status == "fail" else "ok"} {number} {self.name}'
        return text + (f' # SKIP {self.reason}' if self.status == 'skip' else '')


class Collector:
    """Several TAP streams one after the other become one list of results."""

    def __init__(self):
        self.results = []
        self.problems = []  # why the stream itself is not to be trusted
        self._plan = None
        self._seen = 0
        self._notes = []
        self._open = False
        self._since = time.monotonic()

    def line(self, line):
        """Takes one line; returns the result it held, if any."""
        if line.startswith('TAP version'):
            self.end()
            self._open = True
            self._since = time.monotonic()
            return None
        m = _PLAN.match(line)
        if m:
            self._plan = int(m.group(1))
            self._open = True
            return None
        m = _RESULT.match(line)
        if not m:
            if line.startswith('#') and len(self._notes) < 200:
                self._notes.append(line)
            return None
        self._open = True
        name, reason, status = (
            m.group(3).strip(),
            '',
            'pass' if m.group(1) == 'ok' else 'fail',
        )
        skip = _SKIP.search(name) or (
            name.startswith('# SKIP') and re.match('()()', name)
        )
        if skip:
            name = name[: skip.start()].strip()
            if status == 'pass':
                status, reason = 'skip', skip.group(2).strip()
        now = time.monotonic()
        result = Result(
            name or f'test {m.group(2) or self._seen + 1}',
            status,
            reason,
            self._notes,
            now - self._since,
        )
        self._since, self._notes = now, []
        self._seen += 1
        self.results.append(result)
        return result

    def add(self, name, status, reason='', notes=(), seconds=0.0):
        self.results.append(Result(name, status, reason, notes, seconds))

    def end(self):
        """A stream is over: did it hold what it promised?"""
        if self._open:
            if self._plan is None:
                self.problems.append(
                    f'a TAP stream ended without a plan after {self._seen} results'
                )
            elif self._plan != self._seen:
                self.problems.append(
                    f'{self._plan} tests were planned, {self._seen} reported'
                )
        self._plan, self._seen, self._notes, self._open = None, 0, [], False

    def count(self, status):
        return sum(r.status == status for r in self.results)


def write_tap(filename, results, comments=()):
    with open(filename, 'w') as f:
        f.write(f'TAP version 13\n1..{len(results)}\n')
        for number, r in enumerate(results, 1):
            for note in r.notes:
                f.write(note + '\n')
            f.write(r.line(number) + '\n')
        for c in comments:
            f.write(f'# {c}\n')


def _clean(text):
    """XML 1.0 has no control characters."""
    return ''.join(
        c if c in '\t\n' or (c >= ' ' and c not in '\ufffe\uffff') else '?' for c in text
    )


def write_junit(filename, suite, results, seconds):
    fails = sum(r.status == 'fail' for r in results)
    skips = sum(r.status == 'skip' for r in results)
    with open(filename, 'w', encoding='utf-8') as f:
        f.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        f.write(
            f'<testsuites><testsuite name={quoteattr(suite)} tests="{len(results)}" '
            f'failures="{fails}" skipped="{skips}" time="{seconds:.3f}">\n'
        )
        for r in results:
            f.write(
                f'<testcase classname={quoteattr(suite)} '
                f'name={quoteattr(_clean(r.name))} '
                f'time="{r.seconds:.3f}">'
            )
            if r.status == 'fail':
                first = _clean(r.reason) or 'not ok'
                body = escape(_clean('\n'.join(r.notes)))
                f.write(f'<failure message={quoteattr(first)}>{body}</failure>')
            elif r.status == 'skip':
                f.write(f'<skipped message={quoteattr(_clean(r.reason))}/>')
            f.write('</testcase>\n')
        f.write('</testsuite></testsuites>\n')
