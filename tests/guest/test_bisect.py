# SPDX-License-Identifier: GPL-2.0-or-later
"""A bisection with guests finds the commit that broke pci-epf-test."""

import os
import shlex
import subprocess
import sys
import time

from lib import LAUNCHER, TOP, check, contains, equal, limit, long

SOURCE = 'drivers/pci/endpoint/functions/pci-epf-test.c'
BISECT = os.path.join(TOP, 'scripts/pci-ep-bisect')
ANCHOR = 'static int pci_epf_test_bind(struct pci_epf *epf)\n{\n'
# What is put behind the anchor, by the word of a commit
EDITS = {
    'good': '',
    # The function cannot be linked to the controller.
    'bad': 'if (jiffies)\n\t\treturn -EINVAL;\n',
    # No compiler takes it.
    '-': '#error this commit does not build\n',
}
# A break that is mended, one that does not build where git looks first, and
# the break that is to be found
CHAIN = ('good good bad good good good good good - good good bad bad bad bad '
         'bad bad').split()
BROKE, BROKEN_BUILD = 11, 8


class Chain:
    """
    A git repository with a commit for each word of CHAIN.

    :param tree: Its directory.
    :param path: The source file that the commits change, in it.
    :param text: The file without a change.
    """

    def __init__(self, tree, path, text):
        check(ANCHOR in text, f'{SOURCE} has no {ANCHOR}')
        self.tree, self.commits = tree, []
        self.git('init', '-q')
        for number, word in enumerate(CHAIN):
            with open(os.path.join(tree, path), 'w',
                      encoding='utf-8') as file:
                file.write(text.replace(
                    ANCHOR, f'{ANCHOR}{EDITS[word]}/* commit {number} */\n',
                    1))
            self.git('add', '-f', path)
            self.git('commit', '-q', '-m', f'pci-epf-test: {number}: {word}')
            self.commits.append(self.git('rev-parse', 'HEAD'))

    def git(self, *args):
        """Run git, and return what it prints."""
        return subprocess.run(
            ['git', '-C', self.tree, '-c', 'user.name=a', '-c',
             'user.email=b', '-c', 'gc.auto=0', *args], check=True,
            stdout=subprocess.PIPE, text=True).stdout.strip()

    def run(self, *command):
        """Let git bisect run a command, and check what it finds."""
        self.git('bisect', 'start', self.commits[-1], self.commits[0])
        began = time.monotonic()
        out = self.git('bisect', 'run', *command)
        print(f'# git bisect run: {time.monotonic() - began:.0f} s')
        contains(out, f'{self.commits[BROKE]} is the first bad commit', 'git')
        contains(self.git('bisect', 'log'),
                 f'git bisect skip {self.commits[BROKEN_BUILD]}', 'the log')


@long
@limit(1500)
def test_module(t):
    """Only the module is built, for the usual kernel."""
    kernel = t.kernel('7')
    tree = os.path.join(t.rundir, 'module')
    subprocess.run(['rm', '-rf', tree], check=True)
    os.makedirs(tree)
    with open(os.path.join(kernel.kbuild, 'source', SOURCE),
              encoding='utf-8') as file:
        text = file.read()
    t.file('module/Kbuild', 'obj-m := pci-epf-test.o\n', 0o644)
    chain = Chain(tree, 'pci-epf-test.c', text)
    script = t.file('step', f'''#!/bin/sh
make -s -C {shlex.quote(kernel.kbuild)} M=$PWD modules || exit 125
exec {LAUNCHER} --bisect --build-dir {t.build} --no-console --log-dir \\
    {t.rundir}/run --ep-module ./pci-epf-test.ko
''')
    chain.run(script)


@long
@limit(7200)
def test_kernel(t):
    """
    pci-ep-bisect, and then git by itself, which finds the same.

    All files are links to the usual tree, but for the one that is edited.
    """
    kernel = t.kernel('7')
    tree = os.path.join(t.rundir, 'tree')
    subprocess.run(['rm', '-rf', tree], check=True)
    subprocess.run(['cp', '-rs', '--no-dereference', os.path.realpath(
        os.path.join(kernel.kbuild, 'source')), tree], check=True)
    # git reads no links of this name.
    subprocess.run(['find', tree, '-name', '.git*', '-delete'], check=True)
    with open(os.path.join(tree, SOURCE), encoding='utf-8') as file:
        text = file.read()
    os.unlink(os.path.join(tree, SOURCE))
    chain = Chain(tree, SOURCE, text)
    done = subprocess.run(
        [sys.executable, BISECT, '--kernel-src', tree, '--log-dir',
         os.path.join(t.rundir, 'steps'), chain.commits[0], chain.commits[-1],
         '--', '--build-dir', t.build], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
        text=True)
    for line in done.stdout.splitlines():
        print(f'# {line}')
    equal(done.returncode, 0, 'exit status')
    contains(done.stdout, f'first bad commit: {chain.commits[BROKE][:12]} ',
             'the output')
    contains(done.stdout, '(?m)^skip '
             f'+{chain.commits[BROKEN_BUILD][:12]} ', 'the output')
    chain.run(LAUNCHER, '--bisect', '--kernel-src', tree, '--no-console',
              '--log-dir', os.path.join(t.rundir, 'run'), '--build-dir',
              t.build)
