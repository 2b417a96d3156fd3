# SPDX-License-Identifier: GPL-2.0-or-later
"""
Addresses in reports of a kernel become file and line.

nm finds the symbol that the kernel names, in the module's file or in vmlinux,
and addr2line the line.  A module that was built without debug information,
and the kernel itself in a variant without vmlinux, stay as they are.
"""

import os
import re
import subprocess
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ..arch import ARCH
from ..image.kernels import Kernel


SECONDS = 60  # for one call of nm or addr2line; vmlinux is large
CACHED = 10000  # addresses

# include/linux/kallsyms.h: KSYM_SYMBOL_LEN, and "%pS" in lib/vsprintf.c
_SYMBOL = re.compile(r'\b([A-Za-z_][\w.]*)\+0x([0-9a-f]+)/0x([0-9a-f]+)'
                     r'(?: \[(\w+)\b[^\]]*\])?')
# Here the address is that of the instruction itself.  Others are where a call
# returns to.
_EXACT = re.compile(r'\bRIP: |\bpc : |\bWARNING: ')
# What prints a report is no place of interest.
_REPORTING = re.compile(r'dump_stack|show_(stack|trace)|'
                        r'__might_(sleep|resched)|__warn|report_bug|'
                        r'warn_slowpath|panic|asm_exc_|handle_bug|exc_|die|'
                        r'oops|kasan_|print_|lockdep_')
# Headers of the kernel, whose functions are inlined everywhere
_HEADERS = re.compile(r'(arch/[^/]+/)?include/')
_INLINED = ', inlined at '
_OUR_MODULES = re.compile(r'/scratch/modules-[^/]+/(linux/.*)')


class Symbol(NamedTuple):
    """A symbol of a file: section, and where it is in it."""
    section: str
    value: int
    size: int


class Address(NamedTuple):
    """What one "symbol+offset" stands for."""
    file: str
    section: str
    value: int


def _output(*args: str, data: str = '') -> str:
    """Return what a program prints, '' if it fails."""
    try:
        return subprocess.run(
            args, input=data.encode(), stdout=subprocess.PIPE, check=True,
            stderr=subprocess.DEVNULL, timeout=SECONDS
        ).stdout.decode('utf-8', 'replace')
    except (OSError, subprocess.SubprocessError):
        return ''


def _read_symbols(file: str, cross: str) -> Dict[str, List[Symbol]]:
    """Return the functions of a file by name."""
    found: Dict[str, List[Symbol]] = {}
    for line in _output(f'{cross}nm', '-f', 'sysv', '--defined-only',
                        file).splitlines():
        fields = [field.strip() for field in line.split('|')]
        if len(fields) == 7 and fields[2] in 'tTwW' and fields[1]:
            size = int(fields[4], 16) if fields[4] else 0
            found.setdefault(fields[0], []).append(
                Symbol(fields[6], int(fields[1], 16), size))
    return found


class Decoder:
    """
    Decodes what the kernel of one guest prints.

    :param kernel: Knows the files with the symbols.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._cross = ARCH[kernel.arch].cross
        self._symbols: Dict[str, Dict[str, List[Symbol]]] = {}
        self._places: Dict[Address, str] = {}
        tree = os.path.join(kernel.kbuild, 'source') if kernel.kbuild else ''
        self._tree = os.path.realpath(tree) + '/' if tree else ''

    def lines(self, lines: Iterable[str]) -> List[str]:
        """Return the lines with places behind the symbols in them."""
        lines = list(lines)
        found = [self._addresses(line) for line in lines]
        self._look_up([address for _, address in sum(found, [])])
        return [self._decoded(line, addresses)
                for line, addresses in zip(lines, found)]

    def place(self, report: Sequence[str]) -> str:
        """
        Return file and line that a report is about, '' if none is known.

        That is the innermost function of a module, else of the kernel.  An
        inlined function of a header of the kernel is no place of interest
        either: the line that calls it is.
        """
        found = [(match, self._places.get(address, ''))
                 for line in report
                 for match, address in self._addresses(line)]
        found = [(match, place) for match, place in found
                 if place and not _REPORTING.match(match[1])]
        modules = [one for one in found if one[0][4]]
        for match, place in modules or found:
            chain = place.split(_INLINED)
            line = next((one for one in chain if not _HEADERS.match(one)),
                        chain[0])
            return f'{line} in {match[1]}()'
        return ''

    def _addresses(self, line: str) -> List[Tuple['re.Match[str]', Address]]:
        """Return the symbols in a line that are known."""
        found = []
        for match in _SYMBOL.finditer(line):
            address = self._address(match, bool(_EXACT.search(line)))
            if address:
                found.append((match, address))
        return found

    def _address(self, match: 're.Match[str]',
                 exact: bool) -> Optional[Address]:
        offset, size = int(match[2], 16), int(match[3], 16)
        file = self._kernel.vmlinux
        if match[4]:
            file = self._kernel.symbols_of(match[4])
        if not file:
            return None
        if file not in self._symbols:
            self._symbols[file] = _read_symbols(file, self._cross)
        # The kernel's size reaches to the next symbol.
        fit = [symbol for symbol in self._symbols[file].get(match[1], ())
               if symbol.size <= size]
        if not fit or offset > size:
            return None
        symbol = max(fit, key=lambda symbol: symbol.size)
        value = symbol.value + offset - (0 if exact or not offset else 1)
        return Address(file, symbol.section, value)

    def _look_up(self, wanted: Sequence[Address]) -> None:
        """Ask addr2line for the places that are not known yet."""
        groups: Dict[Tuple[str, str], List[Address]] = {}
        if len(self._places) > CACHED:
            self._places.clear()
        for address in dict.fromkeys(wanted):
            if address not in self._places:
                groups.setdefault(address[:2], []).append(address)
        for (file, section), addresses in groups.items():
            args = [f'{self._cross}addr2line', '-i', '-a', '-e', file]
            if file != self._kernel.vmlinux:
                args += ['-j', section]
            output = _output(*args, data='\n'.join(
                f'{address.value:#x}' for address in addresses))
            blocks = re.split(r'^0x[0-9a-f]+\n', output, flags=re.M)[1:]
            for address, block in zip(addresses, blocks):
                self._places[address] = self._words(block.splitlines())

    def _words(self, places: Sequence[str]) -> str:
        """Return a place, with those that it is inlined in."""
        known = [self._shown(place) for place in places
                 if not place.startswith('??') and ':?' not in place]
        return _INLINED.join(known)

    def _shown(self, place: str) -> str:
        """Return FILE:LINE as people know the file."""
        path, _, line = place.partition(' (')[0].rpartition(':')
        # Sources of users are links: see image/sources and link-tree.
        path = os.path.realpath(path)
        ours = _OUR_MODULES.search(path)
        if ours:
            path = ours[1]
        elif self._tree and path.startswith(self._tree):
            path = path[len(self._tree):]
        return f'{path}:{line}'

    def _decoded(self, line: str,
                 addresses: Sequence[Tuple['re.Match[str]', Address]]) -> str:
        for match, address in reversed(addresses):
            place = self._places.get(address)
            if place:
                line = f'{line[:match.end()]} ({place}){line[match.end():]}'
        return line
