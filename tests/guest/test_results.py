# SPDX-License-Identifier: GPL-2.0-or-later
"""What pci-ep-run makes of the output of commands: results and files."""

import os
import shutil
import subprocess
import tarfile

from lib import TOP, contains, equal, limit
from pciep.run import tap

QUICK = ('--no-link', '--no-console')

REPORT = """#!/bin/sh
echo some words
echo KTAP version 1
echo 1..2
echo '    # Subtest: suite'
echo '    1..2'
echo '    ok 1 good'
echo before-the-failure >/dev/kmsg
echo to-standard-error >&2
echo '    # mine.c:7: expected 1'
echo '    not ok 2 bad'
echo 'not ok 1 suite'
echo 'ok 2 other # SKIP no device'
printf 'no end of line'
exit 1
"""


@limit(120)
def test_command(t):
    """TAP of a command, why it failed, and all files of the run."""
    t.kernel('7')
    program = t.file('report', REPORT)
    archive = os.path.join(t.rundir, 'packed.tar.gz')
    status, out = t.launch(
        f'--host-file={program}', '--host-cmd=/root/report',
        '--ep-cmd=echo 1..1; echo ok 1 mine', f'--archive={archive}', *QUICK)
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')
    results = t.results()
    equal({name: result[0] for name, result in results.items()}, {
        'suite.good': 'pass', 'suite.bad': 'fail', 'other': 'skip',
        'ep.mine': 'pass', 'host.cmd': 'fail', 'ep.cmd': 'pass',
        'console.host': 'pass', 'console.ep': 'pass', 'run': 'fail'},
        'results')
    contains(out, 'not ok  suite.bad: mine.c:7: expected 1', 'the summary')
    for words in ('some words', 'no end of line', 'to-standard-error'):
        contains(t.read('host.log'), words, 'host.log')
    notes = next(r.notes for r in tap.read(t.read('results.tap'))
                 if r.name == 'suite.bad')
    # Standard output, standard error and lines of the kernel have no order.
    equal(notes[0], '# mine.c:7: expected 1', 'the first note')
    for words in ('before-the-f', 'to-standard-error'):
        contains('\n'.join(notes[1:]), f'# host .*{words}', 'the notes')
    junit = t.read('junit.xml')
    for name in ('kernel.ep', 'kernel.host', 'qemu', 'accelerator', 'command'):
        contains(junit, f'property name="{name}" value="[^"]', 'junit.xml')
    contains(junit, 'failure type="failure" message="mine.c:7', 'junit.xml')
    if shutil.which('xmllint'):
        subprocess.run(
            ['xmllint', '--noout', '--schema',
             os.path.join(TOP, 'tests/unit/junit.xsd'),
             os.path.join(t.rundir, 'junit.xml')], check=True)
    with tarfile.open(archive) as packed:
        names = {os.path.basename(name) for name in packed.getnames()}
    equal({'results.tap', 'junit.xml', 'host.log', 'ep.log', 'host.sh',
           'ep.sh'} - names, set(), 'what the archive lacks')


@limit(90)
def test_skipped_command(t):
    """4 is what kselftest ends with; -q leaves the verdict."""
    t.kernel('7')
    status, out = t.launch('-q', '--host-cmd=exit 4', '--ep-cmd=exit 77',
                           '--no-link')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    equal(t.results()['host.cmd'], ('skip', 'exit status 4'), 'host.cmd')
    equal(t.results()['ep.cmd'][0], 'skip', 'ep.cmd')
    equal(len(out.splitlines()), 1, f'lines of output:\n{out}')
    contains(out, 'test: SKIPPED: ', 'the verdict')
