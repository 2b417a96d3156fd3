# SPDX-License-Identifier: GPL-2.0-or-later
"""A bisection with kernels finds the commit that broke pci-epf-test."""

import os
import subprocess
import sys
import time

from lib import TOP, check, contains, equal, limit, long

SOURCE = 'drivers/pci/endpoint/functions/pci-epf-test.c'
BISECT = os.path.join(TOP, 'scripts/pci-ep-bisect')
LAUNCHER = os.path.join(TOP, 'scripts/pci-ep-run')
SECONDS = 5400
INIT = 'static int __init pci_epf_test_init(void)\n{\n'
# What is put there: each commit has a word, and its number as a comment.
EDITS = {
    'good': '',
    # Loading the module fails, so the function cannot be set up.
    'bad': 'if (jiffies)\n\t\treturn -EINVAL;\n',
    # No compiler takes it.
    '-': '#error this commit does not build\n',
}
# A break that is mended, one that does not build where git looks first, and
# the break that is to be found
CHAIN = ('good good bad good good good good good - good good bad bad bad bad '
         'bad bad').split()
BROKE = 11


def make_chain(t, source):
    """
    Make a git repository with a commit for each word of CHAIN.

    Its files are links to the usual tree, but for the one that is edited.
    """
    tree = os.path.join(t.rundir, 'tree')
    subprocess.run(['rm', '-rf', tree], check=True)
    subprocess.run(['cp', '-rs', '--no-dereference', source, tree], check=True)
    # git reads no links of this name.
    subprocess.run(['find', tree, '-name', '.git*', '-delete'], check=True)
    path = os.path.join(tree, SOURCE)
    with open(path, encoding='utf-8') as file:
        text = file.read()
    check(INIT in text, f'{SOURCE} has no {INIT}')
    os.unlink(path)

    def git(*args):
        return subprocess.run(
            ['git', '-C', tree, '-c', 'user.name=a', '-c', 'user.email=b',
             '-c', 'gc.auto=0', *args], check=True, stdout=subprocess.PIPE,
            text=True).stdout.strip()

    git('init', '-q')
    commits = []
    for number, word in enumerate(CHAIN):
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text.replace(
                INIT, f'{INIT}{EDITS[word]}/* commit {number} */\n', 1))
        git('add', '-f', SOURCE)
        git('commit', '-q', '-m', f'pci-epf-test: {number}: {word}')
        commits.append(git('rev-parse', 'HEAD'))
    return tree, commits, git


@long
@limit(SECONDS)
def test_chain(t):
    """pci-ep-bisect, and then git by itself, which finds the same."""
    kernel = t.kernel('7')
    tree, commits, git = make_chain(
        t, os.path.realpath(os.path.join(kernel.kbuild, 'source')))
    args = ['--build-dir', t.build]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, BISECT, '--kernel-src', tree, '--log-dir',
         os.path.join(t.rundir, 'steps'), commits[0], commits[-1], '--',
         *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, check=False, text=True)
    for line in done.stdout.splitlines():
        print(f'# {line}')
    print(f'# {time.monotonic() - began:.0f} s')
    equal(done.returncode, 0, 'exit status')
    contains(done.stdout, f'first bad commit: {commits[BROKE][:12]} ',
             'the output')
    contains(done.stdout, f'(?m)^skip +{commits[8][:12]} ', 'the output')
    git('bisect', 'start', commits[-1], commits[0])
    out = git('bisect', 'run', LAUNCHER, '--bisect', '--kernel-src', tree,
              '--no-console', '--log-dir', os.path.join(t.rundir, 'run'),
              *args)
    contains(out, f'{commits[BROKE]} is the first bad commit', 'git')
