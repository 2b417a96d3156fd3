# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels run, and how one looks into them: gdb and ftrace."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
from typing import Callable, Dict, List, Mapping, Tuple

from .. import CannotRun, one_of
from ..image import prebuilt, variants
from ..image.kernels import DEFAULT, DRIVER, VARIANTS, Kernel, module_name
from ..vm.setup import Setup
from ..vm.testbed import Testbed


TRACER = '7-trace'
Tell = Callable[[str], None]
# What a kernel must have for each kind of --ftrace
_OPTIONS = {
    'event': ('CONFIG_EVENT_TRACING', 'CONFIG_VIRTIO_CONSOLE'),
    'graph': ('CONFIG_FUNCTION_GRAPH_TRACER', 'CONFIG_DYNAMIC_FTRACE',
              'CONFIG_VIRTIO_CONSOLE'),
}
_GDB_HINT = 'apt-get install gdb'


# Options

def traced(text: str) -> str:
    """Type of --ftrace: returns a line for guest/ftrace.sh."""
    kind, _, what = text.partition(':')
    if kind == 'graph' and re.fullmatch(r'[\w*?.-]+', what):
        if not re.search('[*?]', what):
            what = module_name(what)
        return f'graph {what}'
    if re.fullmatch(r'[\w*?-]+', kind) and re.fullmatch(r'[\w*?-]+', what):
        return f'event {text}'
    raise argparse.ArgumentTypeError(
        "write an event such as 'pci:*', or graph: and a module or a pattern "
        "for functions, as graph:pci_epf_test or 'graph:pci_epc_*'")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about kernels and debugging."""
    group = parser.add_argument_group('kernels and debugging')
    add = group.add_argument
    names = ', '.join(f'{name} ({text})' for name, text in VARIANTS.items())
    add('--kernel-name', metavar='NAME', default=DEFAULT,
        help=f'boot this kernel in both guests: {names}; one that is not '
        f'there is built first (default {DEFAULT})')
    for role, guest in (('host', 'host'), ('ep', 'endpoint')):
        add(f'--{role}-kernel-name', metavar='NAME',
            help=f'the same for the {guest} guest alone')
    add('--kernel-src', metavar='DIR',
        help='build the kernel of both guests from your tree, as it is now, '
        'with the configuration of --kernel-name; nothing is written to it')
    for role, guest in (('host', 'host'), ('ep', 'endpoint')):
        add(f'--{role}-kernel-src', metavar='DIR',
            help=f'the same for the {guest} guest alone')
    add('--kernel-image', metavar='FILE|URL',
        help='boot this image in both guests (bzImage, for arm64 Image, '
        'also with gzip), a file or a URL of http')
    add('--modules-tar', metavar='FILE|URL',
        help='the modules of that kernel: a tar, compressed or not, of the '
        'INSTALL_MOD_PATH of "make modules_install"')
    add('--config', metavar='FILE', action='append', default=[],
        help='build the kernel with these lines of configuration, too; '
        'repeatable')
    add('--gdb', choices=['ep', 'host'],
        help='debug the kernel of that guest: opens gdb in a window of tmux, '
        f'or prints its command line; needs --kernel-name {TRACER} or '
        '7-kasan')
    add('--ftrace', metavar='WHAT', type=traced, action='append', default=[],
        help="trace in both guests: events ('pci:*'), calls in a module "
        "(graph:pci_epf_test) or in functions ('graph:pci_epc_*'), into "
        f'host.ftrace and ep.ftrace; repeatable; needs --kernel-name {TRACER}')
    for role, guest in (('host', 'host'), ('ep', 'endpoint')):
        add(f'--{role}-ftrace', metavar='WHAT', type=traced, action='append',
            default=[], help=f'the same in the {guest} guest alone')


def ftrace_lines(options: argparse.Namespace, role: str) -> List[str]:
    """Return what a guest with that role traces."""
    own: List[str] = getattr(options, f'{role}_ftrace')
    return [*options.ftrace, *own]


def sources(options: argparse.Namespace) -> Dict[str, str]:
    """Return the user's tree of each role, '' without one."""
    return {role: getattr(options, f'{role}_kernel_src')
            or options.kernel_src or '' for role in ('host', 'ep')}


def _wanted(options: argparse.Namespace) -> Dict[str, variants.Wanted]:
    """Return which kernel each role asks for."""
    return {role: variants.Wanted(
        name=getattr(options, f'{role}_kernel_name')
        or options.kernel_name,
        arch=getattr(options, f'{role}_arch'),
        source=source, configs=tuple(options.config))
        for role, source in sources(options).items()}


def _check_prebuilt(parser: argparse.ArgumentParser,
                    options: argparse.Namespace) -> None:
    """The same for the kernel that a CI system built."""
    if options.modules_tar and not options.kernel_image:
        parser.error('--modules-tar needs --kernel-image: it has the modules '
                     'of that kernel')
    if not options.kernel_image:
        return
    for name in ('kernel_src', 'host_kernel_src', 'ep_kernel_src', 'config',
                 'host_kernel', 'ep_kernel'):
        if getattr(options, name):
            parser.error('--kernel-image and '
                         f'--{name.replace("_", "-")} exclude each other')
    for name in ('kernel_image', 'modules_tar'):
        place = getattr(options, name)
        problem = place and prebuilt.check(f'--{name.replace("_", "-")}',
                                           place)
        if problem:
            parser.error(problem)


def get_prebuilt(options: argparse.Namespace, tell: Tell) -> None:
    """
    Make --kernel-image and --modules-tar the kernel of both guests.

    Downloads and unpacks them.
    """
    if not options.kernel_image:
        return
    image = prebuilt.image(options.kernel_image, tell)
    options.host_kernel = options.ep_kernel = image
    if options.modules_tar:
        tree = prebuilt.modules(options.modules_tar, tell)
        options.host_modules = options.host_modules or tree
        options.ep_modules = options.ep_modules or tree


def check(parser: argparse.ArgumentParser,
          options: argparse.Namespace) -> None:
    """End with an error if options do not fit."""
    _check_prebuilt(parser, options)
    if options.kernel_image:
        return
    for role, wanted in _wanted(options).items():
        if getattr(options, f'{role}_kernel'):
            for other in ('src', 'name'):
                if getattr(options, f'{role}_kernel_{other}'):
                    parser.error(f'--{role}-kernel and --{role}-kernel-'
                                 f'{other} exclude each other')
            continue
        problem = variants.check(wanted)
        if problem:
            parser.error(problem)
    if options.host_kernel and options.ep_kernel:
        for name in ('kernel_src', 'config'):
            if getattr(options, name):
                parser.error(f'--{name.replace("_", "-")} does nothing: '
                             '--host-kernel and --ep-kernel name both kernels')


def build_kernels(options: argparse.Namespace, build: str,
                  tell: Tell) -> Dict[str, str]:
    """Build what is not there, and return names below build/ by role."""
    wanted = _wanted(options)
    for one in dict.fromkeys(
            wanted[role] for role in wanted
            if not getattr(options, f'{role}_kernel')):
        variants.ensure(build, one, tell)
    return {role: one.full_name if getattr(options, f'{role}_kernel')
            else one.label for role, one in wanted.items()}


def check_kernels(options: argparse.Namespace,
                  kernels: Mapping[str, Kernel]) -> None:
    """Raise CannotRun if a kernel cannot do what the options ask for."""
    for role, kernel in kernels.items():
        needs = [option for line in ftrace_lines(options, role)
                 for option in _OPTIONS[line.split()[0]]]
        lacks = kernel.lacks(dict.fromkeys(needs))
        if lacks:
            raise CannotRun(
                f'--ftrace needs {one_of(lacks).replace(" or ", " and ")}, '
                f'which the {role} kernel {kernel.label} does not have: add '
                f'--kernel-name {TRACER}')
    if options.gdb and not kernels[options.gdb].vmlinux:
        raise CannotRun(
            f'--gdb needs debug information, which the {options.gdb} kernel '
            f'{kernels[options.gdb].label} does not have: add --kernel-name '
            f'{TRACER}')


def _has_module(kernel: Kernel, name: str) -> bool:
    """Return whether calls in a module can be traced."""
    return name in kernel.symbol_files or name == module_name(DRIVER) \
        or bool(kernel.modules and name in kernel.modules.path)


def check_ftrace(setup: Setup) -> None:
    """Raise CannotRun if a module to trace is in no guest that is to."""
    wanted: Dict[str, List[Kernel]] = {}
    for guest in setup.guests:
        for line in guest.ftrace:
            wanted.setdefault(line, []).append(guest.kernel)
    for line, kernels in wanted.items():
        kind, name = line.split()
        if kind == 'graph' and not re.search('[*?]', name) \
                and not any(_has_module(kernel, name) for kernel in kernels):
            raise CannotRun(
                f'--ftrace graph:{name}: no guest has such a module; for '
                f'functions of the kernel write a pattern, as '
                f"'graph:{name}*'")


# gdb

def _link_symbols(kernel: Kernel, directory: str) -> None:
    """
    Link the files with symbols of modules into a directory.

    The kernel's script takes the module's name from that of the file, and
    paths without blanks.
    """
    os.makedirs(directory)
    files: Dict[str, str] = {}
    for place in reversed(kernel.symbols):
        for file in os.listdir(place) if os.path.isdir(place) else ():
            files[module_name(file)] = os.path.join(place, file)
    files.update(kernel.symbol_files)
    for name, path in files.items():
        os.symlink(os.path.abspath(path),
                   os.path.join(directory, f'{name}.ko'))


def _commands(kernel: Kernel, socket: str, symbols: str) -> List[str]:
    """Return commands for gdb."""
    # gdb would need quotes around a blank; the cache has none.
    vmlinux = os.path.realpath(kernel.vmlinux)
    scripts = os.path.join(os.path.dirname(vmlinux), 'vmlinux-gdb.py')
    lines = [f'file {vmlinux}', f'cd {symbols}']
    if os.path.exists(scripts):
        lines.append(f'source {scripts}')
    lines.append(f'target remote {socket}')
    if os.path.exists(scripts):
        lines.append(f'lx-symbols {symbols}')
    return lines


def _command_line(bed: Testbed) -> Tuple[str, List[str]]:
    """Return the file with commands for gdb, and how gdb is started."""
    name = bed.setup.gdb
    script = os.path.join(bed.setup.rundir, f'{name}.gdb')
    return script, ['gdb', '-q', '-x', script]


def prepare(bed: Testbed, tell: Tell) -> None:
    """Write the commands for gdb, and say how it is started."""
    name = bed.setup.gdb
    assert name
    guest = bed.guests[name]
    symbols = os.path.join(os.path.dirname(guest.gdb_socket), 'symbols')
    kernel = bed.setup.guest(name).kernel
    script, command = _command_line(bed)
    try:
        _link_symbols(kernel, symbols)
        with open(script, 'w', encoding='utf-8') as file:
            file.write('# SPDX-License-Identifier: GPL-2.0-or-later\n'
                       f'# Debugs the {name} guest while this run lasts.\n')
            file.writelines(f'{line}\n' for line in _commands(
                kernel, guest.gdb_socket, symbols))
    except OSError as error:
        raise CannotRun(f'cannot write {script}: {error}; choose another '
                        '--log-dir') from error
    if not shutil.which('gdb'):
        tell(f'gdb is not installed: {_GDB_HINT}')
    if not _in_tmux():
        tell('debug the ' + name + ' guest in another terminal, once it has '
             'booted: ' + shlex.join(command))


def _in_tmux() -> bool:
    return bool(os.environ.get('TMUX') and shutil.which('tmux')
                and shutil.which('gdb'))


def begin(bed: Testbed, tell: Tell) -> None:
    """The guests have booted: open a window with gdb if there is tmux."""
    if not _in_tmux():
        return
    command = shlex.join(_command_line(bed)[1])
    try:
        subprocess.run(['tmux', 'new-window', '-d', '-n',
                        f'gdb {bed.setup.gdb}', command],
                       check=True, timeout=10)
        tell(f'gdb runs in the tmux window "gdb {bed.setup.gdb}"')
    except (OSError, subprocess.SubprocessError):
        tell('tmux does not open a window; in another terminal: ' + command)
