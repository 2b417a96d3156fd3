# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-ep-run when things go wrong: it ends, says why and cleans up."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time

from lib import (READY, TOP, Link, Skipped, check, contains, equal, expect,
                 lacks, limit, long, process)
from pciep.run import fault_steps, faults

QUICK = ('--no-link', '--no-console')


def cannot(t, pattern, *args, **kw):
    """The run ends with 2 and exactly one line, which matches the pattern."""
    status, out = t.launch(*args, **kw)
    equal(status, 2, f'exit status; output:\n{out[-2000:]}')
    if '/proc/none' not in args:
        equal(t.results().get('run'), ('fail', ''), 'results.tap')
    lines = [ln for ln in out.splitlines() if ln.startswith('pci-ep-run: ')]
    equal(len(lines), 1, f'number of lines that say why, {lines}')
    contains(lines[0], pattern, 'the line')
    return out


def missing(t):
    """Return a path that nothing has: its directory is the test's own."""
    path = os.path.join(t.rundir, 'missing')
    check(not os.path.exists(path), f'{path} exists')
    return path


def test_no_qemu(t):
    cannot(
        t, 'run "make" first, or name one with --qemu|'
        'check the path given to --qemu', f'--qemu={missing(t)}')


def test_no_kernel(t):
    cannot(t, 'run "make" first', '--kernel-name=none-such')


def test_no_image(t):
    path = missing(t)
    cannot(t, f'no kernel image {path}: check the path',
           f'--host-kernel={path}')


def test_image_is_no_kernel(t):
    t.kernel('7')
    text = t.file('text', 'no kernel\n', 0o644)
    cannot(t, '--host-kernel|release', f'--host-kernel={text}', *QUICK)


def test_no_file(t):
    t.kernel('7')
    cannot(t, 'check --host-file', f'--host-file={missing(t)}', *QUICK)


def test_no_modules(t):
    t.kernel('7')
    cannot(t, 'modules_install', '--ep-modules', t.rundir, *QUICK)


@limit(90)
def test_module(t):
    """A name is inserted, and so is a file that the kernel does not have."""
    t.kernel('7')
    file = os.path.join(t.build, 'modules-7/pci-ep-ext-test-host.ko')
    cannot(t, 'no module pci_endpoint_tset: did you mean pci_endpoint_test',
           '--host-module=pci_endpoint_tset', *QUICK)
    cannot(t, 'is no kernel module', '--host-module',
           t.file('text.ko', 'no module\n'), *QUICK)
    status, out = t.launch(
        '--host-module=pci_endpoint_test', f'--host-module={file}',
        '--host-cmd=cd /sys/module && test -d pci_endpoint_test && '
        'test -d pci_ep_ext_test_host', *QUICK)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@limit(120)
def test_other_ids(t):
    """A function of the user's own is there at once, whatever its ids."""
    t.kernel('7')
    offer = ('load pci_epf_test; cd /sys/kernel/config/pci_ep; '
             'f=functions/pci_epf_test/mine; mkdir $f; '
             'echo 0x1af4 >$f/vendorid; echo 0x10f7 >$f/deviceid; '
             'ln -s /sys/kernel/config/pci_ep/$f controllers/*/; ep_start')
    status, out = t.launch(
        f'--ep-cmd={offer}', '--link-wait=600', '--timeout=100',
        '--host-cmd=endpoint 1AF4:10f7 && endpoint 0x1af4:0x10f7 && pci_list',
        '--no-console')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    contains(t.read('host.log'), '0000:01:00.0 1af4:10f7', 'host.log')


@limit(90)
def test_wrong_ids(t):
    """A test does not wait when another function has taken the place."""
    link = Link(t.testbed())
    with link.bed:
        link.start()
        seen = link.host('choose fn0; LINK_WAIT=600; ENDPOINT=0x1af4:0x10f7; '
                         '! function_appears 3>&1', 20)
        contains(seen, '# no function 1af4:10f7 after [0-5] s', 'the notes')
        contains(seen, '#   0000:01:00.0 104c:b500', 'the notes')
        contains(seen, 'not ok 1 endpoint.ENUMERATE', 'the result')


@limit(90)
def test_guest_commands(t):
    """Programs find the commands in PATH; mistakes are said."""
    t.kernel('7')
    program = t.file('program', """#!/bin/sh
set -e
/pciep/bin/help | grep -q "^load MODULE..."
cat /pciep/commands.txt | sed -n 's/^\\([a-z_]*\\)|.*/\\1/p' >/tmp/names
xargs -n 1 which </tmp/names >/tmp/found || :
echo "$(hostname): $(grep -c /pciep/bin/ /tmp/found) commands" >/dev/kmsg
timeout 5 sh -c 'load pci_epf_test'
! load no_such_module 2>/tmp/says
grep "no module no_such_module in this guest" /tmp/says
[ "$(hostname)" = host ] || exit 0
! wait_for 1 endpoint 1af4 2>/tmp/says
grep "'1af4' is not VENDOR:DEVICE" /tmp/says
no_endpoint 1234:5678
""")
    status, out = t.launch(
        f'--host-file={program}', '--host-cmd=/root/program',
        f'--ep-file={program}', '--ep-cmd=/root/program', '--link-wait=none',
        '--no-console')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    contains(t.read('host.log'), 'host: 9 commands', 'host.log')
    contains(t.read('ep.log'), 'ep: 6 commands', 'ep.log')


def test_log_dir_is_not_writable(t):
    t.kernel('7')
    cannot(t, '--log-dir', '--log-dir', '/proc/none', *QUICK)


def test_unknown_qemu_option(t):
    t.kernel('7')
    cannot(t, 'QEMU of the ep guest ended', '--ep-qemu-arg=-nonsense', *QUICK)


@limit(90)
def test_no_endpoint_support(t):
    """The kernel looks as one without CONFIG_PCI_ENDPOINT_CONFIGFS."""
    t.kernel('7')
    cannot(t, 'CONFIG_PCI_ENDPOINT',
           '--ep-append=initcall_blacklist=pci_ep_cfs_init', '--no-console',
           '--timeout=60', seconds=85)


@limit(90)
def test_init_hangs(t):
    t.kernel('7')
    hang = t.file('hang',
                  '#!/bin/sh\nwhile :; do /bin/busybox sleep 1; done\n')
    out = cannot(t, 'no init in the ep guest within 15 s',
                 f'--ep-file={hang}:/hang', '--ep-append=rdinit=/hang',
                 '--timeout=15', *QUICK)
    contains(out, 'Run /hang as init process', 'last lines of the console')


@limit(90)
def test_guest_stopped_before_boot(t):
    """A QEMU that does nothing at all."""
    t.kernel('7')
    cannot(t, 'kernel of the host guest printed nothing within 10 s',
           '--host-qemu-arg=-S', '--timeout=10', *QUICK)


@limit(90)
def test_command_hangs(t):
    t.kernel('7')
    status, out = t.launch('--host-cmd=sleep 1000', '--timeout=15', *QUICK)
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'time limit of 15 s reached', 'the verdict')
    contains(out, 'last lines of the ep console', 'output')
    contains(out, 'last lines of the host console', 'output')


@limit(90)
def test_command_status_is_the_verdict(t):
    t.kernel('7')
    equal(
        t.launch('--host-cmd=exit 0', *QUICK)[0], 0, 'a command that succeeds')
    equal(t.launch('--host-cmd=exit 3', *QUICK)[0], 1, 'a command that fails')
    equal(
        t.launch('--ep-cmd=false', *QUICK)[0], 1,
        'a command that fails in the endpoint guest')
    equal(
        t.launch('--ep-cmd=true', '--host-cmd=true', *QUICK)[0], 0,
        'both succeed')


@limit(90)
def test_files_reach_the_guests(t):
    t.kernel('7')
    t.file('payload', 'hello\n', 0o644)
    src = os.path.join(t.rundir, 'payload')
    status, out = t.launch(f'--host-file={src}:/data/in', '--ep-file', src,
                           '--host-cmd=grep -q hello /data/in',
                           '--ep-cmd=grep -q hello /root/payload', *QUICK)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@limit(90)
def test_panic(t):
    t.kernel('7')
    status, out = t.launch('--host-cmd=echo c >/proc/sysrq-trigger',
                           '--timeout=60', *QUICK)
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'Kernel panic|sysrq triggered crash', 'the verdict')
    equal(t.results()['console.host'][0], 'fail', 'console.host')
    equal(t.results()['console.ep'][0], 'pass', 'console.ep')


@limit(120)
def test_console_flood(t):
    """The log stays bounded and the other guest and the clock go on."""
    t.kernel('7')
    status, out = t.launch(
        '--host-cmd=while :; do cat /proc/kallsyms >/dev/console; done',
        '--ep-cmd=sleep 5; echo ep-was-here >/dev/console', '--timeout=30',
        '--no-link', seconds=80)
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')
    contains(t.read('ep.log'), 'ep-was-here', 'ep.log')
    check(
        os.path.getsize(os.path.join(t.rundir, 'host.log')) <=
        (64 << 20) + 4096, 'host.log is larger than 64 MiB')
    contains(out, 'time limit of 30 s reached', 'the verdict')


@limit(90)
def test_results_port_flood(t):
    t.kernel('7')
    status, out = t.launch('--host-cmd=yes "ok 1 x" >&3', '--timeout=20',
                           *QUICK)
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')


# What a bad kernel does: arguments, and what the verdict must say. Each of the
# first four runs ends by itself or by its time limit, the last one at once.
BAD_KERNELS = {
    'hangs': (['--host-append=rdinit=/bin/cat'], 'no init|ended|panic'),
    'panics in a loop': (['--host-append=panic=-1 rdinit=/none',
                          '--ep-append=panic=-1 rdinit=/none'],
                         'no init|ended|panic'),
    'floods the console': (
        ['--host-cmd=while :; do cat /proc/kallsyms >/dev/console; done'],
        'time limit'),
    'never starts': (['--host-qemu-arg=-S'], 'no init in the host'),
    'eats all memory': (['--host-cmd=tail /dev/zero', '--host-mem=256M'], ''),
}


@long
@limit(3600)
def test_hundred_bad_kernels(t):
    """A verdict for each by its time limit, and nothing is left behind."""
    t.kernel('7')
    seconds = 12
    for n in range(100):
        name = list(BAD_KERNELS)[n % len(BAD_KERNELS)]
        args, verdict = BAD_KERNELS[name]
        running = t.start(f'--timeout={seconds}', *QUICK, *args)
        since = time.monotonic()
        try:
            out = running.communicate(timeout=seconds + 20)[0]
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            check(False, f'run {n}, a kernel that {name}: no verdict after '
                  f'{seconds + 20} s')
        text = out.decode(errors='replace')
        check(running.returncode in (1, 2),
              f'run {n}, a kernel that {name}: exit status '
              f'{running.returncode}:\n{text[-2000:]}')
        contains(text, verdict, f'the verdict of a kernel that {name}')
        t.nothing_left(running.pid)
        print(f'# {n}: {name}: {time.monotonic() - since:.1f} s')


def tshark(t, *args):
    """Return what tshark prints of link.pcapng, or None without tshark."""
    if not shutil.which('tshark'):
        return None
    result = subprocess.run(
        ['tshark', '-r', os.path.join(t.rundir, 'link.pcapng'), '-n', '-X',
         'lua_script:' + os.path.join(TOP, 'scripts/wireshark/'
                                      'vfio-user-ep.lua'), *args],
        capture_output=True, text=True, timeout=60, check=False)
    equal(result.returncode, 0, f'exit status of tshark: {result.stderr}')
    return result.stdout


# From one side to the other, as parts of lines of timeline.txt. The endpoint
# describes a function and starts the link; the host writes its configuration
# space, reads a BAR, and is interrupted.
LINK_UP = (
    (' ep ', 'function 0 ', 'pci_epc_command: command 1'),
    (' ep ', 'pci_epc_link_command: command 1'),
    (' ep ', 'function 0 generation 1 ', 'pci_epc_server_link: raising'),
    (' host ', 'function 0 generation 1 ', 'epf_bridge_link_up:'),
    (' host ', 'epf_bridge_add:'),
    (' host ', 'epf_bridge_slot_state: present 1'),
    (' host ', 'epf_bridge_write: config offset 0x4 '),
    (' ep ', 'pci_epc_write: config offset 0x4 '),
)
BAR_READ = (
    (' host ', 'epf_bridge_read: BAR0 '),
    (' ep ', 'pci_epc_read: BAR0 '),
    (' host ', 'epf_bridge_read_done: BAR0 '),
)
INTX = (
    (' ep ', 'pci_epc_raise: INTx 1 delivered 1'),
    (' ep ', 'pci_ep_message: sends EP_INTX '),
    (' host ', 'pci_ep_message: receives EP_INTX '),
    (' host ', 'epf_bridge_intx: level 1'),
)
# Only without KVM, which raises and delivers them alone. The endpoint traces a
# message interrupt after it has signalled it, so the host may trace it before.
MSI_RAISED = (
    (' host ', 'epf_bridge_irq_attach: kind 1'),
    (' ep ', 'pci_epc_set_irqs: kind 1 first 0 '),
    (' ep ', 'pci_epc_raise: MSI 0 delivered 1'),
)
MSI_TAKEN = (
    (' host ', 'epf_bridge_irq_attach: kind 1'),
    (' host ', 'epf_bridge_irq: kind 1 vector 0'),
)


def in_order(lines, wanted):
    """Fail unless lines with these parts follow each other."""
    rest = iter(lines)
    for parts in wanted:
        check(any(all(part in line for part in parts) for line in rest),
              f'no line with {parts} after those before it')


def timeline(t):
    """Return the lines of timeline.txt, whose times never go back."""
    lines = [line for line in t.read('timeline.txt').splitlines()
             if not line.startswith('#')]
    stamps = [float(line.split()[0]) for line in lines]
    equal(stamps, sorted(stamps), 'times')
    return lines


def check_json(t):
    """timeline.json has both guests, and what lasted."""
    events = json.loads(t.read('timeline.json'))['traceEvents']
    names = {e['args']['name'] for e in events if e['ph'] == 'M'}
    expected = {'host', 'ep', 'console', 'test', 'epc0 function 0',
                'rp0 function 0'}
    equal(expected - names, set(), 'tracks that timeline.json lacks')
    lasted = {e['cat'] for e in events if e['ph'] == 'X'}
    expected = {'epc0 function 0 link', 'rp0 function 0 link', 'test',
                'epc0 function 0 commands', 'epc0 channel 0 descriptors'}
    equal(expected - lasted, set(), 'what lasted, and timeline.json lacks')


def check_capture(t):
    """tshark decodes all packets of link.pcapng."""
    decoded = tshark(t)
    if decoded is None:
        raise Skipped('the package tshark is not installed')
    for words in ('VERSION reply', 'EP_LINK up generation 1', 'DMA_MAP',
                  'REGION_WRITE config', 'REGION_READ BAR0', 'EP_INTX level 1',
                  'SET_IRQS MSI'):
        contains(decoded, words, 'what tshark prints')
    wrong = tshark(t, '-Y', 'vfio_user_ep.malformed || _ws.malformed || '
                   'vfio_user_ep.unknown || vfio_user_ep.no_command')
    equal(wrong, '', 'packets that are not decoded')


@limit(180)
def test_trace(t):
    """The files of --trace: BAR accesses are messages, and so traced."""
    t.kernel('7')
    program = '/pciep/bin/pci_endpoint_test'
    status, out = t.launch(
        '--trace', '--private-memory=ep', '--no-console',
        f'--host-cmd={READY}{program} -t LEGACY_IRQ_TEST && '
        f'{program} -t MSI_TEST', seconds=100)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    contains(out, r'trace .*: timeline.txt timeline.json link.pcapng',
             'the lines at the end')
    lines = timeline(t)
    in_order(lines, LINK_UP + BAR_READ + INTX)
    if 'with kvm' not in out:
        in_order(lines, INTX + MSI_RAISED)
        in_order(lines, INTX + MSI_TAKEN)
    in_order(lines, LINK_UP[:6] + ((' host ', ' console ', 'Card present'),))
    check_capture(t)
    equal(t.launch('--host-cmd=true', *QUICK)[0], 0, 'a run without --trace')
    for name in ('timeline.txt', 'timeline.json', 'link.pcapng', 'ep.trace'):
        check(not os.path.exists(os.path.join(t.rundir, name)),
              f'{name} of an earlier run is still there')


@limit(180)
def test_trace_of_some_events(t):
    """Slices of a whole selftest; the messages were not asked for."""
    t.kernel('7')
    status, out = t.launch('--trace-events=pci_epc_*', 'demo', '--no-console',
                           '--trace-events=epf_bridge_*', seconds=170)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    lines = timeline(t)
    in_order(lines, LINK_UP)
    lacks('\n'.join(lines), 'pci_ep_message', 'timeline.txt')
    contains(out, ' 0 messages', 'the lines at the end')
    check_json(t)


def started(t, *args):
    """Start a launcher, and return its process when the guests run."""
    t.kernel('7')
    log = os.path.join(t.rundir, 'host.log')
    if os.path.exists(log):
        os.unlink(log)
    p = t.start('--host-cmd=echo running-now >/dev/kmsg; sleep 1000', *args)
    end = time.monotonic() + 60
    while not (os.path.exists(log) and 'running-now' in t.read('host.log')):
        check(p.poll() is None, 'pci-ep-run ended before the guests ran')
        check(time.monotonic() < end, 'no command ran in the host in 60 s')
        time.sleep(0.1)
    equal(len(t.qemus()), 2, 'QEMU processes')
    return p


@limit(90)
def test_interrupt(t):
    """SIGINT is Ctrl-C, SIGTERM is what a service manager sends."""
    for number, word in ((signal.SIGINT, 'Ctrl-C'),
                         (signal.SIGTERM, 'SIGTERM')):
        p = started(t, *QUICK)
        p.send_signal(number)
        out = p.communicate(timeout=20)[0].decode()
        equal(p.returncode, 128 + number, f'exit status after {number.name}')
        contains(out, f'ended by {word}', 'the verdict')
        contains(out, 'INTERRUPTED', 'the verdict')
        t.nothing_left(p.pid)


@limit(90)
def test_two_runs(t):
    """Another run does not touch the files of one that goes on."""
    p = started(t, *QUICK)
    status, out = t.launch('--host-cmd=true', *QUICK)
    equal(status, 2, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'another run writes to .*choose another --log-dir', 'output')
    contains(t.read('host.log'), 'running-now', 'host.log of the first run')
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=20)
    t.nothing_left(p.pid)


@limit(90)
def test_launcher_killed(t):
    """Not even SIGKILL leaves a QEMU; its socket goes with the next run."""
    p = started(t, *QUICK)
    p.kill()
    p.communicate(timeout=20)
    end = time.monotonic() + 5
    while time.monotonic() < end and t.qemus():
        time.sleep(0.1)
    equal(t.qemus(), [], 'QEMU processes left behind')
    equal(t.launch('--host-cmd=true', *QUICK)[0], 0, 'the next run')
    t.nothing_left(p.pid)


@limit(90)
def test_stopped_qemu_is_ended_too(t):
    p = started(t, *QUICK)
    for pid in t.qemus():
        os.kill(pid, signal.SIGSTOP)
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=20)
    t.nothing_left(p.pid)


@limit(120)
def test_accelerator_is_found_out(t):
    """With an empty cache the launcher tries, and remembers the answer."""
    t.kernel('7')
    cache = os.path.join(t.rundir, 'cache')
    subprocess.run(['rm', '-rf', cache], check=True)
    env = {'PCI_EP_CACHE': cache}
    status, out = t.launch('--host-cmd=true', *QUICK, env=env)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'accelerator (kvm|tcg)', 'the choice')
    if 'accelerator tcg' in out:
        contains(out, r'KVM does not work here \(.+\): using TCG',
                 'the reason')
    since = time.monotonic()
    equal(t.launch('--host-cmd=true', *QUICK, env=env)[0], 0, 'the second run')
    took = time.monotonic() - since
    check(took < 30,
          f'the second run took {took:.0f} s, as if it had tried again')


@limit(120)
def test_interactive(t):
    """A shell on a terminal: Ctrl-C reaches the guest, Ctrl-] ends the run."""
    t.kernel('7')
    master, slave = pty.openpty()
    p = subprocess.Popen(t.command('--interactive=host',
                                   '--no-link'), stdin=slave, stdout=slave,
                         stderr=slave, preexec_fn=process.die_with_parent())
    os.close(slave)
    try:
        expect(master, b'# ', 60)
        os.write(master, b'sleep 1000\n')
        time.sleep(1)
        os.write(master, b'\x03')
        os.write(master, b'echo $((6 * 7))-$(hostname)\n')
        expect(master, b'42-host', 20)
        os.write(master, b'\x1d')
        expect(master, b'by hand', 20)
        equal(p.wait(20), 0, 'exit status')
    finally:
        process.end([p])
        os.close(master)
    t.nothing_left(p.pid)


FAULTS = {
    '2s ep link-down 500ms': [(2.0, 'ep', 0, 'link-down,ms=500')],
    '20us host:3 bar-delay 50us': [(2e-5, 'host', 3, 'bar-delay,us=50')],
    '0s host2 config-ones,count=2': [(0.0, 'host2', 1, 'config-ones,count=2')],
    '1.5s*3/250ms ep irq-lost': [
        (at, 'ep', 0, 'irq-lost') for at in (1.5, 1.75, 2.0)],
}

NOT_FAULTS = {
    '': 'write TIME GUEST REQUEST',
    '2s ep': 'write TIME GUEST REQUEST',
    '2s ep link-down 5ms more': 'write TIME GUEST REQUEST',
    '2 ep link-down': "'2' is not a time",
    '-2s ep link-down': "'-2s' is not a time",
    '2s*3 ep link-down': 'is not a time',
    '2s*0/1s ep link-down': 'the count must be 1 to',
    '2s*10001/1s ep link-down': 'the count must be 1 to',
    '2s guest link-down': "'guest' is no guest",
    '2s ep:x link-down': "'ep:x' is no guest",
    '2s ep link-down 5m': "'5m' is not a time",
    '2s ep link-down 0.4ms': "'0.4ms' is less than 1 ms",
}


def test_fault_texts(_t):
    for text, wanted in FAULTS.items():
        found = [(f.at, f.guest, f.link, f.request)
                 for f in faults.parse(text)]
        equal(found, wanted, text)
    for text, reason in NOT_FAULTS.items():
        try:
            found = faults.parse(text)
        except ValueError as error:
            contains(str(error), reason, f"the reason for '{text}'")
        else:
            check(False, f"'{text}' was taken for {found}")


def test_fault_script(t):
    script = t.file('faults', '# two faults\n3s ep link-down 1s\n\n'
                    '1s host config-ones # and a comment\n', 0o644)
    found = faults.parse_all(['2s ep irq-lost'], [script])
    equal([f.at for f in found], [1.0, 2.0, 3.0], 'times')
    equal([f.guest for f in found], ['host', 'ep', 'ep'], 'guests')


def test_fault_usage(t):
    for args, reason in (
            (['--fault', '2s ep:1 link-down'], 'has no link 1 of ep'),
            (['--fault', '2s host2 link-down'], 'has no link 1 of host2'),
            (['--fault', '2s ep link-down', '--no-link'], 'has no link 0'),
            (['--fault-script', missing(t)], 'cannot read'),
            (['--fault', 'soon ep link-down'], "'soon' is not a time")):
        status, out = t.launch(*args)
        equal(status, 2, f'exit status of {args}; output:\n{out[-2000:]}')
        contains(out, reason, f'the output of {args}')


@limit(240)
def test_fault(t):
    """What was asked for happens, and what did not happen is a failure."""
    t.kernel('7')
    status, out = t.launch(
        '--fault', '0s ep dma-delay,count=4 500us', '--no-console')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    equal(t.results().get('faults')[0], 'pass', 'the result "faults"')
    with open(os.path.join(t.rundir, 'faults.json'), encoding='utf-8') as file:
        report = json.load(file)
    equal([r['fault'] for r in report['happened']], ['dma-delay'] * 4,
          'what happened')
    status, out = t.launch(
        '--fault', '0s ep doorbell-lost,function=3', '--no-console')
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'was asked for and never happened', 'the output')


def test_scenario_has_each_fault(_t):
    """Each kind of fault that the documentation lists has a step."""
    for guest, file, pattern in (
            ('ep', 'faults.rst', r'(?m)^   \* - ``([a-z-]+)``$'),
            ('host', 'faults-host.rst', r'(?m)^``([a-z-]+)``  ')):
        with open(os.path.join(TOP, 'docs/system', file),
                  encoding='utf-8') as text:
            listed = set(re.findall(pattern, text.read()))
        steps = {request.split(',')[0] for step in fault_steps.STEPS
                 for who, request in (*step.requests, *step.after)
                 if who == guest}
        equal(steps, listed, f'kinds of {guest}')


@limit(700)
def test_scenario_faults(t):
    t.kernel('7')
    status, out = t.launch('faults', '--no-console', seconds=680)
    equal(status, 0, f'exit status; output:\n{out[-3000:]}')
    for step in fault_steps.STEPS:
        equal(t.results().get(f'faults.{step.name}'), ('pass', ''), step.name)
