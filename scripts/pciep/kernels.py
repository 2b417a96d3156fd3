# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the kernel of a guest: image, release, modules, test programs, our driver."""

import gzip
import lzma
import os
import re
import shutil
import struct
import subprocess

from . import CannotRun

DRIVER = 'pcie-qemu-ep'
# What it needs, built beside it, in the order of insertion
DRIVER_NEEDS = ['pci-epc-ext']
# Larger trees (a distribution's) are cut down to the modules a run needs.
WHOLE_TREE_LIMIT = 64 << 20
# Modules of the kernel that "make" builds a second time, corrected
CORRECTED = ['nvmet-pci-epf']


def module_name(path):
    """The name of a module as the kernel spells it, from a file name or a name."""
    base = os.path.basename(path)
    return re.sub(r'\.ko(\.\w+)?$', '', base).replace('-', '_')


def read_release(image):
    """The release string in an x86 bzImage (boot protocol, kernel_version), or ''."""
    try:
        with open(image, 'rb') as f:
            head = f.read(0x4000)
    except OSError as e:
        raise CannotRun(
            f'cannot read the kernel {image}: {e.strerror}; check the path '
            'or run "make" to build the default kernels'
        ) from e
    if head[0x202:0x206] != b'HdrS':
        return ''
    offset = struct.unpack_from('<H', head, 0x20E)[0] + 0x200
    return (
        head[offset : offset + 128]
        .split(b'\0')[0]
        .split(b' ')[0]
        .decode('ascii', 'replace')
    )


def version_of(release):
    m = re.match(r'(\d+)\.(\d+)', release)
    return (int(m.group(1)), int(m.group(2))) if m else (0, 0)


class Modules:
    """A lib/modules/RELEASE tree and what depends on what in it."""

    def __init__(self, root):
        self.root = root
        self.path = {}  # name -> path below root
        self.needs = (
            {}
        )  # name -> direct and indirect dependencies, paths, insertion order
        self.builtin = set()
        self.corrected = {}  # path below root -> file to take instead
        self._read_dep()
        try:
            with open(os.path.join(root, 'modules.builtin')) as f:
                self.builtin = {module_name(line.strip()) for line in f}
        except OSError:
            pass

    def _read_dep(self):
        try:
            with open(os.path.join(self.root, 'modules.dep')) as f:
                for line in f:
                    file, _, deps = line.partition(':')
                    name = module_name(file)
                    self.path[name] = file
                    # modules.dep lists what to insert last first
                    self.needs[name] = deps.split()[::-1]
        except OSError as e:
            raise CannotRun(
                f'{self.root} has no modules.dep ({e.strerror}): give the directory '
                'that "make modules_install" filled, or run depmod on it'
            ) from e

    def closure(self, name):
        """Paths to insert, in order, for module @name; None when it is not here."""
        name = module_name(name)
        if name not in self.path:
            return [] if name in self.builtin else None
        return self.needs[name] + [self.path[name]]

    def correct(self, name, file):
        if name in self.path:
            self.corrected[self.path[name]] = file

    def file(self, relative):
        return self.corrected.get(relative) or os.path.join(self.root, relative)

    def size(self):
        """Bytes of all modules; estimated for compressed ones."""
        total = 0
        for p in self.path.values():
            try:
                size = os.path.getsize(os.path.join(self.root, p))
                total += size if p.endswith('.ko') else 4 * size
            except OSError:
                pass
        return total


def read_module(filename):
    """The bytes of a module, unpacked: the guest's insmod takes plain ones only."""
    try:
        if filename.endswith('.xz'):
            with lzma.open(filename) as f:
                return f.read()
        if filename.endswith('.gz'):
            with gzip.open(filename) as f:
                return f.read()
        if filename.endswith('.zst'):
            if not shutil.which('zstd'):
                raise CannotRun(
                    f'{filename} is compressed with zstd: install the package zstd'
                )
            return subprocess.run(
                ['zstd', '-dcq', filename], check=True, stdout=subprocess.PIPE
            ).stdout
        with open(filename, 'rb') as f:
            return f.read()
    except (OSError, lzma.LZMAError, subprocess.CalledProcessError) as e:
        raise CannotRun(f'cannot read the module {filename}: {e}; rebuild it') from e


def vermagic(filename):
    """The release a module was built for, '' when it does not say."""
    m = re.search(rb'vermagic=(\S+)', read_module(filename))
    return m.group(1).decode('ascii', 'replace') if m else ''


class Kernel:
    """One guest's kernel with all that belongs to it."""

    def __init__(self, image, release='', modules=None, bindir=None, drivers=()):
        self.image = image
        self.release = release or read_release(image)
        self.modules = modules
        self.bindir = bindir
        self.drivers = [d for d in drivers if d and os.path.exists(d)]
        self.corrected = {}  # name of a module -> file

    @property
    def version(self):
        return version_of(self.release)

    @property
    def label(self):
        return self.release or self.image

    def program(self, name):
        path = os.path.join(self.bindir or '', name)
        return path if self.bindir and os.path.exists(path) else None

    def correct(self, names):
        """Takes the corrected ones of these modules, where there are such."""
        for name in names:
            if self.modules and name in self.corrected:
                self.modules.correct(name, self.corrected[name])

    def driver(self):
        """The file of our driver for this kernel; None when it is in the tree."""
        if self.modules and self.modules.closure(DRIVER) is not None:
            return None
        for d in self.drivers:
            if not self.release or vermagic(d) == self.release:
                return d
        have = (
            f'; found {self.drivers[0]} for {vermagic(self.drivers[0])}'
            if self.drivers
            else ''
        )
        raise CannotRun(
            f'no {DRIVER}.ko for the endpoint kernel {self.release or self.image}{have}: '
            'run "make", or build linux/ against that kernel and pass --ep-driver FILE'
        )


    def beside_driver(self, name):
        """The file of another module of this project, built together with our driver."""
        for d in self.drivers:
            path = os.path.join(os.path.dirname(d), f'{name}.ko')
            if os.path.exists(path) and vermagic(path) in (self.release, vermagic(d)):
                return path
        raise CannotRun(
            f'no {name}.ko for the endpoint kernel {self.release or self.image} beside '
            f'{DRIVER}.ko: run "make", or build linux/ against that kernel, put the '
            'modules of linux/test beside it and pass --ep-driver FILE'
        )


def find_modules(directory, release):
    """A modules tree at what the user named: it, its RELEASE or lib/modules/RELEASE."""
    places = [
        directory,
        os.path.join(directory, release),
        os.path.join(directory, 'lib/modules', release),
    ]
    for p in places:
        if os.path.exists(os.path.join(p, 'modules.dep')):
            return Modules(p)
    raise CannotRun(
        f'no modules for kernel {release or "(unknown release)"} in {directory}: give '
        'the INSTALL_MOD_PATH you used with "make modules_install", or the directory '
        'that holds modules.dep'
    )


def built(build, name):
    """The kernel build/kernel-NAME that "make" leaves."""
    d = os.path.join(build, f'kernel-{name}')
    image = os.path.join(d, 'bzImage')
    if not os.path.exists(image):
        have = (
            sorted(
                e[7:]
                for e in os.listdir(build)
                if e.startswith('kernel-') and os.path.isdir(os.path.join(build, e))
            )
            if os.path.isdir(build)
            else []
        )
        raise CannotRun(
            f'no guest kernel "{name}" in {build}: run "make" first, or '
            '"make kernels" for another than 7'
            + (f' (built: {", ".join(have)})' if have else '')
        )
    release = ''
    try:
        with open(os.path.join(d, 'release')) as f:
            release = f.read().strip()
    except OSError:
        pass
    release = release or read_release(image)
    tree = os.path.join(d, 'lib/modules', release)
    modules = Modules(tree) if os.path.exists(os.path.join(tree, 'modules.dep')) else None
    ours = os.path.join(build, f'modules-{name}')
    k = Kernel(
        image,
        release,
        modules,
        os.path.join(d, 'bin'),
        [os.path.join(ours, DRIVER + '.ko')],
    )
    files = [os.path.join(ours, f'{n}.ko') for n in CORRECTED]
    k.corrected = {
        module_name(f): f for f in files if os.path.exists(f) and vermagic(f) == release
    }
    return k


def custom(build, name, image=None, moduledir=None, driver=None):
    """The kernel of one guest: the built one unless an image is named."""
    if not image:
        k = built(build, name)
    else:
        if not os.path.exists(image):
            raise CannotRun(f'no kernel image {image}: check the path')
        release = read_release(image)
        drivers = (
            [
                os.path.join(build, e, DRIVER + '.ko')
                for e in sorted(os.listdir(build))
                if e.startswith('modules-')
            ]
            if os.path.isdir(build)
            else []
        )
        k = Kernel(
            image, release, None, os.path.join(build, f'kernel-{name}', 'bin'), drivers
        )
    if moduledir:
        k.modules, k.corrected = find_modules(moduledir, k.release), {}
    if driver:
        if not os.path.exists(driver):
            raise CannotRun(f'no driver {driver}: check the path given to --ep-driver')
        k.drivers = [driver]
    return k


def add_modules(archive, kernel, wanted, extra_files=()):
    """Puts the modules @wanted and @extra_files into the archive, with a list to
    insert for each.  Our driver brings what it needs.

    /pciep/load/NAME lists files to insert in order.  A module that is not in
    the tree has no list: it may be built in, the guest finds out.
    """
    placed = {}

    def place(relative):
        target = os.path.join(
            'lib/modules', kernel.release, re.sub(r'\.(xz|gz|zst)$', '', relative)
        )
        if target not in placed:
            placed[target] = True
            archive.data(target, read_module(kernel.modules.file(relative)))
        return '/' + target

    names = [module_name(w) for w in wanted]
    if kernel.modules:
        if kernel.modules.size() <= WHOLE_TREE_LIMIT:
            names += sorted(kernel.modules.path)
        dep = []
        for name in dict.fromkeys(names):
            files = kernel.modules.closure(name)
            if not files:
                continue
            paths = [place(f) for f in files]
            archive.data(f'pciep/load/{name}', '\n'.join(paths) + '\n')
            strip = f'/lib/modules/{kernel.release}/'
            rel = [p[len(strip) :] for p in paths]
            dep.append(f'{rel[-1]}: {" ".join(reversed(rel[:-1]))}'.rstrip())
        archive.data(f'lib/modules/{kernel.release}/modules.dep', '\n'.join(dep) + '\n')
    for file in extra_files:
        name = module_name(file)
        beside = []
        if name == module_name(DRIVER):
            place = os.path.dirname(file)
            beside = [os.path.join(place, f'{n}.ko') for n in DRIVER_NEEDS]
        targets = []
        for f in [b for b in beside if os.path.exists(b)] + [file]:
            targets.append(f'lib/modules/{module_name(f)}.ko')
            archive.data(targets[-1], read_module(f))
        archive.data(f'pciep/load/{name}', ''.join(f'/{t}\n' for t in targets))
