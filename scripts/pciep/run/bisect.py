# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-ep-bisect: git bisect with pci-ep-run, from both ends to the commit."""

import argparse
from dataclasses import dataclass
import os
import re
import signal
import subprocess
import sys
import time
from typing import List, Optional, Sequence, Tuple

from .. import CannotRun
from ..vm import process
from . import rundir, status, tap, usage


ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '../../..'))
LAUNCHER = os.path.join(ROOT, 'scripts/pci-ep-run')
STEP = 7200  # seconds for one commit; a whole build is among them
GIT = 600  # seconds for one command of git
# What git is told of a commit
WORDS = {status.PASSED: 'good', status.FAILED: 'bad', status.SKIP: 'skip'}
_FOUND = re.compile(r'([0-9a-f]{40,}) is the first bad commit')
_REASONS = 3  # failures that are shown

DESCRIPTION = '''\
Finds the first commit between GOOD and BAD with which a run of pci-ep-run
fails.  Both are tested first.  A commit whose kernel does not build or boot
is left out.  The tree is checked out as git bisect does it, and is as before
afterwards.'''

EPILOG = '''
example:
  pci-ep-bisect --kernel-src ~/linux v7.0 next -- --function nvme

exit status: 0 the commit was found, 1 it was not, 2 it is not possible, 130
ended by Ctrl-C.'''


@dataclass
class Step:
    """
    What one commit came to.

    :param commit: Its id.
    :param title: Its first line.
    :param word: What git was told.
    :param seconds: How long it took.
    :param logs: Directory with the results.
    """
    commit: str
    title: str
    word: str
    seconds: float
    logs: str

    def line(self) -> str:
        """Return it as a line for the terminal."""
        return (f'{self.word:<5} {self.commit[:12]} {self.seconds:6.0f} s  '
                f'{self.title[:60]}')


class Tree:
    """A git repository with the kernel."""

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        if not os.path.exists(os.path.join(self.path, '.git')):
            raise CannotRun(f'{path} is no git repository: name the top '
                            'directory of a kernel tree with --kernel-src')
        self.head = self._head()
        if os.path.exists(os.path.join(
                self.path, self.git('rev-parse', '--git-path',
                                    'BISECT_START'))):
            raise CannotRun(f'a bisection goes on in {path}: end it with "git '
                            'bisect reset"')
        if self.git('status', '--porcelain', '--untracked-files=no'):
            raise CannotRun(f'{path} has changes that are not committed: '
                            'commit them, or take another worktree')

    def _head(self) -> str:
        done, out = self.attempt('symbolic-ref', '-q', '--short', 'HEAD')
        return self.git('rev-parse', 'HEAD') if done else out.strip()

    def attempt(self, *args: str) -> Tuple[int, str]:
        """
        Run git, and return its exit status and what it prints.

        Warnings are left out when it succeeds.
        """
        try:
            done = subprocess.run(
                ['git', '-C', self.path, *args], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                timeout=GIT, env={**os.environ, 'LC_ALL': 'C'})
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotRun(f'git {args[0]}: {error}') from error
        out = done.stdout + (done.stderr if done.returncode else b'')
        return done.returncode, out.decode('utf-8', 'replace')

    def git(self, *args: str) -> str:
        """Return what git prints, or raise CannotRun."""
        done, out = self.attempt(*args)
        if done:
            last = (out.strip().splitlines() or ['no reason given'])[-1]
            raise CannotRun(f'git {" ".join(args[:2])}: {last}')
        return out.strip()

    def commit(self, name: str) -> str:
        """Return the id of a commit."""
        done, out = self.attempt('rev-parse', '--verify', '-q',
                                 f'{name}^{{commit}}')
        if done:
            raise CannotRun(f'no commit {name} in {self.path}')
        return out.strip()

    def restore(self) -> None:
        """Check out what was checked out before."""
        self.attempt('bisect', 'reset')
        done, out = self.attempt('checkout', '-q', self.head)
        if done:
            print(f'pci-ep-bisect: {self.path} is not at {self.head} again: '
                  f'{out.strip()}', file=sys.stderr)


class Bisection:
    """
    One search.

    :param tree: The kernel.
    :param logs: Directory for the results of all steps.
    :param args: Arguments of pci-ep-run.
    """

    def __init__(self, tree: Tree, logs: str, args: Sequence[str]) -> None:
        self.steps: List[Step] = []
        self._tree, self._logs, self._args = tree, logs, list(args)

    def test(self) -> Step:
        """Run the test with the commit that is checked out."""
        commit = self._tree.git('rev-parse', 'HEAD')
        title = self._tree.git('log', '-1', '--format=%s')
        logs = os.path.join(self._logs,
                            f'{len(self.steps) + 1:02}-{commit[:12]}')
        began = time.monotonic()
        code = self._launch(logs)
        if code not in WORDS:
            raise CannotRun(f'the run with {commit[:12]} ended with status '
                            f'{code}: {_last(f"{logs}.log")}')
        step = Step(commit, title, WORDS[code], time.monotonic() - began, logs)
        self.steps.append(step)
        print(step.line(), flush=True)
        return step

    def _launch(self, logs: str) -> int:
        """Return the exit status of a run."""
        command = [sys.executable, LAUNCHER, usage.BISECT, '--kernel-src',
                   self._tree.path, '--log-dir', logs, '--no-console',
                   *self._args]
        os.makedirs(logs, exist_ok=True)
        with open(f'{logs}.log', 'wb') as output:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=process.die_with_parent())
            try:
                return child.wait(STEP)
            except subprocess.TimeoutExpired:
                raise CannotRun(f'no verdict within {STEP} s: see '
                                f'{logs}.log') from None
            finally:
                process.end([child], 30)

    def check_end(self, name: str, word: str) -> None:
        """Raise CannotRun unless a commit is what the user says."""
        self._tree.git('checkout', '-q', '--detach', name)
        step = self.test()
        if step.word != word:
            raise CannotRun(
                f'{name} is not {word} but {step.word}: see {step.logs}.log, '
                'and choose another commit')

    def search(self, good: str, bad: str) -> Tuple[str, str]:
        """Return the commit, '' without one, and the last words of git."""
        known = {step.commit: step.word for step in self.steps}
        done, out = self._tree.attempt('bisect', 'start', bad, good)
        while True:
            found = _FOUND.search(out)
            if found:
                return found[1], out
            if done:
                return '', out
            head = self._tree.git('rev-parse', 'HEAD')
            word = known.get(head) or self.test().word
            done, out = self._tree.attempt('bisect', word)


def _last(path: str) -> str:
    """Return the last line of a file."""
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return (file.read().strip().splitlines() or ['no output'])[-1]
    except OSError as error:
        return str(error)


def _reasons(step: Optional[Step]) -> List[str]:
    """Return why a run failed, in a few lines."""
    if not step:
        return []
    try:
        with open(os.path.join(step.logs, 'results.tap'), encoding='utf-8',
                  errors='replace') as file:
            failed = [result for result in tap.read(file.read())
                      if result.status == tap.FAIL and result.name != 'run']
    except OSError:
        return []
    lines = []
    for result in failed[:_REASONS]:
        why = result.reason or next(iter(result.notes), '').lstrip('# ')
        why = why.removeprefix(f'{result.name}: ')
        lines.append(f'  not ok {result.name}' + (f': {why}' if why else ''))
    return lines


def _report(bisection: Bisection, found: str, words: str) -> int:
    """Print what was found, and return the exit status."""
    if not found:
        lines = [line for line in words.splitlines() if line.strip()]
        print('the commit was not found; git says:', *lines, sep='\n  ')
        return status.FAILED
    step = next((s for s in bisection.steps if s.commit == found), None)
    print(f'\nfirst bad commit: {found[:12]} {step.title if step else ""}')
    print(*_reasons(step), sep='\n')
    if step:
        print(f'  files {step.logs}')
    return status.PASSED


def _interrupt(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the options; what follows -- is for pci-ep-run."""
    parser = usage.Parser(prog='pci-ep-bisect', description=DESCRIPTION,
                          epilog=EPILOG, usage='pci-ep-bisect [OPTION...] '
                          'GOOD BAD [-- OPTION OF pci-ep-run...]',
                          formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('good', metavar='GOOD', help='a commit with which the run passes')
    add('bad', metavar='BAD', help='a later one with which it fails')
    add('--kernel-src', metavar='DIR', default='.',
        help='the kernel tree, a git repository (default .)')
    add('--log-dir', metavar='DIR',
        default=os.path.join(ROOT, 'build/results/bisect'),
        help='the results of all steps (default build/results/bisect)')
    add('--trust', action='store_true',
        help='do not test GOOD and BAD themselves')
    own, more = list(words), []
    if '--' in own:
        at = own.index('--')
        own, more = own[:at], own[at + 1:]
    options = parser.parse_args(own)
    for name in (usage.BISECT, '--kernel-src', '--log-dir', '--interactive'):
        if any(word.split('=')[0] == name for word in more):
            parser.error(f'{name} does not belong behind --')
    options.args = more
    return options


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run pci-ep-bisect, and return its exit status."""
    options = _parse(sys.argv[1:] if argv is None else argv)
    tree: Optional[Tree] = None
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        logs, _lock = rundir.claim(os.path.abspath(options.log_dir), True)
        found = Tree(options.kernel_src)
        good, bad = found.commit(options.good), found.commit(options.bad)
        tree = found
        bisection = Bisection(tree, logs, options.args)
        if not options.trust:
            bisection.check_end(bad, 'bad')
            bisection.check_end(good, 'good')
        return _report(bisection, *bisection.search(good, bad))
    except CannotRun as error:
        print(f'pci-ep-bisect: {error}', file=sys.stderr)
        return status.CANNOT
    except KeyboardInterrupt:
        return status.SIGNAL + signal.SIGINT
    finally:
        if tree:
            tree.restore()
