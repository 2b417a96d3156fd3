# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that runs payload.c on bare metal, which obeys the test."""

import mmap
import os
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from pciep.vm import process, qmp  # noqa: E402

MEMORY = 64 << 20
# Seconds for a command.  Some KVMs emulate each instruction, which is slow.
TIMEOUT = 60

# payload.c has the same numbers.
MAILBOX = 0x200000
MAGIC = 0x6B766D31
READ, WRITE, CONFIG_READ, CONFIG_WRITE, WAIT, PING, PONG = range(1, 8)
FIRST_VECTOR = 0x40
AT_MAGIC, AT_SENT, AT_DONE, AT_OP = 0, 4, 8, 12
AT_RESULT, AT_TRAP, AT_COUNT = 32, 36, 40

PCI_COMMAND, PCI_BAR0, PCI_CAPABILITIES = 0x04, 0x10, 0x34
CAP_PM, CAP_MSI, CAP_MSIX = 0x01, 0x05, 0x11
CAPABILITIES = 48  # that a list can have at most
MEMORY_AND_MASTER = 0x6


class Failed(Exception):
    """The test failed; the text says what was seen."""


def build(directory):
    """Build the payload, and return its path."""
    image = os.path.join(directory, 'payload')
    sources = [os.path.join(HERE, name) for name in ('start.S', 'payload.c')]
    subprocess.run([
        'gcc', '-m32', '-march=i686', '-ffreestanding', '-nostdlib', '-static',
        '-fno-pic', '-no-pie', '-fno-stack-protector',
        '-fno-asynchronous-unwind-tables', '-mgeneral-regs-only',
        '-fcf-protection=none', '-O1', '-Wall', '-Wextra',
        '-Wl,--build-id=none', '-Wl,-T,' + os.path.join(HERE, 'payload.lds'),
        '-o', image, *sources], check=True)
    return image


class Guest:
    """QEMU with the payload; every wait has an end."""

    def __init__(self, name, qemu, image, directory, machine, devices):
        self.name = name
        self._ram_path = os.path.join(directory, name + '.ram')
        with open(self._ram_path, 'wb') as f:
            f.truncate(MEMORY)
        with open(self._ram_path, 'r+b') as f:
            self._ram = mmap.mmap(f.fileno(), MEMORY)
        self.qmp = qmp.Qmp(os.path.join(directory, name + '.qmp'))
        self.log = os.path.join(directory, name + '.trace')
        self._errors = open(os.path.join(directory, name + '.err'), 'w+b')
        self._process = process.spawn([
            qemu, '-nodefaults', '-no-user-config', '-display', 'none',
            '-no-reboot',
            '-L', os.path.join(os.path.dirname(qemu), '../share/qemu'),
            '-m', str(MEMORY >> 20), '-kernel', image,
            '-object', f'memory-backend-file,id=ram,size={MEMORY},share=on,'
            f'mem-path={self._ram_path}', *machine,
            '-D', self.log, '-trace', 'pci_ep*', '-trace', 'epf_bridge*',
            '-trace', 'ivshmem*', *self.qmp.arguments, *devices,
        ], stderr=self._errors, core=False)

    # The mailbox

    def _word(self, offset):
        return struct.unpack_from('<I', self._ram, MAILBOX + offset)[0]

    def _set(self, offset, *words):
        struct.pack_into(f'<{len(words)}I', self._ram, MAILBOX + offset,
                         *words)

    def wait(self, condition, what):
        """Wait until a condition holds; a guest that died fails."""
        end = time.monotonic() + TIMEOUT
        while not condition():
            if self._word(AT_TRAP):
                raise Failed(
                    f'{self.name}: exception {self._word(AT_TRAP) - 1}')
            if self._process.poll() is not None:
                raise Failed(f'{self.name}: QEMU ended: {self.errors()}')
            if time.monotonic() > end:
                raise Failed(f'{self.name}: no {what} within {TIMEOUT} s')
            time.sleep(0.0005)

    def start(self):
        self.wait(lambda: self._word(AT_MAGIC) == MAGIC, 'payload')

    def send(self, op, *args):
        """Begin a command."""
        self._set(AT_OP, op, *args, *([0] * (4 - len(args))))
        self._set(AT_SENT, self._word(AT_SENT) + 1)

    def finish(self, what='answer'):
        """Wait for the end of the command, and return its result."""
        self.wait(lambda: self._word(AT_DONE) == self._word(AT_SENT), what)
        return self._word(AT_RESULT)

    def call(self, op, *args):
        self.send(op, *args)
        return self.finish()

    def count(self, vector):
        return self._word(AT_COUNT + 4 * vector)

    def wait_count(self, vector, count):
        self.wait(lambda: self.count(vector) >= count,
                  f'interrupt {count} of vector {vector}')

    # Memory, registers, configuration space

    def read(self, address):
        return self.call(READ, address)

    def write(self, address, value, *second):
        """Write; @second is an address and a value to write right after."""
        self.call(WRITE, address, value, *second)

    def memory(self, address):
        return struct.unpack_from('<I', self._ram, address)[0]

    def config(self, bdf, reg):
        word = self.call(CONFIG_READ, 1 << 31 | bdf << 8 | reg & 0xFC)
        return word >> (reg & 3) * 8

    def set_config(self, bdf, reg, value):
        self.call(CONFIG_WRITE, 1 << 31 | bdf << 8 | reg, value)

    def capability(self, bdf, kind):
        """Return the offset of the capability with that id."""
        at = self.config(bdf, PCI_CAPABILITIES) & 0xFC
        for _ in range(CAPABILITIES):
            if not at:
                break
            if self.config(bdf, at) & 0xFF == kind:
                return at
            at = self.config(bdf, at + 1) & 0xFC
        raise Failed(f'{self.name}: no capability {kind:#x}')

    def find(self, match, bus=0):
        """Return the device with that vendor and device id."""
        for slot in range(32):
            if self.config(bus << 8 | slot << 3, 0) == match:
                return bus << 8 | slot << 3
        raise Failed(f'{self.name}: no device {match:#x}')

    def bar(self, bdf, n):
        low = self.config(bdf, PCI_BAR0 + 4 * n)
        if low & 6 == 4:
            return low & ~0xF | self.config(bdf, PCI_BAR0 + 4 * n + 4) << 32
        return low & ~0xF

    def enable_msix(self, bdf, entry, vector):
        """Enable the table entry at an address, with a payload's vector."""
        self.write(entry, 0xFEE00000)
        self.write(entry + 4, 0)
        self.write(entry + 8, FIRST_VECTOR + vector)
        self.write(entry + 12, 0)
        self.msix_control(bdf, 0x8000)

    def msix_control(self, bdf, flags):
        cap = self.capability(bdf, CAP_MSIX)
        self.set_config(bdf, cap, flags << 16)

    # QEMU

    def errors(self):
        self._errors.seek(0)
        return self._errors.read().decode(errors='replace').strip()

    def pause(self, stopped):
        """Stop all threads of QEMU, or let them go on."""
        self._process.send_signal(signal.SIGSTOP if stopped else
                                  signal.SIGCONT)

    def monitor_delay(self, seconds):
        """Return the longest time that an answer of the monitor took."""
        worst = 0.0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            since = time.monotonic()
            self.qmp.command('query-status')
            worst = max(worst, time.monotonic() - since)
            time.sleep(0.01)
        return worst

    def traced(self):
        """Return the lines of trace events so far."""
        try:
            with open(self.log, encoding='utf-8', errors='replace') as f:
                return f.read().splitlines()
        except OSError:
            return []

    def close(self):
        process.end([self._process])
        self.qmp.close()
        self._errors.close()
        self._ram.close()
        os.unlink(self._ram_path)
