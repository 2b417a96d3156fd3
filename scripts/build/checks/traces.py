#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Check the trace events of both devices

* The name begins with the device: pci_epc_ or epf_bridge_, and pci_ep_ for
  wire/ and shared/, which both devices use.
* The text begins with "NAME function N generation G: ". An event that has the
  parameter fn or func has N, one that has the parameter generation has G, and
  no other event has either.
* A comment above the event names the files that use it, and each of them does.

The timeline of the launcher (scripts/pciep/timeline) reads texts of this form.
Prints a line "FILE:LINE: ..." for each event that differs, and nothing when
all is well.
"""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
# Directory of each device, and the beginning of the names of its events
DEVICES = {'hw/pci-ep': 'pci_epc_', 'hw/misc/epf-bridge': 'epf_bridge_'}
SHARED = ('wire/', 'shared/')
EVENT = re.compile(r'^(\w+)\((.*?)\) (".*)$')
FILES = re.compile(r'^# ((?:[\w/-]+\.c ?)+)$')
NUMBER = r'(?:%u|%" PRIu32 ")'


def form_of(parameters):
    """Return an expression for how the text has to begin."""
    names = [re.split(r'[ *]', p.strip())[-1] for p in parameters.split(',')]
    form = '"%s'
    if 'fn' in names or 'func' in names:
        form += f' function {NUMBER}'
    if 'generation' in names:
        form += f' generation {NUMBER}'
    return names, re.compile(form + ': ')


def check_event(match, prefix, shared):
    """Yield what is wrong with one event."""
    name, parameters, text = match.groups()
    wanted = 'pci_ep_' if shared else prefix
    if not name.startswith(wanted):
        yield f'{name} does not begin with {wanted}'
    names, form = form_of(parameters)
    if names[0] != 'name':
        yield f'the first parameter of {name} is not the name of the device'
    if not form.match(text):
        yield (f'the text of {name} does not begin with'
               ' "NAME function N generation G: ", or has another part of it'
               ' than its parameters')


def check_device(directory, prefix):
    """Yield (line, what is wrong) for the events of one device."""
    users, number = [], 0
    path = TOP / directory / 'trace-events'
    for number, line in enumerate(path.read_text().splitlines(), 1):
        files = FILES.match(line)
        event = EVENT.match(line)
        if files:
            users = files[1].split()
        elif event:
            shared = bool(users) and users[0].startswith(SHARED)
            for wrong in check_event(event, prefix, shared):
                yield number, wrong
            if not users:
                yield number, f'no comment says which file uses {event[1]}'
            for user in users:
                source = TOP / directory / user
                if not source.is_file():
                    yield number, f'there is no file {user}'
                elif f'trace_{event[1]}(' not in source.read_text():
                    yield number, f'{user} does not use {event[1]}'
        elif not line:
            users = []
        elif not line.startswith('#'):
            yield number, 'is no event'


def main():
    """Look at both devices."""
    for directory, prefix in DEVICES.items():
        for number, wrong in check_device(directory, prefix):
            print(f'{directory}/trace-events:{number}: {wrong}')


if __name__ == '__main__':
    sys.exit(main())
