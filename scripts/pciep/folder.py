# SPDX-License-Identifier: GPL-2.0-or-later
"""
Reads function.toml: an endpoint function that its author describes.

docs/system/own-function has all keys.  Each wrong key or value is a
ValueError of one line, which names the file and the key and says what to
write.
"""

import os
import re
import tomllib
from typing import Any, Dict, List, Mapping, Optional, Tuple

from . import did_you_mean
from .functions import KINDS, SIZE, Folder, Function, Option
from .image.sources import has_kbuild


FILE = 'function.toml'
ROLES = ('ep', 'host')

_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*')
_KEY = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_IDS = re.compile(r'(?:0x)?([0-9a-fA-F]{4}):(?:0x)?([0-9a-fA-F]{4})')
# What PCI allows
_MOST_MSI, _MOST_MSIX = 32, 2048
# What is added to the time limits of the tests by default
BOOT_SECONDS = 60


class _Table:
    """
    A table of the file, from which known keys are taken.

    :param file: Name of the file, for errors.
    :param values: What the file has.
    :param path: Key of the table itself; '' is the file.
    """

    def __init__(self, file: str, values: Mapping[str, Any],
                 path: str = '') -> None:
        self.file, self.values, self.path = file, values, path
        self._known: List[str] = []

    def key(self, name: str) -> str:
        """Return how a user finds this key."""
        return f'{self.path}.{name}' if self.path else name

    def error(self, name: str, text: str) -> ValueError:
        """Return the error for a key."""
        return ValueError(f'{self.file}: {self.key(name)}: {text}')

    def _take(self, name: str, kind: type, what: str) -> Any:
        self._known.append(name)
        value = self.values.get(name)
        # A bool is an int in Python, and not in TOML.
        if value is not None and (not isinstance(value, kind) or
                                  kind is int and isinstance(value, bool)):
            raise self.error(name, f'write {what}')
        return value

    def text(self, name: str, example: str) -> Optional[str]:
        """Return a text that is not empty, None if there is none."""
        what = f'a text, for example {name} = "{example}"'
        value: Optional[str] = self._take(name, str, what)
        if value is not None and not value.strip():
            raise self.error(name, f'write {what}')
        return value

    def number(self, name: str, least: int, most: int) -> Optional[int]:
        """Return a number in that range, None if there is none."""
        what = f'a number from {least} to {most}'
        value: Optional[int] = self._take(name, int, what)
        if value is not None and not least <= value <= most:
            raise self.error(name, f'write {what}')
        return value

    def value(self, name: str, what: str) -> str:
        """Return a text or a number that must be there, as text."""
        found = self._take(name, object, what)
        if isinstance(found, bool) or not isinstance(found, (str, int)):
            raise self.error(name, f'write {what}')
        return str(found)

    def flag(self, name: str) -> bool:
        """Return true or false, which is the default."""
        return bool(self._take(name, bool, 'true or false'))

    def texts(self, name: str, example: str) -> List[str]:
        """Return a list of texts, empty if there is none."""
        what = f'a list of texts, for example {name} = ["{example}"]'
        found = self._take(name, list, what) or []
        if not all(isinstance(one, str) and one.strip() for one in found):
            raise self.error(name, f'write {what}')
        return list(found)

    def table(self, name: str) -> '_Table':
        """Return a table, empty if there is none."""
        found = self._take(name, dict, f'a table, [{self.key(name)}]')
        return _Table(self.file, found or {}, self.key(name))

    def pairs(self, name: str, example: str,
              numbers: bool = False) -> Dict[str, str]:
        """Return a table of texts, or of numbers as well, in its order."""
        table = self.table(name)
        for key, value in table.values.items():
            good = isinstance(value, str) or (
                numbers and isinstance(value, int)
                and not isinstance(value, bool))
            if not good:
                raise table.error(key, f'write a text, for example {example}')
        return {key: str(value) for key, value in table.values.items()}

    def end(self) -> None:
        """Refuse the keys that were not taken."""
        for name in self.values:
            if name not in self._known:
                known = list(dict.fromkeys(self._known))
                hint = did_you_mean(name, known, '; ', '') or \
                    f'; there is {", ".join(known)}'
                raise self.error(name, f'there is no such key{hint}')


class _Reader:
    """Makes a function of what a file has."""

    def __init__(self, directory: str, file: str,
                 values: Mapping[str, Any]) -> None:
        self.directory = directory
        self.top = _Table(file, values)
        self.options: Dict[str, Option] = {}

    def _option(self, table: _Table) -> Option:
        words = table.texts('words', 'on')
        kind = table.text('kind', 'number') or 'text'
        if kind not in KINDS:
            raise table.error('kind', f'write {" or ".join(KINDS)}')
        about = table.text('about', 'how often it is done') or ''
        default = table.value('default', 'the value that holds when the '
                              'option is not given')
        table.end()
        option = Option(default=default, kind=kind, words=words,
                        about=about)
        try:
            option.check('default', option.default)
        except ValueError as error:
            raise table.error('default', str(error)) from None
        return option

    def _read_options(self) -> None:
        table = self.top.table('options')
        for name in table.values:
            # Both mean something for every function.
            if not _KEY.fullmatch(name) or name in ('controller', 'vfs'):
                raise table.error(name, 'choose another name, of letters, '
                                  'digits and _')
            self.options[name] = self._option(table.table(name))

    def _check_references(self, table: _Table, name: str, text: str) -> None:
        """Refuse $OPT_X in a text if there is no option x."""
        known = {f'OPT_{option.upper()}' for option in self.options}
        for match in re.finditer(r'\$\{?(OPT_\w+)', text):
            if match[1] not in known:
                raise table.error(
                    name, f'no option for ${match[1]}: add '
                    f'[options.{match[1][4:].lower()}]'
                    + did_you_mean(match[1], known, '; ', ''))

    def _memory(self, table: _Table) -> str:
        text = table.text('memory', '64M') or ''
        self._check_references(table, 'memory', text)
        if text and '$' not in text and not SIZE.fullmatch(text):
            raise table.error('memory', 'write a size such as 64M, or the '
                              'option that has it: "$OPT_SIZE"')
        return text

    def _modules(self, table: _Table) -> Tuple[List[str], List[str]]:
        """Return modules of the kernel and those of the author."""
        names: List[str] = []
        sources: List[str] = []
        for text in table.texts('modules', 'pci-epf-mine.ko'):
            path = os.path.join(self.directory, os.path.expanduser(text))
            if os.path.isdir(path) or text.endswith('.ko'):
                built = has_kbuild(module_directory(path))
                if not built and not os.path.isfile(path):
                    raise table.error(
                        'modules', f'no {text}: neither the file nor a '
                        f'Kbuild for it is in {module_directory(path)}')
                sources.append(os.path.normpath(path))
            elif '/' in text or not _NAME.fullmatch(text):
                raise table.error(
                    'modules', f'no directory {text}: write the name of a '
                    'module of the kernel, FILE.ko, or a directory with a '
                    'Kbuild')
            else:
                names.append(text)
        return names, sources

    def _programs(self, table: _Table) -> Tuple[List[str], List[str]]:
        """Return programs of this machine and files of the author."""
        names: List[str] = []
        files: List[str] = []
        for text in table.texts('programs', 'mine-test.c'):
            path = os.path.join(self.directory, os.path.expanduser(text))
            if os.path.isfile(path):
                files.append(os.path.normpath(path))
            elif '/' in text or text.endswith(('.c', '.sh')):
                raise table.error('programs', f'no file {path}: check the '
                                  'name')
            else:
                names.append(text)
        return names, files

    def _tests(self, table: _Table) -> Dict[str, str]:
        tests = table.pairs('tests', 'mine = "mine-test $NODE"')
        inner = table.table('tests')
        for name, command in tests.items():
            if not _NAME.fullmatch(name):
                raise inner.error(name, 'choose a name of letters, digits, '
                                  '_, . and -')
            if not command.strip():
                raise inner.error(name, 'write a command')
            self._check_references(inner, name, command)
        return tests

    def _attributes(self, table: _Table) -> Dict[str, str]:
        found = table.pairs('attributes', 'revid = "1"', numbers=True)
        inner = table.table('attributes')
        for name, value in found.items():
            if not re.fullmatch(r'[\w.*?/-]+', name) or '..' in name:
                raise inner.error(name, 'write the path of a file below the '
                                  'directory of the function')
            if '\n' in value:
                raise inner.error(name, 'write one line')
            self._check_references(inner, name, value)
        return found

    def _ids(self) -> str:
        text = self.top.text('ids', '1af4:10f0')
        match = _IDS.fullmatch(text or '')
        if not match:
            raise self.top.error(
                'ids', 'write vendor and device as lspci prints them, for '
                'example ids = "1af4:10f0"')
        return f'0x{match[1]}:0x{match[2]}'.lower()

    def _name(self) -> str:
        text = self.top.text('name', 'mine')
        if text is None:
            base = os.path.basename(os.path.realpath(self.directory))
            return re.sub(r'[^A-Za-z0-9_.-]', '-', base).lstrip('.-') or 'own'
        if not _NAME.fullmatch(text):
            raise self.top.error('name', 'write letters, digits, _, . and -')
        return text

    def _driver(self, ep: _Table) -> str:
        """Return the name of the endpoint driver."""
        name = ep.text('function', 'pci_epf_mine')
        script = os.path.join(self.directory, 'ep.sh')
        if name is None and not os.path.exists(script):
            raise ep.error('function', 'write the name in the id_table of '
                           'your endpoint driver, for example function = '
                           '"pci_epf_mine"')
        if name is not None and not _NAME.fullmatch(name):
            raise ep.error('function', 'write letters, digits, _, . and -')
        return name or ''

    def _dma(self, ep: _Table) -> Optional[str]:
        mode = ep.text('dma', 'slave')
        if mode not in (None, 'memcpy', 'slave', 'off'):
            raise ep.error('dma', 'write memcpy, slave or off'
                           + did_you_mean(mode or '', ('memcpy', 'slave'),
                                          '; ', ''))
        return mode

    def read(self) -> Tuple[str, Function]:
        """Return name and function."""
        top = self.top
        name, ids = self._name(), self._ids()
        about = top.text('about', 'what it does') or f'see {top.file}'
        test_seconds = top.number('test_seconds', 1, 86400) or 60
        seconds = top.number('seconds', 1, 86400)
        self._read_options()
        interrupts = top.table('interrupts')
        msi = interrupts.number('msi', 0, _MOST_MSI)
        msix = interrupts.number('msix', 0, _MOST_MSIX)
        remapping = interrupts.flag('remapping')
        ep, host = top.table('ep'), top.table('host')
        sides = {'ep': ep, 'host': host}
        modules = {role: self._modules(sides[role]) for role in ROLES}
        programs = {role: self._programs(sides[role]) for role in ROLES}
        tests = {role: self._tests(sides[role]) for role in ROLES}
        folder = Folder(
            path=self.directory,
            function=self._driver(ep),
            driver=host.text('driver', 'mine') or '',
            attributes=self._attributes(ep),
            sources={role: modules[role][1] for role in ROLES},
            programs=programs,
            tests=tests,
            test_seconds=test_seconds,
            memory={role: self._memory(sides[role]) for role in ROLES},
            msi=msi,
            msix=msix,
        )
        dma = self._dma(ep)
        for table in (interrupts, ep, host, top):
            table.end()
        return name, Function(
            about=about, endpoint=ids, folder=folder,
            # Both guests test at the same time.
            seconds=seconds or BOOT_SECONDS + test_seconds * max(
                1, *map(len, tests.values())),
            ep_modules=modules['ep'][0], host_modules=modules['host'][0],
            dma_mode=dma, remapping=remapping, options=self.options)


def module_directory(path: str) -> str:
    """Return the directory whose Kbuild makes what modules= names."""
    return path if os.path.isdir(path) else os.path.dirname(path)


def load(directory: str) -> Tuple[str, Function]:
    """Return the function that a directory describes, and its name."""
    directory = os.path.abspath(directory)
    file = os.path.join(directory, FILE)
    try:
        with open(file, 'rb') as opened:
            values = tomllib.load(opened)
    except FileNotFoundError:
        raise ValueError(f'no {FILE} in {directory}: "pci-ep-run '
                         'new-function DIR" writes one') from None
    except OSError as error:
        raise ValueError(f'{file}: {error.strerror}') from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{file}: {error}') from None
    return _Reader(directory, file, values).read()
