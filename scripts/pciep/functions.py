# SPDX-License-Identifier: GPL-2.0-or-later
"""
The endpoint functions that can be tested, and those that were asked for.

A directory NAME in scripts/functions describes one of them:

    function.py  defines FUNCTION, an object of the class Function
    ep.sh        sets the function up in the endpoint guest
    host.sh      drives and tests it in the host guest

More files that end in ".sh" are copied into both guests with these two.
Adding a function changes no other file.  A directory without function.py has
scripts that several functions share.

A directory of the user's describes a function with function.toml, see
folder.py.  It is named by its path.
"""

from dataclasses import dataclass, field
import functools
import importlib.util
import os
import re
import string
from typing import (Callable, Dict, List, Mapping, Optional, Sequence,
                    Set, Tuple)

from . import did_you_mean
from .image.kernels import Kernel


DIRECTORY = os.path.abspath(
    os.path.join(os.path.dirname(__file__), '../functions'))
DEFAULT = 'test'

MEMORY = 512  # MiB of a guest when nothing needs more
CONTROLLERS = 8
CONTROLLER_FUNCTIONS = 8

_UNITS = {'K': 10, 'M': 20, 'G': 30}
SIZE = re.compile(r'[1-9]\d*[KMG]')
KINDS = {
    'size': (SIZE, 'a size such as 64M or 1G'),
    'number': (re.compile(r'\d+'), 'a number'),
    'path': (re.compile(r'(?s).+'), 'a path'),
    'text': (re.compile(r'[^\n]*'), 'a text of one line'),
}


def size_of(text: str) -> int:
    """Return the bytes that an option of the kind "size" stands for."""
    return int(text[:-1]) << _UNITS[text[-1]]


@dataclass(frozen=True, kw_only=True)
class Option:
    """
    What may follow the name of a function on the command line.

    :param default: Value without the option.
    :param kind: A key of KINDS.  Not used with words.
    :param words: The values that are accepted, if these are few.
    :param about: Text for --list.
    :param needs: Another option and its value, without which this one does
                  nothing.
    :param unless: Another option beside which this one does nothing.
    """
    default: str
    about: str
    kind: str = 'path'
    words: Sequence[str] = ()
    needs: Optional[Tuple[str, str]] = None
    unless: str = ''

    def check(self, name: str, text: str) -> str:
        """Return text, or raise ValueError that names the option."""
        if self.words:
            good, hint = text in self.words, ' or '.join(self.words)
        else:
            pattern, hint = KINDS[self.kind]
            good = bool(pattern.fullmatch(text))
        if not good:
            raise ValueError(f'{name}={text}: write {hint}')
        return text


    def check_use(self, name: str, given: Sequence[str],
                  options: Mapping[str, str]) -> None:
        """
        Raise ValueError if the option does nothing beside the others.

        :param given: Names of all that the user gave.
        :param options: Values of all.
        """
        if self.needs and options[self.needs[0]] != self.needs[1]:
            other = self.needs[0]
            raise ValueError(f'{name}= does nothing with '
                             f'{other}={options[other]}: leave it out')
        if self.unless in given:
            raise ValueError(f'{name}= does nothing with {self.unless}=: '
                             'leave one of them out')


def _no_memory(_instance: 'Instance') -> int:
    return 0


def _no_arguments(_instance: 'Instance', _directory: str) -> List[str]:
    return []


@dataclass(frozen=True, kw_only=True)
class Folder:
    """
    What a directory with function.toml says beyond a Function.

    Mappings with the keys "ep" and "host" have what each side needs.

    :param path: The directory.
    :param function: Name of the endpoint driver, which is that of its
                     directory in configfs; '' if ep.sh does it all.
    :param driver: Name of the host's driver; '' without one.
    :param attributes: Files in configfs below the directory of the
                       function, and what is written to them, in order.
    :param sources: Module files, and directories with a Kbuild.
    :param programs: Names of programs of this machine, and files.
    :param tests: Commands by name, in order.
    :param test_seconds: Time limit of each of them.
    :param memory: Size that a guest needs in addition, '' for none.
    :param msi: MSI vectors; None is what the run has.
    :param msix: MSI-X vectors; None is what the run has.
    """
    path: str
    function: str
    driver: str
    attributes: Mapping[str, str]
    sources: Mapping[str, Sequence[str]]
    programs: Mapping[str, Tuple[Sequence[str], Sequence[str]]]
    tests: Mapping[str, Mapping[str, str]]
    test_seconds: int
    memory: Mapping[str, str]
    msi: Optional[int]
    msix: Optional[int]


@dataclass(frozen=True, kw_only=True)
class Function:
    """
    An endpoint function, the driver that tests it, and what both need.

    :param about: Text for --list.
    :param endpoint: Vendor and device id that the host looks for.
    :param host_modules: Modules of the kernel for the host guests.
    :param ep_modules: Modules of the kernel for the endpoint guest.
    :param own_modules: Modules of this project that implement it in the
                        endpoint guest.
    :param shared: A directory in scripts/functions with scripts that it has
                   together with other functions.
    :param vf_modules: Modules of this project that implement its virtual
                       functions.  The option "vfs" says how many it has.
    :param corrected: Modules of the endpoint guest's kernel that are
                      replaced by corrected ones with the option fixes=on.
    :param host_programs: Programs of this machine for the host guests.
    :param host_tool: Returns the name of a program that is built together
                      with the given kernel and tests the function.
    :param host_memory: MiB that a host guest needs in addition.
    :param ep_memory: Returns the same for the endpoint guest.
    :param ep_machine: Returns more arguments for the QEMU of the endpoint
                       guest.  It may make files in the given directory.
    :param dma_mode: Kind of DMA channel that the function must find; None
                     is what the driver offers by default.
    :param remapping: Its host driver needs several MSI vectors, and so
                      interrupt remapping.
    :param seconds: Time limit of the test.
    :param options: What may follow the name on the command line.
    :param hosts: Number of host guests, each on a controller of its own.
    :param folder: What its directory says, for a function of the user's.
    """
    about: str
    endpoint: str
    host_modules: Sequence[str] = ()
    ep_modules: Sequence[str] = ()
    own_modules: Sequence[str] = ()
    shared: str = ''
    vf_modules: Sequence[str] = ()
    corrected: Sequence[str] = ()
    host_programs: Sequence[str] = ()
    host_tool: Optional[Callable[[Kernel], str]] = None
    host_memory: int = 0
    ep_memory: Callable[['Instance'], int] = _no_memory
    ep_machine: Callable[['Instance', str], List[str]] = _no_arguments
    dma_mode: Optional[str] = None
    remapping: bool = False
    seconds: int = 300
    options: Mapping[str, Option] = field(default_factory=dict)
    hosts: int = 1
    folder: Optional[Folder] = None

    def modules(self, role: str) -> Sequence[str]:
        """Return the modules of the kernel for guests with that role."""
        return self.ep_modules if role == 'ep' else self.host_modules


def _load(name: str) -> Function:
    path = os.path.join(DIRECTORY, name, 'function.py')
    spec = importlib.util.spec_from_file_location(f'pciep_{name}', path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = module.FUNCTION
    assert isinstance(function, Function)
    return function


@functools.lru_cache(maxsize=None)
def available() -> Dict[str, Function]:
    """Return the functions of scripts/functions, the default one first."""
    names = [
        name for name in os.listdir(DIRECTORY)
        if os.path.exists(os.path.join(DIRECTORY, name, 'function.py'))
    ]
    names.sort(key=lambda name: (name != DEFAULT, name))
    return {name: _load(name) for name in names}


def scripts(name: str) -> Dict[str, str]:
    """Return the scripts of a function for the guests: name to path."""
    return scripts_in(os.path.join(DIRECTORY, name))


def scripts_in(directory: str) -> Dict[str, str]:
    """Return the scripts in a directory: name to path."""
    return {
        file: os.path.join(directory, file)
        for file in sorted(os.listdir(directory)) if file.endswith('.sh')
    }


def _is_path(text: str) -> bool:
    return '/' in text or text in ('.', '..')


def _split(text: str) -> Tuple[str, List[str]]:
    """Return name or path, and settings; a path may have a comma."""
    words = text.split(',')
    count = 1
    if _is_path(text):
        for most in range(len(words), 0, -1):
            if os.path.exists(os.path.expanduser(','.join(words[:most]))):
                count = most
                break
    return ','.join(words[:count]), words[count:]


def find(text: str) -> Tuple[str, Function]:
    """Return name and function for a name or a path, or ValueError."""
    # folder makes objects of the classes above.
    from . import folder  # pylint: disable=import-outside-toplevel
    if _is_path(text):
        path = os.path.expanduser(text)
        if os.path.basename(path) == folder.FILE:
            path = os.path.dirname(path) or '.'
        if not os.path.isdir(path):
            raise ValueError(f'no directory {text}: check the path')
        return folder.load(path)
    if text in available():
        return text, available()[text]
    if os.path.exists(os.path.join(text, folder.FILE)):
        raise ValueError(f'no function {text}: write ./{text} for the '
                         'directory')
    raise ValueError(f'no function {text}; there is {", ".join(available())}'
                     + did_you_mean(text, available(), '; ', ''))


_CONTROLLER = Option(default='0', kind='number',
                     about='which controller of the endpoint guest it is on')


@dataclass(kw_only=True)
class Instance:
    """
    A function as the user asked for it.

    :param name: Name of the function.
    :param function: The function itself.
    :param options: Value of each of its options.
    :param controller: Controller of the endpoint guest that it is on; with
                       several hosts the first one.
    :param number: Function number on its controller, and so in the host.
    :param index: Number among all functions that were asked for.
    """
    name: str
    function: Function
    options: Dict[str, str]
    controller: int
    number: int = 0
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> 'Instance':
        """Return what NAME[,OPTION=VALUE...] means, or raise ValueError."""
        word, settings = _split(text)
        name, function = find(word)
        known = {**function.options, 'controller': _CONTROLLER}
        options = {key: option.default for key, option in known.items()}
        given: List[str] = []
        for setting in settings:
            key, _, value = setting.partition('=')
            if key not in known:
                raise ValueError(f'{name} has no option {key}; '
                                 f'it has {", ".join(known)}'
                                 + did_you_mean(key, known, '; ', ''))
            options[key] = known[key].check(key, value)
            given.append(key)
        for key in given:
            known[key].check_use(key, given, options)
        controller = int(options.pop('controller'))
        if controller >= CONTROLLERS:
            raise ValueError(
                f'controller={controller}: at most {CONTROLLERS - 1}')
        found = cls(name=name, function=function, options=options,
                    controller=controller)
        for role in ('ep', 'host'):
            found.memory(role)
        return found

    def expand(self, text: str) -> str:
        """Return a text with the values of the options for $OPT_NAME."""
        return string.Template(text).safe_substitute(
            {f'OPT_{key.upper()}': value
             for key, value in self.options.items()})

    def memory(self, role: str) -> int:
        """Return the MiB that guests with that role need in addition."""
        function = self.function
        if function.folder:
            text = self.expand(function.folder.memory[role])
            if text and not SIZE.fullmatch(text):
                raise ValueError(f'{self.name}: memory of {role} is {text}: '
                                 'give the option a size such as 64M')
            return size_of(text) >> 20 if text else 0
        return (function.ep_memory(self) if role == 'ep'
                else function.host_memory)

    def scripts(self) -> Dict[str, str]:
        """Return its scripts for the guests: name to path."""
        if self.function.folder:
            return scripts_in(self.function.folder.path)
        shared = self.function.shared
        return {**(scripts(shared) if shared else {}), **scripts(self.name)}

    def commands(self, role: str) -> Mapping[str, str]:
        """Return the test commands of a function of the user's."""
        folder = self.function.folder
        return folder.tests[role] if folder else {}

    @property
    def endpoint(self) -> str:
        """Its ids, as Function.endpoint."""
        return self.expand(self.function.endpoint)

    @property
    def tag(self) -> str:
        """Name of this instance in the guests and in results."""
        return f'fn{self.index}'

    @property
    def vfs(self) -> int:
        """Number of its virtual functions."""
        return int(self.options.get('vfs', 0))

    @property
    def own_modules(self) -> Sequence[str]:
        """Modules of this project that the endpoint guest needs for it."""
        return [*self.function.own_modules,
                *(self.function.vf_modules if self.vfs else ())]

    def ep_machine(self, directory: str) -> List[str]:
        """Return more arguments for the QEMU of the endpoint guest."""
        args = self.function.ep_machine(self, directory)
        if self.vfs:
            # A setting of the controller, whose -device is made elsewhere.
            args += ['-set', f'device.epc{self.controller}.vfs={self.vfs}']
        return args

    def tests(self) -> Dict[str, Dict[str, object]]:
        """Return what a host tests: tag to settings that differ."""
        found: Dict[str, Dict[str, object]] = {self.tag: {}}
        for vf in range(1, self.vfs + 1):
            tag = f'{self.tag}v{vf}'
            found[tag] = {'TAG': tag, 'VF': vf}
        return found

    def env(self, guest: str) -> Dict[str, object]:
        """Return what the scripts in a guest know about it."""
        env: Dict[str, object] = {
            f'OPT_{key.upper()}': value for key, value in self.options.items()
        }
        env.update(
            FUNCTION=self.name,
            FN=self.number,
            INDEX=self.index,
            # The second host has one root port.
            CONTROLLER=0 if guest == 'host2' else self.controller,
            TAG=self.tag,
            ENDPOINT=self.endpoint,
            VF=0,
            DMA_MODE=self.function.dma_mode or '',
            # Of functions of the user's only, see guest/own-ep.sh
            OWN='',
        )
        if self.function.folder:
            env.update(self._own_env(self.function.folder))
        return env

    def _own_env(self, folder: Folder) -> Dict[str, object]:
        """Return what guest/own-ep.sh and guest/own-host.sh know."""
        return {
            'OWN': '1',
            'OWN_FUNCTION': folder.function,
            'OWN_DRIVER': folder.driver,
            'OWN_SECONDS': folder.test_seconds,
            'OWN_MSI': '' if folder.msi is None else folder.msi,
            'OWN_MSIX': '' if folder.msix is None else folder.msix,
        }


def instances(texts: Sequence[str]) -> List[Instance]:
    """
    Return the functions that the user asked for.

    The Nth function that is asked for on a controller has the number N.
    ValueError says what is wrong with the request.
    """
    found = [Instance.parse(text) for text in texts]
    _check_names(found)
    for index, new in enumerate(found):
        new.index = index
        new.number = sum(new.controller == other.controller
                         for other in found[:index])
        if new.function.hosts > 1 and len(found) > 1:
            raise ValueError(f'{new.name} needs both host guests: '
                             'give no other function')
    for number, count in enumerate(controllers(found)):
        if not 1 <= count <= CONTROLLER_FUNCTIONS:
            raise ValueError(
                f'{count} functions on controller {number}: give each '
                f'controller up to {CONTROLLER_FUNCTIONS}, and number '
                'controllers from 0')
        for new in found:
            if new.controller == number and new.vfs:
                _check_vfs(new, count)
    return found


def _check_names(found: Sequence[Instance]) -> None:
    """Refuse two functions of one name, which would share their files."""
    seen: Dict[str, Optional[str]] = {}
    for new in found:
        path = new.function.folder.path if new.function.folder else None
        if seen.setdefault(new.name, path) != path:
            raise ValueError(
                f'two functions are called {new.name}: set name in one '
                'function.toml')


def _check_vfs(instance: Instance, count: int) -> None:
    if instance.number:
        raise ValueError(
            'vfs: only the first function of a controller has them')
    if count + instance.vfs > CONTROLLER_FUNCTIONS:
        raise ValueError(
            f'vfs={instance.vfs} beside {count} functions: a controller has '
            f'{CONTROLLER_FUNCTIONS} of both together')


@dataclass(frozen=True, kw_only=True)
class Link:
    """
    A link between the endpoint guest and a host guest.

    :param number: Controller of the endpoint guest that it belongs to.
    :param functions: How many functions the host sees behind it.
    :param host: Name of the host guest.
    """
    number: int
    functions: int
    host: str


def controllers(found: Sequence[Instance]) -> List[int]:
    """Return how many functions each controller has."""
    if not found:
        return [1]
    last = max(i.controller + i.function.hosts - 1 for i in found)
    return [
        sum(i.controller <= number < i.controller + i.function.hosts
            for i in found) for number in range(last + 1)
    ]


def hosts(found: Sequence[Instance]) -> List[str]:
    """Return the names of the host guests."""
    count = max([i.function.hosts for i in found], default=1)
    return ['host'] + [f'host{n}' for n in range(2, count + 1)]


def links(found: Sequence[Instance]) -> List[Link]:
    """Return all links of the endpoint guest, by controller."""
    names = hosts(found)
    return [
        Link(number=number, functions=count,
             host=names[number] if len(names) > 1 else names[0])
        for number, count in enumerate(controllers(found))
    ]


def corrected(found: Sequence[Instance]) -> Set[str]:
    """Return the modules that are replaced for a function with fixes=on."""
    return {
        name
        for i in found if i.options.get('fixes') == 'on'
        for name in i.function.corrected
    }


def memory(role: str, found: Sequence[Instance]) -> str:
    """Return the memory that a guest needs, as QEMU writes it."""
    return f'{MEMORY + sum(i.memory(role) for i in found)}M'


def ep_commands(found: Sequence[Instance]) -> bool:
    """Return whether the endpoint guest runs tests of its own."""
    return any(i.commands('ep') for i in found)
