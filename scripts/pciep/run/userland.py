# SPDX-License-Identifier: GPL-2.0-or-later
"""Options for what the guests have besides the test: programs, directories."""

import argparse
import os
import shlex
from typing import Any, Callable, Dict, Sequence, Tuple

from .. import functions
from ..arch import ARCH
from ..image import programs, rootfs
from ..vm import ssh
from ..vm.setup import role_of


SHARE = '/mnt'  # where a directory appears without a place of its own


def split_share(text: str) -> Tuple[str, str]:
    """Return both paths of DIR[:GUESTDIR]."""
    source, colon, target = text.rpartition(':/')
    if colon:
        target = '/' + target
    else:
        source = text
        target = os.path.join(SHARE, os.path.basename(
            os.path.abspath(source)))
    return source, os.path.normpath(target)


def share(text: str) -> Tuple[str, str]:
    """Type of an option: a directory, and where the guests have it."""
    source, target = split_share(text)
    if not os.path.isdir(source):
        raise argparse.ArgumentTypeError(
            f'no directory {source}: check the path')
    if target == '/' or any(c.isspace() for c in target):
        raise argparse.ArgumentTypeError(
            f"'{target}' is no place in a guest: write {source}:/mnt/NAME")
    return os.path.abspath(source), target


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group('what the guests have')
    add = group.add_argument
    for role, words in (('host', 'host'), ('ep', 'endpoint')):
        add(f'--{role}-prog', metavar='NAME', action='append', default=[],
            help=f'give the {words} guest this program of this machine, with '
            'its libraries: a name or a path; repeatable')
    add('--share', metavar='DIR[:GUESTDIR]', action='append', default=[],
        type=share, help='let both guests use this directory, both ways '
        f'(default {SHARE}/NAME there); repeatable')
    add('--rootfs', choices=rootfs.NAMES,
        help='boot both guests into a Debian, with networking, apt-get and '
        'ssh ("ssh -F DIR/ssh_config ep"); it is built once')


def check(parser: argparse.ArgumentParser,
          options: argparse.Namespace) -> None:
    """End with an error if options do not fit."""
    if options.rootfs and (options.host_prog or options.ep_prog):
        parser.error('--host-prog and --ep-prog do nothing with --rootfs: '
                     'use --host-file or --ep-file, or apt-get in the guest')
    for role in ('host', 'ep'):
        arch = getattr(options, f'{role}_arch')
        if options.rootfs and ARCH[arch].sysroot:
            parser.error(f'--rootfs {options.rootfs} is for guests of this '
                         f'machine: leave out --{role}-arch {arch}')
    targets = [target for _, target in options.share]
    for target in targets:
        if targets.count(target) > 1:
            parser.error(f'--share: two directories at {target} in a guest: '
                         'write DIR:GUESTDIR')


def _tell(text: str) -> None:
    print(text, flush=True)


def prepare(options: argparse.Namespace) -> None:
    """
    Build what a run needs and may take minutes.

    It sets options.disk to the disk for --rootfs, and options.ports.
    """
    options.disk, options.ports = '', {}
    if options.rootfs:
        options.disk = rootfs.find(
            (lambda text: None) if options.quiet else _tell)
        options.ports = {name: ssh.free_port() for name in [
            *functions.hosts(options.functions), 'ep']}


def guest_options(options: argparse.Namespace, name: str) -> Dict[str, Any]:
    """Return members of GuestOptions."""
    role = role_of(name)
    own: Sequence[str] = getattr(options, f'{role}_prog')
    root = programs.sysroot(os.path.abspath(options.build_dir),
                            getattr(options, f'{role}_arch'))
    return {'programs': [*programs.tools(root), *own],
            'net': options.net or bool(options.rootfs),
            'ssh': options.ports.get(name)}


def setup(options: argparse.Namespace, rundir: str,
          tell: Callable[[str], None]) -> Dict[str, Any]:
    """Return members of Setup."""
    if options.ports:
        ssh.write(rundir, options.ports)
        tell(f'ssh -F {shlex.quote(os.path.join(rundir, ssh.CONFIG))} '
             f'{" | ".join(options.ports)}')
    return {'shares': options.share, 'rootfs': options.disk}
