# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of a traced run, from the logs of all QEMUs and a Recorder."""

from dataclasses import dataclass, field
import os
from typing import List, Mapping

from . import chrome, pcapng, qemulog, text
from .record import Record, Recorder


FILES = ('timeline.txt', 'timeline.json', 'link.pcapng')
LOGS = ('host.trace', 'host2.trace', 'ep.trace')


@dataclass(kw_only=True)
class Timeline:
    """
    What was written.

    :param events: How many records it has.
    :param messages: How many messages of sockets.
    :param notes: Lines that say what is missing.
    """
    events: int
    messages: int
    notes: List[str] = field(default_factory=list)


def remove(rundir: str) -> None:
    """Remove what an earlier run wrote."""
    for name in FILES + LOGS:
        try:
            os.unlink(os.path.join(rundir, name))
        except FileNotFoundError:
            pass


def write(rundir: str, logs: Mapping[str, str], recorder: Recorder,
          notes: List[str]) -> Timeline:
    """
    Write all files.

    :param rundir: The directory for them.
    :param logs: The log of each guest's QEMU, by the name of the guest.
    :param recorder: What else was recorded.
    :param notes: Lines that say what the logs lack.
    """
    notes = notes + recorder.notes
    records: List[Record] = list(recorder.records)
    for guest, log in logs.items():
        if not os.path.exists(log):
            continue
        with open(log, encoding='utf-8', errors='replace') as lines:
            records += qemulog.parse(guest, lines, recorder.start_us)
    # Records of one time stay in the order of their source.
    records.sort(key=lambda record: record.time_us)
    paths = [os.path.join(rundir, name) for name in FILES]
    text.write(paths[0], records, recorder.start_us, notes)
    chrome.write(paths[1], records, recorder.start_us, notes)
    count = pcapng.write(paths[2], records, notes)
    return Timeline(events=len(records), messages=count, notes=notes)
