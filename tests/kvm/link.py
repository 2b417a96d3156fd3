# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests with a link, and two with ivshmem-doorbell as control."""

import glob
import os
import re
import sys
import threading
import time

import guest
from guest import Failed, Guest, TOP

sys.path.insert(0, os.path.join(TOP, 'tests/bench'))

import ivshmem  # noqa: E402
from pciep.vm.loop import Loop  # noqa: E402

ID = 0x10F11AF4
BAR0, BAR0_SIZE, TABLE = 0x400000, 0x10000, 0xF000
MSIX_VECTORS, MSI_VECTORS = 8, 4
EPC, BRIDGE = 5 << 3, 4 << 3
IVSHMEM_ID = 0x11101AF4
DOORBELL = 0  # number of the one that is used


def registers():
    """Return the plain numbers of pci-epc-regs.h and what it includes."""
    found = []
    for path in glob.glob(os.path.join(TOP,
                                       'include/hw/pci-ep/pci-epc-*regs.h')):
        with open(path, encoding='utf-8') as f:
            found += re.findall(r'#define (EPC_\w+)\s+(0x[0-9a-f]+|\d+)\b',
                                f.read())
    return {name: int(value, 0) for name, value in found}


R = registers()


class Link:
    """Both guests, the link up, MSI-X on at both ends."""

    def __init__(self, qemu, image, directory, accel):
        socket = os.path.join(directory, 'link')
        common = ['-M', 'q35,memory-backend=ram', '-accel', accel]
        self._guests = []
        self.ep = self._add(
            Guest('ep', qemu, image, directory, common, [
                '-device',
                f'pci-epc,id=epc,addr=5,socket={socket},window-size=1M,'
                'trust-unsealed-memory=on'
            ]))
        self.host = self._add(
            Guest('host', qemu, image, directory, common, [
                '-global', 'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off',
                '-device', f'epf-bridge,id=br,addr=4,socket={socket},'
                'trust-unsealed-memory=on'
            ]))

    def _add(self, new):
        self._guests.append(new)
        return new

    def close(self):
        for one in self._guests:
            one.close()

    # Endpoint

    def fn(self, name):
        return self.fn_base + R['EPC_FN_' + name]

    def command(self, name, **args):
        for arg, value in args.items():
            self.ep.write(self.fn(arg), value & 0xFFFFFFFF)
            if arg in ('ADDR', 'SIZE', 'OFFSET'):
                self.ep.write(self.fn(arg) + 4, value >> 32)
        self.ep.write(self.fn('CMD'), R['EPC_CMD_' + name])
        self.wait_status(self.fn('STATUS'), name)

    def wait_status(self, register, what):
        end = time.monotonic() + guest.TIMEOUT
        while True:
            status = self.ep.read(register)
            if status == R['EPC_STATUS_OK']:
                return
            if status != R['EPC_STATUS_BUSY'] or time.monotonic() > end:
                raise Failed(f'{what}: status {status}')

    def link_command(self, name):
        self.ep.write(self.regs + R['EPC_REG_LINK_CMD'], R['EPC_LINK_' + name])
        self.wait_status(self.regs + R['EPC_REG_LINK_STATUS'], name)

    def raise_msix(self, n):
        return self.raise_base + 4 * n

    def raise_msi(self, n):
        return self.raise_base + 0x2000 + 4 * n

    def request(self, fault):
        """Request a fault of the controller."""
        self.ep.qmp.command('qom-set', path='/machine/peripheral/epc',
                            property='fault', value=fault)

    def dropped(self):
        return self.ep.read(self.fn('RAISE_DROPPED'))

    def start_endpoint(self):
        ep = self.ep
        ep.start()
        ep.set_config(EPC, guest.PCI_COMMAND, guest.MEMORY_AND_MASTER)
        self.regs = ep.bar(EPC, R['EPC_BAR_REGS'])
        self.fn_base = self.regs + ep.read(self.regs + R['EPC_REG_FN_BASE'])
        self.raise_base = self.regs + ep.read(self.regs +
                                              R['EPC_REG_RAISE_BASE'])
        controls = self.regs + ep.read(self.regs + R['EPC_REG_DOORBELL_BASE'])
        vector = 2 + R['EPC_DMA_CHANNELS'] + DOORBELL
        self.ep_table = ep.bar(EPC, R['EPC_BAR_MSIX'])
        self.ep_entry = self.ep_table + 16 * vector
        ep.enable_msix(EPC, self.ep_entry, 0)
        self.control = controls + DOORBELL * R['EPC_DOORBELL_STRIDE']
        ep.write(self.control, 1)

        self.command('SET_HEADER', ID=ID, CLASS=0xFF000001, SUBSYS=0,
                     INT_PIN=1)
        self.command('SET_BAR', BAR=0, BAR_FLAGS=0, ADDR=BAR0, SIZE=BAR0_SIZE)
        doorbells = ep.bar(EPC, R['EPC_BAR_DOORBELL'])
        self.command('SET_BAR', BAR=2, BAR_FLAGS=0, ADDR=doorbells,
                     SIZE=0x1000)
        self.command('SET_MSI', COUNT=MSI_VECTORS)
        self.command('SET_MSIX', COUNT=MSIX_VECTORS, BAR=0, OFFSET=TABLE)
        self.link_command('START')

    # Host

    def start_host(self):
        host = self.host
        host.start()
        bus = host.config(BRIDGE, 0x19) & 0xFF
        self.function = bus << 8
        self.window = (host.config(BRIDGE, 0x20) & 0xFFF0) << 16
        end = time.monotonic() + guest.TIMEOUT
        while host.config(self.function, 0) != ID:
            if time.monotonic() > end:
                raise Failed(
                    'the function does not appear: ' +
                    str(host.qmp.get('/machine/peripheral/br', 'last-error')))
        self.enable_function()

    def enable_function(self):
        host, fn = self.host, self.function
        n = 0
        while n < 6:
            reg = guest.PCI_BAR0 + 4 * n
            wide = host.config(fn, reg) & 4
            host.set_config(fn, reg, self.bar(n))
            if wide:
                host.set_config(fn, reg + 4, 0)
            n += 2 if wide else 1
        host.set_config(fn, guest.PCI_COMMAND, guest.MEMORY_AND_MASTER)
        cap = host.capability(fn, guest.CAP_MSIX)
        self.table, self.pba = (self.bar(at & 7) + (at & ~7)
                                for at in (host.config(fn, cap + 4),
                                           host.config(fn, cap + 8)))

    def bar(self, n):
        """Return the address of a BAR in the host."""
        return self.window + n * 0x100000

    def enable_msix(self, n, vector):
        self.host.enable_msix(self.function, self.table + 16 * n, vector)

    def doorbell(self):
        return self.bar(2) + 4 * DOORBELL

    def start(self):
        self.start_endpoint()
        self.start_host()

    def settle(self):
        """Wait until main loops and reader threads have done what was sent."""
        for _ in range(2):
            self.ep.qmp.command('query-status')
            self.host.qmp.command('query-status')
            self.ep.read(self.regs)

    def silence(self):
        """Return what threads of QEMU did with the devices so far."""
        found = {'ep trace': self.ep.traced(),
                 'host trace': self.host.traced()}
        for one, ident in ((self.ep, 'epc'), (self.host, 'br')):
            for name in ('messages', 'slow-interrupts'):
                found[f'{ident} {name}'] = one.qmp.get(
                    f'/machine/peripheral/{ident}', name)
        return found


class Control:
    """The same payload with ivshmem-doorbell."""

    def __init__(self, qemu, image, directory, accel):
        self._loop = Loop()
        self._server = ivshmem.Server(os.path.join(directory, 'ivshmem'),
                                      self._loop)
        self._over = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        common = ['-M', 'q35,memory-backend=ram', '-accel', accel]
        self.guests = [
            Guest(name, qemu, image, directory, common,
                  self._server.arguments()) for name in ('one', 'two')
        ]

    def _serve(self):
        while not self._over:
            self._loop.turn(0.05)

    def close(self):
        for one in self.guests:
            one.close()
        self._over = True
        self._thread.join()
        self._server.close()
        self._loop.close()

    def run(self):
        """Interrupt a guest that halts from the other one."""
        ids, bars = [], []
        for one in self.guests:
            one.start()
            bdf = one.find(IVSHMEM_ID)
            one.set_config(bdf, guest.PCI_COMMAND, guest.MEMORY_AND_MASTER)
            bars.append(one.bar(bdf, 0))
            one.enable_msix(bdf, one.bar(bdf, 1), 0)
            ids.append(one.read(bars[-1] + 8))
        one, two = self.guests
        for n in range(1, 11):
            two.send(guest.WAIT, 0, n)
            one.write(bars[0] + 12, ids[1] << 16)
            two.finish(f'interrupt {n} through ivshmem-doorbell')
