# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions of a user: function.toml, modules from sources, new-function."""

import os
import subprocess

from lib import SELFTEST, check, contains, equal, limit
from own import folder, new_function, run

EXAMPLE_TESTS = ('add', 'sum', 'fill', 'bad_size', 'dma')

def passed(results, prefix):
    """All tests of the example passed."""
    for test in EXAMPLE_TESTS:
        equal(results.get(prefix + test), ('pass', ''), prefix + test)


@limit(200)
def test_new_function(t):
    top = new_function(t, 'mine')
    files = sorted(os.listdir(top))
    status, out, results = run(t, f'{top},rounds=7')
    equal(status, 0, f'exit status; output:\n{out[-3000:]}')
    passed(results, 'mine.')
    equal(results.get('endpoint.DRIVER_BOUND'), ('pass', ''), 'the driver')
    equal(sorted(os.listdir(top)), files, 'files of the user afterwards')


@limit(200)
def test_kernel_6_12(t):
    t.kernel('6.12')
    status, out, results = run(t, new_function(t, 'older'),
                               '--kernel-name=6.12')
    equal(status, 0, f'exit status; output:\n{out[-3000:]}')
    passed(results, 'older.')


@limit(300)
def test_several_behind_iommu(t):
    """Two of one's own and a built-in one, on one link."""
    top = new_function(t, 'twice')
    status, out, results = run(t, top, top, 'test', '--host-iommu=intel-cm',
                               '--host-cpus=3', seconds=280)
    equal(status, 0, f'exit status; output:\n{out[-3000:]}')
    passed(results, 'fn0.twice.')
    passed(results, 'fn1.twice.')
    equal(results.get('fn2.pci_ep_data_transfer.dma.READ_TEST'),
          ('pass', ''), 'the built-in function')


@limit(200)
def test_command_of_the_user(t):
    """Beside --host-cmd, the driver has the function."""
    top = new_function(t, 'beside')
    status, out, _ = run(
        t, top, '--host-cmd=[ "$(basename $(readlink $(dirname '
        '/sys/bus/pci/drivers/beside/0*/vendor)/driver))" = beside ]')
    equal(status, 0, f'exit status; output:\n{out[-3000:]}')


COMMANDS = r'''
quiet = "true"
broken = "false"
skipped = "exit 4"
absent = "exit 77"
lies = "echo ok 1 fine; echo 1..1; exit 3"
kselftest = "echo 1..3; echo ok 1 - a; echo 'ok 2 # SKIP b'; echo ok 3; exit 4"
garbage = "echo '!exit 0'; echo '!need nothing'; head -c 999 /dev/urandom"
where = "[ $DEVICE = $(endpoint $ENDPOINT) ] && [ -d $SYSFS ]"
'''


@limit(200)
def test_what_commands_report(t):
    """Exit status and TAP of commands, in both guests."""
    top = folder(t, tests=COMMANDS, ep_tests='''
inside = "echo ok 1 here; echo not ok 2 there; echo 1..2; exit 1"
dir = '[ "$(cat $EPF_DIR/deviceid)" = 0x10f0 ]'
''')
    status, out, results = run(t, top)
    equal(status, 1, f'exit status; output:\n{out[-3000:]}')
    expected = {
        'quiet': ('pass', ''), 'broken': ('fail', ''),
        'skipped': ('skip', 'exit status 4'),
        'absent': ('skip', 'exit status 77'),
        'lies.fine': ('pass', ''), 'lies.exit_status': ('fail', ''),
        'kselftest.a': ('pass', ''), 'kselftest.2': ('skip', 'b'),
        'kselftest.3': ('pass', ''), 'garbage': ('pass', ''),
        'where': ('pass', ''), 'ep.inside.here': ('pass', ''),
        'ep.inside.there': ('fail', ''), 'ep.dir': ('pass', ''),
    }
    for name, result in expected.items():
        equal(results.get(name), result, name)
    check('kselftest.exit_status' not in results,
          'exit status 4 of a kselftest is taken for a failure')


VNTB = '''
ids = "1957:0809"
[options.doorbells]
kind = "number"
default = 4
[interrupts]
remapping = true
[ep]
function = "pci_epf_vntb"
modules = ["pci_epf_vntb"]
[ep.attributes]
"pci_epf_vntb.*/db_count" = "$OPT_DOORBELLS"
"pci_epf_vntb.*/spad_count" = 64
"pci_epf_vntb.*/num_mws" = 1
"pci_epf_vntb.*/mw1" = "0x100000"
"pci_epf_vntb.*/ctrl_bar" = 0
"pci_epf_vntb.*/db_bar" = 2
"pci_epf_vntb.*/mw1_bar" = 4
"pci_epf_vntb.*/vntb_vid" = "0x1957"
"pci_epf_vntb.*/vntb_pid" = "0x080a"
"pci_epf_vntb.*/vbus_number" = "0xfe"
[ep.tests]
doorbells = '[ "$(cat $EPF_DIR/pci_epf_vntb.*/db_count)" = 5 ]'
[host]
modules = ["ntb_hw_epf"]
driver = "ntb_hw_epf"
'''


@limit(200)
def test_attributes_that_the_driver_makes(t):
    """A function of the kernel, described by a file alone."""
    top = os.path.join(t.rundir, 'bridge')
    os.makedirs(top, exist_ok=True)
    t.file('bridge/function.toml', VNTB)
    status, out, results = run(t, f'{top},doorbells=5')
    equal(status, 0, f'exit status; output:\n{out[-3000:]}')
    equal(results.get('endpoint.DRIVER_BOUND'), ('pass', ''), 'the driver')
    equal(results.get('ep.doorbells'), ('pass', ''), 'the attribute')


SOURCE = 'kbuild/source/drivers/pci/endpoint/functions/pci-epf-test.c'
COPY = 'memcpy_toio(dst_map.virt_addr, buf, map_size)'


@limit(200)
def test_bug_in_copy(t):
    """
    A bug in COPY of pci-epf-test is found in the results alone.

    They have the test, file and line of its check, and what both kernels said
    meanwhile.
    """
    kernel = os.path.dirname(t.kernel('7').image)
    with open(os.path.join(kernel, SOURCE), encoding='utf-8') as file:
        source = file.read()
    check(COPY in source, f'{COPY} is not in pci-epf-test.c')
    top = os.path.join(t.rundir, 'copy')
    os.makedirs(top, exist_ok=True)
    t.file('copy/Kbuild', 'obj-m := pci-epf-test.o\n')
    t.file('copy/pci-epf-test.c',
           source.replace(COPY, COPY.replace('size', 'size - 1')))
    built = subprocess.run(
        ['make', '-s', '-C', os.path.join(kernel, 'kbuild'), f'M={top}',
         'modules'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True)
    check(not built.returncode, f'the module does not build: {built.stdout}')
    status, out = t.launch(
        '--ep-module', os.path.join(top, 'pci-epf-test.ko'), '--no-console',
        '--host-cmd', SELFTEST + ' -v memcpy -t COPY_TEST')
    equal(status, 1, f'exit status; output:\n{out[-3000:]}')
    name = 'pci_ep_data_transfer.memcpy.COPY_TEST'
    equal(t.results()[name], ('fail', ''), name)
    contains(out, rf'not ok  {name}: .*pci_endpoint_test\.c:\d+:COPY_TEST:'
             r'Expected 0 \(0\) == ret', 'output')
    for text in (t.read('results.tap'), t.read('junit.xml')):
        contains(text, r'# ep +\| .*pci_epf_test.*COPY =(>|&gt;) Size: 1 ',
                 'the console of the endpoint')
        contains(text, r'# host \| .*COPY_TEST: Test failed',
                 'the console of the host')
