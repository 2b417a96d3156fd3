# SPDX-License-Identifier: GPL-2.0-or-later
"""One thing that happened in a run, and what collects such while it runs."""

from dataclasses import dataclass
import time
from typing import Dict, List, Optional


# Records of one source in a run; more are counted only
LIMIT = 200000


def now_us() -> int:
    """Return the time by the clock that QEMU stamps its log with."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One thing that happened.

    :param time_us: Microseconds since 1970, at which it ended.
    :param guest: Name of the guest.
    :param track: What it belongs to: "epc0 function 0", "console", ...
    :param text: One line for people.
    :param event: Name of the trace event, if it comes from one.
    :param generation: Of the session or the link, if the event has one.
    :param data: Bytes of a message on a socket, header included.
    :param seconds: How long it lasted.
    """
    time_us: int
    guest: str
    track: str
    text: str
    event: str = ''
    generation: Optional[int] = None
    data: bytes = b''
    seconds: float = 0.0


class Recorder:
    """
    Collects records while a run goes on.

    :param limit: Records of one guest and track that are kept.
    :ivar start_us: When the run began.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.start_us = now_us()
        self.records: List[Record] = []
        self._limit = limit
        self._counts: Dict[str, int] = {}

    def add(self, guest: str, track: str, text: str,
            seconds: float = 0.0) -> None:
        """Record what has just happened, or what has just ended."""
        key = f'{guest} {track}'
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count <= self._limit:
            self.records.append(Record(time_us=now_us(), guest=guest,
                                       track=track, text=text,
                                       seconds=seconds))

    @property
    def notes(self) -> List[str]:
        """Lines that say what is missing."""
        return [f'{key}: {count - self._limit} lines are not in the timeline,'
                f' which has the first {self._limit}'
                for key, count in self._counts.items() if count > self._limit]
