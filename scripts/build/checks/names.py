#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Check the names of static functions in hw/ and linux/

A name has more than one word, since debuggers, perf and backtraces show
nothing else, and no other file defines a function of that name. Prints a line
"FILE:LINE: ..." for each that differs, and nothing when all is well.
"""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
# A definition: from "static" at the start of a line to the name, over one or
# two lines, with a body and not a semicolon behind the parameters
STATIC = re.compile(r'^static\b[^;{}()=]*?\b(\w+)\s*\(', re.M)


def is_definition(text, start):
    """Is what begins with this parenthesis followed by a body?"""
    depth = 0
    for at in range(start, len(text)):
        if text[at] == '(':
            depth += 1
        elif text[at] == ')':
            depth -= 1
        elif depth == 0 and text[at] in '{;=':
            return text[at] == '{'
    return False


def static_functions(path):
    """(name, line) of each static function that a file defines"""
    text = path.read_text()
    for match in STATIC.finditer(text):
        if not match[1].startswith('__') and \
                is_definition(text, match.end() - 1):
            yield match[1], text.count('\n', 0, match.start(1)) + 1


def main():
    """Look at all files"""
    where = {}
    for top in ('hw', 'linux'):
        for path in sorted((TOP / top).rglob('*.[ch]')):
            for name, line in static_functions(path):
                where.setdefault(name, []).append(
                    f'{path.relative_to(TOP)}:{line}')
    for name, places in sorted(where.items()):
        if '_' not in name.strip('_'):
            for place in places:
                print(f'{place}: {name}() has a name of one word')
        if len({place.split(':')[0] for place in places}) > 1:
            print(f'{places[0]}: {name}() is also defined in'
                  f' {", ".join(places[1:])}')


if __name__ == '__main__':
    sys.exit(main())
