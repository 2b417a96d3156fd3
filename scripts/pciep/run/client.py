# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that act on a run that goes on: attach, exec, cp, monitor..."""

import argparse
import os
import readline
import select
import shlex
import sys
import time
from typing import Callable, Dict, List, Sequence

from .. import CannotRun, one_of
from ..vm.qmp import Qmp
from . import copy, remote, report, status, terminal, usage


STOP = 30  # seconds for the end of a run
GUESTS = ['ep', 'host', 'host2']
_RUN = ('name of the run or process id of its launcher, as "pci-ep-run list" '
        'shows them; needed when several runs go on, or one of another '
        'checkout')


def _parser(command: str, about: str) -> usage.Parser:
    parser = usage.Parser(prog=f'pci-ep-run {command}', description=about)
    parser.add_argument('--run', metavar='NAME', help=_RUN)
    return parser


def _add_guest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('guest', metavar='GUEST',
                        help='ep or host; host2 with two hosts')


# attach


def _tell_size(run: remote.Run, guest: str) -> None:
    """Tell the guest the size of this terminal."""
    found = terminal.size()
    if found:
        with run.connect() as connection:
            connection.ask(do='size', guest=guest, rows=found[0],
                           columns=found[1])


def _talk(run: remote.Run, guest: str, connection: remote.Connection,
          raw: terminal.Raw) -> None:
    """Show the console until one of both ends it."""
    terminal.show(f'{guest} guest of {run.name}; Ctrl-] leaves it\r\n'.encode()
                  + connection.rest())
    while True:
        if raw.resized:
            raw.resized = False
            _tell_size(run, guest)
        ready = select.select([sys.stdin, connection.sock], [], [], 0.5)[0]
        if connection.sock in ready:
            data = connection.sock.recv(1 << 16)
            if not data:
                return
            terminal.show(data)
        if sys.stdin in ready:
            data = os.read(sys.stdin.fileno(), 1024)
            typed, escape, _ = data.partition(terminal.ESCAPE)
            connection.sock.sendall(typed)
            if escape or not data:
                return


def _attach(words: Sequence[str]) -> int:
    parser = _parser('attach', 'Shows the console of a guest on this '
                     'terminal, with a shell. Ctrl-] leaves it; the run goes '
                     'on.')
    _add_guest(parser)
    options = parser.parse_args(words)
    if not sys.stdin.isatty():
        parser.error('attach needs a terminal: "pci-ep-run exec" runs a '
                     'command without one')
    run = remote.choose(options.run, report.TOP)
    with run.connect() as connection:
        connection.ask(do='attach', guest=options.guest)
        raw = terminal.Raw()
        try:
            _talk(run, options.guest, connection, raw)
        except (ConnectionError, CannotRun):
            pass  # The run has ended.
        finally:
            raw.restore()
    print()
    return status.PASSED


# exec


def _exec(words: Sequence[str]) -> int:
    parser = _parser('exec', 'Runs a shell command in a guest. Its output '
                     'and its exit status are those of this program.')
    parser.add_argument('-i', '--input', action='store_true',
                        help='give the command what comes on standard input; '
                        'it begins when that is complete')
    _add_guest(parser)
    parser.add_argument('command', metavar='COMMAND', nargs='+',
                        help='one word is a line for the shell, several are '
                        'a program and its arguments')
    # What follows the guest belongs to the command, options as well.
    at = next((i for i, word in enumerate(words) if word in GUESTS), None)
    own = words if at is None else words[:at + 1]
    command = [] if at is None else list(words[at + 1:])
    options = parser.parse_args([*own, 'x'] if command else own)
    text = command[0] if len(command) == 1 else shlex.join(command)
    run = remote.choose(options.run, report.TOP)
    with remote.Command(run, options.guest, text) as running:
        while options.input and (data := os.read(0, 1 << 16)):
            running.write(data)
        running.finish()
        return running.show()


# cp


def _cp(words: Sequence[str]) -> int:
    parser = _parser('cp', 'Copies a file or a directory to a guest or from '
                     'it. One of both is GUEST:PATH, and a path that does '
                     'not begin with / is below /root.')
    parser.add_argument('source', metavar='SRC')
    parser.add_argument('target', metavar='DST')
    options = parser.parse_args(words)
    from_guest, source = copy.split(options.source)
    to_guest, target = copy.split(options.target)
    if bool(from_guest) == bool(to_guest):
        parser.error('one of SRC and DST is in a guest: write it as ep:PATH '
                     'or host:PATH')
    run = remote.choose(options.run, report.TOP)
    if to_guest:
        return copy.into(run, source, to_guest, target)
    assert from_guest
    return copy.out_of(run, from_guest, source, target)


# monitor


def _monitor(words: Sequence[str]) -> int:
    parser = _parser('monitor', 'Gives commands to the monitor of the QEMU '
                     'of a guest: those of the command line, or those of '
                     'standard input, one a line.')
    _add_guest(parser)
    parser.add_argument('command', metavar='COMMAND', nargs='*',
                        help='for example "info pci"')
    options = parser.parse_args(words)
    run = remote.choose(options.run, report.TOP)
    guests = run.about['guests']
    if options.guest not in guests:
        parser.error(f'no guest {options.guest} in this run: write '
                     f'{one_of(guests)}')
    monitor = Qmp(os.path.join(run.about['sockets'],
                               f'{options.guest}.monitor'))
    if options.command:
        _monitor_do(monitor, ' '.join(options.command))
        return status.PASSED
    prompt = f'({options.guest}) ' if sys.stdin.isatty() else ''
    if prompt:
        readline.set_auto_history(True)  # of input()
    while True:
        try:
            line = input(prompt)
        except EOFError:
            return status.PASSED
        if line.strip():
            _monitor_do(monitor, line)


def _monitor_do(monitor: Qmp, line: str) -> None:
    text = monitor.command('human-monitor-command', **{'command-line': line})
    print(str(text).replace('\r\n', '\n'), end='', flush=True)


# stop, list


def _stop(words: Sequence[str]) -> int:
    parser = _parser('stop', 'Ends a run, and waits until it has ended.')
    options = parser.parse_args(words)
    run = remote.choose(options.run, report.TOP)
    with run.connect() as connection:
        connection.ask(do='stop')
    end = time.monotonic() + STOP
    while os.path.exists(run.path) and os.path.exists(f'/proc/{run.pid}'):
        if time.monotonic() > end:
            raise CannotRun(f'{run.name} has not ended after {STOP} s: "kill '
                            f'{run.pid}" ends its launcher')
        time.sleep(0.1)
    return status.PASSED


def _list(words: Sequence[str]) -> int:
    parser = usage.Parser(prog='pci-ep-run list', description='Lists the '
                          'runs of this user that go on.')
    parser.parse_args(words)
    rows: List[List[str]] = [['NAME', 'PID', 'DIRECTORY', 'GUESTS']]
    for run in remote.runs():
        guests = run.about['guests']
        rows.append([run.name, str(run.pid), str(run.about['rundir']),
                     ', '.join(f'{name}: {guests[name]}' for name in guests)])
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(word.ljust(width)
                        for word, width in zip(row, widths)).rstrip())
    return status.PASSED


COMMANDS: Dict[str, Callable[[Sequence[str]], int]] = dict(
    zip(usage.ON_RUNS, (_attach, _exec, _cp, _monitor, _stop, _list),
        strict=True))


def main(words: Sequence[str]) -> int:
    """Run a command, and return the exit status."""
    try:
        return COMMANDS[words[0]](words[1:])
    except CannotRun as error:
        print(f'pci-ep-run: {error}', file=sys.stderr)
        return status.CANNOT
