#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of pci-ep-run's errors on its command line."""

import contextlib
import io
import os
import socket
import sys
import tempfile

from python_tests import TOP, contains, equal, main, raises
from pciep import CannotRun
from pciep.run import cli, usage, userland
from pciep.vm import compose

# Each is refused in one line, which has these words.
WRONG = [
    (['--hots-cmd', 'x'], 'no option --hots-cmd: did you mean --host-cmd'),
    (['--host-mod=x'], 'no option --host-mod: did you mean .*--host-module'),
    (['-z'], 'no option -z: --help'),
    (['nvme'], "no scenario 'nvme': write --function nvme"),
    (['dmeo'], "no scenario 'dmeo': did you mean demo"),
    (['demo', 'more'], "'more' belongs to no option.* in quotes"),
    (['--host-cmd', 'echo', 'hello'], "no scenario 'hello'.* in quotes"),
    (['--function', 'nvmee'], '--function: .*did you mean nvme'),
    (['--function', 'nvme,sizes=1M'], 'nvme has no option sizes'),
    (['--function', 'nvme,size=big'], 'size=big: write a size such as'),
    (['--function', 'test,controller=9'], 'controller=9: at most 7'),
    (['--function'], '--function needs a value'),
    (['--accel', 'kvmm'], "--accel: no 'kvmm': did you mean kvm"),
    (['--first', 'both'], "--first: no 'both': write host or ep"),
    (['--host-iommu', 'intle'], 'did you mean intel'),
    (['--ep-arch', 'arm'], "--ep-arch: no 'arm': did you mean arm64"),
    (['--host-iommu', 'intel', '--host-arch', 'arm64'],
     'a host of arm64 does not have it; write none, smmuv3 or virtio'),
    (['--host-iommu', 'smmuv3'], 'a host of x86_64 does not have it'),
    (['--qemu', '/bin/true', '--ep-arch', 'arm64'], 'need two binaries'),
    (['--rootfs', 'debian', '--ep-arch', 'arm64'], 'out --ep-arch arm64'),
    (['--kernel-name', '7-kasan', '--ep-arch', 'arm64'],
     'no kernel 7-kasan for arm64: choose 7, 6.12 or 7-64k'),
    (['--msix', 'many'], "--msix: 'many' is not a whole number"),
    (['--msix', '2049'], '--msix: must be 1 to 2048'),
    (['--msix', '3', '--function', 'nvme'], '--msix does nothing: the func'),
    (['--ep-cpus', '0'], '--ep-cpus: must be at least 1'),
    (['--host-mem', '512'], '--host-mem: write it like 512M or 2G'),
    (['--host-mem', '0M'], '--host-mem: write it like'),
    (['--timeout', 'soon'], "'soon' is not a number of seconds"),
    (['--timeout=-1'], "'-1' is not a number of seconds"),
    (['--link-wait', '0'], '--link-wait: must be at least 1'),
    (['--link-wait', 'none'], 'none needs --host-cmd or --interactive'),
    (['--link-wait', '5', '--ep-cmd=true'], '--link-wait does nothing'),
    (['--link-wait', '5', 'faults'], '--link-wait does nothing'),
    (['--no-link', '--function', 'test'], '--function does nothing'),
    (['--no-link', '--msix', '3'], '--msix does nothing with --no-link'),
    (['--no-link', '--private-memory', 'ep'], '--private-memory does noth'),
    (['--no-link', '--ep-driver', 'x.ko'], '--ep-driver does nothing'),
    (['--no-link', '--link-wait=60'], '--link-wait does nothing with --no-l'),
    (['--no-link', '--trace'], '--trace does nothing with --no-link'),
    (['--no-link', '--trace-events=pci_*'], '--trace-events does nothing'),
    (['--no-link', 'demo'], 'demo does nothing with --no-link'),
    (['--no-link', '--fault', '1s ep link-down'], 'this run has no link 0'),
    (['--no-link', 'faults'], 'exclude each other'),
    (['--trace', '--trace-events=pci_*'], 'exclude each other'),
    (['--first', 'ep'], '--first needs --delay'),
    (['--first', 'host', '--delay=0'], '--first needs --delay'),
    (['--delay', '0'], '--delay 0 does nothing'),
    (['--delay', 'links'], "'links' is not a number of seconds"),
    (['--first', 'host', '--delay', 'link'], '--delay link needs an endpoint'),
    (['--no-link', '--delay', 'link'], '--delay link needs an endpoint'),
    (['--list', '--msix=3'], '--list runs nothing: leave out --msix'),
    (['--list', 'demo'], '--list runs nothing: leave out demo'),
    (['--profile', 'rk3599'], "no profile 'rk3599': did you mean rk3"),
    (['--profile', './rk3588'], '--profile: no file ./rk3588: check the p'),
    (['--profile', 'list', '-q'], '--profile list runs nothing: leave out -q'),
    (['--no-link', '--profile', 'rk3588'], '--profile does nothing with --n'),
    (['--list', '-q'], '--list runs nothing: leave out -q'),
    (['--list', '--function', 'none'], 'no function none'),
    (['--net', 'new-function', 'x'], 'write "pci-ep-run new-function DIR"'),
    (['--fault-seed=1'], '--fault-seed needs --fault'),
    (['--fault-seed=2', '--fault', '1s ep link-down'], 'no fault has chance='),
    (['--fault', '1s host2 link-down'], 'this run has no link 1 of host2'),
    (['--fault', '1s ep'], 'write TIME GUEST REQUEST'),
    (['--fault', '1s ep link-down', '--ep-cmd=x'], '--ep-cmd does not start'),
    (['--fault', '1s ep link-down', 'faults'], 'exclude each other'),
    (['--function', 'nvme,path=x,disk=ram'], 'path= does nothing with disk=r'),
    (['--function', 'nvme,size=1M,path=x'], 'size= does nothing with path='),
    (['--function', 'ntb', '--function', 'test'], 'needs both host guests'),
    (['--function', 'test,vfs=8'], 'a controller has 8 of both together'),
    (['--function', 'test,controller=1'], 'number controllers from 0'),
    (['--interactive', 'host2'], 'only functions with two hosts'),
    (['--interactive', 'host', 'faults'], 'exclude each other'),
    (['--function', 'nvme', 'faults'], 'exclude each other'),
    (['--fault-seed', '2'], '--fault-seed needs --fault'),
    (['--fault-seed', '2', 'faults'], '--fault-seed needs --fault'),
    (['--fault-script', os.devnull], 'has no fault in it'),
    (['--trace-events', 'a b'], '--trace-events: write a name such as'),
    (['--host-qemu-arg', '-device'], 'write --host-qemu-arg=VALUE'),
    (['--archive', 'x.rar'], '--archive: write a name that ends in .tar'),
    (['--archive', '/none/x.zip'], '--archive: cannot write /none/x.zip'),
    (['--kernel-src', '/none'], '/none holds no Linux source: name the top'),
    (['--config', '/none'], 'no file /none: check --config'),
    (['--config', __file__, '--kernel-name', '7-trcae'], 'did you mean 7-tr'),
    (['--ep-kernel-src', '/', '--ep-kernel', 'x'], 'exclude each other'),
    (['--host-kernel-name', '7', '--host-kernel', 'x'], 'exclude each other'),
    (['--host-kernel-name', '7-64k'], 'no kernel 7-64k for x86_64: choose 7'),
    (['--config', '/', '--host-kernel=x', '--ep-kernel=x'], 'does nothing'),
    (['--device', '/none'], 'no socket /none: start the server first'),
    (['--device', os.devnull], 'no socket /dev/null: start the server first'),
    (['--gdb', 'hots'], "--gdb: no 'hots': did you mean host"),
    (['--ftrace', 'pci'], "--ftrace: write an event such as 'pci:"),
    (['--ep-ftrace', 'graph:a b'], '--ep-ftrace: write an event'),
    (['--interactive', 'host', '--host-cmd=x'], 'exclude each other'),
    (['atach', 'ep'], "no scenario 'atach': did you mean attach"),
    (['--no-link', 'exec', 'ep', 'x'], 'write "pci-ep-run exec" first'),
    (['--rootfs', 'debain'], "no 'debain': did you mean debian"),
    (['--rootfs', 'debian', '--ep-prog', 'x'], 'do nothing with --rootfs'),
    (['--share', '/none'], '--share: no directory /none: check the path'),
    (['--share', '/tmp:/'], "--share: '/' is no place in a guest"),
    (['--share', '/tmp:/a b'], "--share: '/a b' is no place in a guest"),
    (['--share', '/:/x', '--share', '/tmp:/x'], 'two directories at /x'),
    (['--function', 'vntb', '--host-iommu', 'virtio'], 'use intel-cm'),
    (['--function', './none'], 'no directory ./none: check the path'),
    (['--function', f'{TOP}/docs'], 'no function.toml in .*new-function DIR'),
    (['new-function'], 'DIR is missing: --help'),
    (['new-function', 'a', 'b'], "'b' belongs to no option"),
    (['new-function', 'a', '--nmae=x'], 'did you mean --name'),
    (['new-function', '/none/1st'], 'the name "1st" cannot be part'),
    (['new-function', '/proc/none', '--name=x'], 'cannot write /proc/none'),
    (['new-function', f'{TOP}/docs'], 'is not empty: name a new directory'),
    (['new-function', 'nvme'], 'the name nvme is taken'),
]


def refused(args):
    """Return the line with which the arguments are refused."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(args)
        except SystemExit as error:
            status = error.code
    equal(status, 2, f'exit status of {args}')
    equal(out.getvalue(), '', f'standard output of {args}')
    lines = err.getvalue().splitlines()
    equal(len(lines), 1, f'lines for {args}: {lines}')
    equal(lines[0].startswith('pci-ep-run: '), True, lines[0])
    return lines[0]


def test_wrong_input():
    for args, pattern in WRONG:
        contains(refused(args), pattern, f'the error for {args}')


def test_device():
    """A host alone takes no options of an endpoint, and lists functions."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(
            socket.AF_UNIX) as server:
        path = os.path.join(directory, 'server')
        server.bind(path)
        for args in (['demo'], ['--function', 'nvme'], ['--no-link'],
                     ['--ep-cpus', '2'], ['--ep-cmd', 'true'], ['--trace'],
                     ['--profile', 'rk3588'], ['--fault', '1s ep stop 1s']):
            contains(refused(['--device', path, *args]),
                     'with --device, which has no endpoint', f'{args}')
        contains(refused(['--device', path, '--interactive', 'both']),
                 '--interactive host', 'the error for both guests')
        for args, command in (([], 'pci_list'), (['--host-cmd', 'ls'], 'ls'),
                              (['--host-iommu', 'intel'], 'pci_list')):
            parser = cli.make_parser()
            options = parser.parse_args(['--device', path, *args])
            cli._check(parser, options)
            equal(options.host_cmd, command, f'what runs with {args}')
            equal(options.functions, [], 'functions')


def test_right_input():
    """No option that does something is refused."""
    for args in ([], ['demo'], ['faults'], ['--trace'], ['--trace', 'demo'],
                 ['--trace-events', 'pci_epc_*'], ['--msix', '64'],
                 ['--first', 'ep', '--delay', '1'], ['--no-link'],
                 ['--delay', 'link'],
                 ['--function', 'nvme,disk=ram'], ['--link-wait', '9'],
                 ['--host-cmd', 'true', '--link-wait', 'none'],
                 ['--fault', '2s ep link-down 500ms'],
                 ['--fault', '1s ep dma-delay,us=9,chance=3',
                  '--fault-seed', '2'],
                 ['--share', '/tmp'], ['--timeout', '0']):
        parser = cli.make_parser()
        try:
            cli._check(parser, parser.parse_args(args))
        except SystemExit as error:
            raise AssertionError(f'{args} is refused') from error


def test_no_words_of_the_implementation():
    for args, _pattern in WRONG:
        line = refused(args)
        for word in ('argument ', 'invalid', 'Namespace', 'usage:', 'type',
                     'positive', 'msix_count', 'SCENARIO'):
            equal(word in line, False, f'{word} in {line}')


def test_trace_events():
    with tempfile.TemporaryDirectory() as directory:
        qemu = os.path.join(directory, 'qemu')
        with open(qemu, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\necho pci_epc_raise; echo pci_ep_message\n')
        os.chmod(qemu, 0o755)
        usage.check_events(qemu, ['pci_epc_*', '-pci_ep_message', '*raise'])
        contains(raises(CannotRun, usage.check_events, qemu, ['pci_epc_rise']),
                 'did you mean pci_epc_raise', 'the error')
        contains(raises(CannotRun, usage.check_events, '/none', ['x']),
                 'does not list its trace events', 'the error')


def test_commands_of_guests_are_documented():
    with open(os.path.join(TOP, 'docs/system/launcher.rst'),
              encoding='utf-8') as file:
        page = file.read().partition('.. _inside-a-guest:')[2]
    for role in ('host', 'ep'):
        names = compose.guest_commands(role)
        equal('help' in names and 'load' in names, True, f'{names}')
        for name in names:
            contains(page, f'``{name}[ `]', 'the page')


def test_share():
    """A directory may have colons and blanks in its name."""
    for text, pair in (('a/b', ('a/b', '/mnt/b')),
                       ('a/b/', ('a/b/', '/mnt/b')),
                       ('a b:c', ('a b:c', '/mnt/a b:c')),
                       ('a:b:/c/d', ('a:b', '/c/d'))):
        equal(userland.split_share(text), pair, f'the paths of {text}')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
