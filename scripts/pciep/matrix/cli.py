# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-ep-matrix: options, progress, exit status."""

import argparse
import os
import re
import signal
import sys
from typing import List, Optional, Sequence, Tuple

from .. import CannotRun
from ..run import status, usage
from . import cell as cells, page, spec as specs, store as stores, text
from .cell import Outcome
from .runner import Estimate, Runner, available, fitting
from .spec import Cell, Spec
from .store import Outcomes, Store

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '../../..'))

DESCRIPTION = '''\
Runs pci-ep-run for each combination of kernels, architectures, scenarios,
IOMMUs and profiles that FILE asks for, as many at once as fit.  Started again
after it was ended, it goes on with what has not run.'''

EPILOG = '''
example of FILE, in TOML:
  [axes]
  kernel = ["6.12", "7", "7-debug"]
  scenario = ["test", "nvme", "vntb"]
  host-iommu = ["none", "intel-cm"]

The results are in DIR: index.html, results.json, and a directory for each
run.

exit status: 0 all passed or were skipped, 1 one failed, 2 one was not
possible, 130 ended by Ctrl-C.'''


def shard(value: str) -> Tuple[int, int]:
    """Type of an option: K/N."""
    match = re.fullmatch(r'(\d+)/(\d+)', value)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(
            "write it like 2/3: the second of three shards")
    return int(match[1]), int(match[2])


def make_parser() -> usage.Parser:
    """Return the parser of the command line."""
    parser = usage.Parser(
        prog='pci-ep-matrix', description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('file', metavar='FILE', nargs='?', help='the matrix')
    add('--output', metavar='DIR',
        help='write the results here (default build/results/matrix/NAME, '
        'where NAME is that of FILE)')
    add('--build-dir', metavar='DIR', default=os.path.join(ROOT, 'build'),
        help='use what "make" built here (default build/ of this checkout)')
    add('-j', '--jobs', metavar='N', type=usage.number,
        help='run that many at once (default: what processors and memory '
        'allow)')
    add('--again', action='store_true',
        help='run all anew, and forget what is in the output')
    add('--shard', metavar='K/N', type=shard,
        help='run the K-th of N parts only')
    add('--merge', metavar='DIR', nargs='+',
        help='run nothing, and put the results of these shards together')
    add('--compare', metavar='DIR',
        help='say what differs from that earlier run')
    add('--list', action='store_true', help='list the runs, and run nothing')
    return parser


class Progress:
    """
    Shows what has run.

    :param store: Where the results are.
    :param estimate: How long the rest takes.
    """

    def __init__(self, store: Store, estimate: Estimate) -> None:
        self._store, self._estimate = store, estimate
        self._tty = sys.stderr.isatty()

    def _clear(self) -> None:
        if self._tty:
            sys.stderr.write('\r\033[K')
            sys.stderr.flush()

    def ended(self, cell: Cell, outcome: Outcome, left: List[Cell]) -> None:
        """Show a cell that has run."""
        self._estimate.took(cell, outcome.seconds)
        self._clear()
        done, every = len(self._store.outcomes), len(self._store.mine)
        words = f'[{done}/{every}] {text.short(outcome)}: ' + text.describe(
            self._store.spec, cell) + f', {outcome.seconds:.0f} s'
        if outcome.verdict in cells.BAD:
            words += f': {outcome.why}'
        time = self._estimate.left(left)
        print(words + (f' ({time})' if time else ''), flush=True)

    def turn(self, left: List[Cell]) -> None:
        """Show how far it is, in a line written over."""
        if not self._tty or not left:
            return
        bad = sum(outcome.verdict in cells.BAD
                  for outcome in self._store.outcomes.values())
        parts = [f'{len(self._store.outcomes)}/{len(self._store.mine)} done',
                 f'{bad} bad', self._estimate.left(left)]
        sys.stderr.write('\r\033[K' + ', '.join(filter(None, parts)))
        sys.stderr.flush()


def _check(parser: usage.Parser, options: argparse.Namespace) -> None:
    """End with an error if options do not fit."""
    if options.merge:
        for name in ('file', 'shard', 'jobs', 'again', 'list'):
            if getattr(options, name):
                parser.error('--merge runs nothing: leave out '
                             f'{parser.given.get(name, name)}')
        if not options.output:
            parser.error('--merge needs --output: name a new directory')
    elif not options.file:
        parser.error('FILE is missing: --help shows what to write')


def _name(options: argparse.Namespace) -> str:
    path: str = options.file
    return os.path.splitext(os.path.basename(os.path.normpath(path)))[0]


def _run(options: argparse.Namespace, spec: Spec, output: str,
         before: Outcomes) -> Store:
    """Return the directory after all of its cells have run."""
    mine = spec.shard(*options.shard) if options.shard else list(spec.cells)
    store = Store(output, spec, mine)
    store.begin(options.again)
    jobs = options.jobs or fitting(len(os.sched_getaffinity(0)), available())
    progress = Progress(store, Estimate(spec, before, jobs))
    left = len(store.left())
    print(f'{left} of {len(mine)} runs, {min(jobs, max(left, 1))} at once; '
          f'results in {output}', flush=True)
    runner = Runner(store, ['--build-dir', os.path.abspath(options.build_dir)],
                    jobs, progress.ended, progress.turn)
    try:
        runner.run()
    finally:
        store.write()
    return store


def _finish(store: Store, before: Optional[Outcomes]) -> int:
    """
    Write the files, print the table, and return the exit status.

    :param before: What --compare names.
    """
    changes = None
    if before is not None:
        changes = stores.compare(store.outcomes, before)
    store.write()
    path = page.write(store.path, 'Endpoint tests', store.spec,
                      store.outcomes, changes)
    print(*text.summary(store.spec, store.outcomes, changes, store.mine),
          sep='\n')
    print(f'  page {path}')
    verdicts = {outcome.verdict for outcome in store.outcomes.values()}
    if cells.FAILED in verdicts:
        return status.FAILED
    if cells.CANNOT in verdicts or store.left():
        return status.CANNOT
    return status.PASSED


def _interrupt(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run pci-ep-matrix, and return its exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    _check(parser, options)
    signal.signal(signal.SIGTERM, _interrupt)
    output = os.path.abspath(options.output or os.path.join(
        options.build_dir, 'results/matrix', _name(options)))
    try:
        # It may be in the output, which is written later.
        before = stores.read(options.compare)[1] if options.compare else None
        if options.merge:
            return _finish(stores.merge(output, options.merge), before)
        spec = specs.read(options.file)
        if options.list:
            for cell in spec.shard(*options.shard or (1, 1)):
                print(f'{cell.ident}: {" ".join(cell.args)}')
            return status.PASSED
        return _finish(_run(options, spec, output, before or {}), before)
    except CannotRun as error:
        print(f'pci-ep-matrix: {error}', file=sys.stderr)
        return status.CANNOT
    except KeyboardInterrupt:
        print('pci-ep-matrix: ended; the same command goes on from here',
              file=sys.stderr)
        return status.SIGNAL + signal.SIGINT
