#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Check that includes go one way between the rooms, as rooms.txt says

Prints a line "FILE:LINE: ..." for each include that its room may not have, for
each use of a function that stands in such a room, and for each circle of more
than three files that call each other's functions. Prints nothing when all is
well.
"""

import os
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]')
# A definition at the start of a line that is not static
FUNCTION = re.compile(r'^(?!static\b|typedef\b|#)\w[\w\s*]*?\b(\w+)\s*'
                      r'\((?:[^(){};]|\([^()]*\))*\)[\w\s(&>.,)-]*\{', re.M)
WORD = re.compile(r'\b[A-Za-z_]\w+\b')
MOST_IN_A_CIRCLE = 3


def read_table(path):
    """{room: what it may include}"""
    table = {}
    for line in path.read_text().splitlines():
        line = line.split('#')[0].strip()
        if line:
            room, _, allowed = line.partition(':')
            table[room] = allowed.split()
    return table


def room_of(file, table):
    """The room that a file is in, None outside of all rooms"""
    directory = os.path.dirname(file)
    if directory + '/*' in table:
        return directory + '/*'
    while directory:
        if directory in table:
            return directory
        directory = os.path.dirname(directory)
    return None


def resolve(file, name, files):
    """The file of ours that an include names, None for others"""
    own = os.path.dirname(file)
    for place in (own, '', 'include', 'linux/epc-ext'):
        candidate = os.path.normpath(os.path.join(place, name))
        if candidate in files:
            return candidate
    return None


def includes(files):
    """(file, line, included file) for all includes of our files"""
    for file in sorted(files):
        text = (TOP / file).read_text()
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            target = match and resolve(file, match[1], files)
            if target:
                yield file, number, target


def code_of(path):
    """The text of a file with comments and strings blanked, lines kept"""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"',
                  lambda m: re.sub(r'[^\n]', ' ', m[0]), path.read_text(),
                  flags=re.S)


def calls(files):
    """(file, line, defining file) for the uses of each other's functions"""
    code = {f: code_of(TOP / f) for f in sorted(files) if f.endswith('.c')}
    defined = {}
    for file, text in code.items():
        for match in FUNCTION.finditer(text):
            defined.setdefault(match[1], []).append(file)
    defined = {name: places[0] for name, places in defined.items()
               if len(places) == 1}
    for file, text in code.items():
        for number, line in enumerate(text.splitlines(), 1):
            for word in WORD.findall(line):
                if defined.get(word, file) != file:
                    yield file, number, defined[word]


def allowed(room, target, table):
    """May a file of the room include the target?"""
    return room_of(target, table) == room or target in table[room] or \
        room_of(target, table) in table[room]


def circles(edges):
    """The strongly connected parts of a graph, by Tarjan's algorithm"""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = []
            while not part or part[-1] != node:
                part.append(stack.pop())
            found.append(sorted(part))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def main():
    """Compare the includes of all our files with the table"""
    table = read_table(Path(__file__).with_name('rooms.txt'))
    files = {str(p.relative_to(TOP)) for top in ('hw', 'linux', 'include')
             for p in (TOP / top).rglob('*.[ch]')}
    edges = {}
    for what, uses in (('include', includes(files)), ('use', calls(files))):
        for file, line, target in uses:
            room = room_of(file, table)
            if room and not allowed(room, target, table):
                print(f'{file}:{line}: the room {room} may not {what}'
                      f' {target}; see scripts/build/checks/rooms.txt')
            if what == 'use':
                edges.setdefault(file, set()).add(target)
    for file in sorted(files):
        if not room_of(file, table):
            print(f'{file}:1: is in no room of'
                  ' scripts/build/checks/rooms.txt')
    for circle in circles(edges):
        if len(circle) > MOST_IN_A_CIRCLE:
            print(f'{circle[0]}:1: files use each other in a circle:'
                  f' {" ".join(circle)}')


if __name__ == '__main__':
    sys.exit(main())
