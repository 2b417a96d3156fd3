# SPDX-License-Identifier: GPL-2.0-or-later
"""
Modules and programs of a user's function, built from their sources.

Nothing is written into the directory of the user.  A directory below build/
has symbolic links to the files there, and the objects.  It belongs to one
directory of sources and one kernel, so the next build is incremental.  What
the compiler says is shown as it is, but with the names of the user's files.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from typing import Dict, Iterable, Iterator, List, Sequence, Set, Tuple

from .. import CannotRun, did_you_mean
from ..arch import ARCH
from . import programs
from .initramfs import Archive
from .kernels import Kernel, module_name, vermagic


FILES_LIMIT = 5000
_KBUILDS = ('Kbuild', 'Makefile')  # as the kernel looks for them
LOCK_SECONDS = 600

# What a build in the directory of the user has left there
_LEFT = re.compile(r'.*\.(o|ko|a|mod|mod\.c|cmd|order|symvers)|'
                   r'Module\.symvers|modules\.order|__pycache__')
# What a Kbuild file has besides lists of objects.  Comments are gone.
_OBJECTS = re.compile(r'obj-m\s*[:+]?=(.*)')
_PLAIN = re.compile(r'(ccflags|asflags|ldflags|[\w-]+-(y|objs)|[A-Z]\w*_\w+)'
                    r'[\w.-]*\s*[:+?]?=|$')
_AT = re.compile(r'^([\w+./-]+\.[chS]):(\d+)')


def _files(top: str) -> Iterator[str]:
    """Return the files of a user below a directory, relative to it."""
    count = 0
    for directory, names, files in os.walk(top):
        names[:] = sorted(n for n in names
                          if n[0] != '.' and not _LEFT.fullmatch(n))
        for file in sorted(files):
            if file[0] == '.' or _LEFT.fullmatch(file):
                continue
            count += 1
            if count > FILES_LIMIT:
                raise CannotRun(
                    f'{top} has more than {FILES_LIMIT} files: put '
                    'function.toml and its sources into a directory of '
                    'their own')
            yield os.path.relpath(os.path.join(directory, file), top)


def _mirror(top: str, work: str) -> None:
    """Make the links in work the same as the files below top."""
    wanted: Set[str] = set()
    for relative in _files(top):
        wanted.add(relative)
        source, link = os.path.join(top, relative), os.path.join(work,
                                                                 relative)
        if os.path.islink(link) and os.readlink(link) == source:
            continue
        os.makedirs(os.path.dirname(link), exist_ok=True)
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(source, link)
    for directory, _, files in os.walk(work):
        for file in files:
            path = os.path.join(directory, file)
            if os.path.islink(path) and \
                    os.path.relpath(path, work) not in wanted:
                os.unlink(path)


def _work_directory(build: str, top: str, kernel: str) -> str:
    """Return the directory for objects of top and that kernel."""
    key = hashlib.sha256(f'{top}\0{kernel}'.encode()).hexdigest()[:16]
    name = re.sub(r'[^\w.-]', '-', os.path.basename(top)) or 'own'
    work = os.path.join(os.path.abspath(build), 'own', f'{name}-{key}')
    if re.search(r'[\s:]', work):
        raise CannotRun(f'modules cannot be built in {work}, since make '
                        'takes no blank and no colon in a path: give another '
                        '--build-dir')
    os.makedirs(work, exist_ok=True)
    return work


class Lock:
    """Another run that builds the same is waited for."""

    def __init__(self, work: str) -> None:
        self._path = f'{work}.lock'

    def __enter__(self) -> None:
        self._file = open(self._path, 'w', encoding='utf-8')
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    self._file.close()
                    raise CannotRun(
                        f'another run holds {self._path} for more than '
                        f'{LOCK_SECONDS} s: end it') from None
                time.sleep(0.2)

    def __exit__(self, *_exc: object) -> None:
        self._file.close()


def _tell(line: str, directory: str, work: str, top: str) -> None:
    """Show a line of the compiler with the name of the user's file."""
    line = line.replace(work, top)
    match = _AT.match(line)
    if match and not os.path.isabs(match[1]):
        # From Linux 6.13 on paths are relative to the module.
        path = os.path.join(directory, match[1])
        if os.path.exists(path):
            line = path + line[match.end(1):]
    sys.stderr.write(line)


def environment() -> Dict[str, str]:
    """Return the environment without that of a make which runs us."""
    return {'LC_ALL': 'C',
            **{key: value for key, value in os.environ.items()
               if not key.startswith(('MAKE', 'MFLAGS', 'KBUILD_', 'LC_'))}}


def _run(args: Sequence[str], directory: str, work: str, top: str) -> int:
    """Run a compiler, and show what it says."""
    with subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding='utf-8', errors='replace',
            start_new_session=True, env=environment()) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                _tell(line, directory, work, top)
            return process.wait()
        except BaseException:
            os.killpg(process.pid, 9)
            raise
        finally:
            sys.stderr.flush()


def _top(folder: str, directory: str) -> str:
    """
    Return what is linked for a build in a directory.

    Sources below the folder of a function may include what is beside them.
    """
    inside = os.path.commonpath([folder, directory]) == folder
    return folder if inside else directory


def kbuild_modules(directory: str) -> Tuple[List[str], bool]:
    """
    Return the modules that a Kbuild file names, and whether these are all.

    A condition, a variable and another directory are not looked into.
    """
    path = next(os.path.join(directory, name) for name in _KBUILDS
                if os.path.isfile(os.path.join(directory, name)))
    with open(path, encoding='utf-8', errors='replace') as file:
        text = re.sub(r'#.*', '', file.read().replace('\\\n', ' '))
    found: List[str] = []
    certain = True
    for line in text.splitlines():
        match = _OBJECTS.match(line.strip())
        if match:
            words = match[1].split()
            found += [f'{word[:-2]}.ko' for word in words
                      if re.fullmatch(r'[\w-]+\.o', word)]
            certain &= all(re.fullmatch(r'[\w-]+\.o', w) for w in words)
        else:
            certain &= bool(_PLAIN.match(line.strip()))
    return list(dict.fromkeys(found)), certain


def _not_built(directory: str, files: Sequence[str],
               key: str) -> Tuple[str, bool]:
    """
    Return what is wrong with names of modules, '' if nothing seems to be.

    The other value says whether this is certain.
    """
    names, certain = kbuild_modules(directory)
    for file in files:
        if file not in names:
            have = ', '.join(names) or 'no module by name'
            hint = did_you_mean(file, names, '; ', '')
            return (f'{key} in function.toml names {file}, and the Kbuild '
                    f'file in {directory} builds {have}{hint}', certain)
    return '', True


def _build(folder: str, directory: str, files: List[str], kernel: Kernel,
           build: str, key: str) -> List[str]:
    """Build modules, all of the directory if none is named."""
    wrong, certain = _not_built(directory, files, key)
    if wrong and certain:
        raise CannotRun(wrong)
    if not kernel.kbuild:
        raise CannotRun(
            f'{directory} cannot be built for the kernel {kernel.label}: its '
            'build directory is not known; give IMG of --ep-kernel and '
            '--host-kernel inside that directory, or modules that "make '
            'modules_install" installed from it')
    top = _top(folder, directory)
    work = _work_directory(build, top, kernel.kbuild)
    place = os.path.normpath(os.path.join(work,
                                          os.path.relpath(directory, top)))
    with Lock(work):
        _mirror(top, work)
        status = _run(['make', '-s', '-C', kernel.kbuild, f'M={place}',
                       *ARCH[kernel.arch].make_args,
                       f'-j{os.cpu_count() or 1}', 'CFLAGS_MODULE=-g',
                       *(files or ['modules'])], directory, work, top)
    if status:
        raise CannotRun(f'{directory} does not build for the kernel '
                        f'{kernel.label}: ' + (
                            wrong or 'see the messages above'))
    if not files:
        with open(os.path.join(place, 'modules.order'),
                  encoding='utf-8') as order:
            files = [os.path.relpath(
                os.path.join(place, os.path.splitext(line.strip())[0]),
                place) + '.ko' for line in order]
    return [os.path.join(place, file) for file in files]


def modules(folder: str, wanted: Sequence[str], kernel: Kernel,
            build: str, key: str = 'modules') -> List[str]:
    """
    Return files of modules that are built for that kernel.

    :param folder: Directory of the function.
    :param wanted: FILE.ko, with a Kbuild beside it or not, and directories.
    :param build: The objects are below this directory.
    :param key: Where function.toml names them, for errors.
    """
    named: Dict[str, List[str]] = {}
    for path in wanted:
        directory, file = (path, '') if os.path.isdir(path) \
            else os.path.split(path)
        if has_kbuild(directory):
            named.setdefault(directory, []).append(file)
    built = {directory: _build(folder, directory,
                               [] if '' in files else files, kernel, build,
                               key)
             for directory, files in named.items()}
    found: List[str] = []
    for path in wanted:
        if os.path.isdir(path):
            found += built[path]
            continue
        directory, file = os.path.split(path)
        found.append(next((one for one in built.get(directory, [])
                           if os.path.basename(one) == file), path))
    for path in found:
        _check_vermagic(path, kernel)
    return list(dict.fromkeys(found))


def has_kbuild(directory: str) -> bool:
    """Return whether modules are built in a directory."""
    return any(os.path.isfile(os.path.join(directory, name))
               for name in _KBUILDS)


def _check_vermagic(path: str, kernel: Kernel) -> None:
    built_for = vermagic(path)
    if kernel.release and built_for != kernel.release:
        raise CannotRun(f'{path} is for the kernel {built_for}, and the '
                        f'guest runs {kernel.release}: build it again, or '
                        'put its Kbuild beside it')


def check_names(kernel: Kernel, folder: str, names: Iterable[str]) -> None:
    """Refuse names of modules that the kernel does not have."""
    if not kernel.modules:
        return
    for name in names:
        if kernel.modules.closure(name) is None:
            raise CannotRun(
                f'{folder}: the kernel {kernel.label} has no module {name}'
                + did_you_mean(module_name(name), [
                    *kernel.modules.path, *kernel.modules.builtin], '; ', ''))


def add_program(archive: Archive, path: str, folder: str, kernel: Kernel,
                build: str, root: str = '') -> None:
    """
    Put a program into /bin of a guest.

    :param root: Directory with the programs of another architecture.

    A source in C is compiled, and linked statically since the guests have no
    C library.  Other files are copied, with the libraries they load.
    """
    name = os.path.basename(path)
    if path.endswith('.c'):
        name = name[:-2]
        arch = ARCH[kernel.arch]
        compiler = f'{arch.cross}gcc' if arch.cross else 'cc'
        work = _work_directory(build, folder, f'programs{arch.suffix}')
        output = os.path.join(work, name)
        includes = []
        if kernel.kbuild:
            selftests = os.path.join(kernel.kbuild, 'source',
                                     'tools/testing/selftests')
            includes = ['-idirafter', selftests]
        with Lock(work):
            status = _run([compiler, '-O1', '-g', '-Wall', '-static',
                           '-pthread', *includes, '-o', output, path],
                          os.path.dirname(path), work, folder)
            if status:
                raise CannotRun(f'{path} does not compile: see the messages '
                                'above')
            archive.file(f'bin/{name}', output)
        return
    programs.copy(archive, path, root)
