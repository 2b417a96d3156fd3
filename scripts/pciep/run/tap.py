# SPDX-License-Identifier: GPL-2.0-or-later
"""
TAP and KTAP in, TAP out.

The launcher uses this for what the guests report.  The runners of our tests
(scripts/build/run-tests, tests/guest/run, tests/kvm/run) use it, too.
"""

from dataclasses import dataclass, field
import re
import time
from typing import Iterable, List, Optional, Sequence


PASS, FAIL, SKIP = 'pass', 'fail', 'skip'
SKIP_STATUS = (4, 77)  # exit statuses: that of kselftest and the usual one
NOTES_LIMIT = 200  # lines of notes that a result may have
RESULTS_LIMIT = 100000

_VERSION = re.compile(r'K?TAP version \d+\s*$')
_RESULT = re.compile(r'(ok|not ok)\b\s*(\d+)?\s*(?:-\s+)?(.*)$')
_NUMBERED = re.compile(r'(ok|not ok) \d+\b')
_PLAN = re.compile(r'1\.\.(\d+)(?:\s*#\s*SKIP\b\s*(.*))?\s*$', re.I)
_DIRECTIVE = re.compile(
    r'(?:^|\s+)#\s*(SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b\s*(.*)$', re.I)
_EXIT = re.compile(r'\s+# exit=(\d+)$')  # of the runner of kselftest
_BAIL_OUT = re.compile(r'Bail out!\s*(.*)')
_SUBTEST = re.compile(r'# Subtest:\s*(.*)')
# What dmesg puts before a line of a test in the kernel
_STAMP = re.compile(r'(<\d+>)?\[\s*\d+\.\d+\](\[\s*[TC]\d+\])? ?')


def of_status(status: int) -> str:
    """Return what the exit status of a test program stands for."""
    if status in SKIP_STATUS:
        return SKIP
    return FAIL if status else PASS


@dataclass
class Result:
    """
    What one test came to.

    :param name: Name of the test.
    :param status: PASS, FAIL or SKIP.
    :param reason: Why it failed or was skipped.
    :param notes: Lines of explanation that begin with "#".
    :param seconds: How long it took.
    :param error: With FAIL: it could not say whether what it tests works.
    """
    name: str
    status: str
    reason: str = ''
    notes: List[str] = field(default_factory=list)
    seconds: float = 0.0
    error: bool = False

    def line(self, number: int) -> str:
        """Return the line of TAP."""
        text = 'not ok' if self.status == FAIL else 'ok'
        name = self.name.replace('#', '\\#')
        text = f'{text} {number} {name}'
        if self.status == SKIP:
            text += f' # SKIP {self.reason}'
        return text

    def explanation(self) -> List[str]:
        """Return the notes, with the reason of a failure among them."""
        if (self.status == FAIL and self.reason
                and not any(self.reason in note for note in self.notes)):
            return [f'# {self.reason}', *self.notes]
        return self.notes


class _Level:
    """
    A list of tests in a stream: the tests, or the subtests of one.

    :ivar indent: Blanks before each of its lines.
    :ivar plan: Number of tests that it promised.
    :ivar seen: Number of tests so far.
    :ivar leaves: All results in it and below it.
    :ivar notes: What was said since the last test.
    :ivar name: Name of the test that these are subtests of, if known.
    """

    def __init__(self, indent: int, name: str = '') -> None:
        self.indent = indent
        self.name = name
        self.plan: Optional[int] = None
        self.seen = 0
        self.leaves: List[Result] = []
        self.notes: List[str] = []

    def note(self, line: str) -> None:
        """Take a line of explanation, unless there are too many."""
        if len(self.notes) < NOTES_LIMIT:
            self.notes.append(line)

    def problem(self) -> str:
        """Return how it differs from its plan, '' if it does not."""
        what = f'the subtests of {self.name}' if self.name else 'a TAP stream'
        if self.plan is None:
            return f'{what} ended without a plan after {self.seen} results'
        if self.plan != self.seen:
            where = f' in {self.name}' if self.name else ''
            return (f'{self.plan} tests were planned{where}, '
                    f'{self.seen} reported')
        return ''


class Stream:
    """
    Reads TAP and KTAP.

    Subtests are indented, or are comments as those that the runner of
    kselftest makes of the output of a program.  A test that has subtests is
    no result of its own, unless it failed and none of them did.

    :param results: The list to which results are added.
    :param problems: The same for why the stream is not to be trusted.
    :param strict: Other text may come before, so only a version, a plan or
                   a result with a number begins a stream.
    :param prefix: What comes before the names of tests.

    :ivar took: Whether the last line was part of a stream.
    """

    def __init__(self, results: List[Result], problems: List[str], *,
                 strict: bool = False, prefix: str = '') -> None:
        self.took = False
        self._results = results
        self._problems = problems
        self._strict = strict
        self._prefix = prefix
        self._since = time.monotonic()
        self._begin(False)

    def _begin(self, is_open: bool) -> None:
        self._levels = [_Level(0)]
        self._open = is_open  # A stream has begun.
        self._in_comments = False
        self._last: Optional[Result] = None
        # Blanks before a block of YAML, which explains the last result
        self._yaml: Optional[int] = None

    def line(self, line: str) -> Optional[Result]:
        """Take one line, and return the result that it holds, if any."""
        self.took = True
        stamp = _STAMP.match(line)
        line = self._uncommented(line[stamp.end():] if stamp else line)
        text = line.lstrip(' ')
        indent = len(line) - len(text)
        if self._is_yaml(text, indent):
            return None
        if _VERSION.match(text):
            self._version(indent)
            return None
        self.took = self._is_tap(text, indent)
        if not self.took:
            return None
        if text.startswith('#'):
            self._comment(text, indent)
            return None
        bail_out = _BAIL_OUT.match(text)
        if bail_out:
            # The tests that are missing need no second report.
            self._levels = [_Level(0)]
            result = self._take('bailed out', FAIL, bail_out[1], error=True)
            self._levels[0].plan = self._levels[0].seen
            return result
        plan = _PLAN.match(text)
        if plan:
            return self._plan(int(plan[1]), plan[2] or '', indent)
        match = _RESULT.match(text)
        assert match
        children = self._leave(indent, match[3])
        return self._result(match[1], match[2], match[3].strip(), children)

    # Levels

    def _uncommented(self, line: str) -> str:
        """Return a line that a runner made a comment as one of subtests."""
        if line.startswith('# ') and _VERSION.match(line[2:]):
            self._in_comments = True
        elif not line.startswith('#'):
            self._in_comments = False
        if self._in_comments and line.startswith('# '):
            return '    ' + line[2:]
        return line

    def _is_tap(self, text: str, indent: int) -> bool:
        """Return whether a line without its blanks is part of a stream."""
        level = self._levels[-1].indent
        known = any(level.indent == indent for level in self._levels)
        if text.startswith('#'):
            return (known and (self._open or not self._strict)
                    or self._open and bool(_SUBTEST.match(text)))
        begins = bool(_PLAN.match(text) or _NUMBERED.match(text))
        if indent > level:
            return self._open and begins
        if not known:
            return False
        if self._strict and not self._open:
            return begins
        return begins or bool(_RESULT.match(text) or _BAIL_OUT.match(text))

    def _version(self, indent: int) -> None:
        if indent == 0:
            # What was said since the last test explains the next one.
            notes = self._levels[0].notes
            self.end()
            self._levels[0].notes = notes
            self._open = True
            self._since = time.monotonic()
        else:
            self._enter(indent)

    def _enter(self, indent: int, name: str = '') -> None:
        """Go to the level of that indentation, which may be a new one."""
        if indent > self._levels[-1].indent:
            self._levels.append(_Level(indent, name))
            self._since = time.monotonic()
        self._open = True
        self._last = None

    def _leave(self, indent: int, text: str) -> List[Result]:
        """Return the results below a test that ends with this line."""
        if indent > self._levels[-1].indent:
            self._enter(indent)
            return []
        if indent == self._levels[-1].indent:
            return []
        name = _EXIT.sub('', _DIRECTIVE.sub('', text)).strip()
        leaves: List[Result] = []
        while self._levels[-1].indent > indent:
            level = self._levels.pop()
            leaves = level.leaves + leaves
            level.name = name or level.name
            if level.problem():
                self._problems.append(level.problem())
            self._levels[-1].notes += level.notes
        self._put_below(name, leaves)
        return leaves

    def _put_below(self, name: str, leaves: List[Result]) -> None:
        """Name the results below a test, on the level that it is on."""
        for leaf in leaves:
            bare = leaf.name[len(self._prefix):]
            leaf.name = f'{self._prefix}{name}.{bare}' if name else leaf.name
        self._levels[-1].leaves += leaves

    # Lines

    def _is_yaml(self, text: str, indent: int) -> bool:
        if self._yaml is None:
            if text != '---' or not self._last \
                    or indent <= self._levels[-1].indent:
                return False
            self._yaml = indent
            return True
        if text == '...':
            self._yaml = None
        elif text and indent < self._yaml:
            self._yaml = None  # The end is missing.
            return False
        elif self._last and len(self._last.notes) < NOTES_LIMIT:
            blanks = ' ' * (indent - self._yaml)
            self._last.notes.append(f'# {blanks}{text}')
        return True

    def _comment(self, text: str, indent: int) -> None:
        subtest = _SUBTEST.match(text)
        if subtest:
            level = self._levels[-1]
            if indent > level.indent:
                self._enter(indent, subtest[1])
            elif indent == level.indent > 0 and not level.seen:
                level.name = level.name or subtest[1]
            return
        level = next(level for level in self._levels
                     if level.indent == indent)
        level.note(text)

    def _plan(self, count: int, reason: str,
              indent: int) -> Optional[Result]:
        self._enter(indent)
        if indent < self._levels[-1].indent:
            self._leave(indent, self._levels[-1].name)
        level = self._levels[-1]
        self._open = True
        level.plan = count
        if count or indent:
            return None
        level.plan = 1
        return self._take('all tests', SKIP, reason)

    def _result(self, word: str, number: Optional[str], name: str,
                children: List[Result]) -> Optional[Result]:
        status, reason, error = PASS if word == 'ok' else FAIL, '', False
        ended = _EXIT.search(name)
        if ended:
            name, reason = name[:ended.start()], f'exit status {ended[1]}'
        directive = _DIRECTIVE.search(name)
        if directive:
            name = name[:directive.start()].strip()
            kind, reason = directive[1].upper(), directive[2].strip()
            # A test that is known to fail is no failure; one that failed
            # was not skipped.
            if kind in ('TODO', 'XFAIL') or kind == 'SKIP' and status == PASS:
                status = SKIP
            elif kind in ('TIMEOUT', 'ERROR'):
                status, error = FAIL, True
                reason = reason or {'TIMEOUT': 'timed out'}.get(kind, '')
            else:
                reason = ''
        level = self._levels[-1]
        name = name or f'test {number or level.seen + 1}'
        if children and (status != FAIL
                         or any(leaf.status == FAIL for leaf in children)):
            level.seen += 1
            level.notes = []
            return None
        return self._take(name, status, reason, error)

    def _take(self, name: str, status: str, reason: str,
              error: bool = False) -> Optional[Result]:
        level, now = self._levels[-1], time.monotonic()
        level.seen += 1
        notes, level.notes = level.notes, []
        result = Result(self._prefix + name.replace('\\#', '#'), status,
                        reason, notes, now - self._since, error)
        self._since, self._open, self._last = now, True, result
        if len(self._results) >= RESULTS_LIMIT:
            problem = f'there are more than {RESULTS_LIMIT} results'
            if problem not in self._problems:
                self._problems.append(problem)
            return None
        level.leaves.append(result)
        self._results.append(result)
        return result

    def end(self, cut: bool = False) -> None:
        """
        Judge at the end of a stream whether it held what it promised.

        :param cut: What wrote it did not get to its end, which is known.
        """
        while len(self._levels) > 1:
            # The test that these are subtests of did not end.
            level = self._levels.pop()
            self._put_below(level.name, level.leaves)
        problem = self._levels[0].problem()
        if self._open and problem and not cut:
            self._problems.append(problem)
        self._begin(False)


class Collector:
    """
    Makes one list of results from TAP streams and from elsewhere.

    :ivar results: All results so far.
    :ivar problems: Why a stream itself is not to be trusted.
    """

    def __init__(self) -> None:
        self.results: List[Result] = []
        self.problems: List[str] = []
        self._streams: List[Stream] = []
        self._stream = self.stream()

    def stream(self, *, strict: bool = False, prefix: str = '') -> Stream:
        """Return a reader for one more source of TAP."""
        stream = Stream(self.results, self.problems, strict=strict,
                        prefix=prefix)
        self._streams.append(stream)
        return stream

    def line(self, line: str) -> Optional[Result]:
        """Take one line, and return the result that it holds, if any."""
        return self._stream.line(line)

    def add(self, name: str, status: str, reason: str = '',
            notes: Iterable[str] = (), seconds: float = 0.0,
            error: bool = False) -> Result:
        """Add a result that comes from elsewhere."""
        result = Result(name, status, reason, list(notes), seconds, error)
        self.results.append(result)
        return result

    def end(self, cut: bool = False) -> None:
        """Judge whether all streams held what they promised; see Stream."""
        for stream in self._streams:
            stream.end(cut)

    def count(self, status: str) -> int:
        """Return how many tests ended that way."""
        return sum(r.status == status for r in self.results)


def read(text: str) -> List[Result]:
    """Return the results of one complete stream."""
    collector = Collector()
    for line in text.splitlines():
        collector.line(line)
    return collector.results


class Printer:
    """
    Prints results to standard output as they come.

    :param plan: Number of tests; None prints the plan at the end.
    """

    def __init__(self, plan: Optional[int] = None) -> None:
        self._plan = plan
        self.results: List[Result] = []
        print('TAP version 13')
        if plan is not None:
            print(f'1..{plan}', flush=True)

    def result(self, result: Result) -> None:
        """Print one result, after its notes."""
        self.results.append(result)
        for note in result.explanation():
            print(note)
        print(result.line(len(self.results)), flush=True)

    def end(self) -> bool:
        """Print what is missing, and return whether no test failed."""
        if self._plan is None:
            print(f'1..{len(self.results)}', flush=True)
        return not any(r.status == FAIL for r in self.results)


def write_tap(filename: str, results: Sequence[Result]) -> None:
    """Write the results as one stream."""
    with open(filename, 'w', encoding='utf-8') as out:
        out.write(f'TAP version 13\n1..{len(results)}\n')
        for number, result in enumerate(results, 1):
            for note in result.explanation():
                out.write(note + '\n')
            out.write(result.line(number) + '\n')
