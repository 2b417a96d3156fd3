# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-ep-run: options, one run, exit status."""

import argparse
import os
import re
import shlex
import signal
import stat
import sys
import traceback
from typing import Any, Callable, List, Optional, Sequence

from .. import CannotRun, arch, functions, one_of
from ..image import kernels
from ..vm import accel, machine
from ..vm.setup import (
    DEADLINE, DEADLINE_MOST, UNTIL_LINK, GuestOptions, Setup, role_of)
from . import (
    client, debug, fault_steps, faults, hands, kcidb, new_function, profiles,
    rundir, session, status, usage, userland)


ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '../../..'))
ROLES = ('host', 'ep')
DEVICE_SECONDS = 120  # time limit of a run with --device
SCENARIOS = {
    'demo': 'boots both guests and shows the selftest pass; '
    'what "make demo" runs',
    'faults': 'makes each fault on request happen to the selftest or to '
    'NVMe, and checks what Linux makes of them',
}

DESCRIPTION = '''\
Boots two QEMU guests that share one PCI Express link and runs a test between
them: in the endpoint guest the Linux PCI endpoint framework drives a virtual
endpoint controller, the host guest finds the device behind its root port.'''

EPILOG = '''
examples:
  pci-ep-run demo                         what "make demo" runs
  pci-ep-run --function test --msix 2048 --host-cpus 12
  pci-ep-run --function nvme,disk=file,size=1G
                                          an NVMe controller that serves a file
  pci-ep-run --ep-arch arm64 demo         the same with an arm64 endpoint
  pci-ep-run new-function ./mine          writes an endpoint function
  pci-ep-run --function ./mine            builds and tests it
  pci-ep-run --ep-kernel bzImage --ep-modules /tmp/mods \\
             --ep-driver pcie-qemu-ep.ko  your own kernel in the endpoint guest
  pci-ep-run --kernel-src ~/linux         your own kernel tree in both guests
  pci-ep-run --kernel-name 7-trace --ep-ftrace graph:pci_epf_test
                                          all calls in a module
  pci-ep-run --host-file ./mytest --host-cmd '/root/mytest'
                                          your own program against pci-epf-test
  pci-ep-run --interactive both           a shell in each guest; Ctrl-] ends
                                          the run
  pci-ep-run --fault '2s ep link-down 500ms' \\
             --host-file ./survive --host-cmd /root/survive
                                          the cable is out for half a second

While a run goes on, these act on it from any terminal; each has a --help:
  pci-ep-run attach ep                    the console of a guest, with a shell
  pci-ep-run exec ep dmesg                a command, its output, its status
  pci-ep-run cp ./mine.ko ep:             a file or directory, in or out
  pci-ep-run monitor host info pci        the monitor of its QEMU
  pci-ep-run stop                         ends it
  pci-ep-run list                         shows all runs

In a command or shell inside a guest "help" lists commands: "load NAME" inserts
a module with all it depends on; in the endpoint guest ep_stop and ep_start
take the link down and up; in the host guest pci_list shows the PCI functions
and "endpoint 1af4:10f1" finds one.

exit status: 0 passed, 1 a test failed or a kernel reported a fault, 2 it could
not run, 130 ended by Ctrl-C. Faults on a console that are known and harmless
are listed in scripts/pciep/allow.txt.

environment: PCI_EP_CACHE (default ~/.cache/pci-ep) remembers whether KVM works
here; PCI_EP_RUNTIME_DIR has the sockets of runs (default a directory below
XDG_RUNTIME_DIR, TMPDIR or /tmp); PCI_EP_BUSYBOX names a static busybox;
NO_COLOR turns colors off.
'''


def positive(text: str) -> int:
    """Type of an option: a number that is at least 1."""
    return usage.number(text)


def msix_count(text: str) -> int:
    """Type of an option: a number of MSI-X vectors."""
    return usage.number(text, 1, 2048)


def memory(text: str) -> str:
    """Type of an option: a size as QEMU takes it."""
    if not re.fullmatch(r'[1-9]\d*[MG]', text):
        raise argparse.ArgumentTypeError('write it like 512M or 2G')
    return text


def seconds(text: str) -> float:
    """Type of an option: a time that may be 0."""
    if not re.fullmatch(r'\d+(\.\d*)?|\.\d+', text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a number of seconds")
    return float(text)


def delay(text: str) -> float:
    """Type of an option: a time that may be 0, or link."""
    return UNTIL_LINK if text == 'link' else seconds(text)


def link_wait(text: str) -> Optional[int]:
    """Type of an option: a number that is at least 1, or none."""
    return None if text == 'none' else positive(text)


def archive_name(text: str) -> str:
    """Type of an option: an archive that can be written."""
    problem = rundir.check_archive(text)
    if problem:
        raise argparse.ArgumentTypeError(problem)
    return text


# All events of both devices
TRACED = ('pci_epc_*', 'pci_ep_*', 'epf_bridge_*')


def trace_pattern(text: str) -> str:
    """Type of an option: a pattern for names of trace events."""
    if not re.fullmatch(r'-?[A-Za-z0-9_*?]*[A-Za-z0-9_*]', text) \
            or text == 'help':
        raise argparse.ArgumentTypeError(
            'write a name such as pci_epc_raise or epf_bridge_*')
    return text


def _add_guest_options(parser: argparse.ArgumentParser, role: str,
                       words: str) -> None:
    """Add the options that each guest has."""
    group = parser.add_argument_group(f'{words} guest')
    add = group.add_argument
    add(f'--{role}-arch', choices=list(arch.ARCH), default=arch.DEFAULT,
        help='architecture of this guest; arm64 needs "make aarch64" '
        f'(default {arch.DEFAULT})')
    add(f'--{role}-kernel', metavar='IMG',
        help='use this kernel image (bzImage, for arm64 Image) instead of the '
        'built one')
    add(f'--{role}-modules', metavar='DIR',
        help='take the modules of that kernel from here: INSTALL_MOD_PATH of '
        '"make modules_install", or a directory with modules.dep')
    add(f'--{role}-module', metavar='NAME|FILE.ko', action='append',
        default=[],
        help='insert this module at boot, one of the kernel or a file, which '
        'replaces the one of its name; repeatable')
    add(f'--{role}-file', metavar='SRC[:DST]', action='append', default=[],
        help='put a file or directory into the guest, default /root/NAME; '
        'repeatable')
    add(f'--{role}-cmd', metavar='CMD',
        help='run this shell command instead of the test; its exit status '
        'and the TAP or KTAP that it prints are the results')
    add(f'--{role}-append', metavar='ARGS', default='',
        help='give the kernel more arguments')
    add(f'--{role}-cpus', metavar='N', type=positive, default=2,
        help='number of vCPUs (default 2)')
    add(f'--{role}-mem', metavar='SIZE', type=memory,
        help='size of its memory (default 512M and what the functions need)')
    add(f'--{role}-qemu-arg', metavar='ARG', action='append', default=[],
        help='give QEMU one more argument; repeatable; write '
        f'--{role}-qemu-arg=-device')
    if role == 'ep':
        add('--ep-driver', metavar='FILE',
            help='use this pcie-qemu-ep.ko, which is built for --ep-kernel '
            '(see linux/)')


def _add_what_runs(parser: argparse.ArgumentParser) -> None:
    names = ', '.join(f'{name} ({text})' for name, text in SCENARIOS.items())
    parser.add_argument('scenario', nargs='?', choices=list(SCENARIOS),
                        metavar='SCENARIO', help=names)
    group = parser.add_argument_group('what runs')
    add = group.add_argument
    add('--function', metavar='NAME[,OPTION=VALUE...]', action='append',
        default=[],
        help='run this endpoint function and its test (default test); --list '
        'names all; a path such as ./mine is a directory with function.toml; '
        'repeatable: functions 0, 1, ... of the device; controller=N is an '
        'option of each')
    add('--list', action='store_true',
        help='list scenarios and functions, then exit')
    add('--msix', metavar='N', type=msix_count, default=64,
        help='give the function 1 to 2048 MSI-X vectors (default 64; 2048 '
        'needs --host-cpus 12)')
    add('--interactive', choices=['host', 'host2', 'ep', 'both'],
        help='open a shell on that guest\'s console, with everything set up; '
        'both is in tmux, if it is installed; Ctrl-] ends the run, Ctrl-\\ '
        'shows the other guest')
    add('--net', action='store_true', help='give both guests user networking')
    add('--timeout', metavar='S', type=seconds,
        help='end the run after that many seconds (default what the functions '
        'need, no limit when interactive; 0 is no limit)')
    add('--link-wait', metavar='S|none', type=link_wait, default=60,
        help='have the host wait that many seconds for a function (default '
        '60); none: run the command or the shell at once')


def _add_faults(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('faults on request')
    add = group.add_argument
    add('--fault', metavar='TEXT', action='append', default=[],
        help='"TIME GUEST REQUEST [DURATION]", for example "2s ep link-down '
        '500ms": ask the device of that guest for a fault, that long after '
        'the link was started; repeatable; docs/system/faults has the '
        'requests')
    add('--fault-script', metavar='FILE', action='append', default=[],
        help='the same from a file, one in a line')
    add('--fault-seed', metavar='N', type=positive, default=1,
        help='seed of the random numbers in "chance" and "jitter" (default 1)')


def _add_how_it_runs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('how it runs')
    add = group.add_argument
    add('--accel', choices=['auto', 'kvm', 'tcg'], default='auto',
        help='use this accelerator; auto boots a kernel under KVM once to see '
        'whether it works (default auto)')
    add('--qemu', metavar='FILE',
        help='use another QEMU binary, or those in this directory')
    add('--build-dir', metavar='DIR', default=os.path.join(ROOT, 'build'),
        help='use what "make" built here (default build/ of this checkout)')
    add('--log-dir', metavar='DIR',
        help='write the results here (default build/results/SCENARIO)')
    add('--archive', metavar='FILE', type=archive_name,
        help='pack the results into this .tar, .tar.gz, .tgz, .tar.xz or .zip')
    add('--kcidb', metavar='ORIGIN[,URL]', type=kcidb.target,
        help='write kcidb.json for the database of KernelCI, too; ORIGIN is '
        'the name of your CI system, URL where the results will be')
    add('--first', choices=['host', 'ep'],
        help='start this guest first (default both at once)')
    add('--delay', metavar='S', type=delay, default=0.0,
        help='wait that many seconds between the two starts; link: until the '
        'endpoint has started the link (default 0, of 7-debug link)')
    add('--no-link', action='store_true',
        help='boot both guests without the link, run nothing')
    add('--device', metavar='SOCKET',
        help='boot the host guest alone, in front of the vfio-user server at '
        'this socket; without --host-cmd and --interactive it lists the PCI '
        'functions')
    add('--private-memory', choices=['host', 'ep'], action='append',
        default=[],
        help='give that guest memory that its peer cannot map, so that '
        'accesses to it are messages')
    add('--host-iommu', choices=arch.iommus(), default='none',
        help='give the host guest DMA translation: none (default), virtio '
        '(on x86 without interrupt remapping); x86_64: intel (the endpoint '
        'reaches host memory by message), intel-cm (caching mode, memory is '
        'mapped); arm64: smmuv3 (as intel)')
    add('--profile', metavar='NAME|FILE|list', type=profiles.profile,
        help='give the endpoint controller the limits of a real one, such as '
        'rk3588; list prints all as a table, then exits')
    add('--trace', action='store_true',
        help='write a timeline of both guests, with the messages between '
        'them, to the results: timeline.txt, timeline.json (Perfetto), '
        'link.pcapng (Wireshark)')
    add('--trace-events', metavar='PATTERN', type=trace_pattern,
        action='append', default=[],
        help='the same with these trace events only (default all of both '
        'devices); repeatable')
    add(usage.BISECT, action='store_true',
        help='for "git bisect run": the exit status is 125 when a kernel does '
        'not build or boot, and 128 when the run is not possible')
    add('-q', '--quiet', action='store_true', help='print the verdict only')
    add('--no-console', action='store_true',
        help='do not print the consoles live (host.log and ep.log have them)')


def make_parser() -> usage.Parser:
    """Return the parser of the command line; --help is the reference."""
    parser = usage.Parser(
        prog='pci-ep-run', description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_what_runs(parser)
    _add_faults(parser)
    _add_how_it_runs(parser)
    debug.add_options(parser)
    _add_guest_options(parser, 'host', 'host')
    _add_guest_options(parser, 'ep', 'endpoint')
    userland.add_options(parser)
    return parser


def _guest_options(options: argparse.Namespace, name: str,
                   kernel: kernels.Kernel, qemu: str = '',
                   chosen: str = '') -> GuestOptions:
    """Return how the options want the guest with that name."""
    role = role_of(name)

    def get(option: str) -> Any:
        return getattr(options, f'{role}_{option}')

    only_ep = bool(options.ep_cmd and not options.host_cmd)
    return GuestOptions(
        name=name,
        kernel=kernel,
        cpus=get('cpus'),
        mem=get('mem'),
        append=get('append'),
        files=get('file'),
        modules=get('module'),
        # --host-cmd is for the first host.
        cmd=get('cmd') if name == role else None,
        extra=[*(profiles.arguments(options.profile)
                 if options.profile and role == 'ep' else ()),
               *get('qemu_arg')],
        ftrace=debug.ftrace_lines(options, role),
        interactive=options.interactive in (name, hands.BOTH),
        idle=role == 'host' and (
            only_ep or options.interactive in ('ep', 'host2')
            or options.scenario == 'faults'),
        shared=role not in options.private_memory,
        iommu=options.host_iommu,
        qemu=qemu,
        accel=chosen,
        **userland.guest_options(options, name),
    )


def _delay(options: argparse.Namespace, kernel: str,
           tell: Callable[[str], None]) -> float:
    """
    Return Setup.delay.

    pciehp of a stock kernel turns lockdep off when it adds a device to a host
    that runs.  A device that is there at boot is not added in this way.
    """
    wanted: float = options.delay
    if wanted or options.no_link or not kernel.endswith('-debug'):
        return wanted
    tell('the host starts when the link is up, since a hot-plug turns lockdep '
         'off; --delay 0.1 starts it at once')
    return UNTIL_LINK


def make_setup(options: argparse.Namespace, rundir: str,
               tell: Callable[[str], None]) -> Setup:
    """Return the guests that the options ask for."""
    build = os.path.abspath(options.build_dir)
    qemus = {role: machine.find_qemu(build, getattr(options, f'{role}_arch'),
                                     options.qemu) for role in ROLES}
    debug.get_prebuilt(options, tell)
    names = debug.build_kernels(options, build, tell)
    host = kernels.custom(build, names['host'], image=options.host_kernel,
                          moduledir=options.host_modules)
    ep = kernels.custom(build, names['ep'], image=options.ep_kernel,
                        moduledir=options.ep_modules,
                        driver=options.ep_driver)
    debug.check_kernels(options, {'host': host, 'ep': ep})
    if options.trace_events:
        usage.check_events(qemus['host'], options.trace_events)
    accels = {role: accel.choose(options.accel, qemus[role], kernel.image,
                                 kernel.arch, tell)
              for role, kernel in (('host', host), ('ep', ep))}
    hosts = functions.hosts(options.functions)
    return Setup(
        rundir=rundir,
        qemu=qemus['host'],
        accel=accels['host'],
        guests=[_guest_options(options, name, host) for name in hosts]
        + [_guest_options(options, 'ep', ep, qemus['ep'], accels['ep'])]
        * (not options.device),
        functions=options.functions,
        msix=options.msix,
        link=not options.no_link,
        device=options.device or '',
        link_wait=options.link_wait,
        first=options.first,
        delay=_delay(options, names['host'], tell),
        trace=options.trace_events,
        gdb=options.gdb,
        deadline=DEADLINE_MOST if options.gdb else DEADLINE,
        monitors=bool(options.faults) or options.scenario == 'faults',
        build=build,
        **userland.setup(options, rundir, tell),
    )


def list_functions(own: Sequence[str] = ()) -> None:
    """Print what --list asks for, and the functions that are given too."""
    known = dict(functions.available())
    known.update((i.name, i.function)
                 for i in map(functions.Instance.parse, own))
    print('scenarios:')
    for name, text in SCENARIOS.items():
        print(f'  {name:<10} {text}')
    print('functions:')
    for name, function in known.items():
        print(f'  {name:<10} {function.about}')
        for key, option in function.options.items():
            setting = f'{key}={option.default}'
            words = ''
            if option.words:
                words = f' ({" or ".join(option.words)})'
            print(f'      {setting:<14} {option.about}{words}')


def _check_scenario_faults(parser: argparse.ArgumentParser,
                           options: argparse.Namespace) -> None:
    """Set the functions of the scenario, which asks for its own faults."""
    for name in ('function', 'fault', 'fault_script', 'interactive',
                 'host_cmd', 'ep_cmd', 'no_link'):
        if getattr(options, name):
            parser.error(f'the scenario faults and --{name.replace("_", "-")} '
                         'exclude each other')
    options.function = fault_steps.FUNCTIONS
    if options.timeout is None:
        options.timeout = fault_steps.SECONDS


def _check_arch(parser: argparse.ArgumentParser,
                options: argparse.Namespace) -> None:
    """End with an error if options do not fit the architectures."""
    known = arch.ARCH[options.host_arch].host_iommu
    if options.host_iommu not in known:
        parser.error(f'--host-iommu {options.host_iommu}: a host of '
                     f'{options.host_arch} does not have it; write '
                     + one_of(known))
    if (options.qemu and options.host_arch != options.ep_arch
            and not os.path.isdir(options.qemu)):
        parser.error('--qemu: the guests need two binaries; name the '
                     'directory that has both')


def _check_device(parser: argparse.ArgumentParser,
                  options: argparse.Namespace) -> None:
    """End with an error if there is no such server; say what runs."""
    options.device = os.path.abspath(options.device)
    if not os.path.exists(options.device) \
            or not stat.S_ISSOCK(os.stat(options.device).st_mode):
        parser.error(f'--device: no socket {options.device}: start the '
                     'server first')
    if options.interactive not in (None, 'host'):
        parser.error('--device: the host is the only guest; write '
                     '--interactive host')
    if not options.interactive and not options.host_cmd:
        options.host_cmd = 'pci_list'
    options.functions, options.ep_arch = [], options.host_arch


def _check(parser: usage.Parser,
           options: argparse.Namespace) -> None:
    """Set options.functions; end with an error if options do not fit."""
    if options.scenario == 'faults':
        _check_scenario_faults(parser, options)
    if options.interactive and (options.host_cmd or options.ep_cmd):
        parser.error('--interactive and --host-cmd or --ep-cmd exclude each '
                     'other')
    try:
        options.functions = functions.instances(
            options.function or [functions.DEFAULT])
    except ValueError as error:
        parser.error(f'--function: {error}')
    if options.device:
        _check_device(parser, options)
    _check_arch(parser, options)
    if not arch.ARCH[options.host_arch].host_iommu[options.host_iommu].remaps:
        for instance in options.functions:
            if instance.function.remapping:
                parser.error(
                    f'{instance.name} needs several MSI vectors, which the '
                    'host guest does not have with --host-iommu '
                    f'{options.host_iommu}: use intel-cm')
    hosts = functions.hosts(options.functions)
    if options.interactive not in (None, 'ep', hands.BOTH, *hosts):
        parser.error('--interactive host2: only functions with two hosts '
                     'have one, as ntb')
    if options.ep_cmd and (options.fault or options.fault_script):
        parser.error('--fault needs the link, which --ep-cmd does not start')
    try:
        options.faults = faults.parse_all(options.fault,
                                          options.fault_script)
        faults.check(options.faults, {
            link.number: link.host
            for link in functions.links(options.functions)
            if not options.no_link})
    except ValueError as error:
        parser.error(f'--fault: {error}')
    userland.check(parser, options)
    usage.check(options, parser)
    debug.check(parser, options)
    if options.trace:
        options.trace_events = list(TRACED)
    if options.interactive and not sys.stdin.isatty():
        parser.error('--interactive needs a terminal on standard input')


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run pci-ep-run, and return its exit status."""
    words: List[str] = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except KeyboardInterrupt:
        return status.SIGNAL + signal.SIGINT
    except Exception:
        # An error of ours says nothing about the commit.
        if usage.BISECT not in words:
            raise
        traceback.print_exc()
        return status.ABORT


def _run(words: Sequence[str]) -> int:
    """Run pci-ep-run with these arguments."""
    if words[:1] == [new_function.COMMAND]:
        return new_function.main(words[1:], sys.argv[0])
    if words[:1] and words[0] in client.COMMANDS:
        return client.main(words)
    parser = make_parser()
    options = parser.parse_args(words)
    if options.list:
        usage.check_list(parser)
        try:
            list_functions(options.function)
        except ValueError as error:
            parser.error(str(error))
        return 0
    if options.profile == profiles.LIST:
        usage.check_profiles(parser)
        print(*profiles.table(), sep='\n')
        return 0
    _check(parser, options)
    scenario = options.scenario or '+'.join(
        instance.name for instance in options.functions) or 'device'
    if options.timeout is None:
        options.timeout = 0.0
        if not options.interactive and not options.gdb:
            options.timeout = float(sum(
                instance.function.seconds for instance in options.functions)
                or DEVICE_SECONDS)
    try:
        userland.prepare(options)
    except CannotRun as error:
        parser.error(str(error))
    return session.Session(
        options=options,
        scenario=scenario,
        rundir=os.path.abspath(options.log_dir or os.path.join(
            options.build_dir, 'results', scenario)),
        rerun=shlex.join([sys.argv[0], *words]),
        make_setup=make_setup,
    ).run()
