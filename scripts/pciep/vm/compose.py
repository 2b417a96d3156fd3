# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the initramfs of a guest, with all that its options ask for."""

import os
import shlex
from typing import Dict, List, Mapping, Optional, Tuple

from .. import CannotRun, functions
from ..functions import Folder, Instance
from ..image import initramfs, kernels, modfile, programs, sources
from ..image.initramfs import Archive
from . import ssh
from .machine import ROOTFS
from .setup import GuestOptions, Setup


GUEST_SCRIPTS = os.path.join(os.path.dirname(functions.DIRECTORY), 'guest')


def split_file(text: str) -> Tuple[str, str]:
    """Return the paths of SRC[:DST]; DST is /root/NAME by default."""
    source, _, target = text.partition(':')
    source = source.rstrip('/') or '/'
    if not os.path.exists(source):
        raise CannotRun(f'no file {source}: check --host-file and --ep-file')
    if not target:
        target = '/root/'
    if target.endswith('/'):
        target += os.path.basename(source)
    return source, target


def _assignments(env: Mapping[str, object]) -> str:
    """Return shell assignments, one a line."""
    return ''.join(f'{key}={shlex.quote(str(value))}\n'
                   for key, value in env.items())


def _env(setup: Setup, guest: GuestOptions,
         load: List[str]) -> Dict[str, object]:
    """Return what all scripts in a guest know; load: modules to insert."""
    arch, host = guest.arch, setup.guest('host')
    iommu = host.arch.host_iommu[host.iommu]
    tags: List[str] = []
    for instance in setup.functions:
        tags += (instance.tests() if guest.role == 'host'
                 else [instance.tag])
    endpoint = ''
    if setup.functions:
        endpoint = setup.functions[0].endpoint
    return {
        'ROLE': guest.role,
        'GUEST': guest.name,
        'CONSOLE': arch.console,
        'RESULTS': arch.results,
        'CONTROLLERS': len(functions.controllers(setup.functions)),
        'FUNCTIONS': ' '.join(tags),
        'EP_TESTS': '1' if functions.ep_commands(setup.functions) else '',
        'ENDPOINT': endpoint,
        'MSI': setup.msi,
        'MSIX': setup.msix,
        'LINK_WAIT': 'none' if setup.link_wait is None else setup.link_wait,
        'EP_CMD': '1' if any(g.cmd for g in setup.guests
                             if g.role == 'ep') else '',
        'LOAD': ' '.join(load),
        'NET': '1' if guest.net else '',
        'ROOTFS': ROOTFS if setup.rootfs else '',
        'INTERACTIVE': '1' if guest.interactive else '',
        'IDLE': '1' if guest.idle else '',
        'NOLINK': '' if setup.link else '1',
        'MESSAGES': '' if iommu.notifies else '1',
        **guest.env,
    }


def guest_commands(role: str) -> List[str]:
    """Return the commands that a guest with that role has in PATH."""
    with open(os.path.join(GUEST_SCRIPTS, 'commands.txt'),
              encoding='utf-8') as file:
        fields = [line.split('|') for line in file if line[0] != '#']
    return [name for name, guest, *_ in fields if guest in ('all', role)]


def _add_functions(archive: Archive, setup: Setup,
                   guest: GuestOptions) -> None:
    """Add the scripts and the settings of all functions."""
    for instance in setup.functions:
        name, function = instance.name, instance.function
        for script, path in instance.scripts().items():
            archive.file(f'pciep/functions/{name}/{script}', path)
        env = instance.env(guest.name)
        if guest.role == 'host':
            if not setup.rootfs:
                programs.add(archive, function.host_programs,
                             setup.sysroot(guest))
            if function.host_tool:
                env['TOOL'] = function.host_tool(guest.kernel)
                _add_tool(archive, setup, guest, str(env['TOOL']))
        for tag, more in instance.tests().items():
            archive.data(f'pciep/instances/{tag}',
                         _assignments({**env, **more}))
        if function.folder:
            _add_own(archive, setup, guest, instance, function.folder)


def _add_own(archive: Archive, setup: Setup, guest: GuestOptions,
             instance: Instance, folder: Folder) -> None:
    """Add what function.toml asks for; see guest/own.sh."""
    own, role = f'pciep/own/{instance.tag}', guest.role
    lines = []
    for number, (name, command) in enumerate(
            instance.commands(role).items()):
        file = f'{own}.{role}.{number}'
        archive.data(file, command + '\n')
        lines.append(f'{name} /{file}\n')
    archive.data(f'{own}.{role}', ''.join(lines))
    if role == 'ep':
        archive.data(f'{own}.attributes', ''.join(
            f'{name} {instance.expand(value)}\n'
            for name, value in folder.attributes.items()))
    names, files = folder.programs[role]
    root = setup.sysroot(guest)
    programs.add(archive, names, root)
    build = setup.build or setup.rundir
    for file in files:
        sources.add_program(archive, file, folder.path, guest.kernel, build,
                            root)


def _add_tool(archive: Archive, setup: Setup, guest: GuestOptions,
              name: str) -> None:
    """Add a program that comes with the kernel, if it is there."""
    path = guest.kernel.program(name)
    if path:
        archive.file(f'pciep/bin/{name}', path)
    elif (setup.link and not guest.cmd and not guest.interactive
          and not guest.idle):
        raise CannotRun(f'no {name} for the host kernel '
                        f'{guest.kernel.release} in {guest.kernel.bindir}: '
                        f'run "{guest.arch.make}"')


def _add_modules(archive: Archive, setup: Setup,
                 guest: GuestOptions) -> List[str]:
    """Add modules, and return the names of those to insert at boot."""
    files: List[str] = []
    wanted = [name for instance in setup.functions
              for name in instance.function.modules(guest.role)]
    if guest.net:
        wanted += ['virtio_pci', 'virtio_net']
    if guest.ftrace:
        wanted += ['virtio_pci', 'virtio_console',
                   *(line.split()[1] for line in guest.ftrace
                     if line.startswith('graph '))]
    if setup.rootfs:
        wanted += ['virtio_pci', 'virtio_blk', 'ext4']
    if setup.shares:
        wanted += ['virtio_pci', '9pnet_virtio', '9p']
    if guest.role == 'ep' and setup.link:
        wanted.append(kernels.DRIVER)
        driver = guest.kernel.driver()
        files += [driver] if driver else []
        guest.kernel.correct(functions.corrected(setup.functions))
        ours = [name for i in setup.functions for name in i.own_modules]
        files += [guest.kernel.beside_driver(name)
                  for name in dict.fromkeys(ours)]
    mine = _own_modules(setup, guest)
    own = list(dict.fromkeys(path for found in mine.values()
                             for path in found))
    for path in [*own, *guest.modules]:
        if path.endswith('.ko'):
            guest.kernel.symbol_files[kernels.module_name(path)] = \
                os.path.abspath(path)
    resolved = modfile.resolve(guest.modules, guest.kernel, guest.arch.uname,
                               guest.role, own)
    wanted += [kernels.module_name(path) for path in own] + resolved.load
    kernels.add_modules(archive, guest.kernel, resolved.tree, wanted, files)
    setup.notes += [f'{guest.name}: {file} instead of {module}'
                    for module, file in resolved.replaced]
    _add_own_lists(archive, setup, guest, mine, resolved.tree)
    return resolved.load


def _own_modules(setup: Setup, guest: GuestOptions) -> Dict[str, List[str]]:
    """Build the modules of the users' functions: tag to files."""
    build = setup.build or setup.rundir
    found: Dict[str, List[str]] = {}
    built: Dict[str, List[str]] = {}  # by directory
    for instance in setup.functions:
        folder = instance.function.folder
        if not folder:
            continue
        if folder.path not in built:
            sources.check_names(guest.kernel, folder.path,
                                instance.function.modules(guest.role))
            built[folder.path] = sources.modules(
                folder.path, folder.sources[guest.role], guest.kernel, build,
                f'{guest.role}.modules')
        found[instance.tag] = built[folder.path]
    return found


def _add_own_lists(archive: Archive, setup: Setup, guest: GuestOptions,
                   mine: Mapping[str, List[str]],
                   tree: Optional[kernels.Modules]) -> None:
    """
    Add the list of what own_load in a guest inserts for each function.

    own_binds in the host needs to know for which devices that is.
    """
    for instance in setup.functions:
        if instance.tag in mine:
            names = [*instance.function.modules(guest.role),
                     *map(kernels.module_name, mine[instance.tag])]
            archive.data(f'pciep/own/{instance.tag}.modules',
                         ''.join(f'{name}\n' for name in names))
            if guest.role == 'host':
                # A user may add drivers that bind, too.
                also = list(map(kernels.module_name, guest.modules))
                archive.data(f'pciep/own/{instance.tag}.ids', ''.join(
                    f'{" ".join(words)}\n' for words in
                    modfile.pci_aliases([*names, *also], tree)))


def write_initramfs(setup: Setup, guest: GuestOptions) -> str:
    """Return the path of the archive that a guest boots into."""
    root = setup.sysroot(guest)
    archive = initramfs.base(GUEST_SCRIPTS, root)
    for name in guest_commands(guest.role):
        archive.symlink(f'pciep/bin/{name}', '../command.sh')
    if not setup.rootfs:
        programs.add(archive, guest.programs, root)
    _add_functions(archive, setup, guest)
    load = _add_modules(archive, setup, guest)
    archive.data('pciep/env', _assignments(_env(setup, guest, load)))
    archive.data('pciep/shares', ''.join(
        f'share{number} {path}\n'
        for number, (_, path) in enumerate(setup.shares)))
    if guest.cmd:
        archive.data('pciep/cmd', guest.cmd + '\n')
    if guest.ftrace:
        archive.data('pciep/ftrace',
                     ''.join(f'{line}\n' for line in guest.ftrace))
    targets = []
    for text in guest.files:
        source, target = split_file(text)
        archive.file(target, source)
        targets.append(target)
    archive.data('pciep/files', ''.join(f'{path}\n' for path in targets))
    if guest.ssh:
        ssh.add(archive, setup.rundir)
    path = os.path.join(setup.rundir, f'{guest.name}.initramfs')
    archive.write(path)
    return path
