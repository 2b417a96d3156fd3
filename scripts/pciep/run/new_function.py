# SPDX-License-Identifier: GPL-2.0-or-later
"""
pci-ep-run new-function: writes an endpoint function that works.

It is a copy of examples/counter under another name.  The tests run that
example, so what a user starts from is known to work.
"""

import os
import re
import shlex
import sys
import zlib
from typing import Dict, Optional, Sequence

from .. import functions
from . import status, usage


COMMAND = usage.NEW_FUNCTION
EXAMPLE = os.path.abspath(
    os.path.join(os.path.dirname(__file__), '../../../examples/counter'))

# Of the ids 1af4:10f0 to 10ff, which are for experiments, the tests of this
# project have the last four.
_FIRST_ID, _IDS = 0x10f0, 12
_EXAMPLE_ID = '10fc'
_LONGEST = 24

# A structure has the name of the function.
_NOT_IN_C = '''
auto break case char const continue current default do double else enum
extern float for goto if inline int long register restrict return short
signed sizeof static struct switch typedef union unsigned void volatile while
'''.split()


def check_name(name: str) -> str:
    """Return a name that can be part of names in C, or ValueError."""
    if not re.fullmatch(r'[a-z][a-z0-9_]*', name) or len(name) > _LONGEST:
        raise ValueError(f'the name "{name}" cannot be part of names in C: '
                         f'give --name with up to {_LONGEST} lower-case '
                         'letters, digits and _')
    if name in functions.available() or name in _NOT_IN_C:
        raise ValueError(f'the name {name} is taken: give another --name')
    return name


def name_of(directory: str) -> str:
    """Return the name that a directory suggests."""
    base = os.path.basename(os.path.abspath(directory)).lower()
    return re.sub(r'[\s.-]', '_', base)


def renamed(text: str, name: str) -> str:
    """Return a text or a file's name of the example with another name."""
    words = {
        'counter': name,
        'COUNTER': name.upper(),
        _EXAMPLE_ID: f'{_FIRST_ID + zlib.crc32(name.encode()) % _IDS:04x}',
    }
    return re.sub('|'.join(words), lambda match: words[match[0]], text)


def files(name: str) -> Dict[str, str]:
    """Return the files of a function of that name: name to contents."""
    found = {}
    for file in sorted(os.listdir(EXAMPLE)):
        path = os.path.join(EXAMPLE, file)
        if file[0] == '.' or not os.path.isfile(path):
            continue
        with open(path, encoding='utf-8') as opened:
            found[renamed(file, name)] = renamed(opened.read(), name)
    return found


def write(directory: str, name: str) -> None:
    """Write a function into a directory that is new or empty."""
    if os.path.isdir(directory) and os.listdir(directory):
        raise ValueError(f'{directory} is not empty: name a new directory')
    contents = files(name)
    os.makedirs(directory, exist_ok=True)
    for file, text in contents.items():
        with open(os.path.join(directory, file), 'x',
                  encoding='utf-8') as out:
            out.write(text)


def main(words: Sequence[str], program: str) -> int:
    """Run the command, and return the exit status."""
    parser = usage.Parser(
        prog=f'pci-ep-run {COMMAND}',
        description='Writes an endpoint function that works: its driver, a '
        'driver for the host, a test, Kbuild and function.toml.')
    parser.add_argument('directory', metavar='DIR',
                        help='a directory that is new or empty')
    parser.add_argument('--name', help='name of the function, in its files '
                        'and in C (default that of the directory)')
    options = parser.parse_args(words)
    problem: Optional[str] = None
    try:
        name = check_name(options.name or name_of(options.directory))
        write(options.directory, name)
    except ValueError as error:
        problem = str(error)
    except OSError as error:
        problem = f'cannot write {error.filename}: {error.strerror}'
    if problem:
        print(f'pci-ep-run: {problem}', file=sys.stderr)
        return status.CANNOT
    path = options.directory.rstrip('/') or '/'
    if '/' not in path:
        path = f'./{path}'
    print(f'{path} has the function {name}; README.rst there says what is '
          'what. Test it:\n    '
          + shlex.join([program, '--function', path]))
    return status.PASSED
