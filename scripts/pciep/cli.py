# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-ep-run: options, one run, exit status."""

import argparse
import os
import shlex
import sys
import textwrap

from . import accel, functions, kernels, machine, session
from .pair import Pair, Side

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SCENARIOS = {
    'demo': 'boots both guests and shows the selftest pass; what "make demo" runs'
}

EPILOG = '''
examples:
  pci-ep-run demo                         what "make demo" runs
  pci-ep-run --function test --msix 2048 --host-cpus 12
  pci-ep-run --function nvme,disk=file,size=1G
                                          an NVMe controller that serves a file
  pci-ep-run --ep-kernel bzImage --ep-modules /tmp/mods --ep-driver pcie-qemu-ep.ko
                                          your own kernel in the endpoint guest
  pci-ep-run --host-file ./mytest --host-cmd '/root/mytest'
                                          your own program against pci-epf-test
  pci-ep-run --interactive host           a shell in the host guest; Ctrl-] ends the run

In a command or shell inside a guest: "load NAME" inserts a module with all it depends on;
in the endpoint guest ep_stop and ep_start take the link down and up; in the host guest
pci_list shows the PCI functions and "endpoint VENDOR:DEVICE" finds one.

exit status: 0 passed, 1 a test failed or a kernel reported a fault, 2 it could not run.
Faults on a console that are known and harmless are listed in scripts/pciep/allow.txt.

environment: PCI_EP_CACHE (default ~/.cache/pci-ep) remembers whether KVM works here;
PCI_EP_BUSYBOX names a static busybox; NO_COLOR turns colors off.
'''


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError('must be at least 1')
    return value


def msix_count(text):
    value = int(text)
    if not 1 <= value <= 2048:
        raise argparse.ArgumentTypeError('must be 1 to 2048')
    return value


def memory(text):
    digits = text[:-1]
    if not text or text[-1] not in 'MG' or not digits.isdigit():
        raise argparse.ArgumentTypeError('write it like 512M or 2G')
    return text


def seconds(text):
    value = float(text)
    if value < 0:
        raise argparse.ArgumentTypeError('must not be negative')
    return value


def _side_options(p, role, long):
    g = p.add_argument_group(f'{long} guest')
    g.add_argument(
        f'--{role}-kernel',
        metavar='IMG',
        help='kernel image (bzImage) instead of the built one',
    )
    g.add_argument(
        f'--{role}-modules',
        metavar='DIR',
        help='its modules: INSTALL_MOD_PATH of "make modules_install", or a directory '
        'with modules.dep',
    )
    g.add_argument(
        f'--{role}-module',
        metavar='NAME',
        action='append',
        default=[],
        help='insert this module at boot; repeatable',
    )
    g.add_argument(
        f'--{role}-file',
        metavar='SRC[:DST]',
        action='append',
        default=[],
        help='put a file or directory into the guest, default /root/NAME; repeatable',
    )
    g.add_argument(
        f'--{role}-cmd',
        metavar='CMD',
        help='run this shell command instead of the test; its exit status is the verdict',
    )
    g.add_argument(
        f'--{role}-append', metavar='ARGS', default='', help='more kernel arguments'
    )
    g.add_argument(
        f'--{role}-cpus', metavar='N', type=positive, default=2, help='vCPUs (default 2)'
    )
    g.add_argument(
        f'--{role}-mem',
        metavar='SIZE',
        type=memory,
        help='memory (default 512M and what the functions need)',
    )
    g.add_argument(
        f'--{role}-qemu-arg',
        metavar='ARG',
        action='append',
        default=[],
        help='one more argument for QEMU; repeatable; write --%s-qemu-arg=-device' % role,
    )
    if role == 'ep':
        g.add_argument(
            '--ep-driver',
            metavar='FILE',
            help='pcie-qemu-ep.ko built for --ep-kernel (see linux/)',
        )


def parser():
    p = argparse.ArgumentParser(
        prog='pci-ep-run',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=textwrap.dedent(
            '''\
            Boots two QEMU guests that share one PCI Express link and runs a test between
            them: in the endpoint guest the Linux PCI endpoint framework drives a virtual
            endpoint controller, the host guest finds the device behind its root port.'''
        ),
        epilog=EPILOG,
    )
    names = ', '.join(f'{n} ({t})' for n, t in SCENARIOS.items())
    p.add_argument(
        'scenario', nargs='?', choices=list(SCENARIOS), metavar='SCENARIO', help=names
    )
    g = p.add_argument_group('what runs')
    g.add_argument(
        '--function',
        metavar='NAME[,OPTION=VALUE...]',
        action='append',
        default=[],
        help='endpoint function and its test (default test), see --list; repeatable: '
        'functions 0, 1, ... of the device; controller=N is an option of each',
    )
    g.add_argument(
        '--list', action='store_true', help='list scenarios and functions, then exit'
    )
    g.add_argument(
        '--msix',
        metavar='N',
        type=msix_count,
        default=64,
        help='MSI-X vectors of the function, 1 to 2048 (default 64; 2048 needs '
        '--host-cpus 12)',
    )
    g.add_argument(
        '--interactive',
        choices=['host', 'host2', 'ep'],
        help='a shell on that guest\'s console, everything set up; Ctrl-] ends the run',
    )
    g.add_argument('--net', action='store_true', help='user networking in both guests')
    g.add_argument(
        '--timeout',
        metavar='S',
        type=seconds,
        help='time limit of the run in seconds (default what the functions need, none '
        'when interactive; 0 is none)',
    )
    g.add_argument(
        '--link-wait',
        metavar='S',
        type=positive,
        default=60,
        help='how long the host waits for the endpoint (default 60)',
    )
    g = p.add_argument_group('how it runs')
    g.add_argument(
        '--accel',
        choices=['auto', 'kvm', 'tcg'],
        default='auto',
        help='auto boots a kernel under KVM once to see whether it works (default auto)',
    )
    g.add_argument('--qemu', metavar='FILE', help='another QEMU binary')
    g.add_argument(
        '--kernel-name',
        metavar='NAME',
        default='7',
        help='kernel build/kernel-NAME for both guests: 7, or with "make kernels" 6.12 '
        'and 7-debug (default 7)',
    )
    g.add_argument(
        '--build-dir',
        metavar='DIR',
        default=os.path.join(ROOT, 'build'),
        help='where "make" built (default build/ of this checkout)',
    )
    g.add_argument(
        '--log-dir',
        metavar='DIR',
        help='results directory (default build/results/SCENARIO)',
    )
    g.add_argument(
        '--first',
        choices=['host', 'ep'],
        help='start this guest first (default both at once)',
    )
    g.add_argument(
        '--delay',
        metavar='S',
        type=seconds,
        default=0.0,
        help='seconds between the two starts (default 0)',
    )
    g.add_argument(
        '--no-link',
        action='store_true',
        help='boot both guests without the link, run nothing',
    )
    g.add_argument(
        '--private-memory',
        choices=['host', 'ep'],
        action='append',
        default=[],
        help='give that guest memory its peer cannot map: the slow path',
    )
    g.add_argument(
        '--host-iommu',
        choices=sorted(machine.ARCH['x86_64']['host_iommu']),
        default='none',
        help='DMA translation in the host guest: none (default), intel (reached by '
        'message), intel-cm (caching mode), virtio (no interrupt remapping)',
    )
    g.add_argument('-q', '--quiet', action='store_true', help='print the verdict only')
    g.add_argument(
        '--no-console',
        action='store_true',
        help='do not print the consoles live (host.log and ep.log have them)',
    )
    _side_options(p, 'host', 'host')
    _side_options(p, 'ep', 'endpoint')
    return p


def build_pair(o, rundir, tell, on_tap, on_console):
    """The Pair that the options ask for."""
    arch = 'x86_64'
    build = os.path.abspath(o.build_dir)
    qemu = machine.find_qemu(build, arch, o.qemu)
    host = kernels.custom(build, o.kernel_name, o.host_kernel, o.host_modules)
    ep = kernels.custom(build, o.kernel_name, o.ep_kernel, o.ep_modules, o.ep_driver)
    which = accel.choose(o.accel, qemu, host.image, arch, tell)
    only_ep = bool(o.ep_cmd and not o.host_cmd)

    def side(role, kernel):
        def get(name):
            return getattr(o, f'{role}_{name}')

        return Side(
            kernel,
            get('cpus'),
            get('mem'),
            get('append'),
            get('file'),
            get('module'),
            get('cmd'),
            get('qemu_arg'),
            o.net,
            o.interactive == role,
            idle=role == 'host' and (only_ep or o.interactive in ('ep', 'host2')),
            shared=role not in o.private_memory,
            iommu=o.host_iommu,
        )

    return Pair(
        rundir,
        qemu,
        which,
        side('host', host),
        side('ep', ep),
        arch,
        o.functions,
        o.msix,
        link=not o.no_link,
        link_wait=o.link_wait,
        first=o.first,
        delay=o.delay,
        on_tap=on_tap,
        on_console=on_console,
        interactive=o.interactive,
    )


def list_functions():
    print('scenarios:')
    for name, text in SCENARIOS.items():
        print(f'  {name:<10} {text}')
    print('functions:')
    for name, f in functions.FUNCTIONS.items():
        print(f'  {name:<10} {f.about}')
        for option, about in f.options.items():
            setting = f'{option}={about.default}'
            words = f' ({" or ".join(about.kind)})' if type(about.kind) is tuple else ''
            print(f'      {setting:<14} {about.about}{words}')


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    p = parser()
    o = p.parse_args(argv)
    if o.list:
        list_functions()
        return 0
    if o.interactive and (o.host_cmd or o.ep_cmd):
        p.error('--interactive and --host-cmd or --ep-cmd exclude each other')
    if o.interactive and not sys.stdin.isatty():
        p.error('--interactive needs a terminal on standard input')
    try:
        o.functions = functions.instances(o.function or ['test'])
    except ValueError as e:
        p.error(str(e))
    if o.host_iommu in machine.ARCH['x86_64']['plain_iommu']:
        for i in (i for i in o.functions if i.function.remapping):
            p.error(
                f'{i.name} needs several MSI vectors, which the host guest does not have '
                f'with --host-iommu {o.host_iommu}: use intel-cm'
            )
    if o.interactive == 'host2' and 'host2' not in functions.hosts(o.functions):
        p.error('--interactive host2: only functions with two hosts have one, as ntb')
    scenario = o.scenario or '+'.join(i.name for i in o.functions)
    rundir = os.path.abspath(o.log_dir or os.path.join(o.build_dir, 'results', scenario))
    rerun = shlex.join([sys.argv[0]] + argv)
    if o.timeout is None:
        most = sum(i.function.seconds for i in o.functions)
        o.timeout = 0.0 if o.interactive else float(most)
    return session.Session(o, scenario, rundir, rerun, build_pair).run()
