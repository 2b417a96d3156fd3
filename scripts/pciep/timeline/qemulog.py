# SPDX-License-Identifier: GPL-2.0-or-later
"""
Records from the log of a QEMU that ran with -msg timestamp=on and -trace.

QEMU 10.0 and 10.1 write "THREAD@SECONDS.MICROSECONDS:EVENT TEXT". From 10.2 on
the stamp is that of any line of the log, "YYYY-MM-DDTHH:MM:SS.MICROSECONDSZ
EVENT TEXT", and the name of the program may follow it.
"""

from datetime import datetime, timezone
import re
from typing import Iterable, Iterator, Optional, Tuple

from .record import Record


MESSAGE = 'pci_ep_message'  # its text ends in the bytes of the message

_EPOCH = re.compile(r'\d+@(\d+)\.(\d{6}):(\w+) (.*)')
_ISO = re.compile(r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z '
                  r'(?:\S+: )?(\w+) (.*)')
# The form that scripts/build/checks/traces.py checks
_TEXT = re.compile(r'(\S+)( function \d+)?(?: generation (\d+))?: (.*)')
_BYTES = re.compile(r'(.*) bytes ((?:[0-9a-f]{2})+)')


def _stamp(line: str) -> Optional[Tuple[int, str, str]]:
    """Return time, event and text of a line, None without a stamp."""
    match = _EPOCH.fullmatch(line)
    if match:
        return int(match[1]) * 1000000 + int(match[2]), match[3], match[4]
    match = _ISO.fullmatch(line)
    if match:
        try:
            date = datetime.fromisoformat(match[1]).replace(
                tzinfo=timezone.utc)
        except ValueError:
            return None
        micro = int((match[2] or '').ljust(6, '0'))
        return int(date.timestamp()) * 1000000 + micro, match[3], match[4]
    return None


def _record(guest: str, time_us: int, event: str, text: str) -> Record:
    track, generation, data = 'QEMU', None, b''
    match = _TEXT.fullmatch(text)
    if match:
        track = match[1] + (match[2] or '')
        generation = int(match[3]) if match[3] else None
        text = match[4]
    if event == MESSAGE:
        message = _BYTES.fullmatch(text)
        if message:
            text, data = message[1], bytes.fromhex(message[2])
    return Record(time_us=time_us, guest=guest, track=track, text=text,
                  event=event, generation=generation, data=data)


def parse(guest: str, lines: Iterable[str], start_us: int
          ) -> Iterator[Record]:
    """
    Yield a record for each line that is not blank.

    :param guest: Name of the guest.
    :param lines: Lines of the log.
    :param start_us: Time of lines that come before the first stamp.  One
                     without a stamp has the time of the line before it.
    """
    time_us = start_us
    for line in lines:
        line = ''.join(c if c.isprintable() else ' '
                       for c in line.rstrip('\r\n'))
        stamped = _stamp(line)
        if stamped:
            time_us = stamped[0]
            yield _record(guest, *stamped)
        elif line.strip():
            yield Record(time_us=time_us, guest=guest, track='QEMU',
                         text=line)
