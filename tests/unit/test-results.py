#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of results: TAP and KTAP in, TAP and JUnit out."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from xml.etree import ElementTree

from python_tests import TOP, Skipped, contains, equal, main, raises
from pciep import CannotRun
from pciep.image.kernels import Kernel
from pciep.run import explain, junit, report, rundir, tap
from pciep.run.progress import Progress
from pciep.vm.console import Console, Faults
from pciep.vm.setup import GuestOptions, Setup

SCHEMA = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                      'junit.xsd')

KUNIT = '''\
[    2.1] KTAP version 1
[    2.1] 1..2
[    2.1]     KTAP version 1
[    2.1]     # Subtest: math
[    2.2]     # module: math_test
[    2.2]     1..3
[    2.2]     ok 1 add
[    2.2]     # mul: EXPECTATION FAILED at lib/math.c:7
[    2.2]     # Expected 4 == 5
[    2.3]     not ok 2 mul
[    2.3]         KTAP version 1
[    2.3]         # Subtest: div
[    2.3]         ok 1 by one
[    2.3]         ok 2 by zero # SKIP no zero
[    2.3]         1..2
[    2.3]     ok 3 div
[    2.3] # math: pass:2 fail:1 skip:0 total:3
[    2.3] not ok 1 math
[    2.4]     KTAP version 1
[    2.4]     # Subtest: list
[    2.4]     1..1
[    2.4]     ok 1 empty
[    2.4] ok 2 list
'''

RUNNER = '''\
TAP version 13
1..2
# timeout set to 45
# selftests: pci: one
# TAP version 13
# 1..2
# ok 1 a
# # a.c:3:b:Expected 1 (1) == 2 (2)
# not ok 2 b
# # Totals: pass:1 fail:1
not ok 1 selftests: pci: one # exit=1
# selftests: pci: two
ok 2 selftests: pci: two # SKIP no device
'''

TAP14 = '''\
TAP version 14
# Subtest: outer
    # Subtest: inner
        ok 1 - deep
          ---
          message: never seen
          ...
        1..1
    ok 1 - inner
    1..1
ok 1 - outer
not ok 2 - flat
  ---
  message: it broke
  at:
    line: 7
  ...
ok 3 - with \\# in it
not ok 4 - slow # TIMEOUT
ok 5 - bad # XFAIL known
1..5
'''


def collect(text, **more):
    """Return a Collector that has read the text from a command."""
    collector = tap.Collector()
    stream = collector.stream(**more)
    for line in text.splitlines():
        stream.line(line)
    collector.end()
    return collector


def brief(collector):
    """Return name and status of all results."""
    return [(r.name, r.status) for r in collector.results]


# ---- TAP and KTAP ----


def test_kunit():
    c = collect(KUNIT, strict=True)
    equal(brief(c), [
        ('math.add', tap.PASS), ('math.mul', tap.FAIL),
        ('math.div.by one', tap.PASS), ('math.div.by zero', tap.SKIP),
        ('list.empty', tap.PASS)], 'results')
    equal(c.results[1].notes[-2:],
          ['# mul: EXPECTATION FAILED at lib/math.c:7', '# Expected 4 == 5'],
          'notes')
    equal(c.problems, [], 'problems')


def test_runner_of_kselftest():
    c = collect(RUNNER, strict=True)
    equal(brief(c), [('selftests: pci: one.a', tap.PASS),
                     ('selftests: pci: one.b', tap.FAIL),
                     ('selftests: pci: two', tap.SKIP)], 'results')
    contains('\n'.join(c.results[1].notes), 'a.c:3:b:Expected', 'notes')
    equal(c.problems, [], 'problems')


def test_tap_14():
    c = collect(TAP14)
    equal([(r.name, r.status, r.reason, r.error) for r in c.results], [
        ('outer.inner.deep', tap.PASS, '', False),
        ('flat', tap.FAIL, '', False),
        ('with # in it', tap.PASS, '', False),
        ('slow', tap.FAIL, 'timed out', True),
        ('bad', tap.SKIP, 'known', False)], 'results')
    equal(c.results[1].notes,
          ['# message: it broke', '# at:', '#   line: 7'], 'notes')
    equal(c.problems, [], 'problems')


def test_yaml_without_end():
    found = collect('1..2\nok 1 a\n  ---\n  x: 1\nnot ok 2 b\n')
    equal(brief(found), [('a', tap.PASS), ('b', tap.FAIL)], 'results')
    equal(found.results[0].notes, ['# x: 1'], 'what explains the first')


def test_notes_before_the_version():
    found = collect('# because\nTAP version 13\nnot ok 1 a\n1..1\n# too\n'
                    'TAP version 13\nnot ok 1 b\n1..1\n')
    equal([r.notes for r in found.results], [['# because'], ['# too']],
          'what explains the results')


def test_parent_that_failed_alone():
    """A test of which no subtest failed is a failure of its own."""
    c = collect('TAP version 14\n1..1\n    1..1\n    ok 1 a\n# leak\n'
                'not ok 1 all\n')
    equal(brief(c), [('all.a', tap.PASS), ('all', tap.FAIL)], 'results')
    equal(c.results[1].notes, ['# leak'], 'notes')


def test_broken_streams():
    for text, problems in (
            ('1..2\n    1..2\n    ok 1 a\nok 1 x\nok 2 y\n',
             ['2 tests were planned in x, 1 reported']),
            ('1..1\n    ok 1 a\nok 1 x\n',
             ['the subtests of x ended without a plan after 1 results']),
            ('TAP version 13\n1..2\n    # Subtest: x\n    1..2\n    ok 1 a\n',
             ['2 tests were planned, 0 reported']),
            ('KTAP version 1\n', ['a TAP stream ended without a plan after '
                                  '0 results'])):
        equal(collect(text, strict=True).problems, problems, repr(text))
    cut = collect('1..2\n    # Subtest: x\n    1..2\n    ok 1 a\n')
    equal(brief(cut), [('x.a', tap.PASS)], 'a test whose end is missing')


def test_output_that_is_no_tap():
    """Text that only looks like TAP begins no stream."""
    c = collect('ok\nok then, it works\nnot ok?\n    ok 1 indented\n# note\n'
                '---\n...\n\0\x1b\xff\n1..x\n', strict=True)
    equal((brief(c), c.problems), ([], []), 'results and problems')
    c = collect('hello\n1..1\nmore words\nok 1 a\nok\n', strict=True)
    equal(brief(c), [('a', tap.PASS), ('test 2', tap.PASS)], 'results')
    equal(c.problems, ['1 tests were planned, 2 reported'], 'problems')


def test_flood():
    c = tap.Collector()
    stream = c.stream()
    for number in range(tap.RESULTS_LIMIT + 10):
        stream.line(f'ok {number} x')
    equal(len(c.results), tap.RESULTS_LIMIT, 'results')
    contains(c.problems[0], 'more than', 'problems')


def test_two_sources():
    c = tap.Collector()
    one, two = c.stream(), c.stream(prefix='ep.')
    for stream in (one, two):
        stream.line('1..1')
    one.line('ok 1 a')
    two.line('    1..1')
    two.line('    ok 1 b')
    two.line('ok 1 a')
    c.end()
    equal(brief(c), [('a', tap.PASS), ('ep.a.b', tap.PASS)], 'results')
    equal(c.problems, [], 'problems')


def test_exit_statuses():
    equal([tap.of_status(n) for n in (0, 1, 4, 77, 139)],
          [tap.PASS, tap.FAIL, tap.SKIP, tap.SKIP, tap.FAIL], 'statuses')


def test_tap_out_is_tap_in():
    results = [tap.Result('a # b', tap.PASS),
               tap.Result('c', tap.SKIP, 'why'),
               tap.Result('d', tap.FAIL, 'broke', ['# more'])]
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'x.tap')
        tap.write_tap(path, results)
        with open(path, encoding='utf-8') as file:
            c = collect(file.read())
    equal(brief(c), [(r.name, r.status) for r in results], 'results')
    equal(c.results[2].notes, ['# broke', '# more'], 'notes')
    equal(c.problems, [], 'problems')


# ---- Why a test failed ----


def test_telling_line():
    equal(explain.telling(['# because', '# exit status 1']), 'because', 'why')
    equal(explain.telling(['# exit status 1']), 'exit status 1', 'why')
    for notes, reason in (
            (['#  RUN  x ...', '# x.c:12:x:Expected 1 == 2',
              '# x: Test failed', '#  FAIL  x'], 'x.c:12:x:Expected 1 == 2'),
            (['# something else', '# the error was 5', '# last'],
             'the error was 5'),
            (['# no such thing; there is:', '#   one'],
             'no such thing; there is:'),
            (['# one', '# two'], 'two'), (['# RUN x'], ''), ([], '')):
        equal(explain.telling(notes), reason, f'{notes}')


def test_consoles_of_a_failure():
    with tempfile.TemporaryDirectory() as directory:
        consoles = {name: Console(os.path.join(directory, name), [])
                    for name in ('host', 'ep')}
        explainer = explain.Explainer(lambda: consoles, True)
        consoles['host'].feed(b'boot\n')
        explainer.begin()
        consoles['host'].feed(b'one\n')
        explainer.turn(1.0)
        consoles['host'].feed(b'in a later turn\n')
        explainer.turn(1.0 + explain.EARLY / 2)
        consoles['host'].feed(b'in the same turn\n')
        explainer.add(tap.Result('a', tap.PASS), 1.0 + explain.EARLY)
        consoles['host'].feed(b'two\n   # said\nnot ok 2 b\n')
        consoles['ep'].feed(b'BUG: at work\n' + b'line\n' * 100)
        result = tap.Result('b', tap.FAIL, notes=['# said'])
        explainer.add(result, 2.0)
        explainer.turn(2.0)
        equal(result.notes, ['# said'], 'notes at once')
        consoles['host'].feed(b'late\n')
        explainer.turn(2.0 + explain.LATE)
        host = [note for note in result.notes if 'host' in note]
        equal(host, ['# host | in a later turn', '# host | in the same turn',
                     '# host | two', '# host | late'], 'lines of the host')
        contains('\n'.join(result.notes), '21 lines left out', 'the others')
        equal(result.reason, 'said', 'the reason')
        silent = tap.Result('c', tap.FAIL)
        consoles['ep'].feed(b'fine\nBUG: at work\n')
        explainer.add(silent, 3.0)
        explainer.end()
        equal(silent.reason, 'BUG: at work', 'the reason of the kernel')
        consoles['host'].feed(b'[    1.0] at a.c:1\n# t.c:7:x:Expected 1\n')
        silent = tap.Result('d', tap.FAIL)
        explainer.add(silent, 4.0)
        explainer.end()
        equal(silent.reason, 't.c:7:x:Expected 1', 'what standard error says')
        for console in consoles.values():
            console.close()


ALLOWED_REPORT = b'''boot
[    1.0] ------------[ cut here ]------------
[    1.0] no domains here
[    1.0] WARNING: a.c:1 at f+0x1/0x2, CPU#0
[    1.0] Call Trace:
[    1.0]  f+0x1/0x2
[    1.0] ---[ end trace 0000000000000000 ]---
after
'''


def test_report_that_is_allowed():
    """The line behind it says so, and it is not shown as a cause."""
    shown = []
    with tempfile.TemporaryDirectory() as directory:
        console = Console(os.path.join(directory, 'ep'),
                          [(re.compile('no domains'), 'x86 has none')],
                          shown.append)
        explainer = explain.Explainer(lambda: {'ep': console}, True)
        explainer.begin()
        console.feed(ALLOWED_REPORT)
        says = ('[this report is allowed, see scripts/pciep/allow.txt: '
                'x86 has none]')
        equal(shown[6:], ['[    1.0] ---[ end trace 0000000000000000 ]---',
                          says, 'after'], 'what the terminal shows')
        equal(console.tail, ['boot', 'after'], 'the last lines')
        result = tap.Result('a', tap.FAIL)
        explainer.add(result, 1.0)
        explainer.end()
        equal(result.reason, '', 'the reason')
        equal(len(result.notes), 9, 'lines of the console in the notes')
        console.feed(ALLOWED_REPORT.replace(b'no domains', b'bad'))
        contains('\n'.join(console.tail), '(?s)after.*bad', 'the last lines')
        equal(len(shown), 17, 'lines that the terminal shows')
        console.feed(ALLOWED_REPORT.replace(b' f+', b'BUG: f+'))
        contains('\n'.join(console.tail[8:]), '(?s)Trace.*BUG.*allowed',
                 'the last lines with a report in the midst')
        console.close()


def test_which_test_ran():
    """The command that runs and the last line of TAP say it."""
    progress = Progress()
    progress.state('host', 'waiting for blink', 1)
    progress.state('host', 'blink: one', 2)
    progress.line('host', '# #  RUN           global.add ...', 3)
    progress.result('host', tap.Result('one.add', tap.PASS), 4)
    progress.state('ep', 'blink: inside', 5)
    progress.result('ep', tap.Result('ep.inside', tap.PASS), 6)
    progress.state('host', 'blink: two', 7)
    progress.state('host', 'blink: two', 8)
    progress.state('ep', 'up', 9)
    progress.state('host', 'up', 10)
    for when, words in ((0, ''), (1.5, ''), (2, 'while one ran'),
                        (3.5, 'while one.add ran'),
                        (4, 'while one, after one.add, ran'),
                        (5, 'while one, after one.add, and inside ran'),
                        (7, 'while two and inside ran'), (9, 'while two ran'),
                        (10, '')):
        equal(progress.at(when), words, f'at {when}')


def test_oops_is_fatal():
    """Then a run ends soon; a warning, and what is allowed, do not count."""
    for line, fatal in (
            ('Oops: 0002 [#1] SMP', True),
            ('Oops: Oops: 0002 [#1] SMP', True),
            ('Internal error: Oops: 0000000096000044 [#1] SMP', True),
            ('Internal error: Oops - BUG: 00000000f2000800 [#1]', True),
            ('Kernel panic - not syncing: x', True), ('Oops [#1]', True),
            ('Kernel BUG [#1]', True), ('WARNING: a.c:1 at f', False),
            ('BUG: sleeping function called from invalid context', False),
            ('BUG: KASAN: slab-out-of-bounds in f', False)):
        faults = Faults()
        faults.line(line)
        equal(faults.fatal, fatal, line)
    faults = Faults([(re.compile('known'), 'why')])
    for line in ('BUG: known', 'Oops: 0002 [#1]', ' </TASK>'):
        faults.line(line)
    equal((faults.fatal, faults.found), (False, []), 'one that is allowed')


def test_stream_that_was_cut():
    """The verdict has the reason that its end is missing."""
    for text in ('1..3\nok 1 a\n', 'ok 1 a\n', '1..2\n  1..2\n  ok 1 b\n'):
        for cut in (False, True):
            collector = tap.Collector()
            stream = collector.stream()
            for line in text.splitlines():
                stream.line(line)
            collector.end(cut)
            equal(not collector.problems, cut, f'problems of {text!r}')


# ---- The directory ----


def test_directory_of_a_run():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'demo')
        name, lock = rundir.claim(path, False)
        equal(name, path, 'the first run')
        second, more = rundir.claim(path, False)
        equal(second, path + '-2', 'a run at the same time')
        contains(raises(CannotRun, rundir.claim, path, True),
                 'another run writes to .*choose another --log-dir', 'error')
        os.close(lock)
        name, lock = rundir.claim(path, True)
        equal(name, path, 'a run after the first one')
        os.close(lock)
        os.close(more)
        contains(raises(CannotRun, rundir.claim, '/proc/none', False),
                 '--log-dir', 'error')


def test_archive():
    with tempfile.TemporaryDirectory() as directory:
        run = os.path.join(directory, 'demo')
        os.makedirs(os.path.join(run, 'more'))
        for name in ('results.tap', 'host.log', 'ep.initramfs', 'fn0.disk'):
            with open(os.path.join(run, name), 'w', encoding='utf-8'):
                pass
        wanted = ['demo/host.log', 'demo/results.tap']
        for name in ('x.tar', 'x.tar.gz', 'x.tgz', 'x.tar.xz',
                     'demo/x.tar.gz'):
            path = os.path.join(directory, name)
            rundir.archive(run, path)
            with tarfile.open(path) as packed:
                equal(packed.getnames(), wanted, name)
            os.unlink(path)
        path = os.path.join(directory, 'x.zip')
        rundir.archive(run, path)
        with zipfile.ZipFile(path) as packed:
            equal(packed.namelist(), wanted, 'x.zip')
        equal(rundir.check_archive(path), '', 'a good name')
        contains(rundir.check_archive(run + '.rar'), 'ends in .tar', 'error')
        contains(rundir.check_archive('/none/x.zip'), 'check the path',
                 'error')


# ---- JUnit ----


def write(directory, results, **more):
    """Write a JUnit file, and return its path."""
    path = os.path.join(directory, 'junit.xml')
    junit.write(path, [junit.Suite('s', results, 1.5, **more),
                       junit.Suite('empty', [], 0)])
    return path


RESULTS = [
    tap.Result('a', tap.PASS), tap.Result('b', tap.SKIP, 'why'),
    tap.Result('c<&"\x01\ud800', tap.FAIL, 'broke\x00', ['# \x1b ]]>']),
    tap.Result('d', tap.FAIL, error=True),
]


def test_junit():
    with tempfile.TemporaryDirectory() as directory:
        path = write(directory, RESULTS, properties={'kernel.ep': '7.0'})
        suite = ElementTree.parse(path).getroot()[0]
    equal([suite.get(name) for name in ('tests', 'failures', 'errors',
                                        'skipped', 'time')],
          ['4', '1', '1', '1', '1.500'], 'counts')
    equal(suite.find('properties/property').attrib,
          {'name': 'kernel.ep', 'value': '7.0'}, 'property')
    failure = suite.find('testcase/failure')
    equal(failure.get('message'), 'broke?', 'reason')
    contains(failure.text, '# broke', 'text of the failure')
    equal(suite.find('testcase/error').get('message'), 'not ok', 'error')


def test_junit_time():
    """The suite began as many seconds ago as it took."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'junit.xml')
        junit.write(path, [junit.Suite('s', [], 7200)])
        suite = ElementTree.parse(path).getroot()[0]
    begun = time.strptime(suite.get('timestamp'), '%Y-%m-%dT%H:%M:%S')
    equal(abs(time.time() - 7200 - time.mktime(begun)) < 60, True,
          f'the time {suite.get("timestamp")}')


def test_junit_properties():
    known = report.properties(None, 'pci-ep-run')
    equal(known['command'], 'pci-ep-run', 'the command')
    if shutil.which('git'):
        head = subprocess.run(['git', '-C', TOP, 'rev-parse', 'HEAD'],
                              stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL, check=False)
        equal(known.get('commit', ''), head.stdout.strip(), 'the commit')
    guests = [GuestOptions(name=name, kernel=Kernel(image='', release=release))
              for name, release in (('host', '7.2'), ('ep', '6.12'))]
    known = report.properties(
        Setup(rundir='', qemu=sys.executable, accel='tcg', guests=guests,
              notes=['one', 'two']), '')
    known.pop('commit', None)
    equal(known, {'qemu': f'Python {platform.python_version()}',
                  'accelerator': 'tcg', 'kernel.host': '7.2',
                  'kernel.ep': '6.12', 'notes': 'one; two'}, 'properties')


def test_junit_of_a_failure():
    """A failure has the lines of both consoles, a run has its verdict."""
    with tempfile.TemporaryDirectory() as directory:
        consoles = {name: Console(os.path.join(directory, name), [])
                    for name in ('host', 'ep')}
        explainer = explain.Explainer(lambda: consoles, True)
        collector, verdict = tap.Collector(), report.Verdict()
        for name in consoles:
            consoles[name].feed(b'before\n')
        explainer.begin()
        for name in consoles:
            consoles[name].feed(f'{name} says so\n'.encode())
        explainer.add(collector.add('a', tap.FAIL, 'broke'), 1.0)
        explainer.end()
        verdict.fail('time limit', error=True)
        report.write_files(directory, 's', collector, verdict, 1.0, {})
        suite = ElementTree.parse(
            os.path.join(directory, 'junit.xml')).getroot()[0]
        for console in consoles.values():
            console.close()
    equal(suite.find('testcase[@name="a"]/failure').text,
          '# broke\n# host | host says so\n# ep   | ep says so',
          'text of the failure')
    equal(suite.find('testcase[@name="run"]/error').get('message'),
          'time limit', 'the verdict')


def test_junit_schema():
    if not shutil.which('xmllint'):
        raise Skipped('the package libxml2-utils is not installed')
    with tempfile.TemporaryDirectory() as directory:
        path = write(directory, RESULTS, properties={'kernel.ep': '7.0'})
        check = ['xmllint', '--noout', '--schema', SCHEMA, path]
        seen = subprocess.run(check, stderr=subprocess.PIPE, check=False)
        equal(seen.returncode, 0, seen.stderr.decode())
        with open(path, encoding='utf-8') as file:
            text = file.read()
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text.replace('errors="1"', ''))
        seen = subprocess.run(check, stderr=subprocess.PIPE, check=False)
        equal(seen.returncode != 0, True, 'a suite without errors is refused')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
