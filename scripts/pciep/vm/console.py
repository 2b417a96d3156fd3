# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's console: log, last lines, and the faults a kernel reports."""

import collections
import itertools
import re
import time
from typing import (Callable, Deque, Dict, Iterator, List, Optional, Pattern,
                    Sequence, Set, Tuple)


LOG_LIMIT = 64 << 20
LINE_LIMIT = 4096
TAIL_LINES = 20
RECENT_LINES = 5000
REPORT_LINES = 200  # a longer report is taken as ended here
REPORTS_KEPT = 20
EXCUSED_KEPT = 100

Allowed = Tuple[Pattern[str], str]  # expression, reason

_STAMP = re.compile(r'^(<\d+>)?\[\s*\d+\.\d+\](\[\s*[TC]\d+\])?\s?')
_CUT = re.compile(r'-+\[ cut here \]-+')
_END = re.compile(r'---\[ end (trace|Kernel panic)')
# Part of a report that begins with "BUG: unable to handle ..."
_OOPS = re.compile(r'^Oops: (Oops: )?[0-9a-f]{4} \[#')
# After this a kernel is of no use: x86, arm64 and riscv
_FATAL = re.compile(r'\bOops\b.*\[#\d+\]|Internal error: .*\[#\d+\]|'
                    r'Kernel BUG \[#\d+\]|Kernel panic')
_TRACE_END = re.compile(r'---\[ end (trace|Kernel panic)|^\s*</TASK>')
FAULT = re.compile(
    r'\bBUG: |\bWARNING: |\bOops\b|Kernel panic|\bK[AC]SAN:|\bUBSAN:|'
    r'general protection fault|'
    r'invalid opcode:|[Uu]nable to handle|'
    r'INFO: task .* blocked for more than|'
    r'INFO: rcu\S* .*(detected|stall)|rcu: INFO: .*(stall|detected)|'
    r'soft lockup|hard LOCKUP|'
    r'possible (circular|recursive) locking|'
    r'possible irq lock inversion|inconsistent lock state|'
    r'lock held when returning|held lock freed|bad unlock balance|'
    r'unsafe lock order|suspicious RCU usage|'
    r'sleeping function called|scheduling while atomic|'
    r'list_(add|del) corruption|refcount_t: |Call Trace:|'
    r'DMA-API: (?!preallocated|debugging (enabled|disabled))')


def load_allowed(filename: str) -> List[Allowed]:
    """
    Read lines "REGEX  # reason".

    ValueError names a line that has no reason.
    """
    allowed = []
    with open(filename, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip('\n')
            if not line.strip() or line.startswith('#'):
                continue
            regex, sep, reason = line.rpartition('  # ')
            if not sep or not reason.strip():
                raise ValueError(
                    f'{filename}:{number}: write "REGEX  # reason"')
            allowed.append((re.compile(regex.strip()), reason.strip()))
    return allowed


class Faults:
    """
    Finds reports of the kernel in a stream of lines; each counts once.

    A report begins with "cut here" or with a line that matches FAULT.  It
    ends with its end mark, with the end of its trace or after REPORT_LINES.

    :param allowed: Reports that contain such a line do not count.

    :ivar fatal: Whether an oops or a panic has begun.
    :ivar since: When each report began, by its line in found.
    """

    def __init__(self, allowed: Sequence[Allowed] = ()) -> None:
        self.allowed = allowed
        self.fatal = False
        self.since: Dict[str, float] = {}
        self._began = 0.0
        self._fatal_before = False  # that report
        # The line of each report that says most
        self.found: List[str] = []
        # All lines of these reports, as far as they are kept
        self.reports: Dict[str, List[str]] = {}
        # The same of reports that are allowed, with the reason
        self.excused: List[Tuple[str, str]] = []
        self._report: Optional[List[str]] = None  # the lines so far
        self._last = _END  # what ends it

    def line(self, line: str) -> None:
        """Take the next line."""
        if not self.open:
            self._fatal_before = self.fatal
        self.fatal |= bool(_FATAL.search(line))
        if self._report is not None:
            self._report.append(line)
            if self._last.search(line) or len(self._report) >= REPORT_LINES:
                self.end()
        elif _CUT.search(line):
            self._begin(line, _END)
        elif FAULT.search(line):
            self._begin(line, _TRACE_END)

    def _begin(self, line: str, last: Pattern[str]) -> None:
        self._report, self._last = [line], last
        self._began = time.monotonic()

    @property
    def open(self) -> bool:
        """Whether a report has begun that is not complete."""
        return self._report is not None

    def end(self) -> None:
        """Count a report that has begun as if it were complete."""
        if self._report is None:
            return
        lines, self._report = self._report, None
        telling = [line for line in lines
                   if FAULT.search(line) and 'Call Trace:' not in line]
        text = telling[0] if telling else lines[0]
        reason = self._reason(lines)
        if reason:
            self.excused.append((text, reason))
            self.fatal = self._fatal_before
            # Another report in the midst of this one is not excused.
            self.found += [line for line in telling[1:]
                           if not _OOPS.search(line)]
        else:
            self.found.append(text)
            self.since.setdefault(text, self._began)
            if len(self.reports) < REPORTS_KEPT:
                self.reports.setdefault(text, lines)

    def _reason(self, lines: Sequence[str]) -> Optional[str]:
        for regex, reason in self.allowed:
            if any(regex.search(line) for line in lines):
                return reason
        return None


class Console:
    """
    Takes the bytes that a guest writes to its console.

    Whatever they are, this neither fails nor blocks, and the log and the
    memory it takes are bounded.

    :param filename: The log.
    :param allowed: Reports of the kernel that are no faults.
    :param live: Called with each complete line.

    :ivar count: Number of lines so far that are not empty.
    """

    def __init__(self, filename: str, allowed: Sequence[Allowed],
                 live: Optional[Callable[[str], None]] = None) -> None:
        self.filename = filename
        self.faults = Faults(allowed)
        self.count = 0
        self._recent: Deque[str] = collections.deque(maxlen=RECENT_LINES)
        self._live = live
        self._file = open(filename, 'wb', buffering=0)
        self._written = 0
        self._partial = b''  # the line that is not complete
        # Reports that are allowed: their first line and the one after, as
        # count counts
        self._excused: Deque[Tuple[int, int]] = collections.deque(
            maxlen=EXCUSED_KEPT)
        self._report_at = 0  # the first line of the last report
        # Lines of the launcher's own, and whether they are shown
        self._notes: List[Tuple[bytes, bool]] = []

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        whole = data.rfind(b'\n') + 1
        self._write(data[:whole])
        lines = (self._partial + data[:whole]).split(b'\n')
        self._partial = lines.pop()
        for raw in lines:
            self._line(raw)
        if not self._partial:
            self._take_notes()
        self._write(data[whole:])
        self._partial += data[whole:]
        if len(self._partial) > LINE_LIMIT:
            self._line(self._partial)
            self._partial = b''

    @property
    def tail(self) -> List[str]:
        """The last lines, without reports that are allowed."""
        return list(self.since(0, excused=False))[-TAIL_LINES:]

    def since(self, count: int, excused: bool = True) -> Iterator[str]:
        """
        Return the lines after that many, as far as they are kept.

        :param excused: With those of reports that are allowed.
        """
        first = self.count - len(self._recent)
        hidden: Set[int] = set()
        if not excused:
            hidden = {number for start, end in self._excused
                      for number in range(max(start, first), end)}
        for number, line in enumerate(itertools.islice(
                self._recent, max(count - first, 0), None),
                max(count, first)):
            if number not in hidden:
                yield line

    def note(self, text: str, shown: bool = True) -> None:
        """
        Add a line of the launcher's own, between two of the guest.

        :param shown: Whether live is called with it.
        """
        self._notes.append((f'{text}\n'.encode('utf-8', 'replace'), shown))
        if not self._partial:
            self._take_notes()

    def _take_notes(self) -> None:
        notes, self._notes = self._notes, []
        for note, shown in notes:
            self._write(note)
            self._line(note[:-1], shown)

    def _write(self, data: bytes) -> None:
        if self._written >= LOG_LIMIT or not data:
            return
        data = data.replace(b'\r\n', b'\n')
        try:
            self._file.write(data)
            self._written += len(data)
            if self._written >= LOG_LIMIT:
                self._file.write(b'\n[pci-ep-run: the log ends here, '
                                 b'at its size limit]\n')
        except OSError:
            self._written = LOG_LIMIT  # A full disk must not end the run.

    def _line(self, raw: bytes, shown: bool = True) -> None:
        line = raw[:LINE_LIMIT].rstrip(b'\r').decode('utf-8', 'replace')
        line = ''.join(c if c.isprintable() or c == '\t' else '?'
                       for c in line)
        open_before = self.faults.open
        counts = len(self.faults.excused), len(self.faults.found)
        if not open_before:
            self._report_at = self.count
        self._keep(line)
        self.faults.line(_STAMP.sub('', line))
        if self._live and shown:
            self._live(line)
        if len(self.faults.excused) > counts[0]:
            self._excuse(len(self.faults.found) > counts[1])

    def _keep(self, line: str) -> None:
        if line.strip():
            self._recent.append(line)
            self.count += 1

    def _excuse(self, has_other: bool) -> None:
        """
        Say behind a report that it is allowed.

        :param has_other: There is another one in the midst of it.
        """
        line = ('[this report is allowed, see scripts/pciep/allow.txt: '
                f'{self.faults.excused[-1][1]}]')
        self._keep(line)
        if not has_other:
            self._excused.append((self._report_at, self.count))
        if self._live:
            self._live(line)

    def close(self) -> None:
        """Count what has begun, and close the log."""
        if self._partial:
            self.feed(b'\n')
        self._take_notes()
        self.faults.end()
        self._file.close()
