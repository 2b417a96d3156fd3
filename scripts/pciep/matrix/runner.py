# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the cells of a matrix, as many at once as fit."""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
import os
import subprocess
import sys
import threading
from typing import Callable, Dict, List, Optional, Sequence, Set

from .. import CannotRun
from ..vm import process
from . import cell as cells
from .cell import Outcome
from .spec import Cell, Spec
from .store import Store

LAUNCHER = os.path.abspath(os.path.join(os.path.dirname(__file__),
                                        '../../pci-ep-run'))
# What a pair of guests keeps busy: processors, and bytes of memory
CPUS, MEMORY = 2, 3 << 29
END = 30.0  # seconds for a launcher to end its guests
TURN = 0.5  # seconds


def fitting(cpus: int, memory: int) -> int:
    """Return how many pairs fit into so many processors and bytes."""
    return max(1, min(cpus // CPUS, memory // MEMORY))


def available() -> int:
    """Return the bytes of memory that are free."""
    try:
        with open('/proc/meminfo', encoding='ascii') as file:
            for line in file:
                if line.startswith('MemAvailable:'):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return MEMORY


class Estimate:
    """
    How long the rest takes.

    :param spec: The matrix.
    :param known: Outcomes of an earlier run.
    :param jobs: How many cells run at once.
    """

    def __init__(self, spec: Spec, known: Dict[str, Outcome],
                 jobs: int) -> None:
        self._known = {ident: o.seconds for ident, o in known.items()}
        self._column = list(spec.axes).index(spec.columns)
        self._jobs = jobs
        self._taken: Dict[str, List[float]] = {}  # by value of the columns

    def took(self, cell: Cell, seconds: float) -> None:
        """A cell has run."""
        self._taken.setdefault(cell.values[self._column], []).append(seconds)

    def _of(self, cell: Cell) -> float:
        every = [s for taken in self._taken.values() for s in taken]
        taken = self._taken.get(cell.values[self._column]) or every
        if taken:
            return sum(taken) / len(taken)
        return self._known.get(cell.ident, 0.0)

    def left(self, cells_left: Sequence[Cell]) -> str:
        """Return words on the time for these, '' if nobody knows."""
        seconds = sum(map(self._of, cells_left)) / self._jobs
        if not seconds:
            return ''
        if seconds < 90:
            return f'about {seconds:.0f} s left'
        return f'about {seconds / 60:.0f} min left'


class Runner:
    """
    Runs what is left of a matrix.

    :param store: Where its results are.
    :param args: Arguments of pci-ep-run for all cells.
    :param jobs: How many run at once.
    :param on_end: Called with a cell, its outcome, and the cells that are
                   left, in the thread of run().
    :param on_turn: Called about twice a second, with those that are left.
    """

    def __init__(self, store: Store, args: Sequence[str], jobs: int,
                 on_end: Callable[[Cell, Outcome, List[Cell]], None],
                 on_turn: Callable[[List[Cell]], None]) -> None:
        self._store, self._args, self._jobs = store, list(args), jobs
        self._on_end, self._on_turn = on_end, on_turn
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._children: Set[process.Process] = set()

    def run(self) -> None:
        """Run the cells; what interrupts this ends the guests as well."""
        left = self._store.left()
        with ThreadPoolExecutor(self._jobs) as pool:
            futures: Dict[Future[Optional[Outcome]], Cell] = {
                pool.submit(self._cell, cell): cell for cell in left}
            pending = set(futures)
            try:
                while pending:
                    done, pending = wait_for(pending, TURN, FIRST_COMPLETED)
                    for future in done:
                        cell, outcome = futures[future], future.result()
                        assert outcome
                        left.remove(cell)
                        self._store.add(cell, outcome)
                        self._on_end(cell, outcome, left)
                    self._on_turn(left)
            except BaseException:
                self._end()
                for future in pending:
                    future.cancel()
                raise

    def _end(self) -> None:
        """End all launchers, which end their guests."""
        with self._lock:
            self._ended.set()
            children = list(self._children)
        process.end(children, END)

    def _cell(self, cell: Cell) -> Optional[Outcome]:
        """Run a cell, in a thread; None if it was ended."""
        directory = self._store.directory(cell.ident)
        os.makedirs(directory, exist_ok=True)
        command = [sys.executable, LAUNCHER, '--no-console', '--log-dir',
                   directory, *self._args, *cell.args]
        late = ''
        with open(os.path.join(directory, cells.OUTPUT), 'wb') as output:
            with self._lock:
                if self._ended.is_set():
                    return None
                try:
                    child = self._start(command, output.fileno())
                except OSError as error:
                    raise CannotRun(f'cannot start {LAUNCHER}: '
                                    f'{error}') from error
                self._children.add(child)
            try:
                child.wait(self._store.spec.limit)
            except subprocess.TimeoutExpired:
                late = (f'no verdict within {self._store.spec.limit:g} s: '
                        'raise run.limit')
                process.end([child], END)
            finally:
                with self._lock:
                    self._children.discard(child)
        if self._ended.is_set():
            return None
        return cells.judge(directory, child.returncode, late)

    @staticmethod
    def _start(command: Sequence[str], output: int) -> process.Process:
        # The thread that starts it waits for its end, so the launcher dies
        # with this program only.
        return subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                stdout=output, stderr=subprocess.STDOUT,
                                start_new_session=True,
                                preexec_fn=process.die_with_parent())
