# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's console: log, last lines, and the faults a kernel reports."""

import collections
import itertools
import re
from typing import (Callable, Deque, Dict, Iterator, List, Optional, Pattern,
                    Sequence, Tuple)


LOG_LIMIT = 64 << 20
LINE_LIMIT = 4096
TAIL_LINES = 20
RECENT_LINES = 5000
REPORT_LINES = 200  # a longer report is taken as ended here
REPORTS_KEPT = 20

Allowed = Tuple[Pattern[str], str]  # expression, reason

_STAMP = re.compile(r'^(<\d+>)?\[\s*\d+\.\d+\](\[\s*[TC]\d+\])?\s?')
_CUT = re.compile(r'-+\[ cut here \]-+')
_END = re.compile(r'---\[ end (trace|Kernel panic)')
# Part of a report that begins with "BUG: unable to handle ..."
_OOPS = re.compile(r'^Oops: (Oops: )?[0-9a-f]{4} \[#')
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
    """

    def __init__(self, allowed: Sequence[Allowed] = ()) -> None:
        self.allowed = allowed
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
        if self._report is not None:
            self._report.append(line)
            if self._last.search(line) or len(self._report) >= REPORT_LINES:
                self.end()
        elif _CUT.search(line):
            self._report, self._last = [line], _END
        elif FAULT.search(line):
            self._report, self._last = [line], _TRACE_END

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
            # Another report in the midst of this one is not excused.
            self.found += [line for line in telling[1:]
                           if not _OOPS.search(line)]
        else:
            self.found.append(text)
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
        """The last lines."""
        return list(self.since(self.count - TAIL_LINES))

    def since(self, count: int) -> Iterator[str]:
        """Return the lines after that many, as far as they are kept."""
        first = self.count - len(self._recent)
        return itertools.islice(self._recent, max(count - first, 0), None)

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
        if line.strip():
            self._recent.append(line)
            self.count += 1
        self.faults.line(_STAMP.sub('', line))
        if self._live and shown:
            self._live(line)

    def close(self) -> None:
        """Count what has begun, and close the log."""
        if self._partial:
            self.feed(b'\n')
        self._take_notes()
        self.faults.end()
        self._file.close()
