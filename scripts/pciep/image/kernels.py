# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel of a guest: image, modules, test programs, our driver."""

from dataclasses import dataclass, field
import gzip
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
from typing import Dict, Iterable, List, Optional, Set, Tuple

from .. import CannotRun, did_you_mean
from ..arch import ARCH, DEFAULT as DEFAULT_ARCH, of_kernel
from .initramfs import Archive


DRIVER = 'pcie-qemu-ep'
# The modules that the driver needs are built together with it.  They are
# inserted in this order.
DRIVER_NEEDS = ['pci-epc-ext']
# Kernels that can be built, and for what.  "make" builds the first one; the
# others are built when somebody asks for them.
VARIANTS = {
    '7': 'the usual one',
    '6.12': 'an older one',
    '7-debug': 'checks of locks, memory and DMA',
    '7-trace': 'tracers, probes, symbols for gdb, error injection',
    '7-kasan': 'checks of each access to memory, symbols for gdb',
    '7-64k': 'pages of 64 KiB, for arm64',
}
DEFAULT = '7'
# From larger trees, such as a distribution's, a guest gets only the modules
# that the run needs.
WHOLE_TREE_LIMIT = 64 << 20

# Bytes before the kernel proper in a bzImage: setup_sects, a byte, counts
# sectors after the first one.  The release is among them.
SETUP_MOST = 256 * 512

_COMPRESSED = re.compile(r'\.(xz|gz|zst)$')
_SIGNED = b'~Module signature appended~\n'


def module_name(path: str) -> str:
    """Return how the kernel spells the module of that file or name."""
    base = os.path.basename(path)
    return re.sub(r'\.ko(\.\w+)?$', '', base).replace('-', '_')


def image_arch(head: bytes) -> str:
    """Return the architecture of an image by its begin, '' if not known."""
    if head[0x202:0x206] == b'HdrS':
        return 'x86_64'
    return 'arm64' if head[0x38:0x3c] == b'ARM\x64' else ''


def read_release(image: str) -> str:
    """
    Return the release in a bzImage or an Image, '' for another kind of image.

    The field of a bzImage is kernel_version of the boot protocol
    (arch/x86/boot.rst in the documentation of Linux).  An Image of arm64
    (arch/arm64/booting.rst) has the text of /proc/version somewhere.
    """
    try:
        with open(image, 'rb') as file:
            head = file.read(SETUP_MOST)
            if image_arch(head) == 'arm64':
                match = re.search(rb'Linux version (\S+) ',
                                  head + file.read())
                return match[1].decode('ascii', 'replace') if match else ''
    except OSError as error:
        raise CannotRun(
            f'cannot read the kernel {image}: {error.strerror}; check the '
            'path or run "make" to build the default kernels') from error
    if image_arch(head) != 'x86_64':
        return ''
    offset = struct.unpack_from('<H', head, 0x20E)[0] + 0x200
    text = head[offset:offset + 128].split(b'\0')[0]
    return text.split(b' ')[0].decode('ascii', 'replace')


def version_of(release: str) -> Tuple[int, int]:
    """Return the first two numbers of a release, (0, 0) without such."""
    match = re.match(r'(\d+)\.(\d+)', release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


class Modules:
    """
    A lib/modules/RELEASE tree and what depends on what in it.

    :param root: The directory; '' is a tree that is empty at first.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        # By name of the module; paths are relative to the root.
        self.path: Dict[str, str] = {}
        # All that must be inserted before a module, in that order
        self.needs: Dict[str, List[str]] = {}
        self.builtin: Set[str] = set()
        # Path of a module: file that is taken instead
        self.corrected: Dict[str, str] = {}
        if not root:
            return
        self._read_dep()
        self.builtin = {module_name(line.strip())
                        for line in self._lines('modules.builtin')}
        self._read_softdep()

    def _lines(self, name: str) -> List[str]:
        """Return the lines of a file of depmod that need not be there."""
        try:
            with open(os.path.join(self.root, name),
                      encoding='utf-8') as file:
                return file.readlines()
        except OSError:
            return []

    def _read_dep(self) -> None:
        try:
            with open(os.path.join(self.root, 'modules.dep'),
                      encoding='utf-8') as file:
                for line in file:
                    path, _, needs = line.partition(':')
                    name = module_name(path)
                    self.path[name] = path
                    # modules.dep begins with what is inserted last.
                    self.needs[name] = needs.split()[::-1]
        except OSError as error:
            raise CannotRun(
                f'{self.root} has no modules.dep ({error.strerror}): give '
                'the directory that "make modules_install" filled, or run '
                'depmod on it') from error

    def _read_softdep(self) -> None:
        """
        Add what modprobe inserts before a module that does without it.

        ext4 of Linux 6.12 names crc32c this way, and mounts nothing without.
        A module that needs the first one in turn is left out.
        """
        aliases = {words[1]: words[2] for words in map(
            str.split, self._lines('modules.alias')) if len(words) == 3}
        for line in self._lines('modules.softdep'):
            words = line.partition(' post:')[0].split()
            if words[0] != 'softdep' or words[2:3] != ['pre:']:
                continue
            name = module_name(words[1])
            for other in words[3:] if name in self.path else ():
                more = self.closure(aliases.get(other, other)) or []
                if self.path[name] not in more:
                    self.needs[name] = list(dict.fromkeys(
                        more + self.needs[name]))

    def closure(self, name: str) -> Optional[List[str]]:
        """Return paths to insert for a module, None when it is not here."""
        name = module_name(name)
        if name not in self.path:
            return [] if name in self.builtin else None
        return self.needs[name] + [self.path[name]]

    def correct(self, name: str, file: str) -> None:
        """Take the given file for a module, if the tree has the module."""
        if name in self.path:
            self.corrected[self.path[name]] = file

    def add(self, name: str, file: str, needs: List[str]) -> None:
        """
        Add a module, or replace the one of that name.

        :param name: Its name, as the kernel spells it.
        :param file: Where it is.
        :param needs: Paths of what must be inserted before it.
        """
        path = self.path.setdefault(name, f'extra/{name}.ko')
        self.corrected[path] = file
        self.needs[name] = needs
        for other, paths in self.needs.items():
            if other != name and path in paths:
                at = paths.index(path)
                more = [need for need in needs if need not in paths[:at]]
                self.needs[other] = list(dict.fromkeys(
                    paths[:at] + more + paths[at:]))

    def file(self, relative: str) -> str:
        """Return the file of the module with that path."""
        return (self.corrected.get(relative)
                or os.path.join(self.root, relative))

    def size(self) -> int:
        """Return the bytes of all modules, estimated if compressed."""
        total = 0
        for path in self.path.values():
            try:
                size = os.path.getsize(os.path.join(self.root, path))
                total += size if path.endswith('.ko') else 4 * size
            except OSError:
                pass
        return total


def read_module(filename: str) -> bytes:
    """Return a module as insmod of busybox takes it: not compressed."""
    try:
        if filename.endswith('.xz'):
            with lzma.open(filename) as file:
                return file.read()
        if filename.endswith('.gz'):
            with gzip.open(filename) as file:
                return file.read()
        if filename.endswith('.zst'):
            if not shutil.which('zstd'):
                raise CannotRun(f'{filename} is compressed with zstd: '
                                'install the package zstd')
            return subprocess.run(['zstd', '-dcq', filename], check=True,
                                  stdout=subprocess.PIPE).stdout
        with open(filename, 'rb') as plain:
            return plain.read()
    except (OSError, lzma.LZMAError, subprocess.CalledProcessError) as error:
        raise CannotRun(f'cannot read the module {filename}: {error}; '
                        'rebuild it') from error


def _stripped(filename: str, arch: str) -> bytes:
    """Return a module without debug information, unless it is signed."""
    data = read_module(filename)
    if data.endswith(_SIGNED):
        return data
    with tempfile.TemporaryDirectory() as directory:
        plain, output = (os.path.join(directory, name)
                         for name in ('plain.ko', 'stripped.ko'))
        with open(plain, 'wb') as file:
            file.write(data)
        try:
            subprocess.run([f'{ARCH[arch].cross}strip', '--strip-debug', '-o',
                            output, plain],
                           check=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            return data
        return read_module(output)


def vermagic(filename: str) -> str:
    """Return the release a module is built for, '' if it has none."""
    match = re.search(rb'vermagic=(\S+)', read_module(filename))
    return match[1].decode('ascii', 'replace') if match else ''


@dataclass(kw_only=True)
class Kernel:
    """
    The kernel of a guest with all that belongs to it.

    :param image: The bzImage or Image.
    :param arch: Key of ARCH.
    :param release: Its release, '' when unknown.
    :param modules: Its modules, if there are such.
    :param bindir: Where programs are that were built from its source.
    :param drivers: Files of our driver that may fit this kernel.
    :param own_driver: The user named the driver, so it is taken rather than
                       one in the tree.
    :param corrected_dir: Where "make" built modules of this kernel a second
                          time, with errors corrected.
    :param kbuild: Directory to build modules against, if it is known.
    :param config: Its configuration, '' if it is not known.
    :param vmlinux: The kernel with debug information, '' without.
    :param symbols: Directories with modules that have debug information.
    :param symbol_files: The same of single modules, by name.
    """
    image: str
    arch: str = DEFAULT_ARCH
    release: str = ''
    modules: Optional[Modules] = None
    bindir: str = ''
    drivers: List[str] = field(default_factory=list)
    own_driver: bool = False
    corrected_dir: Optional[str] = None
    kbuild: Optional[str] = None
    config: str = ''
    vmlinux: str = ''
    symbols: List[str] = field(default_factory=list)
    symbol_files: Dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.release = self.release or read_release(self.image)
        self.drivers = [d for d in self.drivers if os.path.exists(d)]

    @property
    def version(self) -> Tuple[int, int]:
        """The first two numbers of the release."""
        return version_of(self.release)

    @property
    def label(self) -> str:
        """What people call this kernel."""
        return self.release or self.image

    @property
    def make(self) -> str:
        """What builds our driver for the kernels that "make" builds."""
        return ARCH[self.arch].make

    def program(self, name: str) -> Optional[str]:
        """Return the path of a program from the kernel's source."""
        path = os.path.join(self.bindir, name)
        return path if self.bindir and os.path.exists(path) else None

    def correct(self, names: Iterable[str]) -> None:
        """Take the corrected ones of these modules, where they are built."""
        if not self.modules or not self.corrected_dir:
            return
        for file in sorted(os.listdir(self.corrected_dir)):
            path = os.path.join(self.corrected_dir, file)
            if (file.endswith('.ko') and module_name(file) in names
                    and vermagic(path) == self.release):
                self.modules.correct(module_name(file), path)

    def symbols_of(self, module: str) -> str:
        """Return the file with the symbols of a module, '' if none is."""
        if module in self.symbol_files:
            return self.symbol_files[module]
        for directory in self.symbols:
            for name in (module, module.replace('_', '-')):
                path = os.path.join(directory, f'{name}.ko')
                if os.path.exists(path):
                    return path
        paths = self.modules.closure(module) if self.modules else None
        path = self.modules.file(paths[-1]) if self.modules and paths else ''
        return path if path.endswith('.ko') else ''

    def lacks(self, options: Iterable[str]) -> List[str]:
        """Return those options that its configuration is known to lack."""
        try:
            with open(self.config, encoding='utf-8') as file:
                lines = set(file.read().split())
        except OSError:
            return []
        return [option for option in options
                if not {f'{option}=y', f'{option}=m'} & lines]

    def driver(self) -> Optional[str]:
        """Return the file of our driver, None when it is in the tree."""
        if (self.modules and not self.own_driver
                and self.modules.closure(DRIVER) is not None):
            return None
        for path in self.drivers:
            if not self.release or vermagic(path) == self.release:
                return path
        have = ''
        if self.drivers:
            have = f'; found {self.drivers[0]} for {vermagic(self.drivers[0])}'
        raise CannotRun(
            f'no {DRIVER}.ko for the endpoint kernel {self.label}{have}: run '
            f'"{self.make}", or build linux/ against that kernel and pass '
            '--ep-driver FILE, or put it among the modules of that kernel')

    def beside_driver(self, name: str) -> str:
        """Return the file of another module that is built with the driver."""
        for driver in self.drivers:
            path = os.path.join(os.path.dirname(driver), f'{name}.ko')
            if (os.path.exists(path)
                    and vermagic(path) in (self.release, vermagic(driver))):
                return path
        raise CannotRun(
            f'no {name}.ko for the endpoint kernel {self.label} beside '
            f'{DRIVER}.ko: run "{self.make}", or build linux/ against that '
            'kernel, put the modules of linux/test beside it and pass '
            '--ep-driver FILE')


def find_modules(directory: str, release: str) -> Modules:
    """Return the tree in what the user named, its RELEASE or lib/modules."""
    for place in (directory, os.path.join(directory, release),
                  os.path.join(directory, 'lib/modules', release)):
        if os.path.exists(os.path.join(place, 'modules.dep')):
            return Modules(place)
    raise CannotRun(
        f'no modules for kernel {release or "(unknown release)"} in '
        f'{directory}: give the INSTALL_MOD_PATH you used with "make '
        'modules_install", or the directory that holds modules.dep')


def entries(directory: str, prefix: str) -> List[str]:
    """Return names in a directory that need not exist, without prefix."""
    if not os.path.isdir(directory):
        return []
    return sorted(name[len(prefix):] for name in os.listdir(directory)
                  if name.startswith(prefix)
                  and os.path.isdir(os.path.join(directory, name)))


def built(build: str, name: str) -> Kernel:
    """Return the kernel that "make" left in build/kernel-NAME."""
    directory = os.path.join(build, f'kernel-{name}')
    arch = of_kernel(name)
    image = os.path.join(directory, ARCH[arch].image)
    if not os.path.exists(image) and arch != DEFAULT_ARCH:
        raise CannotRun(f'no guest kernel "{name}" in {build}: run '
                        f'"{_make_kernel(name)}" first')
    if not os.path.exists(image):
        known = dict.fromkeys([*VARIANTS, *entries(build, 'kernel-')])
        raise CannotRun(
            f'no guest kernel "{name}" in {build}: '
            + did_you_mean(name, known) + 'run "make" first'
            + ('' if name in VARIANTS
               else f', or choose one of {", ".join(known)}'))
    release = ''
    try:
        with open(os.path.join(directory, 'release'),
                  encoding='utf-8') as file:
            release = file.read().strip()
    except OSError:
        pass
    release = release or read_release(image)
    tree = os.path.join(directory, 'lib/modules', release)
    modules = None
    if os.path.exists(os.path.join(tree, 'modules.dep')):
        modules = Modules(tree)
    ours = os.path.join(build, f'modules-{name}')
    return Kernel(
        image=image,
        arch=arch,
        release=release,
        modules=modules,
        bindir=os.path.join(directory, 'bin'),
        drivers=[os.path.join(ours, f'{DRIVER}.ko')],
        corrected_dir=ours if os.path.isdir(ours) else None,
        kbuild=find_kbuild(os.path.join(directory, 'kbuild')),
        config=os.path.join(directory, 'config'),
        vmlinux=_if_there(os.path.join(directory, 'vmlinux')),
        symbols=[os.path.join(ours, 'debug'),
                 os.path.join(directory, 'debug')],
    )


def _make_kernel(name: str) -> str:
    """Return what builds a kernel of another architecture."""
    arch = ARCH[of_kernel(name)]
    variant = name[:-len(arch.suffix)]
    return arch.make + ('' if variant == DEFAULT else f' KERNEL={variant}')


def _if_there(path: str) -> str:
    return path if os.path.exists(path) else ''


def find_kbuild(*places: str) -> Optional[str]:
    """Return the first of these that modules can be built against."""
    for place in places:
        if os.path.exists(os.path.join(place, 'include/config/auto.conf')):
            return os.path.realpath(place)
    return None


def _check_image(kernel: Kernel) -> None:
    """Refuse an image that is known to be for another architecture."""
    with open(kernel.image, 'rb') as file:
        found = image_arch(file.read(0x206))
    if found not in ('', kernel.arch):
        raise CannotRun(f'{kernel.image} is a kernel for {found} and the '
                        f'guest is {kernel.arch}: check the image, '
                        '--host-arch and --ep-arch')


def custom(build: str, name: str, *, image: Optional[str] = None,
           moduledir: Optional[str] = None,
           driver: Optional[str] = None) -> Kernel:
    """Return the kernel of a guest: the built one unless one is named."""
    if not image:
        kernel = built(build, name)
    else:
        if not os.path.exists(image):
            raise CannotRun(f'no kernel image {image}: check the path')
        kernel = Kernel(
            image=image,
            arch=of_kernel(name),
            bindir=os.path.join(build, f'kernel-{name}', 'bin'),
            drivers=[
                os.path.join(build, f'modules-{entry}', f'{DRIVER}.ko')
                for entry in entries(build, 'modules-')
                if of_kernel(entry) == of_kernel(name)
            ],
        )
        _check_image(kernel)
    if moduledir:
        kernel.modules = find_modules(moduledir, kernel.release)
        kernel.corrected_dir = None
    if image or moduledir:
        # The image is arch/NAME/boot/IMAGE of a build directory.
        top = os.path.join(os.path.dirname(os.path.realpath(kernel.image)),
                           '../../..')
        root = kernel.modules.root if kernel.modules else ''
        kernel.kbuild = find_kbuild(os.path.join(root, 'build'), top)
        kernel.symbols = []
    if image:
        tree = kernel.kbuild or ''
        kernel.config = _if_there(os.path.join(tree, '.config'))
        kernel.vmlinux = _if_there(os.path.join(tree, 'vmlinux'))
    if driver:
        if not os.path.exists(driver):
            raise CannotRun(f'no driver {driver}: '
                            'check the path given to --ep-driver')
        kernel.drivers, kernel.own_driver = [driver], True
        kernel.symbol_files[module_name(driver)] = driver
    return kernel


def _add_from_tree(archive: Archive, kernel: Kernel, modules: Modules,
                   wanted: Iterable[str]) -> None:
    """Put modules of the kernel's tree and their needs into the archive."""
    names = [module_name(w) for w in wanted]
    if modules.size() <= WHOLE_TREE_LIMIT:
        names += sorted(modules.path)
    top = f'lib/modules/{kernel.release}'
    placed: Set[str] = set()
    dep = []
    for name in dict.fromkeys(names):
        paths = modules.closure(name)
        if not paths:
            continue
        plain = [_COMPRESSED.sub('', path) for path in paths]
        for path, target in zip(paths, plain):
            if target not in placed:
                placed.add(target)
                # No guest needs debug information, and it can be large.
                file = modules.file(path)
                archive.data(f'{top}/{target}',
                             _stripped(file, kernel.arch)
                             if path in modules.corrected
                             else read_module(file))
        archive.data(f'pciep/load/{name}',
                     ''.join(f'/{top}/{target}\n' for target in plain))
        needs = ' '.join(reversed(plain[:-1]))
        dep.append(f'{plain[-1]}: {needs}'.rstrip())
    archive.data(f'{top}/modules.dep', '\n'.join(dep) + '\n')
    if modules.builtin:
        archive.data('pciep/builtin',
                     ''.join(f'{name}\n' for name in sorted(modules.builtin)))


def add_modules(archive: Archive, kernel: Kernel,
                modules: Optional[Modules], wanted: Iterable[str],
                extra_files: Iterable[str] = ()) -> None:
    """
    Put the wanted modules and the extra files into the archive.

    The tree may be another one than the kernel's own, see modfile.resolve.
    A file that was added to the tree replaces an extra file of its name.

    /pciep/load/NAME in the guest lists the files to insert for a module, in
    order.  A wanted module that is not in the tree has no list.  It may be
    built in, which only the guest can find out.  Our driver brings what it
    needs.
    """
    if modules:
        _add_from_tree(archive, kernel, modules, wanted)
    for file in extra_files:
        name = module_name(file)
        if modules and modules.path.get(name) in modules.corrected:
            continue
        files = [file]
        if name == module_name(DRIVER):
            beside = [os.path.join(os.path.dirname(file), f'{needed}.ko')
                      for needed in DRIVER_NEEDS]
            files = [path for path in beside if os.path.exists(path)] + files
        targets = []
        for path in files:
            targets.append(f'lib/modules/{module_name(path)}.ko')
            archive.data(targets[-1], read_module(path))
        archive.data(f'pciep/load/{name}',
                     ''.join(f'/{target}\n' for target in targets))
