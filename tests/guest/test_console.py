# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults on a console, and what the launcher makes of odd input."""

import os
import re
from xml.dom import minidom

from lib import TOP, check, equal

from pciep.run import junit, tap
from pciep.vm.console import Console, Faults, load_allowed

ALLOWED = load_allowed(os.path.join(TOP, 'scripts/pciep/allow.txt'))

WARN = '''------------[ cut here ]------------
{text}
WARNING: drivers/pci/endpoint/pci-epc-core.c:1 at __pci_epc_create+0x1, CPU#0
Modules linked in:
Call Trace:
 <TASK>
 foo+0x1/0x2
 </TASK>
---[ end trace 0000000000000000 ]---'''

ONE_FAULT = [
    WARN.format(text='refcount broke'),
    'BUG: kernel NULL pointer dereference, address: 0\n'
    'Oops: 0002 [#1] SMP\nCall Trace:',
    'BUG: sleeping function called from invalid context at mutex.c:500\n'
    'Call Trace:',
    '======================================================\n'
    'WARNING: possible circular locking dependency detected\n'
    '7.2.0 Not tainted\nstack backtrace:\nCall Trace:',
    'WARNING: inconsistent lock state', 'WARNING: suspicious RCU usage',
    'DMA-API: pci_endpoint_test 0000:01:00.0: device driver frees DMA memory '
    'with different size',
    'INFO: task pci_endpoint_te:95 blocked for more than 120 seconds.\n'
    'Call Trace:',
    'watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [kworker/0:1:9]',
    'Kernel panic - not syncing: sysrq triggered crash\nCall Trace:\n'
    '---[ end Kernel panic - not syncing ]---',
    'BUG: KASAN: slab-use-after-free in foo+0x1/0x2',
    'general protection fault, probably for non-canonical address 0x0: 0000 '
    '[#1] SMP'
]

NO_FAULT = [
    'DMA-API: preallocated 65536 debug entries\n'
    'DMA-API: debugging enabled by kernel config',
    'x86/bugs: Mitigation: none\nDebug: bugs are fun\n'
    'rcu: RCU calculated value of scheduler-enlistment delay',
    WARN.format(text="This architecture doesn't support generic PCI domains"),
    'NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.'
]

OOPS = '''BUG: unable to handle page fault for address: ffa0
#PF: supervisor write access in kernel mode
Oops: Oops: 0002 [#1] SMP
RIP: 0010:pci_irq_vector+0x2a/0x50
Call Trace:
 <TASK>
 foo_ioctl+0x8/0x10 [foo]
 </TASK>
---[ end trace 0000000000000000 ]---'''

LOCKDEP = '''======================================================
WARNING: possible circular locking dependency detected
7.2.11 #1 Not tainted
------------------------------------------------------
irq/24-pciehp/40 is trying to acquire lock:
ff11 ({acquires}){{.+.+}}-{{4:4}}, at: {where}+0xb3/0x1a0
but task is already holding lock:
ffff (pci_rescan_remove_lock){{+.+.}}-{{4:4}}, at: pci_lock_rescan_remove
stack backtrace:
{between}
Call Trace:
 <TASK>
 dump_stack_lvl+0x6b/0xa0
 </TASK>'''


def feed(text):
    f = Faults(ALLOWED)
    for line in text.splitlines():
        f.line(line)
    f.end()
    return f


def test_faults_are_found_once(t):
    for text in ONE_FAULT:
        equal(len(feed(text).found), 1, f'faults in {text!r}')


def test_harmless_lines_are_not_faults(t):
    for text in NO_FAULT:
        equal(feed(text).found, [], f'faults in {text!r}')


def test_allow_list_excuses_one_report_only(t):
    domains = WARN.format(
        text="This architecture doesn't support generic PCI domains")
    f = feed(domains + '\n' + WARN.format(text='another'))
    equal(len(f.found), 1, 'faults behind an excused one')
    equal(len(f.excused), 1, 'excused reports')


def test_excused_oops_is_one_report(t):
    f = Faults([(re.compile(r'\bfoo_\w+\+0x'), 'foo is wrong')])
    for line in OOPS.splitlines():
        f.line(line)
    f.end()
    equal(f.found, [], 'faults')
    equal(f.excused,
          [('BUG: unable to handle page fault for address: ffa0', 'foo is '
            'wrong')], 'excused reports')


def test_cut_short_report_counts(t):
    equal(
        len(
            feed(
                '------------[ cut here ]------------\n'
                'kernel BUG at mm/slub.c:1!'
            ).found), 1, 'faults in a report without an end')


def test_console_takes_any_bytes(t):
    c = Console(os.path.join(t.rundir, 'any.log'), ALLOWED)
    for chunk in (bytes(range(256)) * 64, b'\xff' * 100000, b'\x1b[2J\n',
                  b'[    1.0] BUG: ', b'x\r\n'):
        c.feed(chunk)
    c.close()
    equal(len(c.faults.found), 1, 'faults')
    longest = max(len(line) for line in c.tail)
    check(longest < 20000, f'one of the last lines has {longest} characters')


def test_tap_streams(t):
    c = tap.Collector()
    for line in ('TAP version 13', '1..2', 'ok 1 a', 'ok 2 b # SKIP why # so',
                 'TAP version 13', '1..3', 'not ok 1 c', '# note'):
        c.line(line)
    c.end()
    equal([(r.name, r.status, r.reason) for r in c.results],
          [('a', 'pass', ''), ('b', 'skip', 'why # so'),
           ('c', 'fail', '')], 'results')
    equal(c.problems, ['3 tests were planned, 1 reported'], 'problems')


def test_tap_without_tests(t):
    """A plan of 0 is a test that was skipped; bailing out is a failure."""
    c = tap.Collector()
    c.line('1..0 # SKIP no hardware')
    c.end()
    c.line('TAP version 13')
    c.line('1..3')
    c.line('ok 1 - a')
    c.line('not ok 2 b # TODO not written')
    c.line('not ok 3 c # SKIP nonsense')
    c.line('Bail out! crashed')
    c.end()
    equal([(r.name, r.status, r.reason) for r in c.results],
          [('all tests', 'skip', 'no hardware'), ('a', 'pass', ''),
           ('b', 'skip', 'not written'), ('c', 'fail', ''),
           ('bailed out', 'fail', 'crashed')], 'results')
    equal(c.problems, [], 'problems')


def test_tap_without_plan(t):
    c = tap.Collector()
    c.line('ok 1 a')
    c.end()
    equal(c.problems, ['a TAP stream ended without a plan after 1 results'],
          'problems')


def test_junit_is_xml(t):
    path = os.path.join(t.rundir, 'x.xml')
    results = [tap.Result('a<&"\x01', tap.FAIL, 'b\x00', ['# \x1b ]]>']),
               tap.Result('s', tap.SKIP, 'why')]
    junit.write(path, [junit.Suite('s', results, 1.5)])
    suite = minidom.parse(path).getElementsByTagName('testsuite')[0]
    equal((suite.getAttribute('tests'), suite.getAttribute('failures'),
           suite.getAttribute('skipped')), ('2', '1', '1'), 'counts')


def test_notes_stay_between_lines(t):
    c = Console(os.path.join(t.rundir, 'notes.log'), ALLOWED)
    c.feed(b'first\nsec')
    c.note('qemu: a')
    c.feed(b'ond\nthird')
    c.note('qemu: b')
    c.close()
    equal(
        t.read('notes.log').splitlines(),
        ['first', 'second', 'qemu: a', 'third', 'qemu: b'], 'the log')
    equal(list(c.tail), ['first', 'second', 'qemu: a', 'third', 'qemu: b'],
          'last lines')


def test_excused_lockdep_report(t):
    """pciehp's own inversion and nothing else, not even in the midst of it."""
    known = {
        'acquires': '&ctrl->reset_lock',
        'where': 'pciehp_configure_device'
    }
    f = feed(LOCKDEP.format(between='', **known))
    equal((f.found, len(f.excused)), ([], 1), 'the known report')
    f = feed(LOCKDEP.format(between='BUG: something else', **known))
    equal(f.found, ['BUG: something else'], 'a fault in the midst of it')
    known['acquires'] = '&ep->lock'
    equal(len(feed(LOCKDEP.format(between='', **known)).found), 1,
          'another report')
