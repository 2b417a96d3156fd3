# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking into a kernel: bugs are found from the output; gdb, ftrace."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

from lib import LAUNCHER, Skipped, check, contains, equal, lacks, limit, long
from pciep.run import tap

PATIENCE = 20  # seconds


def plant(t, name, source, anchor, bug):
    """
    Write a function with a bug, and return its directory and the place.

    :param source: The file that gets the bug, as new-function names it.
    :param anchor: The line that is replaced.
    :param bug: What replaces it.
    """
    top = os.path.join(t.rundir, name)
    shutil.rmtree(top, ignore_errors=True)
    subprocess.run([sys.executable, LAUNCHER, 'new-function', top],
                   stdout=subprocess.DEVNULL, check=True)
    path = os.path.join(top, source)
    text = t.read(f'{name}/{source}')
    check(anchor in text, f'{anchor} is not in {source}')
    text = text.replace(anchor, bug, 1)
    t.file(f'{name}/{source}', text, 0o644)
    # Each test waits so long for a kernel that does not answer any more.
    toml = t.read(f'{name}/function.toml')
    t.file(f'{name}/function.toml',
           toml.replace('test_seconds = 60', f'test_seconds = {PATIENCE}'),
           0o644)
    lines = text.splitlines()
    number = next(n for n, line in enumerate(lines, 1) if 'PLANTED' in line)
    return top, f'{path}:{number}'


def found(t, top, place, fault, *args):
    """The output of a run names fault, file, line and test."""
    status, out = t.launch('--function', top, *args, seconds=270)
    equal(status, 1, f'exit status; output:\n{out[-3000:]}')
    contains(out, r'reason  the kernel of the \w+ guest reported: '
             rf'.*(?:{fault}).* at {re.escape(place)} in \w+\(\)',
             'the summary')
    notes = [r.notes for r in tap.read(t.read('results.tap'))
             if r.status == tap.FAIL and '.' in r.name
             and not r.name.startswith('console.')]
    return out, '\n'.join(notes[0]) if notes else ''


@limit(300)
def test_null_dereference(t):
    """In the work item of an endpoint function, with the usual kernel."""
    t.kernel('7')
    top, place = plant(t, 'null', 'pci-epf-null.c',
                       'le32_add_cpu(&regs->count, le32_to_cpu(regs->value));',
                       '*(volatile u32 *)(unsigned long)(regs->magic ? 0 : 1)'
                       ' = 0; /* PLANTED */')
    began = time.monotonic()
    out, notes = found(t, top, place, 'NULL pointer dereference')
    # The test would run into the time limits of the driver and its own.
    check(time.monotonic() - began < 20 + PATIENCE, 'the run did not end soon')
    contains(out, r'not ok +console\.ep: BUG: .* in \w+\(\) while null\b.* '
             'ran', 'the verdict')
    contains(out, r'reason +the ep guest crashed', 'the verdict')
    lacks(out, 'did not take the link down|without a plan|time limit',
          'the output')
    contains(out, r'not ok +null\.\w+', 'the test')
    contains(notes, rf'# ep +\| .*RIP: .*null_\w+\+.*\({re.escape(place)}',
             'the notes of the test')
    contains(notes, r'# ep +\| .*BUG: kernel NULL', 'the notes of the test')


@long
@limit(300)
def test_sleep_in_atomic(t):
    """In a driver of the host, with the kernel that checks such things."""
    t.kernel('7-debug')
    top, place = plant(t, 'sleeps', 'sleeps-host.c',
                       'reinit_completion(&h->done);',
                       'preempt_disable();\n'
                       '\tschedule_timeout_uninterruptible(1); /* PLANTED */\n'
                       '\tpreempt_enable(); reinit_completion(&h->done);')
    found(t, top, place, 'sleeping function called|scheduling while atomic',
          '--kernel-name=7-debug')
    contains(t.read('results.tap'), r'# host +\| .*schedule_timeout\w*\+.*\n'
             rf'(.*\n)?.*# host +\| .*{re.escape(place)}', 'the report')


@limit(300)
def test_lock_in_host_driver(t):
    """Lockdep is on when the driver of the user gets its device."""
    t.kernel('7-debug')
    top, place = plant(t, 'locks', 'locks-host.c',
                       'complete(&h->done);',
                       'spin_lock(&current->alloc_lock); /* PLANTED */\n'
                       '\tspin_unlock(&current->alloc_lock);\n'
                       '\tcomplete(&h->done);')
    found(t, top, place, 'inconsistent lock state', '--kernel-name=7-debug')
    lacks(t.read('host.log'), 'circular locking', 'the console of the host')


@long
@limit(400)
def test_kasan(t):
    t.kernel('7-kasan')
    top, place = plant(t, 'beyond', 'pci-epf-beyond.c',
                       'le32_add_cpu(&regs->count, le32_to_cpu(regs->value));',
                       'c->buf[BEYOND_MAX_SIZE / 4 + (regs->magic ? 1 : 0)]'
                       ' = 0; /* PLANTED */')
    # What is behind the buffer is another object, or was one.
    found(t, top, place, 'KASAN: (slab-)?(out-of-bounds|use-after-free) in ',
          '--kernel-name=7-kasan', '--timeout=300')


GDB = ('info line pci_epf_test_cmd_handler', 'info symbol qemu_ep_probe',
       'break pci_epf_test_cmd_handler', 'continue', 'backtrace 2',
       'p $lx_current().comm', 'delete', 'detach')


def booted(t, running, seconds=100):
    """Wait until the endpoint guest has started the link."""
    end = time.monotonic() + seconds
    log = os.path.join(t.rundir, 'ep.log')
    while not (os.path.exists(log) and 'link started' in t.read('ep.log')):
        check(running.poll() is None and time.monotonic() < end,
              'the guests do not boot')
        time.sleep(0.5)


@long
@limit(300)
def test_gdb(t):
    """gdb has the symbols of our driver and of a module, and stops there."""
    t.kernel('7-trace')
    if not shutil.which('gdb'):
        raise Skipped('gdb is not installed')
    if os.path.exists(os.path.join(t.rundir, 'ep.log')):
        os.unlink(os.path.join(t.rundir, 'ep.log'))
    running = t.start('--kernel-name=7-trace', '--gdb=ep', '--no-console',
                      '--host-cmd=sleep 1000')
    try:
        booted(t, running)
        args = ['gdb', '-batch', '-x', os.path.join(t.rundir, 'ep.gdb')]
        for command in GDB:
            args += ['-ex', command]
        out = subprocess.run(args, stdout=subprocess.PIPE, check=False,
                             stderr=subprocess.STDOUT, timeout=150,
                             stdin=subprocess.DEVNULL,
                             text=True).stdout
    finally:
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=30)[0].decode()
    contains(said, r'gdb -q -x \S+/ep\.gdb', 'the line that is printed')
    contains(out, r'Line \d+ of ".*pci-epf-test\.c"', 'gdb, a line')
    contains(out, r'qemu_ep_probe.* in section', 'gdb, a symbol of the driver')
    contains(out, r'Breakpoint 1, pci_epf_test_cmd_handler', 'gdb')
    contains(out, r'#1 .*process_one_work', 'gdb, the stack')
    contains(out, r'\$1 = "kworker', 'gdb, a script of the kernel')
    check(not os.path.exists(re.search(r'target remote (\S+)',
                                       t.read('ep.gdb'))[1]),
          'the socket is left')


@long
@limit(200)
def test_ftrace(t):
    t.kernel('7-trace')
    status, out = t.launch(
        '--kernel-name=7-trace', '--function=test', '--no-console',
        '--host-ftrace=irq:irq_handler_entry',
        '--ep-ftrace=graph:pci_epf_test', '--ep-ftrace=graph:pci_epc_raise*',
        seconds=180)
    equal(status, 0, f'exit status; output:\n{out[-3000:]}')
    contains(t.read('host.ftrace'), r'irq_handler_entry: irq=\d+ name=',
             'the trace of the host')
    calls = t.read('ep.ftrace')
    for pattern in (r'pci_epf_test_cmd_handler\s*\[pci_epf_test\]\(',
                    r'pci_epc_raise_irq\('):
        contains(calls, pattern, 'the trace of the endpoint')
    contains(out, r'ftrace  .*host\.ftrace ep\.ftrace', 'the summary')


def cannot(t, pattern, *args, seconds=60):
    """The run ends with 2 and a line that matches."""
    status, out = t.launch('--no-console', *args, seconds=seconds)
    equal(status, 2, f'exit status; output:\n{out[-2000:]}')
    lines = [ln for ln in out.splitlines() if ln.startswith('pci-ep-run: ')]
    equal(len(lines), 1, f'number of lines that say why, {lines}')
    contains(lines[0], pattern, 'the line')


def test_usual_kernel_is_not_enough(t):
    """What --gdb and --ftrace need is said before anything boots."""
    t.kernel('7')
    cannot(t, 'CONFIG_EVENT_TRACING.* does not have: add --kernel-name '
           '7-trace', '--ftrace=pci:*')
    cannot(t, 'CONFIG_FUNCTION_GRAPH_TRACER.*ep kernel.* 7-trace',
           '--ep-ftrace=graph:pci_epf_test')
    cannot(t, '--gdb needs debug information.* add --kernel-name 7-trace',
           '--gdb=ep')


@long
@limit(200)
def test_ftrace_of_nothing(t):
    t.kernel('7-trace')
    cannot(t, 'graph:none: no guest has such a module; for functions',
           '--kernel-name=7-trace', '--ftrace=graph:none')
    cannot(t, 'has no event pci_epc:', '--kernel-name=7-trace',
           '--ep-ftrace=pci_epc:*', seconds=100)


@long
@limit(4000)
def test_kernel_src(t):
    """
    An edit of one's own tree reaches the guest, and only it is built.

    The tree is a copy of links to the usual one.
    """
    kernel = t.kernel('7')
    tree = os.path.join(t.rundir, 'tree')
    subprocess.run(['rm', '-rf', tree], check=True)
    subprocess.run(['cp', '-rs', '--no-dereference', os.path.realpath(
        os.path.join(kernel.kbuild, 'source')), tree], check=True)
    source = os.path.join(tree, 'drivers/pci/endpoint/functions/'
                          'pci-epf-test.c')
    with open(source, encoding='utf-8') as file:
        text = file.read()
    os.unlink(source)
    for words, seconds in (('first', 3600), ('second', 200)):
        with open(source, 'w', encoding='utf-8') as file:
            file.write(text.replace(
                'static int __init pci_epf_test_init(void)\n{',
                'static int __init pci_epf_test_init(void)\n{\n'
                f'pr_info("{words} edit\\n");', 1))
        begin = time.monotonic()
        status, out = t.launch('--kernel-src', tree, '--no-console',
                               seconds=seconds)
        print(f'# {words} edit: {time.monotonic() - begin:.0f} s')
        equal(status, 0, f'exit status; output:\n{out[-3000:]}')
        contains(t.read('ep.log'), f'{words} edit', 'ep.log')
