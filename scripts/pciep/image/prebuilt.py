# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that a CI system built: an image and a tar, files or URLs."""

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from typing import Callable, Optional
import urllib.error
import urllib.parse
import urllib.request

from .. import CannotRun, cache_dir
from .kernels import image_arch

# Seconds for a whole download, and for a server that sends nothing
WHOLE, SILENT = 600.0, 30.0
UNPACK = 600.0  # seconds
MOST = 4 << 30  # bytes of a download
_PIECE = 1 << 20
_KEPT = 8  # kernels in the cache; those that were used last
_RECENT = 3600  # seconds in which a kernel may be in use
Tell = Callable[[str], None]


def is_url(place: str) -> bool:
    """Return whether a user means a URL, and not a file."""
    return '://' in place


def check(option: str, place: str) -> str:
    """Return what is wrong with the value of an option, '' if nothing is."""
    if is_url(place):
        if urllib.parse.urlsplit(place).scheme not in ('http', 'https'):
            return f'{option}: write a file, or a URL of http or https'
    elif not os.path.isfile(place):
        return f'{option}: no file {place}: check the path'
    return ''


def _top() -> str:
    top = os.path.join(cache_dir(), 'prebuilt')
    os.makedirs(top, exist_ok=True)
    return top


def _forget() -> None:
    """Remove the kernels of the cache that nobody used for longest."""
    names = [os.path.join(_top(), name) for name in os.listdir(_top())]
    names.sort(key=os.path.getmtime, reverse=True)
    for path in names[_KEPT:]:
        if time.time() - os.path.getmtime(path) > _RECENT:
            shutil.rmtree(path, ignore_errors=True)


def _receive(url: str, file: str) -> None:
    """Write what a URL has to a file, or raise CannotRun."""
    end, size = time.monotonic() + WHOLE, 0
    try:
        with urllib.request.urlopen(url, timeout=SILENT) as source, \
                open(file, 'wb') as out:
            while piece := source.read1(_PIECE):
                size += len(piece)
                if time.monotonic() > end:
                    raise TimeoutError(f'not complete within {WHOLE:g} s')
                if size > MOST:
                    raise CannotRun(f'{url} has more than {MOST >> 30} GiB: '
                                    'check that it is a kernel')
                out.write(piece)
            promised = source.headers.get('Content-Length')
    except (OSError, ValueError, urllib.error.URLError) as error:
        why = getattr(error, 'reason', '') or error
        code = getattr(error, 'code', '')
        raise CannotRun(
            f'cannot download {url}: {code and f"{code} "}{why}; check the '
            'URL, or download it yourself and give the file') from error
    if promised and int(promised) != size:
        raise CannotRun(f'cannot download {url}: it ended after {size} of '
                        f'{promised} bytes; try again')


def _digest(file: str) -> str:
    key = hashlib.sha256()
    with open(file, 'rb') as content:
        while piece := content.read(_PIECE):
            key.update(piece)
    return key.hexdigest()[:24]


def _made(place: str, tell: Tell, kind: str,
          make: Callable[[str, str], None]) -> str:
    """
    Return the directory of the cache with what was made of a file.

    Its name is that of the content, so a URL is downloaded each time, and
    unpacked once.

    :param make: Called with the file and an empty directory.
    """
    with tempfile.TemporaryDirectory(dir=_top(), prefix='.new-') as new:
        file = place
        if is_url(place):
            tell(f'downloading {place}')
            file = os.path.join(new, 'download')
            _receive(place, file)
        target = os.path.join(_top(), f'{kind}-{_digest(file)}')
        if not os.path.isdir(target):
            content = os.path.join(new, 'content')
            os.mkdir(content)
            make(file, content)
            try:
                os.rename(content, target)
            except OSError:
                if not os.path.isdir(target):  # another run made it
                    raise
    os.utime(target)
    _forget()
    return target


def image(place: str, tell: Tell) -> str:
    """Return the file of a kernel image; one with gzip is unpacked."""

    def make(file: str, directory: str) -> None:
        with open(file, 'rb') as content:
            packed = content.read(2) == b'\x1f\x8b'
        target = os.path.join(directory, 'image')
        try:
            with gzip.open(file) if packed else open(file, 'rb') as source, \
                    open(target, 'wb') as out:
                shutil.copyfileobj(source, out)
        except (OSError, EOFError) as error:
            raise CannotRun(f'cannot read the kernel image {place}: {error}; '
                            'pack it again') from error
        with open(target, 'rb') as kernel:
            if not image_arch(kernel.read(0x206)):
                raise CannotRun(f'{place} is no kernel image: give the '
                                'bzImage, or the Image of arm64')

    return os.path.join(_made(place, tell, 'image', make), 'image')


def _tree(directory: str) -> Optional[str]:
    """Return the directory that has lib/modules, None without one."""
    for top in (directory, os.path.join(directory, 'usr')):
        if os.path.isdir(os.path.join(top, 'lib/modules')):
            return top
    return None


def _unpack(place: str, file: str, directory: str) -> None:
    """Unpack a tar; GNU tar knows how it is compressed."""
    try:
        done = subprocess.run(
            ['tar', '-xf', file, '-C', directory, '--no-same-owner',
             '--delay-directory-restore'], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=UNPACK, check=False,
            env={**os.environ, 'LC_ALL': 'C'})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRun(f'cannot unpack {place}: {error}') from error
    if done.returncode:
        lines = done.stderr.decode(errors='replace').splitlines()
        why = next((line for line in lines if 'Exiting' not in line
                    and 'is not recoverable' not in line), 'no reason given')
        raise CannotRun(
            f'{place} is damaged or no tar ({why}): pack it again, as '
            '"tar -cJf modules.tar.xz -C INSTALL_MOD_PATH lib"')


def modules(place: str, tell: Tell) -> str:
    """Return the INSTALL_MOD_PATH that a tar has, with modules.dep."""

    def make(file: str, directory: str) -> None:
        _unpack(place, file, directory)
        top = _tree(directory)
        if not top:
            raise CannotRun(
                f'{place} has no lib/modules: pack what "make modules_install '
                'INSTALL_MOD_PATH=DIR" put into DIR')
        for release in os.listdir(os.path.join(top, 'lib/modules')):
            tree = os.path.join(top, 'lib/modules', release)
            if os.path.isdir(tree) \
                    and not os.path.exists(os.path.join(tree, 'modules.dep')):
                _depmod(place, top, release)

    found = _tree(_made(place, tell, 'modules', make))
    assert found
    return found


def _depmod(place: str, top: str, release: str) -> None:
    path = os.environ.get('PATH', '') + ':/sbin:/usr/sbin'
    program = shutil.which('depmod', path=path) or 'depmod'
    try:
        subprocess.run([program, '-b', top, release], check=True,
                       stdin=subprocess.DEVNULL, timeout=UNPACK,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotRun(f'the modules of {place} have no modules.dep, and '
                        f'depmod does not make it: {error}') from error
