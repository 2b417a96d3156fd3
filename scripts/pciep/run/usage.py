# SPDX-License-Identifier: GPL-2.0-or-later
"""
Mistakes on the command line: one line that says what to do.

An option that could do nothing in a run is a mistake, too.
"""

import argparse
import fnmatch
import os
import re
import subprocess
import sys
from typing import (Any, Callable, Dict, List, NamedTuple, NoReturn, Optional,
                    Sequence)

from .. import CannotRun, did_you_mean, functions, one_of
from ..vm.setup import UNTIL_LINK
from . import status


BISECT = '--bisect'
# The first words of other command lines
NEW_FUNCTION = 'new-function'
ON_RUNS = ('attach', 'exec', 'cp', 'monitor', 'stop', 'list')


class Parser(argparse.ArgumentParser):
    """
    A parser whose errors are one line, with the remedy.

    :ivar status: The exit status of a mistake.
    :ivar given: The options that the user wrote, also with the value of the
                 default: as the namespace has them, and as they were
                 written.
    """

    def __init__(self, **more: Any) -> None:
        self.status = status.CANNOT
        self.given: Dict[str, str] = {}
        # A short form could mean another option in the next version.
        super().__init__(allow_abbrev=False, **more)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        if not action.option_strings:
            if value in functions.available():
                hint = f'write --function {value}'
            elif value == NEW_FUNCTION:
                hint = f'write "pci-ep-run {value} DIR", without options'
            elif value in ON_RUNS:
                hint = (f'write "pci-ep-run {value}" first, and --help '
                        'behind it')
            else:
                hint = did_you_mean(value, [*choices, *ON_RUNS]) + (
                    f'write {one_of(choices)}, and put a value that has '
                    'blanks in quotes')
            raise argparse.ArgumentError(None, f"no scenario '{value}': "
                                         + hint)
        raise argparse.ArgumentError(
            action, f"no '{value}': {did_you_mean(value, choices)}"
            f'write {one_of(choices)}')

    def parse_args(  # type: ignore[override]
            self, args: Optional[Sequence[str]] = None,
            namespace: Optional[argparse.Namespace] = None
            ) -> argparse.Namespace:
        """Return the options, or end with a line on the first unknown."""
        known = {name: action.dest for action in self._actions
                 for name in action.option_strings}
        given = sys.argv[1:] if args is None else args
        if BISECT in given:
            self.status = status.ABORT
        for word in given:
            name = word.split('=')[0]
            if name in known:
                self.given[known[name]] = name
            elif name.startswith('--'):
                self.error(f'no option {name}: {did_you_mean(name, known)}'
                           '--help lists all')
        options, unknown = self.parse_known_args(args, namespace)
        if unknown and unknown[0].startswith('-'):
            self.error(f'no option {unknown[0]}: --help lists all')
        if unknown:
            self.error(f"'{unknown[0]}' belongs to no option: put a value "
                       'that has blanks in quotes')
        for action in self._actions:
            if not action.option_strings and getattr(options, action.dest):
                self.given[action.dest] = str(getattr(options, action.dest))
        return options

    def error(self, message: str) -> NoReturn:
        """End with this line."""
        message = re.sub(r'^argument (?:-\w/)?(\S+): ', r'\1: ', message)
        # A value that is wrong is a line as well.
        message = ' '.join(message.split())
        message = re.sub(
            r'^(\S+): expected one argument$',
            r'\1 needs a value: write \1=VALUE if it begins with a hyphen',
            message)
        message = re.sub(r'^the following arguments are required: (\S+)$',
                         r'\1 is missing: --help shows what to write', message)
        print(f'{self.prog.split()[0]}: {message}', file=sys.stderr)
        sys.exit(self.status)


def number(text: str, least: int = 1, most: Optional[int] = None) -> int:
    """Return the number that a text stands for, in a range."""
    if not re.fullmatch(r'-?\d+', text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    value = int(text)
    if most is not None and not least <= value <= most:
        raise argparse.ArgumentTypeError(f'must be {least} to {most}')
    if value < least:
        raise argparse.ArgumentTypeError(f'must be at least {least}')
    return value


def _uses_msix(instance: functions.Instance) -> bool:
    """Return whether a function has as many vectors as --msix says."""
    folder = instance.function.folder
    if folder:
        return folder.msix is None
    path = os.path.join(functions.DIRECTORY, instance.name, 'ep.sh')
    with open(path, encoding='utf-8') as file:
        return 'MSIX' in file.read()


class _Rule(NamedTuple):
    """
    An option that would do nothing.

    :param option: Its name in the options.
    :param useless: Whether it would do nothing beside the others.
    :param says: What is wrong, behind the option.
    """
    option: str
    useless: Callable[[argparse.Namespace], object]
    says: str


def _nobody_waits(options: argparse.Namespace) -> bool:
    return bool(options.scenario == 'faults'
                or options.interactive in ('ep', 'host2')
                or options.ep_cmd and not options.host_cmd)


_RULES = [
    *(_Rule(name, lambda o: o.no_link,
            'does nothing with --no-link: leave one of them out')
      for name in ('function', 'msix', 'link_wait', 'ep_driver',
                   'private_memory', 'trace', 'trace_events', 'scenario',
                   'profile')),
    *(_Rule(name, lambda o: o.device,
            'does nothing with --device, which has no endpoint guest: leave '
            'one of them out')
      for name in ('function', 'scenario', 'no_link', 'msix', 'private_memory',
                   'profile', 'trace', 'trace_events', 'first', 'delay',
                   'fault', 'fault_script', 'kcidb', 'ep_arch', 'ep_kernel',
                   'ep_kernel_name', 'ep_kernel_src', 'ep_modules',
                   'ep_module', 'ep_driver', 'ep_cmd', 'ep_ftrace', 'ep_file',
                   'ep_prog', 'ep_append', 'ep_cpus', 'ep_mem',
                   'ep_qemu_arg')),
    _Rule('link_wait', _nobody_waits,
          'does nothing here: nothing waits in the host guest'),
    _Rule('link_wait', lambda o: o.link_wait is None and not (
        o.host_cmd or o.interactive),
          'none needs --host-cmd or --interactive: a test has to wait for its '
          'function'),
    _Rule('fault_seed', lambda o: not o.faults,
          'needs --fault or --fault-script'),
    _Rule('fault_seed', lambda o: not any(
        re.search(r',(chance|jitter)=', fault.request) for fault in o.faults),
          'does nothing: no fault has chance= or jitter='),
    _Rule('fault_script', lambda o: not o.faults, 'has no fault in it'),
    _Rule('msix', lambda o: not any(map(_uses_msix, o.functions)),
          'does nothing: the functions have a number of their own'),
    _Rule('first', lambda o: not o.delay,
          'needs --delay: without it both guests start at once'),
    _Rule('delay', lambda o: not o.delay, '0 does nothing: leave it out'),
    _Rule('delay', lambda o: o.delay == UNTIL_LINK and (
        o.first == 'host' or o.no_link),
          'link needs an endpoint that starts first: leave out --first host '
          'and --no-link'),
    _Rule('trace', lambda o: o.trace_events,
          'and --trace-events exclude each other: --trace takes all events'),
]


def check(options: argparse.Namespace, parser: Parser) -> None:
    """End with an error if an option that was given would do nothing."""
    for rule in _RULES:
        if rule.option in parser.given and rule.useless(options):
            parser.error(f'{parser.given[rule.option]} {rule.says}')


def check_list(parser: Parser) -> None:
    """End with an error if --list stands beside what it does not use."""
    for option, name in parser.given.items():
        if option not in ('list', 'function'):
            parser.error(f'--list runs nothing: leave out {name}')


def check_profiles(parser: Parser) -> None:
    """End with an error if --profile list stands beside anything else."""
    for option, name in parser.given.items():
        if option != 'profile':
            parser.error(f'--profile list runs nothing: leave out {name}')


def check_events(qemu: str, patterns: Sequence[str]) -> None:
    """Raise CannotRun if this QEMU has no trace event for a pattern."""
    try:
        events = subprocess.run(
            [qemu, '-trace', 'help'], stdout=subprocess.PIPE, check=True,
            stderr=subprocess.DEVNULL, timeout=60).stdout.decode().split()
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotRun(f'{qemu} does not list its trace events: '
                        f'{error}') from error
    for pattern in patterns:
        name = pattern.lstrip('-')
        if not fnmatch.filter(events, name):
            raise CannotRun(
                f'--trace-events: this QEMU has no trace event {name}: '
                f'{did_you_mean(name, _ours(events))}'
                f'"{os.path.basename(qemu)} -trace help" lists all')


def _ours(events: Sequence[str]) -> List[str]:
    return [event for event in events
            if event.startswith(('pci_ep', 'epf_bridge'))]
