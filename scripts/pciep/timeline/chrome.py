# SPDX-License-Identifier: GPL-2.0-or-later
"""
timeline.json: the trace event format of Chrome, which Perfetto opens.

A process stands for a guest, a thread for a track.  What lasted is a complete
event ("X"), everything else an instant ("i").
"""

import json
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from . import slices
from .record import Record


class _Ids:
    """Numbers for guests and tracks, and the events that name them."""

    def __init__(self) -> None:
        self._guests: Dict[str, int] = {}
        self._tracks: Dict[Tuple[str, str], int] = {}

    def of(self, guest: str, track: str) -> Dict[str, int]:
        """Return the members that say where an event is."""
        pid = self._guests.setdefault(guest, len(self._guests) + 1)
        tid = self._tracks.setdefault((guest, track), len(self._tracks) + 1)
        return {'pid': pid, 'tid': tid}

    def names(self) -> Iterator[Dict[str, Any]]:
        """Yield the events that give the numbers names."""
        for guest, pid in self._guests.items():
            yield {'ph': 'M', 'name': 'process_name', 'pid': pid, 'tid': 0,
                   'args': {'name': guest}}
        for (guest, track), tid in self._tracks.items():
            yield {'ph': 'M', 'name': 'thread_name',
                   'pid': self._guests[guest], 'tid': tid,
                   'args': {'name': track}}


def _instant(record: Record, start_us: int, ids: _Ids) -> Dict[str, Any]:
    args: Dict[str, Any] = {'text': record.text}
    if record.generation is not None:
        args['generation'] = record.generation
    return {'ph': 'i', 's': 't', 'name': record.event or record.text[:120],
            'cat': record.event or record.track,
            'ts': record.time_us - start_us, 'args': args,
            **ids.of(record.guest, record.track)}


def _slice(part: slices.Slice, start_us: int, ids: _Ids) -> Dict[str, Any]:
    return {'ph': 'X', 'name': part.text[:120], 'cat': part.track,
            'ts': part.start_us - start_us,
            'dur': part.end_us - part.start_us, 'args': {'text': part.text},
            **ids.of(part.guest, part.track)}


def events(records: Sequence[Record], start_us: int) -> List[Dict[str, Any]]:
    """Return all events of the file."""
    ids = _Ids()
    found = [_instant(record, start_us, ids) for record in records
             if not record.seconds]
    found += [_slice(part, start_us, ids) for part in slices.find(records)]
    return list(ids.names()) + found


def write(filename: str, records: Sequence[Record], start_us: int,
          notes: Sequence[str]) -> None:
    """Write timeline.json; the notes say what is missing."""
    with open(filename, 'w', encoding='utf-8') as out:
        json.dump({'displayTimeUnit': 'ms',
                   'otherData': {'notes': '; '.join(notes)},
                   'traceEvents': events(records, start_us)}, out)
