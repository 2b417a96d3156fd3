# SPDX-License-Identifier: GPL-2.0-or-later
"""
What becomes of the endpoint selftest under each profile, as one table.

A row has a letter for each test: P passed, r refused by the function or the
kernel's test for a reason that it gave, F failed, and a dot for a test that
was not run.  Both "make profiles" and the tests of the rows use it.
"""

import json
import os
import re

from lib import tap
from pciep.run import profiles

LETTER = {tap.PASS: 'P', tap.SKIP: 'r', tap.FAIL: 'F'}
BARS = range(6)
# Head of a column, and the tests of which it has letters
COLUMNS = {
    'BAR': [f'pci_ep_bar.BAR{n}.BAR_TEST' for n in BARS],
    'all': ['pci_ep_basic.CONSECUTIVE_BAR_TEST'],
    'subrange': [f'pci_ep_bar.BAR{n}.BAR_SUBRANGE_TEST' for n in BARS],
    'INTx': ['pci_ep_basic.LEGACY_IRQ_TEST'],
    'MSI': ['pci_ep_basic.MSI_TEST'],
    'MSI-X': ['pci_ep_basic.MSIX_TEST'],
    'CPU': [f'pci_ep_data_transfer.memcpy.{n}_TEST'
            for n in ('READ', 'WRITE', 'COPY')],
    'DMA': [f'pci_ep_data_transfer.dma.{n}_TEST'
            for n in ('READ', 'WRITE', 'COPY')],
    'bell': ['pcie_ep_doorbell.DOORBELL_TEST'],
}
TESTS = [name for names in COLUMNS.values() for name in names]
SECONDS = 200
# Options of the function that the host's driver needs
OPTIONS = {'am654': ',device=0xb00c'}


def reason_of(result):
    """Return why a test did not pass: what it gave, or what it printed."""
    if result.reason or result.status == tap.PASS:
        return result.reason
    short = result.name.split('.')[-1]
    told = re.findall(rf'\.c:\d+:{short}:(.*)', '\n'.join(result.notes))
    words = [text for text in told if not text.startswith('Expected')]
    return (words or told or ['it gave no reason'])[0].strip()


def arguments(name):
    """Return arguments of pci-ep-run for the selftest under a profile."""
    return ['--function=test' + OPTIONS.get(name, ''), f'--profile={name}']


class Row:
    """
    One run of the selftest.

    :ivar name: Name of the profile.
    :ivar status: Exit status of the run.
    :ivar tests: {name of a test: [status, reason]}.
    """

    def __init__(self, name, status, tests):
        self.name, self.status, self.tests = name, status, tests

    @staticmethod
    def run(context, name):
        """Run the selftest under a profile."""
        results = os.path.join(context.rundir, 'results.tap')
        if os.path.exists(results):
            os.unlink(results)
        status, output = context.launch(
            *arguments(name), '--no-console', '--timeout', str(SECONDS),
            seconds=SECONDS + 30)
        return Row.read(context.rundir, name, status, output)

    @staticmethod
    def read(directory, name, status, output):
        """
        Return what a run of the selftest left in a directory.

        :param output: What it is without results: words on why.
        """
        path = os.path.join(directory, 'results.tap')
        if not os.path.exists(path):
            return Row(name, status, {'run': [tap.FAIL, output[-500:]]})
        with open(path, encoding='utf-8', errors='replace') as file:
            return Row(name, status, {
                result.name: [result.status, reason_of(result)]
                for result in tap.read(file.read())})

    def letters(self, column):
        """Return the letters of a column."""
        return ''.join(
            LETTER[self.tests[name][0]] if name in self.tests else '.'
            for name in COLUMNS[column])

    def line(self):
        """Return all letters, as the tests of the rows have them."""
        return ' '.join(self.letters(column) for column in COLUMNS)


def reasons(rows):
    """Return {(test or kind of test, letter, reason): profiles}."""
    found = {}
    for row in rows:
        for name, (status, reason) in row.tests.items():
            if status == tap.PASS or name == 'run':
                continue
            what = re.sub(r'^pci_ep_bar\.BAR\d', 'pci_ep_bar.BARn', name)
            key = (what, LETTER[status], reason)
            if row.name not in found.setdefault(key, []):
                found[key].append(row.name)
    return found


def table(rows):
    """Return the lines of the table, with the reasons below it."""
    lines = [['profile', *COLUMNS]]
    lines += [[row.name, *map(row.letters, COLUMNS)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ['  '.join(map(str.ljust, line, widths)).rstrip()
            for line in lines]
    text += ['', 'P passed, r refused with a reason, F failed, . not run', '']
    for (what, letter, reason), who in sorted(reasons(rows).items()):
        text.append(f'{letter} {what}: {reason}')
        text.append(f'    {" ".join(who)}')
    return text


def write(rows, directory):
    """Write profiles.txt and profiles.json, and return the lines."""
    lines = table(rows)
    with open(os.path.join(directory, 'profiles.txt'), 'w',
              encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')
    with open(os.path.join(directory, 'profiles.json'), 'w',
              encoding='utf-8') as file:
        json.dump({row.name: {'status': row.status, 'tests': row.tests}
                   for row in rows}, file, indent=2)
        file.write('\n')
    return lines


def names():
    """Return the names of all profiles."""
    return profiles.names()
