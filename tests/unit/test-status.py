#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Unit tests of what kernels come to: exit statuses, with and without --bisect.

QEMU is stand-in-qemu, and the kernels are built from kernel_tree.py.
"""

import sys

from kernel_tree import MAKEFILE, with_place
from python_tests import contains, equal, main

# What a kernel does: exit status, that with --bisect, what is said
KERNELS = {
    'good': (0, 0, 'PASSED: 4 passed'),
    'skips': (0, 125, 'SKIPPED'),
    'bad': (1, 1, 'not ok  two: '),
    'panics': (1, 125, 'guest crashed before its init ran: see the last '
               r'lines of \w+\.log, and try'),
    'mute': (2, 125, 'of the host and ep guest printed nothing within 2 s: '
             'it needs CONFIG_SERIAL_8250_CONSOLE=y'),
    'hangs': (2, 125, 'no init in the host and ep guest within 2 s'),
    'lacks': (2, 125, '7.9.9 has no endpoint support'),
    'refuses': (2, 1, 'function_setup in ep.sh ended with status 1'),
}


@with_place
def test_statuses(place):
    place.add_programs()
    for word, (plain, bisect, said) in KERNELS.items():
        place.write('my tree/kernel/fork.c', f'{word}\n')
        args = ['--kernel-src', place.source, '--timeout=2']
        if word not in ('mute', 'hangs'):
            args[-1] = '--timeout=60'
        for more, expected in (((), plain), (('--bisect',), bisect)):
            status, out = place.run(*args, *more)
            equal(status, expected, f'{word} {more}; output:\n{out}')
            contains(out, said, f'output of {word}')


@with_place
def test_compiler_fails(place):
    place.write('my tree/Makefile', MAKEFILE.replace('@cp $< $@', '@false'))
    for more, expected in (((), 2), (('--bisect',), 125)):
        status, out = place.run('--kernel-src', place.source, *more)
        equal(status, expected, f'exit status; output:\n{out}')
        contains(out, 'pci-ep-run: the kernel 7 of .* was not built: ', 'why')


@with_place
def test_mistakes_end_a_bisection(place):
    """git goes on after 2, and stops at 128."""
    mine = place.write('mine.config', 'CONFIG_REFUSED=y\n')
    for args in (['--kernel-src', place.build], ['--hots-cmd=x'],
                 ['--kernel-src', place.source, '--config', mine]):
        equal(place.run(*args)[0], 2, f'exit status of {args}')
        equal(place.run('--bisect', *args)[0], 128, f'{args} with --bisect')


@with_place
def test_kernels_of_a_run(place):
    """One guest's kernel is enough to end a run."""
    place.add_programs()
    place.write('my tree/kernel/fork.c', 'good\n')
    other = place.write('image', 'lacks\n')
    status, out = place.run('--kernel-src', place.source, '--host-kernel',
                            other, '--bisect')
    equal(status, 125, f'exit status; output:\n{out}')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
