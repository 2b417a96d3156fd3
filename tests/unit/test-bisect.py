#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Unit tests of bisections: pci-ep-bisect, and git bisect run with pci-ep-run.

The commits are of a tree that only looks like a kernel (kernel_tree.py), and
QEMU is stand-in-qemu.
"""

import os
import sys

from kernel_tree import LAUNCHER, MAKEFILE, QEMU, with_place
from python_tests import TOP, contains, equal, main

BISECT = os.path.join(TOP, 'scripts/pci-ep-bisect')
# What the kernel of each commit does.  "-" does not build; git tries it first.
CHAIN = ('good bad good good good good good good - panics good good '
         'bad bad bad bad bad').split()
BROKE = 12


def make_chain(place):
    """Make a commit for each word of CHAIN, and return their ids."""
    place.add_programs()
    place.write('my tree/Makefile', MAKEFILE.replace(
        '@cp $< $@', '@test -s $< && cp $< $@'))
    place.git('init', '-q')
    # git warns of what is no attributes file.
    os.symlink('.gitattributes', os.path.join(place.source,
                                              '.gitattributes'))
    place.write('my tree/.git/info/exclude', '.gitattributes\n')
    commits = []
    for number, word in enumerate(CHAIN):
        text = '' if word == '-' else f'number {number}\n{word}\n'
        place.write('my tree/kernel/fork.c', text)
        place.git('add', '.')
        place.git('commit', '-q', '-m', f'{number}: {word}')
        commits.append(place.git('rev-parse', 'HEAD'))
    return commits


def bisect(place, *args):
    """Run pci-ep-bisect, and return its exit status and its output."""
    more = ['--', '--qemu', QEMU, '--accel=tcg', '--build-dir', place.build]
    return place.run('--kernel-src', place.source, '--log-dir',
                     os.path.join(place.directory, 'steps'), *args, *more,
                     program=BISECT)


@with_place
def test_bisect(place):
    commits = make_chain(place)
    branch = place.git('symbolic-ref', 'HEAD')
    status, out = bisect(place, commits[0], commits[-1])
    equal(status, 0, f'exit status; output:\n{out}')
    contains(out, f'first bad commit: {commits[BROKE][:12]} {BROKE}: bad\n'
             '  not ok two: it was 3\n', 'the output')
    contains(out, f'(?m)^skip +{commits[8][:12]} .* 8: -', 'the output')
    contains(out, rf'(?m)^bad +{commits[-1][:12]} .*\n'
             rf'good +{commits[0][:12]}', 'both ends are tested first')
    equal(place.git('symbolic-ref', 'HEAD'), branch, 'the branch afterwards')
    equal(place.git('rev-parse', 'HEAD'), commits[-1], 'and its commit')
    steps = os.path.join(place.directory, 'steps')
    for step in (f'01-{commits[-1][:12]}', f'02-{commits[0][:12]}'):
        for file in (f'{step}.log', f'{step}/junit.xml'):
            equal(os.path.exists(os.path.join(steps, file)), True, file)


@with_place
def test_git_bisect_run(place):
    """What git does by itself comes to the same."""
    commits = make_chain(place)
    place.git('bisect', 'start', commits[-1], commits[0])
    out = place.git('bisect', 'run', LAUNCHER, '--bisect', '--kernel-src', '.',
                    '--qemu', QEMU, '--accel=tcg', '--no-console',
                    '--build-dir', place.build)
    contains(out, f'{commits[BROKE]} is the first bad commit', 'git')
    contains(place.git('bisect', 'log'), f'git bisect skip {commits[8]}',
             'the log of git')


@with_place
def test_only_skipped(place):
    commits = make_chain(place)
    status, out = bisect(place, '--trust', commits[7], commits[9])
    equal(status, 1, f'exit status; output:\n{out}')
    contains(out, "only 'skip'ped commits left", 'the output')


@with_place
def test_wrong_ends(place):
    commits = make_chain(place)
    for good, bad, words in (
            (commits[0], commits[4], f'{commits[4]} is not bad but good'),
            (commits[1], commits[13], f'{commits[1]} is not good but bad'),
            (commits[8], commits[13], f'{commits[8]} is not good but skip'),
            ('none', 'HEAD', 'no commit none')):
        status, out = bisect(place, good, bad)
        equal(status, 2, f'exit status; output:\n{out}')
        contains(out.splitlines()[-1], f'pci-ep-bisect: {words}', 'the line')
    equal(place.git('rev-parse', 'HEAD'), commits[-1], 'the tree afterwards')


@with_place
def test_mistakes(place):
    commits = make_chain(place)
    status, out = bisect(place, commits[0])
    equal(status, 2, 'exit status without BAD')
    contains(out, 'pci-ep-bisect: BAD is missing: --help', 'the line')
    status, out = place.run('--kernel-src', place.source, 'a', 'b', '--',
                            '--log-dir=x', program=BISECT)
    contains(out, '--log-dir does not belong behind --', 'the line')
    status, out = place.run('--kernel-src', place.build, 'a', 'b',
                            program=BISECT)
    contains(out, 'is no git repository: name the top', 'the line')
    # What is wrong with the command ends the search, and is no bad commit.
    status, out = place.run('--kernel-src', place.source, commits[0], 'HEAD',
                            '--', '--hots-cmd=x', program=BISECT)
    equal(status, 2, f'exit status; output:\n{out}')
    contains(out, 'status 128: pci-ep-run: no option --hots-cmd', 'the line')
    place.write('my tree/kernel/fork.c', 'mine\n')
    status, out = bisect(place, commits[0], commits[-1])
    contains(out, 'has changes that are not committed', 'the line')
    equal(place.read('my tree/kernel/fork.c'), 'mine\n', 'the change')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
