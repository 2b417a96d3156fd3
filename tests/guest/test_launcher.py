# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-ep-run when things go wrong: ends in time, says why, leaves nothing behind."""

import os
import pty
import select
import signal
import subprocess
import time

from lib import check, contains, equal, limit, process

QUICK = ('--no-link', '--no-console')


def cannot(t, pattern, *args, **kw):
    """The run must end with 2 and exactly one line that matches @pattern."""
    status, out = t.launch(*args, **kw)
    equal(status, 2, f'exit status; output:\n{out[-2000:]}')
    if '/proc/none' not in args:
        equal(t.results().get('run'), ('fail', ''), 'results.tap')
    lines = [ln for ln in out.splitlines() if ln.startswith('pci-ep-run: ')]
    equal(len(lines), 1, f'lines that say why: {lines}')
    contains(lines[0], pattern, 'the line')
    return out


def test_no_qemu(t):
    cannot(
        t,
        'run "make" first, or name one with --qemu|check the path given to --qemu',
        '--qemu',
        '/nonexistent/qemu',
    )


def test_no_kernel(t):
    cannot(t, 'run "make" first', '--kernel-name', 'none-such')


def test_no_image(t):
    cannot(
        t, 'no kernel image /nonexistent: check the path', '--host-kernel', '/nonexistent'
    )


def test_image_is_no_kernel(t):
    t.kernel('7')
    cannot(t, '--host-kernel|release', '--host-kernel', '/etc/passwd', *QUICK)


def test_no_file(t):
    t.kernel('7')
    cannot(t, 'check --host-file', '--host-file', '/nonexistent', *QUICK)


def test_no_modules(t):
    t.kernel('7')
    cannot(t, 'modules_install', '--ep-modules', t.rundir, *QUICK)


def test_log_dir_is_not_writable(t):
    t.kernel('7')
    cannot(t, '--log-dir', '--log-dir', '/proc/none', *QUICK)


def test_unknown_qemu_option(t):
    t.kernel('7')
    cannot(t, 'QEMU of the ep guest ended', '--ep-qemu-arg=-nonsense', *QUICK)


@limit(90)
def test_no_endpoint_support(t):
    """As a kernel without CONFIG_PCI_ENDPOINT_CONFIGFS looks from inside."""
    t.kernel('7')
    cannot(
        t,
        'CONFIG_PCI_ENDPOINT',
        '--ep-append',
        'initcall_blacklist=pci_ep_cfs_init',
        '--no-console',
        '--timeout',
        '60',
        seconds=85,
    )


@limit(90)
def test_init_hangs(t):
    t.kernel('7')
    hang = t.file('hang', '#!/bin/sh\nwhile :; do /bin/busybox sleep 1; done\n')
    out = cannot(
        t,
        'no init in the ep guest within 15 s',
        '--ep-file',
        f'{hang}:/hang',
        '--ep-append',
        'rdinit=/hang',
        '--timeout',
        '15',
        *QUICK,
    )
    contains(out, 'Run /hang as init process', 'the last lines of the console')


@limit(90)
def test_guest_stopped_before_boot(t):
    """A QEMU that does nothing at all."""
    t.kernel('7')
    cannot(
        t,
        'no init in the host guest within 10 s',
        '--host-qemu-arg=-S',
        '--timeout',
        '10',
        *QUICK,
    )


@limit(90)
def test_command_hangs(t):
    t.kernel('7')
    status, out = t.launch('--host-cmd', 'sleep 1000', '--timeout', '15', *QUICK)
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'time limit of 15 s reached', 'the verdict')
    contains(out, 'last lines of the ep console', 'both consoles are shown')
    contains(out, 'last lines of the host console', 'both consoles are shown')


@limit(90)
def test_command_status_is_the_verdict(t):
    t.kernel('7')
    equal(t.launch('--host-cmd', 'exit 0', *QUICK)[0], 0, 'a command that succeeds')
    equal(t.launch('--host-cmd', 'exit 3', *QUICK)[0], 1, 'a command that fails')
    equal(
        t.launch('--ep-cmd', 'false', *QUICK)[0],
        1,
        'a command that fails in the endpoint guest',
    )
    equal(
        t.launch('--ep-cmd', 'true', '--host-cmd', 'true', *QUICK)[0], 0, 'both succeed'
    )


@limit(90)
def test_files_reach_the_guests(t):
    t.kernel('7')
    t.file('payload', 'hello\n', 0o644)
    src = os.path.join(t.rundir, 'payload')
    status, out = t.launch(
        '--host-file',
        f'{src}:/data/in',
        '--ep-file',
        src,
        '--host-cmd',
        'grep -q hello /data/in',
        '--ep-cmd',
        'grep -q hello /root/payload',
        *QUICK,
    )
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@limit(90)
def test_panic(t):
    t.kernel('7')
    status, out = t.launch(
        '--host-cmd', 'echo c >/proc/sysrq-trigger', '--timeout', '60', *QUICK
    )
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'Kernel panic|sysrq triggered crash', 'the verdict')
    equal(t.results()['console.host'][0], 'fail', 'console.host')
    equal(t.results()['console.ep'][0], 'pass', 'console.ep')


@limit(120)
def test_console_flood(t):
    """The log stays bounded and the other guest and the clock go on."""
    t.kernel('7')
    status, out = t.launch(
        '--host-cmd',
        'while :; do cat /proc/kallsyms >/dev/console; done',
        '--ep-cmd',
        'sleep 5; echo ep-was-here >/dev/console',
        '--timeout',
        '30',
        '--no-link',
        seconds=80,
    )
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')
    contains(t.read('ep.log'), 'ep-was-here', 'the other guest goes on')
    check(
        os.path.getsize(os.path.join(t.rundir, 'host.log')) <= (64 << 20) + 4096,
        'the log is bounded',
    )
    contains(out, 'time limit of 30 s reached', 'the verdict')


@limit(90)
def test_results_port_flood(t):
    t.kernel('7')
    status, out = t.launch('--host-cmd', 'yes "ok 1 x" >&3', '--timeout', '20', *QUICK)
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')


def started(t, *args):
    """A launcher whose guests run; returns its process."""
    t.kernel('7')
    log = os.path.join(t.rundir, 'host.log')
    if os.path.exists(log):
        os.unlink(log)
    p = t.start('--host-cmd', 'echo running-now >/dev/kmsg; sleep 1000', *args)
    end = time.monotonic() + 60
    while time.monotonic() < end and not (
        os.path.exists(log) and 'running-now' in t.read('host.log')
    ):
        check(p.poll() is None, 'pci-ep-run ended early')
        time.sleep(0.1)
    equal(len(t.qemus()), 2, 'QEMU processes')
    return p


@limit(90)
def test_interrupt(t):
    """Ctrl-C, and what a service manager sends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        p = started(t, *QUICK)
        p.send_signal(number)
        out = p.communicate(timeout=20)[0].decode()
        equal(p.returncode, 2, f'exit status after {number.name}')
        contains(out, f'ended by {number.name}', 'the verdict')
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
    equal(t.launch('--host-cmd', 'true', *QUICK)[0], 0, 'the next run')
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
    """With an empty cache the choice is made by trying, and then remembered."""
    t.kernel('7')
    cache = os.path.join(t.rundir, 'cache')
    subprocess.run(['rm', '-rf', cache], check=True)
    env = {'PCI_EP_CACHE': cache}
    status, out = t.launch('--host-cmd', 'true', *QUICK, env=env)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    contains(out, 'accelerator (kvm|tcg)', 'the choice')
    if 'accelerator tcg' in out:
        contains(out, r'KVM does not work here \(.+\): using TCG', 'the reason')
    since = time.monotonic()
    equal(t.launch('--host-cmd', 'true', *QUICK, env=env)[0], 0, 'the second run')
    check(time.monotonic() - since < 30, 'the second run does not probe again')


def expect(fd, text, seconds):
    """Reads a terminal until @text was seen."""
    seen, end = b'', time.monotonic() + seconds
    while text not in seen:
        check(
            time.monotonic() < end,
            f'no {text} on the terminal within {seconds} s:\n'
            f'{seen[-2000:].decode(errors="replace")}',
        )
        if select.select([fd], [], [], 0.5)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                check(False, f'the terminal was closed; {seen[-2000:]}')
    return seen


@limit(120)
def test_interactive(t):
    """A shell in the guest on a terminal; Ctrl-C reaches the guest, Ctrl-] ends it."""
    t.kernel('7')
    master, slave = pty.openpty()
    p = subprocess.Popen(
        t.command('--interactive', 'host', '--no-link'),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=process.die_with_parent(),
    )
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
