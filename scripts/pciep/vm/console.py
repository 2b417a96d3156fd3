# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's console: the log, its last lines, the faults a kernel reports in it."""

import collections
import os
import re

LOG_LIMIT = 64 << 20
LINE_LIMIT = 4096
TAIL_LINES = 20
REPORT_LINES = 200  # a report that does not end by then is taken as ended

_STAMP = re.compile(r'^(<\d+>)?\[\s*\d+\.\d+\](\[\s*[TC]\d+\])?\s?')
_CUT = re.compile(r'-+\[ cut here \]-+')
_END = re.compile(r'---\[ end (trace|Kernel panic)')
_TRACE_END = re.compile(r'---\[ end (trace|Kernel panic)|^\s*</TASK>')
_FAULT = re.compile(
    r'\bBUG: |\bWARNING: |\bOops\b|Kernel panic|\bK[AC]SAN:|\bUBSAN:|'
    r'general protection fault|'
    r'invalid opcode:|[Uu]nable to handle|INFO: task .* blocked for more than|'
    r'INFO: rcu\S* .*(detected|stall)|rcu: INFO: .*(stall|detected)|'
    r'soft lockup|hard LOCKUP|'
    r'possible (circular|recursive) locking|possible irq lock inversion|'
    r'inconsistent lock state|'
    r'lock held when returning|held lock freed|bad unlock balance|unsafe lock order|'
    r'suspicious RCU usage|sleeping function called|scheduling while atomic|'
    r'list_(add|del) corruption|refcount_t: |Call Trace:|'
    r'DMA-API: (?!preallocated|debugging (enabled|disabled))'
)


def load_allowed(filename):
    """Lines "REGEX  # reason"; a regular expression without a reason is refused."""
    allowed = []
    with open(filename) as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip('\n')
            if not line.strip() or line.startswith('#'):
                continue
            regex, sep, reason = line.rpartition('  # ')
            if not sep or not reason.strip():
                raise ValueError(f'{filename}:{number}: write "REGEX  # reason"')
            allowed.append((re.compile(regex.strip()), reason.strip()))
    return allowed


class Faults:
    """Finds reports of the kernel in a stream of lines; one report counts once.

    A report begins with "cut here" or with a telling line, and ends with its end
    mark, with the end of its trace or after so many lines.
    """

    def __init__(self, allowed=()):
        self.allowed = allowed
        self.found = []  # first telling line of each report
        self.excused = []  # (line, reason) of those the allow-list names
        self._report = None  # the lines so far
        self._last = None  # what ends it

    def line(self, line):
        if self._report is not None:
            self._report.append(line)
            if self._last.search(line) or len(self._report) >= REPORT_LINES:
                self.end()
        elif _CUT.search(line):
            self._report, self._last = [line], _END
        elif _FAULT.search(line):
            self._report, self._last = [line], _TRACE_END

    def end(self):
        """The stream is over, or somebody wants to know: what has begun counts."""
        if self._report is None:
            return
        lines, self._report = self._report, None
        telling = [ln for ln in lines if _FAULT.search(ln) and 'Call Trace:' not in ln]
        text = telling[0] if telling else lines[0]
        reason = self._reason(lines)
        if reason:
            self.excused.append((text, reason))
            # What the excused report hides in its midst is not excused.
            self.found += telling[1:]
        else:
            self.found.append(text)

    def _reason(self, lines):
        for regex, reason in self.allowed:
            if any(regex.search(ln) for ln in lines):
                return reason
        return None


class Console:
    """Takes bytes from a guest; never fails, never blocks, never grows without bound."""

    def __init__(self, filename, allowed, live=None):
        self.filename = filename
        self.file = open(filename, 'wb', buffering=0)
        self.faults = Faults(allowed)
        self.live = live  # called with each line
        self.tail = collections.deque(maxlen=TAIL_LINES)
        self.written = 0
        self._partial = b''
        self._notes = []

    def feed(self, data):
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

    def note(self, text):
        """A line of the launcher's own; it does not get between the parts of another."""
        self._notes.append(f'{text}\n'.encode())
        if not self._partial:
            self._take_notes()

    def _take_notes(self):
        notes, self._notes = self._notes, []
        for note in notes:
            self._write(note)
            self._line(note[:-1])

    def _write(self, data):
        if self.written >= LOG_LIMIT or not data:
            return
        data = data.replace(b'\r\n', b'\n')
        try:
            os.write(self.file.fileno(), data)
        except OSError:
            self.written = LOG_LIMIT  # a full disk must not end the run
            return
        self.written += len(data)
        if self.written >= LOG_LIMIT:
            os.write(
                self.file.fileno(),
                b'\n[pci-ep-run: the log ends here, at its size limit]\n',
            )

    def _line(self, raw):
        line = raw[:LINE_LIMIT].rstrip(b'\r').decode('utf-8', 'replace')
        line = ''.join(c if c.isprintable() or c == '\t' else '?' for c in line)
        if line.strip():
            self.tail.append(line)
        self.faults.line(_STAMP.sub('', line))
        if self.live:
            self.live(line)

    def close(self):
        if self._partial:
            self.feed(b'\n')
        self._take_notes()
        self.faults.end()
        self.file.close()
