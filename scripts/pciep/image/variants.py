# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that are built when a run asks for them: variants, user's trees."""

from dataclasses import dataclass
import hashlib
import os
import signal
import subprocess
import tempfile
from typing import Callable, Sequence, Tuple

from .. import BadKernel, CannotRun, did_you_mean, one_of
from ..arch import ARCH, DEFAULT as DEFAULT_ARCH, Arch
from .kernels import DEFAULT, VARIANTS
from .sources import environment


SCRIPTS = os.path.abspath(os.path.join(os.path.dirname(__file__),
                                       '../../build'))

# Exit status of a script when a compiler failed, see die() in common.sh
FAILED = 1


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """
    A kernel that a run asks for.

    :param name: Key of VARIANTS, or what is behind "kernel-" in the build
                 directory.
    :param source: Source tree of the user's, '' for that of the variant.
    :param configs: Files with lines of configuration.
    :param arch: Key of ARCH.
    """
    name: str
    source: str = ''
    configs: Tuple[str, ...] = ()
    arch: str = DEFAULT_ARCH

    @property
    def here(self) -> Arch:
        """What its architecture needs."""
        return ARCH[self.arch]

    @property
    def full_name(self) -> str:
        """Its name with the architecture, as kernel.sh takes it."""
        return self.name + self.here.suffix

    @property
    def own(self) -> bool:
        """Whether it is not one that "make" builds."""
        return bool(self.source or self.configs)

    @property
    def label(self) -> str:
        """Its name in the build directory."""
        if not self.own:
            return self.full_name
        key = hashlib.sha256(os.path.realpath(self.source).encode()
                             if self.source else b'')
        for path in self.configs:
            key.update(b'\0' + _read(path))
        return f'{self.full_name}-{key.hexdigest()[:8]}'

    @property
    def arguments(self) -> Sequence[str]:
        """Arguments of kernel.sh."""
        args = []
        if self.source:
            args += ['--src', os.path.realpath(self.source)]
        for path in self.configs:
            args += ['--config', os.path.abspath(path)]
        return [*args, '--as', self.label, self.full_name]


def _read(path: str) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise CannotRun(f'cannot read {path}: {error.strerror}; check '
                        '--config') from error


def check(wanted: Wanted) -> str:
    """Return what is wrong with a wish, '' if nothing is."""
    if wanted.source and not all(
            os.path.exists(os.path.join(wanted.source, name))
            for name in ('Makefile', 'Kconfig', 'kernel')):
        return (f'{wanted.source} holds no Linux source: name the top '
                'directory of a kernel tree')
    for path in wanted.configs:
        if not os.path.isfile(path):
            return f'no file {path}: check --config'
    if wanted.source and not wanted.name.startswith(DEFAULT):
        return (f'--kernel-name {wanted.name} is a kernel of its own: '
                'choose ' + one_of(name for name in wanted.here.kernels
                                   if name.startswith(DEFAULT))
                + ' for the configuration of your tree')
    if wanted.own and wanted.name not in VARIANTS:
        return (f'no kernel {wanted.name} to configure yours like: '
                + did_you_mean(wanted.name, VARIANTS)
                + 'choose ' + ', '.join(VARIANTS))
    known = wanted.here.kernels
    if wanted.name in VARIANTS and wanted.name not in known:
        return (f'no kernel {wanted.name} for {wanted.arch}: choose '
                + one_of(known))
    return ''


def _run(build: str, what: str, *args: str) -> None:
    """Run a script that builds; what it says goes to standard error."""
    with tempfile.NamedTemporaryFile('r', encoding='utf-8') as error:
        env = {**environment(), 'PCI_EP_BUILD': build,
               'PCI_EP_ERROR': error.name}
        with subprocess.Popen(['bash', *args], stdin=subprocess.DEVNULL,
                              start_new_session=True, env=env) as process:
            try:
                status = process.wait()
            except BaseException:
                # The compilers are to end as well.
                os.killpg(process.pid, signal.SIGTERM)
                raise
        if status:
            why = ' '.join(error.read().split()) or 'see the messages above'
            kind = BadKernel if status == FAILED else CannotRun
            raise kind(f'{what} was not built: {why}')


def _complete(build: str, wanted: Wanted) -> bool:
    """Return whether a kernel and our modules for it are built."""
    return all(os.path.exists(os.path.join(build, path)) for path in (
        f'kernel-{wanted.label}/{wanted.here.image}',
        f'modules-{wanted.label}/.'))


def ensure(build: str, wanted: Wanted, tell: Callable[[str], None]) -> None:
    """
    Build a kernel and our modules for it, unless they are there.

    :param build: Directory in which "make" built.
    :param tell: Shows a line.
    """
    problem = check(wanted)
    if problem:
        raise CannotRun(problem)
    # What another architecture needs is built when somebody asks for it.
    if not wanted.own and (_complete(build, wanted)
                           or wanted.name == DEFAULT
                           or wanted.arch != DEFAULT_ARCH
                           or wanted.name not in VARIANTS):
        return
    make = f'"make kernel-{wanted.name}"'
    if not os.path.exists(os.path.join(build, 'config.sh')):
        raise CannotRun(f'{build} is not configured: run "make" first'
                        + (f', then {make}' if not wanted.own else ''))
    what = f'the kernel {wanted.name}'
    if wanted.source:
        what += f' of {wanted.source}'
    if not _complete(build, wanted):
        tell(f'{what} is not built yet: building it'
             + (f', as {make} would' if not wanted.own else '')
             + '; later runs take it from the cache')
    _run(build, what, os.path.join(SCRIPTS, 'kernel.sh'), *wanted.arguments)
    _run(build, f'the driver for {what}', os.path.join(SCRIPTS, 'module.sh'),
         wanted.label)
