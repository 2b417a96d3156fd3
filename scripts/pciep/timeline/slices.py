# SPDX-License-Identifier: GPL-2.0-or-later
"""
What lasted: PAIRS has the trace events that begin and end it.

A slice has a track of its own beside that of its records, and the slices of
one track never overlap, since viewers cannot show that.
"""

from dataclasses import dataclass
import re
from typing import Dict, List, Sequence, Tuple

from .record import Record


@dataclass(frozen=True, kw_only=True)
class Pair:
    """
    Two trace events, or two texts of one.

    :param what: Added to the name of the track.
    :param begin: Name of the event that begins it.
    :param end: Name of the event that ends it.
    :param begin_text: Text of the former, "" for any.
    :param end_text: Text of the latter, "" for any.
    :param part: Expression for a part of the text that both have in common
                 and that gets a track of its own.
    """
    what: str
    begin: str
    end: str
    begin_text: str = ''
    end_text: str = ''
    part: str = ''

    def track(self, record: Record) -> str:
        """Return the track that a slice of the record is on."""
        part = re.search(self.part, record.text) if self.part else None
        words = [record.track] + ([part[0]] if part else []) + [self.what]
        return ' '.join(words)

    def begins(self, record: Record) -> bool:
        """Whether the record begins a slice."""
        return record.event == self.begin and self.begin_text in (
            '', record.text)

    def ends(self, record: Record) -> bool:
        """Whether the record ends a slice."""
        return record.event == self.end and self.end_text in ('', record.text)


PAIRS = (
    Pair(what='link', begin='epf_bridge_link_up', end='epf_bridge_link_down'),
    Pair(what='link', begin='pci_epc_server_link', begin_text='up',
         end='pci_epc_server_link', end_text='down'),
    Pair(what='commands', begin='pci_epc_command', end='pci_epc_command_done'),
    Pair(what='commands', begin='pci_epc_link_command',
         end='pci_epc_link_command_done'),
    Pair(what='descriptors', begin='pci_epc_dma_start', end='pci_epc_dma_done',
         part=r'channel \d+'),
    Pair(what='remap', begin='pci_epc_server_remap',
         end='pci_epc_server_remap_done', part=r'BAR\d+'),
)

# The same by the names of their events
PAIRS_OF = {name: [pair for pair in PAIRS if name in (pair.begin, pair.end)]
            for pair in PAIRS for name in (pair.begin, pair.end)}
UNSEEN = 'no end seen'


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """
    What lasted.

    :param start_us: When it began.
    :param end_us: When it ended.
    :param guest: Name of the guest.
    :param track: What it belongs to.
    :param text: One line for people.
    """
    start_us: int
    end_us: int
    guest: str
    track: str
    text: str


def _made(record: Record, track: str, end_us: int, end: str) -> Slice:
    """Return the slice that a record began and that ended so."""
    text = f'{record.text} ... {end}'
    if record.generation is not None:
        text = f'generation {record.generation}: {text}'
    return Slice(start_us=record.time_us, end_us=end_us, guest=record.guest,
                 track=track, text=text)


def _lasting(record: Record, after_us: int) -> Slice:
    """
    Return the slice of a record that has a duration.

    :param after_us: When the slice before it on its track ended.
    """
    start_us = record.time_us - round(record.seconds * 1000000)
    return Slice(start_us=min(max(start_us, after_us), record.time_us),
                 end_us=record.time_us, guest=record.guest,
                 track=record.track, text=record.text)


def find(records: Sequence[Record]) -> List[Slice]:
    """
    Return all slices.

    :param records: In the order of time.  What has no end among them lasts
                    until the last of them.
    """
    found: List[Slice] = []
    begun: Dict[Tuple[str, str], Record] = {}
    ended: Dict[Tuple[str, str], int] = {}
    for record in records:
        now = record.time_us
        if record.seconds:
            key = (record.guest, record.track)
            found.append(_lasting(record, ended.get(key, 0)))
            ended[key] = now
        for pair in PAIRS_OF.get(record.event, ()):
            key = (record.guest, pair.track(record))
            if pair.ends(record) and key in begun:
                found.append(_made(begun.pop(key), key[1], now, record.text))
            elif pair.begins(record):
                if key in begun:
                    found.append(_made(begun[key], key[1], now, UNSEEN))
                begun[key] = record
    for (_, track), record in begun.items():
        found.append(_made(record, track, records[-1].time_us, UNSEEN))
    return found
