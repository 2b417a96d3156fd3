#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest passes on of the output of a user's test command."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from python_tests import TOP, equal, main
from pciep.image.initramfs import find_busybox
from pciep.run import tap

SCRIPT = os.path.join(TOP, 'scripts/guest/own-read.awk')

# What a command prints, what the launcher makes of it, and problems of the
# stream
OUTPUTS = [
    ('', [], []),
    ('hello\nok fine\n', [], []),
    ('ok 1 a\nnot ok 2 - b\n1..2\n',
     [('m.a', tap.PASS), ('m.b', tap.FAIL)], []),
    ('TAP version 13\n1..3\nok 1\nok 2 # SKIP b\nok\n',
     [('m.1', tap.PASS), ('m.2', tap.SKIP), ('m.3', tap.PASS)], []),
    ('1..3\nok 1 a\n', [('m.a', tap.PASS)],
     ['3 tests were planned, 1 reported']),
    ('ok 1 a\n', [('m.a', tap.PASS)],
     ['a TAP stream ended without a plan after 1 results']),
    ('1..0 # SKIP no such device\n', [('m', tap.SKIP)], []),
    ('1..9\nok 1 a\nBail out! broke\nok 2 b\n',
     [('m.a', tap.PASS), ('m.bailed_out', tap.FAIL)], []),
    ('ok 1 a\n1..1\nTAP version 13\nok 1 b\n1..1\n',
     [('m.a', tap.PASS), ('m.b', tap.PASS)], []),
    ('KTAP version 1\n1..1\n    KTAP version 1\n    1..1\n    ok 1 x\n'
     'ok 1 suite\n', [('m.suite.x', tap.PASS)], []),
    ('1..2\nok 1 a\n  ---\n  no: end\nok 2 b\n',
     [('m.a', tap.PASS), ('m.b', tap.PASS)], []),
    ('1..2\nok 1 a\n  ---\n' + '  x: 1\n' * 300 +
     '  ...\n    1..1\n    ok 1 x\nok 2 b\n',
     [('m.a', tap.PASS), ('m.b.x', tap.PASS)], []),
    ('!exit 0\n!need x\nok 1 a\n1..1\n', [('m.a', tap.PASS)], []),
    ('1..1\n' + 'line\n# note\n' * 5000 + 'ok 1 a\n', [('m.a', tap.PASS)],
     []),
    ('1..1\nok 1 ' + 'x' * 9999, [('m.' + 'x' * 3993, tap.PASS)], []),
]


def read(output, ended=''):
    """
    Return what is passed on, and the lines of the file "seen".

    :param ended: How the command ended, as own_run says it.
    """
    with tempfile.TemporaryDirectory() as directory:
        status = os.path.join(directory, 'ended')
        if ended:
            with open(status, 'w', encoding='utf-8') as file:
                file.write(f'{ended}\n')
        seen = os.path.join(directory, 'seen')
        with open(seen, 'wb'):
            pass
        text = subprocess.run(
            [find_busybox(), 'awk', '-v', 'name=m', '-v', f'seen={seen}', '-v',
             f'ended={status}', '-f', SCRIPT], input=output,
            stdout=subprocess.PIPE, check=True, text=True).stdout
        with open(seen, encoding='utf-8') as file:
            return text, file.read().split('\n')[:-1]


def test_outputs():
    for output, results, problems in OUTPUTS:
        what = f'{output[:60]!r}'
        text, seen = read(output)
        equal([line for line in text.splitlines() if line[:1] == '!'], [],
              f'lines for the launcher in {what}')
        equal(len(text.splitlines()) < 500, True, f'length of {what}')
        equal('1..' in text.splitlines(), False, f'empty plan of {what}')
        collector = tap.Collector()
        for line in text.splitlines():
            collector.line(line)
        collector.end()
        equal([(r.name, r.status) for r in collector.results], results,
              f'results of {what}')
        equal(collector.problems, problems, f'problems of {what}')
        top = [name for name, _ in results if name.count('.') < 2]
        equal(len(seen) >= len(top), True, f'results that are seen in {what}')


SUBTESTS = 'TAP version 13\n1..2\n    1..1\n    ok 1 a\n'
# The same, with how the command ended
CUT = [
    ('1..3\nok 1 a\n', 'late', ['m.a'], []),
    ('ok 1 a\n', 'late', ['m.a'], []),
    ('1..3\n', 'late', [], []),
    ('TAP version 13\n', 'late', [], []),
    (SUBTESTS, 'late', ['m.killed.a', 'm.killed'], []),
    ('1..3\nok 1 a\n', '139', ['m.a', 'm.killed'], []),
    ('ok 1 a\n', '137', ['m.a', 'm.killed'], []),
    ('1..3\n', '137', ['m.killed'], []),
    ('1..1\nok 1 a\n', '139', ['m.a'], []),
    ('no TAP\n', '139', [], []),
    ('1..3\nok 1 a\n', '1', ['m.a'], ['3 tests were planned, 1 reported']),
    ('1..3\nok 1 a\nBail out! x\n', '137', ['m.a', 'm.bailed_out'], []),
]


def test_command_that_was_killed():
    """A result says so, and not a plan that is missing or does not fit."""
    for output, ended, names, problems in CUT:
        what = f'{output!r}, {ended}'
        text = read(output, ended)[0]
        collector = tap.Collector()
        for line in text.splitlines():
            collector.line(line)
        collector.end()
        equal(collector.problems, problems, f'problems of {what}')
        equal([r.name for r in collector.results], names,
              f'results of {what}')
        killed = [r for r in collector.results if r.name == 'm.killed']
        equal(all(r.error and r.reason.startswith('killed') for r in killed),
              True, f'reason of {what}')


OWN_SH = os.path.join(TOP, 'scripts/guest/own.sh')
STACKS = f'say() {{ printf "%s\\n" "$*"; }}; . {OWN_SH}; own_stacks'


def test_processes_that_hang():
    """The one that does something comes first, then shells that wait."""
    busybox = find_busybox()
    for inner in ('sleep 60; :', 'sleep 60 & sleep 60; :'):
        with subprocess.Popen(
                [busybox, 'sh', '-c', 'echo; "$0" sh -c "$1"; :', busybox,
                 inner], start_new_session=True,
                stdout=subprocess.PIPE) as hangs:
            try:
                hangs.stdout.readline()
                count, end = 0, time.monotonic() + 10
                while count < inner.count('sleep') + 2 and \
                        time.monotonic() < end:
                    out = subprocess.run(
                        [busybox, 'sh', '-c', f'{STACKS} {hangs.pid}'],
                        stdout=subprocess.PIPE, text=True, check=True).stdout
                    found = re.findall(r'^# process (\S+), state \w', out,
                                       re.M)
                    count = len(found)
            finally:
                os.killpg(hangs.pid, signal.SIGKILL)
        sleeps = inner.count('sleep')
        equal([name == 'sleep' for name in found],
              [True] * sleeps + [False] * 2, f'order of {found}')


def test_driver_that_cannot_come():
    """The id tables are compared with the ids that the function has."""
    script = os.path.join(TOP, 'scripts/guest/own-host.sh')
    with open(script, encoding='utf-8') as file:
        text = file.read().replace('. /pciep/own.sh\n', '')
    other = 'mine pci:v00001AF4d00000BADsv*sd*bc*sc*i* 1af4:0bad\n'
    good = 'mine pci:v00001AF4d000010F0sv*sd*bc*sc*i* 1af4:10f0\n'
    of_class = 'nvme pci:v*d*sv*sd*bc01sc08i02* *:*\n'
    with tempfile.TemporaryDirectory() as directory:
        for name, value in (
                ('vendor', '0x1af4'), ('device', '0x10f0'),
                ('modalias', 'pci:v00001AF4d000010F0sv00000000sd00000000'
                 'bc00sc00i00')):
            with open(os.path.join(directory, name), 'w',
                      encoding='utf-8') as file:
                file.write(value + '\n')
        tables = os.path.join(directory, 'tables')
        for table, says in (
                ('', None), (good, None), (other + good, None),
                (other, '1af4:0bad in mine'),
                (other + of_class, '1af4:0bad in mine, *:* in nvme')):
            with open(tables, 'w', encoding='utf-8') as file:
                file.write(table)
            done = subprocess.run(
                [find_busybox(), 'sh', '-c', f'{text}\nown_device() {{ echo '
                 f'{directory}; }}\nown_no_match {tables}'],
                stdout=subprocess.PIPE, text=True, check=False)
            equal((done.returncode == 0, done.stdout),
                  (True, 'the function has the ids 1af4:10f0, the id tables '
                   f'have {says}\n') if says else (False, ''),
                  f'what is said of {table!r}')


def test_notes():
    text = read('because\n  of this\n# too\nnot ok 1 a\n1..1\n')[0]
    result = tap.read(text)[0]
    equal(result.notes, ['# because', '# too'], 'notes of the result')
    text = read('line\n' * 300 + 'ok 1 a\nnote\nnot ok 2 b\n1..2\n')[0]
    equal([len(result.notes) for result in tap.read(text)],
          [tap.NOTES_LIMIT, 1], 'numbers of notes')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
