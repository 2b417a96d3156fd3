# SPDX-License-Identifier: GPL-2.0-or-later
"""
Modules that a user asks for, by name or as a file.

A file is checked against the kernel before anything boots: its
architecture, its vermagic, and whether all that it needs is there.
"""

import copy
from dataclasses import dataclass
import os
import re
import struct
from typing import Dict, List, Optional, Sequence, Set, Tuple

from .. import CannotRun, did_you_mean
from ..arch import ARCH, MACHINES
from .kernels import (DRIVER, DRIVER_NEEDS, Kernel, Modules, module_name,
                      read_module)


_OURS = {module_name(name) for name in (DRIVER, *DRIVER_NEEDS)}
_FILE = re.compile(r'\.ko(\.(xz|gz|zst))?$')


@dataclass(frozen=True, kw_only=True)
class ModuleFile:
    """
    What a file says about the module in it.

    :param path: The file.
    :param name: Name of the module, as the kernel spells it.
    :param arch: Architecture it is built for.
    :param vermagic: Kernel it is built for: release and settings.
    :param depends: Modules that it needs.
    :param aliases: Patterns of the devices that it is for.
    """
    path: str
    name: str
    arch: str
    vermagic: str
    depends: Tuple[str, ...] = ()
    aliases: Tuple[str, ...] = ()


def _section(data: bytes, wanted: bytes) -> bytes:
    """Return a section of an ELF file, b'' when it has none of that name."""
    if data[4] == 2:
        table, size, count, names = struct.unpack_from('<Q10xHHH', data, 40)
        entry = '<I20xQQ'
    else:
        table, size, count, names = struct.unpack_from('<I10xHHH', data, 32)
        entry = '<I12xII'
    found = [struct.unpack_from(entry, data, table + n * size)
             for n in range(count)]
    start, length = found[names][1:]
    strings = data[start:start + length]
    for name, start, length in found:
        if strings[name:].split(b'\0', 1)[0] == wanted:
            return data[start:start + length]
    return b''


def read(path: str, option: str) -> ModuleFile:
    """
    Return what a module file says.

    :param option: The option that named the file, for errors.
    """
    if not os.path.isfile(path):
        raise CannotRun(f'no module file {path}: check {option}')
    data = read_module(path)
    none = CannotRun(f'{path} is no kernel module: check {option}')
    if data[:4] != b'\x7fELF' or data[5:6] != b'\1':
        raise none
    try:
        machine = struct.unpack_from('<H', data, 18)[0]
        info = _section(data, b'.modinfo')
    except (struct.error, IndexError) as error:
        raise none from error
    fields: Dict[str, str] = {}
    aliases: List[str] = []
    for text in info.decode('utf-8', 'replace').split('\0'):
        key, _, value = text.partition('=')
        fields.setdefault(key, value)
        if key == 'alias':
            aliases.append(value)
    if 'vermagic' not in fields:
        raise none
    depends = fields.get('depends', '').split(',')
    return ModuleFile(
        path=path, name=fields.get('name') or module_name(path),
        arch=MACHINES.get(machine, f'machine {machine}'),
        vermagic=fields['vermagic'].strip(),
        depends=tuple(module_name(name) for name in depends if name),
        aliases=tuple(aliases))


_PCI_IDS = re.compile(r'pci:v([0-9A-F]{8}|\*)d([0-9A-F]{8}|\*)sv')


def pci_aliases(names: Sequence[str], tree: Optional[Modules]
                ) -> List[Tuple[str, str, str]]:
    """
    Return module, pattern and VENDOR:DEVICE of PCI drivers in modules.

    The pattern is one for the file "modalias" in sysfs.  The list is empty
    when one of the modules is built in, since nothing is known of that.
    """
    found: List[Tuple[str, str, str]] = []
    for name in names:
        paths = tree.closure(name) if tree else None
        if not tree or not paths:
            return []
        aliases = read(tree.file(paths[-1]), 'function.toml').aliases
        found += [(module_name(name), alias, _ids_of(match))
                  for alias in aliases if (match := _PCI_IDS.match(alias))]
    return found


def _ids_of(match: 're.Match[str]') -> str:
    """Return VENDOR:DEVICE as lspci prints them, * for any."""
    return ':'.join('*' if text == '*' else f'{int(text, 16):04x}'
                    for text in match.groups())


def _vermagic(kernel: Kernel) -> str:
    """Return the vermagic of a kernel, or as much of it as is known."""
    if kernel.modules:
        for path in sorted(kernel.modules.path.values()):
            match = re.search(rb'vermagic=([^\0]+)\0',
                              read_module(kernel.modules.file(path)))
            if match:
                return match[1].decode('ascii', 'replace').strip()
    return kernel.release


def _same_vermagic(module: str, kernel: str) -> bool:
    """Compare as the kernel does, which may know versions of symbols."""
    ours, theirs = module.split(), kernel.split()
    if not theirs:
        return True
    if len(theirs) == 1:
        return ours[:1] == theirs
    if 'modversions' in ours and 'modversions' in theirs:
        return ours[1:] == theirs[1:]
    return ours == theirs


def _how_to_build(kernel: Kernel) -> str:
    tree = os.path.join(os.path.dirname(kernel.image), 'kbuild')
    if os.path.isdir(tree):
        words = ' '.join([tree, *ARCH[kernel.arch].make_args, 'M=DIR'])
        return f'build it with "make -C {words} modules"'
    return 'build it against the tree of that kernel'


def check(module: ModuleFile, kernel: Kernel, arch: str, guest: str) -> None:
    """Raise CannotRun unless the kernel would take the module."""
    if module.arch != arch:
        raise CannotRun(f'{module.path} is for {module.arch} and the '
                        f'{guest} guest is {arch}: {_how_to_build(kernel)}')
    wanted = _vermagic(kernel)
    if not _same_vermagic(module.vermagic, wanted):
        raise CannotRun(
            f"{module.path} is built for '{module.vermagic}' and the {guest} "
            f"kernel is '{wanted}': {_how_to_build(kernel)}")


def _check_name(text: str, kernel: Kernel, guest: str, option: str) -> None:
    """Raise CannotRun unless the kernel has a module of that name."""
    if not kernel.modules:
        raise CannotRun(
            f'nothing is known about the modules of the {guest} kernel '
            f'{kernel.label}, so not about {text} either: pass '
            f'{option}s DIR, or {option} FILE.ko')
    if kernel.modules.closure(text) is None:
        known = {*kernel.modules.path, *kernel.modules.builtin}
        hint = did_you_mean(module_name(text), known)
        raise CannotRun(
            f'the {guest} kernel {kernel.label} has no module {text}: '
            f'{hint}{option} takes a FILE.ko, too')


class _Adder:
    """Adds module files to a tree, each after the ones that it needs."""

    def __init__(self, tree: Modules, files: Dict[str, ModuleFile],
                 kernel: Kernel, guest: str, option: str) -> None:
        self._tree = tree
        self._files = files
        self._kernel = kernel
        self._guest = guest
        self._option = option
        self._added: Set[str] = set()

    def _paths(self, needed: str, module: ModuleFile) -> List[str]:
        """Return the paths to insert for a module that another one needs."""
        if needed in self._files:
            self.add(self._files[needed])
        paths = self._tree.closure(needed)
        if paths is None and needed in map(module_name, DRIVER_NEEDS):
            file = self._kernel.beside_driver(needed.replace('_', '-'))
            self._tree.add(needed, file, [])
            paths = self._tree.closure(needed)
        if paths is None:
            raise CannotRun(
                f'{module.path} needs the module {needed}, which the '
                f'{self._guest} kernel {self._kernel.label} does not have: '
                f'pass it with {self._option} as well')
        return paths

    def add(self, module: ModuleFile) -> None:
        """Add a file, unless it was added for another one."""
        if module.name in self._added:
            return
        self._added.add(module.name)
        needs: List[str] = []
        for needed in module.depends:
            needs += self._paths(needed, module)
        self._tree.add(module.name, module.path, list(dict.fromkeys(needs)))


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """
    What a guest gets.

    :param load: Names of the modules that the options ask for.
    :param tree: The tree of the kernel with the files in it.  The tree of
                 the kernel itself stays as it is.
    :param replaced: Files of functions, and those of the options that stand
                     for them.
    """
    load: List[str]
    tree: Optional[Modules]
    replaced: List[Tuple[str, str]]


def _file(path: str, kernel: Kernel, arch: str, guest: str, option: str
          ) -> ModuleFile:
    """Return what a module file says, if the kernel would take it."""
    module = read(path, option)
    check(module, kernel, arch, guest)
    if module.name in _OURS:
        raise CannotRun(f'{path} belongs to the controller\'s driver: '
                        'pass it with --ep-driver')
    return module


def resolve(texts: Sequence[str], kernel: Kernel, arch: str, role: str,
            own: Sequence[str] = ()) -> Resolved:
    """
    Return what --host-module or --ep-module and functions ask for.

    :param texts: Names and files, in the order of the options.
    :param role: "host" or "ep".
    :param own: Files of functions of the user's.  A file of the options with
                the same name stands for one.
    """
    option, guest = f'--{role}-module', 'endpoint' if role == 'ep' else role
    built: Dict[str, ModuleFile] = {}
    for path in own:
        module = _file(path, kernel, arch, guest, 'function.toml')
        other = built.setdefault(module.name, module)
        if other.path != path:
            raise CannotRun(f'{other.path} and {path} are modules of one '
                            'name: rename one')
    files: Dict[str, ModuleFile] = {}
    load: List[str] = []
    named: Dict[str, str] = {}  # by name: as the user wrote it
    for text in texts:
        name = module_name(text)
        if _FILE.search(text):
            module = _file(text, kernel, arch, guest, option)
            name = module.name
            files[name] = module
        else:
            named[name] = text
        load.append(name)
    replaced = [(module.path, files[name].path)
                for name, module in built.items() if name in files]
    files = {**built, **files}
    for name, text in named.items():
        if name not in files and name not in _OURS:
            _check_name(text, kernel, guest, option)
    if not files:
        return Resolved(load=load, tree=kernel.modules, replaced=replaced)
    tree = copy.deepcopy(kernel.modules) or Modules('')
    adder = _Adder(tree, files, kernel, guest, option)
    for module in files.values():
        adder.add(module)
    return Resolved(load=load, tree=tree, replaced=replaced)
