#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of run/decode.py: file and line in reports of a kernel."""

import os
import re
import subprocess
import sys
import tempfile

from python_tests import contains, equal, main
from pciep.image.kernels import Kernel
from pciep.run import explain, report, tap
from pciep.run.decode import Decoder
from pciep.vm.console import Console, Faults

# The number of each line that matters is in its comment.
SOURCE = '''\
void outside(int *where);
static inline __attribute__((always_inline)) void store(int *where)
{
\t*where = 7; /* 4 */
}
__attribute__((noinline)) static void work(int *where)
{
\toutside(where);
\tstore(where); /* 9 */
}
__attribute__((section(".init.text"))) int init(int *where)
{
\toutside(where); /* 13 */
\twork(where); /* 14 */
\treturn *where; /* 15 */
}
'''


class Module:
    """A file like a module, and the kernel it belongs to."""

    def __init__(self, directory):
        self.directory = directory
        source = os.path.join(directory, 'mine.c')
        with open(source, 'w', encoding='utf-8') as file:
            file.write(SOURCE)
        self.file = os.path.join(directory, 'my-mod.ko')
        subprocess.run(['gcc', '-g', '-O1', '-fno-optimize-sibling-calls',
                        '-fcf-protection=none', '-c', '-o', self.file,
                        source], check=True)
        self.kernel = Kernel(image='none', release='7.0',
                             symbols=[directory])
        self.decoder = Decoder(self.kernel)

    def at(self, symbol, what, after=False):
        """
        Return SYMBOL+OFFSET/SIZE [my_mod] of an instruction.

        :param what: An expression for it, as objdump prints it.
        :param after: Of the one after it, as an address of return is.
        """
        text = subprocess.run(
            ['objdump', '-d', '--no-show-raw-insn', self.file], check=True,
            stdout=subprocess.PIPE, text=True).stdout
        body = text.split(f'<{symbol}>:')[1].split('\n\n')[0]
        rows = re.findall(r'^\s*([0-9a-f]+):\s*(.*)', body, re.M)
        start = int(rows[0][0], 16)
        index = next(n for n, row in enumerate(rows)
                     if re.search(what, row[1]))
        offset = int(rows[index + after][0], 16) - start
        return f'{symbol}+{offset:#x}/0x40 [my_mod]'

    def decoded(self, line):
        """Return a line, decoded."""
        return self.decoder.lines([line])[0]


def with_module(test):
    """Decorator: the test gets a Module."""
    def run():
        with tempfile.TemporaryDirectory() as directory:
            test(Module(directory))
    return run


@with_module
def test_instruction(module):
    line = '[    1.5] RIP: 0010:' + module.at('work', r'movl.*\$0x7')
    source = os.path.join(os.path.realpath(module.directory), 'mine.c')
    equal(module.decoded(line),
          f'{line} ({source}:4, inlined at {source}:9)', 'the line')


@with_module
def test_return_address(module):
    """It is in the line after the call."""
    call = module.at('init', 'call.*work|call.*<init', after=True)
    contains(module.decoded(f' {call}'), r'mine\.c:1[34]\)$', 'the line')
    last = module.at('init', r'mov +\(', after=False)
    contains(module.decoded(f' {last}'), r'mine\.c:14\)$', 'after the call')
    contains(module.decoded(f'RIP: {last}'), r'mine\.c:15\)$', 'in RIP')


@with_module
def test_stays_as_it_is(module):
    for line in ('nothing', ' schedule+0x10/0x20', ' none+0x1/0x40 [my_mod]',
                 ' work+0x1/0x40 [other]', ' work+0x1/0x2 [my_mod]',
                 ' work+0x90/0x40 [my_mod]', 'a+b/c [d]'):
        equal(module.decoded(line), line, 'the line')
    subprocess.run(['strip', '--strip-debug', module.file], check=True)
    line = ' ' + module.at('work', 'movl')
    equal(module.decoded(line), line, 'without debug information')
    with open(module.file, 'w', encoding='utf-8') as file:
        file.write('no object file')
    equal(Decoder(module.kernel).lines([line]), [line], 'no object file')


def report_of(module):
    """Return the lines of an oops below the module."""
    return ['BUG: kernel NULL pointer dereference, address: 0000000000000000',
            '#PF: supervisor write access in kernel mode',
            'RIP: 0010:' + module.at('work', 'movl'),
            'Call Trace:', ' <TASK>', ' ? show_regs+0x10/0x20',
            ' ' + module.at('init', 'call', after=True),
            ' worker_thread+0x1/0x2', ' </TASK>']


@with_module
def test_place(module):
    lines = report_of(module)
    module.decoder.lines(lines)
    contains(module.decoder.place(lines), r'mine\.c:4 in work\(\)$', 'place')
    module.decoder.lines(lines[3:])
    contains(module.decoder.place(lines[3:]), r'mine\.c:13 in init\(\)$',
             'place without RIP')
    equal(module.decoder.place(['nothing']), '', 'place of nothing')


# A header with a function that is inlined, in NAME
HEADER = '''\
static inline __attribute__((always_inline)) void set(int *where)
{
\t*where = 7; /* 3 */
}
'''


def place_below(module, header, text, user):
    """Return the place of a store by an inlined function of a header."""
    kbuild = os.path.join(module.directory, 'kbuild')
    tree = os.path.join(kbuild, 'source')
    os.makedirs(os.path.dirname(os.path.join(tree, header)), exist_ok=True)
    with open(os.path.join(tree, header), 'w', encoding='utf-8') as file:
        file.write(HEADER)
    source = os.path.join(module.directory, user)
    os.makedirs(os.path.dirname(source), exist_ok=True)
    with open(source, 'w', encoding='utf-8') as file:
        file.write(f'#include "{tree}/{header}"\n{text}')
    subprocess.run(['gcc', '-g', '-O1', '-fcf-protection=none', '-c', '-o',
                    module.file, source], check=True)
    module.kernel.kbuild = kbuild
    decoder = Decoder(module.kernel)
    lines = ['RIP: 0010:' + module.at('work', r'movl.*\$0x7')]
    contains(decoder.lines(lines)[0], f'{header}:3, inlined at', 'the line')
    return decoder.place(lines)


@with_module
def test_place_in_a_header(module):
    """The line that calls an inlined function of the kernel is the place."""
    text = 'void work(int *where)\n{\n\tset(where); /* 4 */\n}\n'
    for header in ('arch/x86/include/asm/atomic.h', 'include/linux/io.h'):
        contains(place_below(module, header, text, 'mine.c'),
                 r'/mine\.c:4 in work\(\)$', f'place, from {header}')
    contains(place_below(module, 'include/linux/io.h', text,
                         'include/mine.h.c'),
             r'/include/mine\.h\.c:4 in work\(\)$', 'a directory of a user')
    contains(place_below(module, 'lib/io.h', text, 'mine.c'),
             r'^lib/io\.h:3 in work\(\)$', 'no header of all')
    contains(place_below(module, 'include/linux/io.h', text,
                         'kbuild/source/include/a.c'),
             r'^include/linux/io\.h:3 in work\(\)$', 'headers only')


@with_module
def test_kernel_itself(module):
    """With vmlinux its functions are decoded; a module is what matters."""
    source = os.path.join(module.directory, 'core.c')
    with open(source, 'w', encoding='utf-8') as file:
        file.write('int core(int *where)\n{\n\treturn *where;\n}\n')
    module.kernel.vmlinux = os.path.join(module.directory, 'vmlinux')
    subprocess.run(['gcc', '-g', '-O1', '-nostdlib', '-static', '-Wl,-ecore',
                    '-o', module.kernel.vmlinux, source], check=True)
    lines = ['RIP: 0010:core+0x0/0x40', 'Call Trace:']
    contains(module.decoded(lines[0]), r'/core\.c:[23]\)$', 'the line')
    contains(module.decoder.place(lines), r'core\.c:\d in core\(\)$', 'place')
    lines.append(' ' + module.at('init', 'call', after=True))
    module.decoder.lines(lines)
    contains(module.decoder.place(lines), r'mine\.c:13 in init\(\)$',
             'place with a module')


@with_module
def test_file_of_a_user(module):
    """It is taken before one of the same name, and links are followed."""
    real = os.path.join(module.directory, 'real.c')
    link = os.path.join(module.directory, 'work.c')
    with open(real, 'w', encoding='utf-8') as file:
        file.write(SOURCE)
    os.symlink(real, link)
    mine = os.path.join(module.directory, 'mine.ko')
    subprocess.run(['gcc', '-g', '-O1', '-fcf-protection=none', '-c', '-o',
                    mine, link], check=True)
    module.kernel.symbol_files['my_mod'] = mine
    contains(module.decoded('RIP: ' + module.at('work', 'movl')),
             r'/real\.c:4, ', 'the line')


class Guest:
    """What report.py needs of a guest."""

    def __init__(self, console):
        self.console, self.process = console, True


class Bed:
    """What report.py needs of the guests."""

    def __init__(self, guests):
        self.guests = guests


@with_module
def test_results(module):
    """The test that failed and the console's result both name the line."""
    console = Console(os.path.join(module.directory, 'log'), ())
    explainer = explain.Explainer(
        lambda: {'ep': console}, True,
        lambda _name, lines: module.decoder.lines(lines))
    explainer.begin()
    for line in report_of(module):
        console.feed(f'[    2.1] {line}\n'.encode())
    result = tap.Result('add', tap.FAIL)
    explainer.add(result, 1)
    explainer.end()
    contains('\n'.join(result.notes), r'RIP: .*mine\.c:4, inlined', 'notes')
    console.close()
    collector, verdict = tap.Collector(), report.Verdict()
    report.add_console_results(collector, verdict, Bed({'ep': Guest(console)}),
                               {'ep': module.decoder},
                               lambda since: f'while {since > 0} ran')
    contains(collector.results[0].reason,
             r'NULL pointer .* at .*/mine\.c:4 in work\(\) while True ran$',
             'the reason')
    contains('\n'.join(collector.results[0].notes), r'# ep +\|  init\+.*:13\)',
             'the notes of the console')


def test_reports_are_bounded():
    faults = Faults()
    for number in range(50):
        faults.line(f'BUG: number {number}')
        faults.end()
    equal(len(faults.found), 50, 'reports')
    equal(len(faults.reports), 20, 'reports that are kept')


if __name__ == '__main__':
    sys.exit(main(globals()))
