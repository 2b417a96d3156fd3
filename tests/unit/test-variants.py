#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Unit tests of kernels that are built for a run: scripts/build/kernel.sh and
image/variants.py, with a tree whose Makefile only looks like the kernel's.
"""

import os
import sys

from kernel_tree import MAKEFILE, with_place
from python_tests import TOP, contains, equal, main, raises
from pciep import CannotRun
from pciep.arch import ARCH
from pciep.image import kernels, variants
from pciep.image.variants import Wanted


@with_place
def test_tree_of_a_user(place):
    before = place.state()
    kernel = place.ensure()
    equal(place.state(), before, 'the tree afterwards')
    equal(kernel.release, '7.9.9', 'the release')
    equal(place.read(kernel.image), 'one\n', 'the image')
    contains(place.read(kernel.config), 'CONFIG_PCI_ENDPOINT=y', 'its config')
    links = os.path.join(kernel.kbuild, '../source')
    equal(sorted(os.listdir(links)), ['Kconfig', 'Makefile', 'kernel'],
          'what is linked')
    equal(os.listdir(os.path.join(links, 'kernel')), ['fork.c'], 'kernel/')
    equal(os.path.exists(kernel.drivers[0]), True, 'the driver is there')
    contains(kernel.symbols_of('pcie_qemu_ep'), 'debug/pcie-qemu-ep.ko$',
             'its symbols')


@with_place
def test_incremental(place):
    place.ensure()
    kernel = place.ensure()
    equal(place.builds(kernel), 1, 'builds without a change')
    equal(place.builds(kernel, 'runs'), 1, 'runs of make without a change')
    place.write('my tree/kernel/new.c', '')
    place.write('my tree/kernel/fork.c', 'two\n')
    kernel = place.ensure()
    equal(place.read(kernel.image), 'two\n', 'the image')
    links = os.path.join(kernel.kbuild, '../source/kernel')
    equal(sorted(os.listdir(links)), ['fork.c', 'new.c'], 'links')
    os.unlink(os.path.join(place.source, 'kernel/new.c'))
    kernel = place.ensure()
    equal(os.listdir(links), ['fork.c'], 'links when a file is gone')
    equal(place.builds(kernel), 2, 'builds after one change')
    equal(len(place.said), 1, 'how often it said that it builds')


@with_place
def test_ccache(place):
    """It is used for the user's trees when it is installed."""
    path = os.environ['PATH']
    for program, compiler in (('ccache', 'ccache gcc'), ('other', 'cc')):
        tool = place.write(f'{program}.bin/{program}', '')
        os.chmod(tool, 0o755)
        os.environ['PATH'] = f'{os.path.dirname(tool)}:{path}'
        place.write('my tree/kernel/fork.c', f'{program}\n')
        try:
            kernel = place.ensure()
        finally:
            os.environ['PATH'] = path
        seen = place.read(os.path.join(kernel.kbuild, 'cc.log'))
        equal(seen.splitlines()[-1], compiler, 'the compiler')


@with_place
def test_git(place):
    """A repository with changes, and what it tracks and ignores at once."""
    place.git('init', '-q')
    place.git('add', '-f', '.')
    place.git('rm', '-q', '--cached', '.config', 'include/config/auto.conf')
    place.git('commit', '-q', '-m', 'one')
    place.write('my tree/kernel/fork.c', 'changed\n')
    index = os.path.join(place.source, '.git/index')
    before = os.stat(index).st_mtime_ns
    kernel = place.ensure()
    equal(os.stat(index).st_mtime_ns, before, 'time of the index')
    equal(place.read(kernel.image), 'changed\n', 'the image')
    links = os.path.join(kernel.kbuild, '../source')
    equal(sorted(os.listdir(links)),
          ['.gitignore', 'Kconfig', 'Makefile', 'kernel'], 'links')
    equal(sorted(os.listdir(os.path.join(links, 'kernel'))),
          ['fork.c', 'fork.o'], 'links of tracked files')


@with_place
def test_debian_ignores_all(place):
    with open(os.path.join(place.source, '.gitignore'), 'a',
              encoding='utf-8') as file:
        file.write('/*\n!/debian/\n')
    kernel = place.ensure()
    links = os.path.join(kernel.kbuild, '../source')
    equal(sorted(os.listdir(links)), ['Kconfig', 'Makefile', 'kernel'],
          'links')


@with_place
def test_config(place):
    mine = place.write('mine.config', 'CONFIG_MINE=y\nCONFIG_HZ_1000=n\n'
                       '# CONFIG_PCI_IOV is not set\n# a comment\n')
    kernel = place.ensure(mine)
    text = place.read(kernel.config)
    contains(text, '(?m)^CONFIG_MINE=y$', 'the configuration')
    equal([line for line in text.splitlines() if 'CONFIG_HZ_1000' in line
           or 'CONFIG_PCI_IOV' in line],
          ['# CONFIG_HZ_1000 is not set', '# CONFIG_PCI_IOV is not set'],
          'lines that are overridden')
    same = place.write('same.config', place.read('mine.config'))
    other = place.write('other.config', 'CONFIG_OTHER=y\n')
    labels = [Wanted(name='7', source=place.source, configs=configs).label
              for configs in ((mine,), (same,), (other,), ())]
    equal(labels[0], labels[1], 'name of the same content')
    equal(len(set(labels)), 3, f'names in {labels}')


@with_place
def test_prompt(place):
    """PCI_DOE is asked for where a configuration can set it."""
    for text, has in (('\tbool\n', False), ('\tbool "DOE support"\n', True)):
        place.write('my tree/drivers/pci/Kconfig', f'config PCI_DOE\n{text}'
                    'config PCI_ECAM\n\tbool "another one"\n')
        config = place.read(place.ensure().config)
        equal('CONFIG_PCI_DOE=y' in config, has, f'PCI_DOE with {text!r}')


@with_place
def test_config_refused(place):
    place.write('my tree/Kconfig', 'config REFUSED\n\tbool\n')
    for line, words in (('CONFIG_REFUSED=y', 'it is off'),
                        ('CONFIG_REFUSED_ALSO=m', 'no such option')):
        error = raises(CannotRun, place.ensure,
                       place.write('mine.config', f'CONFIG_X=y\n{line}\n'))
        equal(len(error.splitlines()), 1, 'lines of the error')
        contains(error, 'did not take these lines of --config: '
                 rf'{line} \({words}', 'the error')
        equal('CONFIG_X' in error, False, 'it names what was taken')


@with_place
def test_build_fails(place):
    place.write('my tree/Makefile', MAKEFILE.replace(
        '@cp $< $@', '@echo $<:1: error: no luck; false'))
    error = raises(CannotRun, place.ensure)
    contains(error, r'the kernel 7 of .*/my tree was not built: .*failed; the '
             r'whole log is .*\.log$', 'the error')
    contains(place.read(place.output),
             f'{place.source}/kernel/fork.c:1: error: no luck',
             'what the scripts say')


@with_place
def test_wishes(place):
    def problem(**more):
        return variants.check(Wanted(**{'name': '7', **more}))
    equal(problem(source=place.source, name='7-kasan'), '', 'a variant')
    contains(problem(source=place.build), 'holds no Linux source: name the '
             'top directory', 'no tree')
    contains(problem(source=place.source, name='6.12'), 'choose 7, 7-debug',
             'another series')
    contains(problem(configs=('/none',)), 'no file /none', 'no file')
    contains(problem(configs=(place.write('a', ''),), name='7-trcae'),
             'did you mean 7-trace', 'no such variant')


@with_place
def test_not_built_yet(place):
    """A variant is built when it is asked for, unless nothing is set up."""
    os.unlink(os.path.join(place.build, 'config.sh'))
    error = raises(CannotRun, variants.ensure, place.build,
                   Wanted(name='7-trace'), print)
    contains(error, 'is not configured: run "make" first, then "make '
             'kernel-7-trace"$', 'the error')
    # The usual kernel and unknown ones are left to kernels.built().
    variants.ensure(place.build, Wanted(name='7'), print)
    variants.ensure(place.build, Wanted(name='none'), print)
    error = raises(CannotRun, kernels.built, place.build, '7-trcae')
    contains(error, 'did you mean 7-trace', 'an unknown name')


@with_place
def test_built_on_request(place):
    os.makedirs(os.path.join(place.directory, 'cache/src'))
    plain = os.path.join(place.directory, 'linux')
    os.rename(place.source, plain)
    os.symlink(plain,
               os.path.join(place.directory, 'cache/src/linux-7'))
    kernel = place.ensure(source='', name='7-debug')
    equal(place.read(kernel.image), 'one\n', 'the image')
    contains(place.said[0], 'the kernel 7-debug is not built yet: .*"make '
             'kernel-7-debug"', 'what is said')
    place.ensure(source='', name='7-debug')
    equal(len(place.said), 1, 'how often it said so')


def test_make_has_a_target_for_each():
    with open(os.path.join(TOP, 'meson.build'), encoding='utf-8') as file:
        text = file.read()
    for arch in ARCH.values():
        for name in arch.kernels:
            contains(text, f"'{name}{arch.suffix}'", 'meson.build')
    equal(sorted({name for arch in ARCH.values() for name in arch.kernels}),
          sorted(kernels.VARIANTS), 'all kernels')


if __name__ == '__main__':
    sys.exit(main(globals()))
