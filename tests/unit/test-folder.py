#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""function.toml: what the launcher makes of it, and of mistakes in it."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile

from python_tests import TOP, equal, main, raises

from pciep import CannotRun, did_you_mean, functions
from pciep.image import kernels, sources
from pciep.run import new_function

GOOD = '''
name = "mine"
about = "what it does"
ids = "1AF4:10f0"
seconds = 30

[options.size]
kind = "size"
default = "1M"
about = "how much"

[options.mode]
words = ["fast", "slow"]
default = "fast"

[interrupts]
msi = 2
msix = 16
remapping = true

[ep]
function = "pci_epf_mine"
modules = ["pci_epf_core", "pci-epf-mine.ko"]
memory = "$OPT_SIZE"
dma = "slave"

[ep.attributes]
revid = 3
"pci_epf_mine.*/size" = "$OPT_SIZE"

[ep.tests]
inside = "true"

[host]
modules = ["driver"]
driver = "mine"
programs = ["fio", "mine-test.c"]
memory = "64M"

[host.tests]
first = "mine-test $NODE $OPT_SIZE"
second = "true"
'''


def directory(text=GOOD, **files):
    """Return a new directory with function.toml and its sources."""
    top = tempfile.mkdtemp(prefix='folder-', dir=TEMP)
    contents = {'function.toml': text,
                'Kbuild': 'obj-m := pci-epf-mine.o mine.o\n',
                'driver/Kbuild': 'obj-m := mine.o\n', 'mine-test.c': '',
                **{name.replace('__', '.'): text
                   for name, text in files.items()}}
    for name, body in contents.items():
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(body)
    return top


def refused(pattern, text):
    """The request is refused with one line that matches the pattern."""
    try:
        functions.instances([text])
    except ValueError as error:
        equal(len(str(error).splitlines()), 1, f'lines of {error}')
        if not re.search(pattern, str(error)):
            raise AssertionError(f'{pattern} is not in: {error}') from None
        return
    raise AssertionError(f'{text} was accepted')


def refused_file(key, pattern, old, new):
    """With a change of the file the error names file, key and remedy."""
    if old not in GOOD:
        raise AssertionError(f'the file has no {old}')
    top = directory(GOOD.replace(old, new, 1))
    refused(f'^{top}/function.toml: {re.escape(key)}: .*{pattern}', top)


def test_all_keys():
    top = directory()
    found = functions.instances([f'{top},size=2M,mode=slow'])[0]
    function, folder = found.function, found.function.folder
    equal(found.name, 'mine', 'name')
    equal(function.endpoint, '0x1af4:0x10f0', 'ids')
    equal((function.about, function.seconds), ('what it does', 30), 'texts')
    equal(found.options, {'size': '2M', 'mode': 'slow'}, 'options')
    equal(function.ep_modules, ['pci_epf_core'], 'modules of the kernel')
    equal(folder.sources, {'ep': [f'{top}/pci-epf-mine.ko'],
                           'host': [f'{top}/driver']}, 'sources')
    equal(folder.programs['host'], (['fio'], [f'{top}/mine-test.c']),
          'programs')
    equal(list(folder.tests['host']), ['first', 'second'], 'order of tests')
    equal(list(folder.attributes.items()),
          [('revid', '3'), ('pci_epf_mine.*/size', '$OPT_SIZE')],
          'attributes')
    equal(found.expand('$OPT_SIZE'), '2M', 'an option in a text')
    equal((found.memory('ep'), found.memory('host')), (2, 64), 'memory')
    equal((function.dma_mode, function.remapping), ('slave', True), 'dma')
    equal(functions.ep_commands([found]), True, 'tests in the endpoint')
    env = found.env('ep')
    equal([env[k] for k in ('OWN', 'OWN_FUNCTION', 'OWN_DRIVER', 'OWN_MSI',
                            'OWN_MSIX', 'OPT_SIZE')],
          ['1', 'pci_epf_mine', 'mine', 2, 16, '2M'], 'settings')


def test_short_file():
    """Most keys have defaults; the name is that of the directory."""
    top = directory('ids = "0x1af4:0x10f0"\n[ep]\nfunction = "f"\n')
    found = functions.instances([top])[0]
    equal(found.name, os.path.basename(top), 'name')
    equal((found.function.seconds, found.options), (120, {}), 'defaults')
    equal(found.env('host')['OWN_SECONDS'], 60, 'time limit of a test')
    equal(found.env('host')['OWN_MSI'], '', 'MSI vectors as the run has them')
    equal(functions.ep_commands([found]), False, 'tests in the endpoint')


def test_time_limits():
    """The run has time for all tests, of which the guests run some at once."""
    for keys, limits in (('', (180, 60)), ('test_seconds = 5', (70, 5)),
                         ('seconds = 99\ntest_seconds = 5', (99, 5))):
        top = directory(GOOD.replace('seconds = 30', keys, 1))
        found = functions.instances([top])[0]
        equal((found.function.seconds, found.env('ep')['OWN_SECONDS']),
              limits, f'limits with {keys}')
    refused_file('test_seconds', 'a number from 1', 'seconds = 30',
                 'test_seconds = 0')


def test_scripts():
    """A function that ep.sh sets up needs no name of a driver."""
    top = directory('ids = "1af4:10f0"\n', ep__sh='', extra__sh='')
    found = functions.instances([top])[0]
    equal(list(found.scripts()), ['ep.sh', 'extra.sh'], 'scripts')
    equal(list(functions.instances(['test'])[0].scripts()),
          ['ep.sh', 'host.sh', 'pcitest.sh'], 'scripts of a built-in one')


def test_wrong_keys():
    refused_file('secnds', 'did you mean seconds?', 'seconds', 'secnds')
    refused_file('host.drivr', 'did you mean driver?', 'driver = "mine"',
                 'drivr = "mine"')
    refused_file('interrupts.intx', 'there is msi, msix, remapping',
                 'remapping', 'intx')
    refused_file('options.size.knid', 'did you mean kind?', 'kind', 'knid')
    refused_file('hots', 'did you mean host?', '[host]\nmodules',
                 '[hots]\nmodules')


def test_hint_has_each_key_once():
    """Tables of texts are taken twice, for their values and for errors."""
    for table, wrong in (('host', 'test'), ('ep', 'attribute')):
        top = directory(GOOD.replace(f'[{table}]\n',
                                     f'[{table}]\n{wrong} = 1\n', 1))
        error = raises(ValueError, functions.instances, [top])
        equal(error.count(f'{wrong}s'), 1, f'keys in {error}')
    top = directory(GOOD.replace('[ep]\n', '[ep]\nzzz = 1\n', 1))
    error = raises(ValueError, functions.instances, [top])
    equal(error.count('attributes'), 1, f'keys in {error}')
    equal(did_you_mean('tset', ['test', 'test']), 'did you mean test? ',
          'a word that is known twice')


def test_wrong_values():
    refused_file('ids', 'as lspci prints them', '1AF4:10f0', '1af4')
    refused_file('ids', 'as lspci prints them', 'ids = "1AF4:10f0"', '')
    refused_file('name', 'letters', '"mine"', '"my function"')
    refused_file('seconds', 'a number from 1', '30', '"30"')
    refused_file('seconds', 'a number from 1', '30', 'true')
    refused_file('interrupts.msi', 'from 0 to 32', 'msi = 2', 'msi = 33')
    refused_file('interrupts.remapping', 'true or false', '= true', '= 1')
    refused_file('ep.function', 'id_table', 'function = "pci_epf_mine"', '')
    refused_file('ep.dma', 'did you mean slave?', '"slave"', '"slav"')
    refused_file('ep.modules', 'a list of texts',
                 '["pci_epf_core", "pci-epf-mine.ko"]', '"pci_epf_core"')
    refused_file('ep.modules', 'nor a Kbuild', 'pci-epf-mine.ko',
                 'none/pci-epf-mine.ko')
    refused_file('host.modules', 'no directory ./drivr', '"driver"',
                 '"./drivr"')
    refused_file('host.programs', 'no file', 'mine-test.c', 'mine-tset.c')
    refused_file('host.memory', 'a size such as 64M', '64M', '64')
    refused_file('ep.attributes.revid', 'a text', 'revid = 3', 'revid = [3]')
    refused_file('ep.attributes.../revid', 'below', 'revid',
                 '"../revid"')
    refused_file('options.mode.default', 'fast or slow', '= "fast"',
                 '= "quick"')
    refused_file('options.size.default', 'the value that holds',
                 'default = "1M"', '')
    refused_file('options.size.kind', 'number', '"size"', '"bytes"')
    for name in ('controller', 'vfs'):
        refused_file(f'options.{name}', 'another name', 'options.mode',
                     f'options.{name}')
    refused_file('host.tests.first', 'add .options.sise.*OPT_SIZE',
                 '$NODE $OPT_SIZE', '$NODE $OPT_SISE')
    refused_file('ep.tests.inside', 'write a command', '"true"', '""')


def test_not_toml():
    top = directory('ids = \n')
    refused(f'^{top}/function.toml: .*line 1', top)


def test_wrong_paths():
    refused('no directory ./none', './none')
    empty = tempfile.mkdtemp(dir=TEMP)
    refused(f'no function.toml in {empty}.*new-function', empty)
    refused('did you mean nvme', 'nvem')
    os.chdir(os.path.dirname(directory()))
    name = os.path.basename(directory())
    refused(f'write ./{name} for the directory', name)
    os.chdir(TOP)


def test_options():
    top = directory()
    refused('mine has no option sise; it has .*did you mean size', top +
            ',sise=1M')
    refused('size=big: write a size', f'{top},size=big')
    refused('mode=quick: write fast or slow', f'{top},mode=quick')


def test_path_with_a_comma():
    top = directory()
    other = f'{top},x'
    os.rename(top, other)
    equal(functions.instances([f'{other},size=4M'])[0].options['size'], '4M',
          'option behind a path with a comma')


def test_path_of_the_file():
    top = directory()
    equal(functions.instances([f'{top}/function.toml,size=4M'])[0].name,
          'mine', 'name')


def test_several():
    one, two = directory(), directory()
    found = functions.instances([one, one, 'test'])
    equal([i.number for i in found], [0, 1, 2], 'function numbers')
    try:
        functions.instances([one, two])
    except ValueError as error:
        equal('two functions are called mine' in str(error), True, str(error))
    else:
        raise AssertionError('two functions of one name were accepted')


# Building, without a kernel: make reads a stub of its Makefile


KBUILD = '''
modules $(filter %.ko,$(MAKECMDGOALS)):
\t@cc -c -x c -o $(M)/mine.o $(M)/mine.c
\t@printf '\\0vermagic=7.0.0 x\\0depends=\\0' > $(M)/mine.ko
\t@echo mine.o > $(M)/modules.order
'''


def kernel(release='7.0.0'):
    """Return a kernel that modules are built against."""
    top = tempfile.mkdtemp(prefix='kbuild-', dir=TEMP)
    with open(os.path.join(top, 'Makefile'), 'w', encoding='utf-8') as file:
        file.write(KBUILD)
    return kernels.Kernel(image='none', release=release, kbuild=top)


def build(top, wanted, of=None):
    """Return the modules that are built."""
    return sources.modules(top, [os.path.join(top, w) for w in wanted],
                           of or kernel(), BUILD)


def test_build_leaves_the_sources_alone():
    top = directory(mine__c='int mine;\n')
    before = sorted(os.listdir(top))
    of = kernel()
    found = build(top, ['.'], of)
    equal(found, build(top, ['mine.ko'], of), 'the same directory of objects')
    equal(sorted(os.listdir(top)), before, 'files of the user')
    equal(found[0].startswith(BUILD), True, 'where the module is')
    equal(build(top, ['mine.ko'])[0] == found[0], False,
          'another kernel has the same objects')


def test_file_that_is_removed():
    """A link does not outlive its file, and left objects are not taken."""
    top = directory(mine__c='int mine;\n', old__h='', left__o='')
    of = kernel()
    work = os.path.dirname(build(top, ['mine.ko'], of)[0])
    equal(os.path.lexists(os.path.join(work, 'left.o')), False,
          'an object in the directory of the user is linked')
    os.unlink(os.path.join(top, 'old.h'))
    build(top, ['mine.ko'], of)
    equal(os.path.lexists(os.path.join(work, 'old.h')), False,
          'the link to a file that is gone')


def test_error_of_the_compiler():
    """The error names the file of the user."""
    top = directory(mine__c='int mine\n')
    code = ('import sys; sys.path.insert(0, sys.argv[1])\n'
            'from pciep.image import kernels, sources\n'
            'from pciep import CannotRun\n'
            'k = kernels.Kernel(image="none", release="7", '
            'kbuild=sys.argv[2])\n'
            'try:\n'
            '    sources.modules(sys.argv[3], [sys.argv[3]], k, '
            'sys.argv[4])\n'
            'except CannotRun as error:\n'
            '    print(error)\n')
    done = subprocess.run(
        [sys.executable, '-B', '-c', code, os.path.join(TOP, 'scripts'),
         kernel().kbuild, top, BUILD], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, check=True)
    if not re.search(f'^{top}/mine.c:1:.*error', done.stderr, re.M):
        raise AssertionError(f'no error of {top}/mine.c in: {done.stderr}')
    equal(done.stdout, f'{top} does not build for the kernel 7: see the '
          'messages above\n', 'the reason')


def cannot(pattern, call, *args):
    """The call is refused with a text that matches the pattern."""
    try:
        call(*args)
    except CannotRun as error:
        if not re.search(pattern, str(error)):
            raise AssertionError(f'{pattern} is not in: {error}') from None
        return
    raise AssertionError(f'{call} accepted {args}')


def test_module_that_the_kbuild_lacks():
    """It is said before make runs, or behind it if make may know more."""
    top = directory(mine__c='int mine;\n')
    cannot('^ep.modules in function.toml names pci-epf-mne.ko, and the Kbuild '
           f'file in {top} builds pci-epf-mine.ko, mine.ko; did you mean '
           'pci-epf-mine.ko', sources.modules, top,
           [f'{top}/pci-epf-mne.ko'],
           kernels.Kernel(image='none', release='7.0.0', kbuild='/none'),
           BUILD, 'ep.modules')
    top = directory(Kbuild='obj-m := a.o\nifdef X\nobj-m += mine.o\nendif\n',
                    mine__c='int mine\n')
    cannot('does not build for the kernel 7.0.0: host.modules in '
           'function.toml names mine2.ko, and .* builds a.ko, mine.ko',
           sources.modules, top, [f'{top}/mine2.ko'], kernel(), BUILD,
           'host.modules')
    for text, names, certain in (
            ('obj-m := a.o \\\n\tb-c.o # d.o\nobj-m += e.o\n',
             ['a.ko', 'b-c.ko', 'e.ko'], True),
            ('obj-m := a.o\na-y := x.o y.o\nccflags-y += -I$(src)\n'
             'CFLAGS_x.o := -g\n', ['a.ko'], True),
            ('obj-m := a.o $(MORE)\n', ['a.ko'], False),
            ('obj-$(CONFIG_A) += a.o\n', [], False),
            ('obj-m += sub/\n', [], False), ('include x\n', [], False)):
        equal(sources.kbuild_modules(directory(Kbuild=text)),
              (names, certain), f'modules of {text!r}')


def test_module_of_another_kernel():
    top = directory(mine__c='int mine;\n')
    cannot('is for the kernel 7.0.0, and the guest runs 7.1.0', build, top,
           ['mine.ko'], kernel('7.1.0'))


def test_no_build_directory():
    top = directory(mine__c='int mine;\n')
    cannot('its build directory is not known', build, top, ['mine.ko'],
           kernels.Kernel(image='none', release='7.0.0'))


def test_build_directory_of_a_kernel():
    """It is found by the image, or by where modules were installed from."""
    tree = tempfile.mkdtemp(dir=TEMP)
    image = os.path.join(tree, 'arch/x86/boot/bzImage')
    installed = os.path.join(tree, 'mods/lib/modules/7.0.0')
    for path in (image, os.path.join(tree, 'include/config/auto.conf'),
                 os.path.join(installed, 'modules.dep')):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb'):
            pass
    equal(kernels.custom(BUILD, '7', image=image).kbuild, tree, 'image')
    elsewhere = os.path.join(tempfile.mkdtemp(dir=TEMP), 'bzImage')
    with open(elsewhere, 'wb'):
        pass
    equal(kernels.custom(BUILD, '7', image=elsewhere).kbuild, None,
          'an image that was copied')
    os.symlink(tree, os.path.join(installed, 'build'))
    equal(kernels.custom(BUILD, '7', image=elsewhere,
                         moduledir=installed).kbuild, tree, 'modules')


def test_name_of_a_module():
    tree = tempfile.mkdtemp(dir=TEMP)
    with open(os.path.join(tree, 'modules.dep'), 'w',
              encoding='utf-8') as file:
        file.write('kernel/nvmet-pci-epf.ko:\n')
    of = kernels.Kernel(image='none', release='7.0.0',
                        modules=kernels.Modules(tree))
    sources.check_names(of, 'mine', ['nvmet_pci_epf', 'nvmet-pci-epf'])
    cannot('has no module nvmet_pci_ep; did you mean nvmet_pci_epf',
           sources.check_names, of, 'mine', ['nvmet_pci_ep'])


# new-function


def test_new_function():
    """The files of the example with another name; no name is left."""
    top = os.path.join(tempfile.mkdtemp(dir=TEMP), 'My-dev')
    equal(new_function.name_of(top), 'my_dev', 'name')
    new_function.write(top, 'my_dev')
    found = functions.instances([f'{top},rounds=3'])[0]
    equal(found.name, 'my_dev', 'name of the function')
    for file in os.listdir(top):
        with open(os.path.join(top, file), encoding='utf-8') as opened:
            left = re.search('counter', file + opened.read(), re.I)
        equal(left, None, f'the name of the example in {file}')


def test_new_function_prints_a_command():
    """It can be pasted into a shell, also with blanks in the path."""
    top = os.path.join(tempfile.mkdtemp(dir=TEMP), 'my own', 'dev')
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        equal(new_function.main([top], 'run it'), 0, 'exit status')
    line = out.getvalue().splitlines()[-1]
    equal(shlex.split(line), ['run it', '--function', top], 'the command')


def test_new_function_is_the_example():
    equal(new_function.renamed('counter COUNTER_X', 'counter'),
          'counter COUNTER_X', 'the same name')
    for name, text in new_function.files('mine').items():
        equal('mine' in text, True, f'the name is in {name}')


def refused_name(name):
    try:
        new_function.check_name(name)
    except ValueError:
        return
    raise AssertionError(f'{name} was accepted')


def test_names_of_new_functions():
    for name in ('test', 'nvme', 'struct', '1st', 'a-b', 'Ab', '', 'x' * 30):
        refused_name(name)
    equal(new_function.check_name('mine2'), 'mine2', 'a good name')


def test_new_function_takes_no_full_directory():
    try:
        new_function.write(directory(), 'mine')
    except ValueError as error:
        equal('is not empty' in str(error), True, str(error))
    else:
        raise AssertionError('a full directory was accepted')


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as TEMP:
        BUILD = os.path.join(TEMP, 'build')
        STATUS = main(globals())
    sys.exit(STATUS)
