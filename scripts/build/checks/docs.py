#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Compare what the documentation names with what the tree has.

Prints a line for each difference and nothing else:

* a file in double backquotes that does not exist. ``endpoint/regs.c`` means
  any file whose path ends like that; NAME and the like stand for any word.
* a function of ours, written ``name()``, that no source file has;
* a lock of hw/ or linux/ that docs/devel/locking.rst or locking-linux.rst does
  not have, and one that only such a page has;
* an option of pci-ep-run that docs/system/launcher.rst does not have, or only
  the page has;
* a file that no section of MAINTAINERS has, and a pattern there that has none;
* a link of README.rst to a page that does not exist.
"""

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
LOCK_PAGES = {'hw/': 'docs/devel/locking.rst',
              'linux/': 'docs/devel/locking-linux.rst'}
SOURCES = ('hw/', 'include/', 'linux/', 'scripts/', 'tests/')

LITERAL = re.compile(r'``([^`\s]+)``')
FILE = re.compile(r'^(?:[\w.*{},-]+/)*[\w.*{},-]*'
                  r'(?:\.(?:c|h|py|sh|rst|txt)|/)$')
PATH = re.compile(r'^(?:hw|include|linux|scripts|tests|docs|configs)/'
                  r'[\w.*{},/-]+$')
FUNCTION = re.compile(r'^(\w+)\(\)$')
# What starts like this is ours, others belong to QEMU, Linux or libc
OURS = re.compile(r'^(?:epc_|epf_|epw_|ep_|qemu_ep_|pci_epc_ext_)')
# Files of QEMU, of Linux, and of a run
ELSEWHERE = ('/', '~', 'arch/', 'build/', 'drivers/', 'tools/',
             'docs/interop/', 'system/', 'hw/vfio-user', 'host.sh', 'host2.sh',
             'ep.sh', 'timeline.txt')
# A placeholder is a word in capitals
PLACEHOLDER = re.compile(r'(?<![A-Za-z])[A-Z]{2,}(?![A-Za-z])')

LOCK_MEMBER = re.compile(
    r'^\s+(?:QemuMutex|QemuRecMutex|QemuSpin|GMutex|GRecMutex|struct mutex|'
    r'spinlock_t|raw_spinlock_t|rwlock_t|struct rw_semaphore|struct semaphore|'
    r'struct srcu_struct|seqlock_t)\s+(\w+)(?:\s+\w+\([^)]*\))?;')
LOCK_GLOBAL = re.compile(
    r'^(?:static\s+)?(?:DEFINE_(?:STATIC_)?(?:MUTEX|SPINLOCK|SRCU|RWLOCK)'
    r'\((\w+)\)|(?:QemuMutex|GMutex|QemuSpin)\s+(\w+)(?:\s*=.*)?;)')
STRUCT = re.compile(r'^(?:typedef\s+|static\s+)*struct(?:\s+(\w+))?\s*\{')
STRUCT_END = re.compile(r'^\}\s*(\w+)?')


def tracked():
    """Files that git knows or would add"""
    output = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
        cwd=TOP, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in output.splitlines()
                  if (TOP / name).is_file())


def braces(text):
    """Expand a{b,c}d as the shell does"""
    match = re.search(r'\{([^{}]*)\}', text)
    if not match:
        return [text]
    return [whole for part in match.group(1).split(',')
            for whole in braces(text[:match.start()] + part
                                + text[match.end():])]


def exists(name, files, directories):
    """Is there a file or directory whose path ends with that name?"""
    pattern = PLACEHOLDER.sub('*', name).rstrip('/').replace('.../', '')
    for have in files | directories:
        if fnmatch.fnmatchcase(have, pattern) or \
                fnmatch.fnmatchcase(have, '*/' + pattern):
            return True
    return False


def locks_of(name):
    """Locks that a source file defines, as Type.member or as a name"""
    found, inside, members = [], None, []
    for line in (TOP / name).read_text(encoding='utf-8').splitlines():
        if start := STRUCT.match(line):
            inside, members = start.group(1) or '', []
        elif line.startswith('}') and inside is not None:
            end = STRUCT_END.match(line)
            owner = inside or (end and end.group(1)) or '?'
            found += [f'{owner}.{member}' for member in members]
            inside = None
        elif (match := LOCK_MEMBER.match(line)) and inside is not None:
            members.append(match.group(1))
        elif match := LOCK_GLOBAL.match(line):
            found.append(match.group(1) or match.group(2))
    return found


def check_locks(files, room, page):
    """Both ways: the page against the code of the room"""
    if not (TOP / page).exists():
        print(f'{page}: is missing')
        return
    text = (TOP / page).read_text(encoding='utf-8')
    named = set(LITERAL.findall(text))
    have = set()
    for name in files:
        if name.startswith(room) and name.endswith(('.c', '.h')):
            for lock in locks_of(name):
                have.add(lock)
                if lock not in named:
                    print(f'{page}: does not have {lock} of {name}')
    types = {lock.split('.')[0] for lock in have}
    in_tables = re.findall(r'^\s*\* - ``(\w+\.\w+|\w+_(?:lock|srcu))``',
                           text, re.M)
    for lock in in_tables:
        if lock not in have:
            print(f'{page}: {lock} is not a lock of {room}'
                  + ('' if lock.split('.')[0] in types else ' (nor its type)'))


def check_page(name, files, directories, words):
    """Files and functions that one page names"""
    text = (TOP / name).read_text(encoding='utf-8')
    for number, line in enumerate(text.splitlines(), 1):
        for literal in LITERAL.findall(line):
            function = FUNCTION.match(literal)
            if function:
                called = function.group(1)
                if OURS.match(called) and called not in words:
                    print(f'{name}:{number}: no source file has {literal}')
            elif PATH.match(literal) or FILE.match(literal):
                if literal.startswith(ELSEWHERE):
                    continue
                for one in braces(literal):
                    if not exists(one, files, directories):
                        print(f'{name}:{number}: {one} does not exist')
    if name == 'README.rst':
        for target in re.findall(r'^\.\. _[^:]+: (\S+)$', text, re.M):
            if ':' not in target and not (TOP / target).exists():
                print(f'{name}: links to {target}, which does not exist')


def check_launcher():
    """The page, which is the man page as well, has the options of --help"""
    page = 'docs/system/launcher.rst'
    text = (TOP / page).read_text(encoding='utf-8')
    output = subprocess.run(
        [sys.executable, TOP / 'scripts/pci-ep-run', '--help'],
        check=True, capture_output=True, text=True).stdout
    # A line that is too long for the terminal is broken at a hyphen
    known = set(re.findall(r'^  (?:-\w, )?(--[a-z][a-z-]*[a-z])',
                           output, re.M))
    have = set(re.findall(r'^\.\. option:: (?:-\w, )?(--[a-z-]+)',
                          text, re.M))
    for option in sorted(known - have):
        print(f'{page}: does not have the option {option}')
    for option in sorted(have - known):
        print(f'{page}: pci-ep-run has no option {option}')


def check_maintainers(names):
    """Each file is in a section, each pattern has a file"""
    text = (TOP / 'MAINTAINERS').read_text(encoding='utf-8')
    covered = set()
    for pattern in re.findall(r'^F: (\S+)$', text, re.M):
        found = {name for name in names
                 if fnmatch.fnmatchcase(name, re.sub('/$', '/*', pattern))}
        if not found:
            print(f'MAINTAINERS: no file for {pattern}')
        covered |= found
    for name in names:
        if name not in covered:
            print(f'MAINTAINERS: no section has {name}')


def main():
    """All pages"""
    names = tracked()
    files = set(names)
    directories = {str(parent) for name in names
                   for parent in Path(name).parents}
    words = set()
    for name in names:
        if name.startswith(SOURCES):
            try:
                text = (TOP / name).read_text('utf-8')
                words.update(re.findall(r'\w+', text))
            except UnicodeDecodeError:
                pass
    for name in names:
        if name.endswith('.rst'):
            check_page(name, files, directories, words)
    for room, page in LOCK_PAGES.items():
        check_locks(names, room, page)
    check_launcher()
    check_maintainers(names)


if __name__ == '__main__':
    sys.exit(main())
