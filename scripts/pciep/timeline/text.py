# SPDX-License-Identifier: GPL-2.0-or-later
"""timeline.txt: one line for each record."""

from typing import Iterator, Sequence

from .record import Record


HEAD = '''\
# Milliseconds since the start of the run, guest, device and function, text.
# docs/system/timeline.rst explains it.
'''


def line(record: Record, start_us: int) -> str:
    """Return the line of a record."""
    where = record.track
    if record.generation is not None:
        where += f' generation {record.generation}'
    text = record.text
    if record.event:
        text = f'{record.event}: {text}'
    if record.seconds:
        text += f' ({record.seconds * 1000:.3f} ms)'
    return (f'{(record.time_us - start_us) / 1000:12.3f}  {record.guest:<5} '
            f'{where:<30} {text}')


def lines(records: Sequence[Record], start_us: int) -> Iterator[str]:
    """Yield the lines of all records, which are in the order of time."""
    for record in records:
        yield line(record, start_us)


def write(filename: str, records: Sequence[Record], start_us: int,
          notes: Sequence[str]) -> None:
    """Write timeline.txt; the notes say what is missing."""
    with open(filename, 'w', encoding='utf-8') as out:
        out.write(HEAD)
        for note in notes:
            out.write(f'# {note}\n')
        for text in lines(records, start_us):
            out.write(text + '\n')
