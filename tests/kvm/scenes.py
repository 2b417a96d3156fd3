# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens between the two guests; each test takes a new Link."""

import json

import guest
from guest import Failed
from link import EPC, R

ROUNDS = 200
DEADLINE = 1.0  # seconds, of the devices


def equal(what, seen, wanted):
    if seen != wanted:
        raise Failed(f'{what}: expected {wanted}, saw {seen}')


def quietly(link, quiet, action):
    """Run an action; if @quiet, no thread of QEMU may take part in it."""
    link.settle()
    before = link.silence()
    action()
    after = link.silence()
    for name, value in after.items() if quiet else ():
        if isinstance(value, list):
            new = value[len(before[name]):]
            equal(name, new[:3], [])
        else:
            equal(name, value, before[name])


def raise_each(link, quiet):
    """The endpoint interrupts the host, which halts."""
    link.start()
    link.enable_msix(3, 1)

    def action():
        for n in range(1, ROUNDS + 1):
            link.host.send(guest.WAIT, 1, n)
            link.ep.write(link.raise_msix(3), 0)
            link.host.finish('MSI-X interrupt')

    quietly(link, quiet, action)
    equal('interrupts', link.host.count(1), ROUNDS)
    equal('dropped', link.dropped(), 0)


def ring_each(link, quiet):
    """The host interrupts the endpoint, which halts."""
    link.start()

    def action():
        for n in range(1, ROUNDS + 1):
            link.ep.send(guest.WAIT, 0, n)
            link.host.write(link.doorbell(), n)
            link.ep.finish('doorbell')

    quietly(link, quiet, action)
    equal('interrupts', link.ep.count(0), ROUNDS)


def both_ways(link, quiet):
    """Each interrupt is the answer to one from the other side."""
    link.start()
    link.enable_msix(0, 0)

    def action():
        link.host.send(guest.PONG, 0, ROUNDS, link.doorbell(),
                       link.host.count(0))
        link.ep.send(guest.PING, 0, ROUNDS, link.raise_msix(0),
                     link.ep.count(0))
        link.ep.finish('doorbell')
        link.host.finish('MSI-X interrupt')

    quietly(link, quiet, action)
    equal('interrupts of the host', link.host.count(0), ROUNDS)
    equal('interrupts of the endpoint', link.ep.count(0), ROUNDS)


def raise_msi(link, quiet):
    """The same with MSI, whose masks are in the configuration space."""
    link.start()
    host, fn = link.host, link.function
    cap = host.capability(fn, guest.CAP_MSI)
    host.set_config(fn, cap + 4, 0xFEE00000)
    host.set_config(fn, cap + 8, 0)
    host.set_config(fn, cap + 12, guest.FIRST_VECTOR)
    host.set_config(fn, cap, (1 | 2 << 4) << 16)

    def action():
        for n in range(4):
            link.ep.write(link.raise_msi(n), 0)
            host.wait_count(n, 1)

    quietly(link, quiet, action)
    host.set_config(fn, cap + 16, 1 << 2)
    link.ep.write(link.raise_msi(2), 0)
    host.wait(lambda: host.config(fn, cap + 20) & 1 << 2,
              'pending bit of MSI 2')
    equal('masked', host.count(2), 1)
    host.set_config(fn, cap + 16, 0)
    host.wait_count(2, 2)
    equal('pending', host.config(fn, cap + 20), 0)
    quietly(
        link, quiet,
        lambda: [link.ep.write(link.raise_msi(2), 0),
                 host.wait_count(2, 3)])


def masks(link, quiet):
    """Masked: pending at once, delivered once when unmasked."""
    link.start()
    link.enable_msix(3, 1)
    host = link.host
    control = link.table + 16 * 3 + 12

    def raise_one(n):
        link.ep.write(link.raise_msix(3), 0)
        host.wait_count(1, n)

    def check(mask, unmask, n):
        raise_one(n + 1)
        mask()
        for _ in range(3):
            link.ep.write(link.raise_msix(3), 0)
        equal('pending', host.read(link.pba), 1 << 3)
        equal('while masked', host.count(1), n + 1)
        unmask()
        host.wait_count(1, n + 2)
        equal('pending', host.read(link.pba), 0)
        quietly(link, quiet, lambda: raise_one(n + 3))

    for n in range(0, 30, 6):
        check(lambda: host.write(control, 1), lambda: host.write(control, 0),
              n)
        check(lambda: host.msix_control(link.function, 0xC000),
              lambda: host.msix_control(link.function, 0x8000), n + 3)
    equal('in all', host.count(1), 30)


def rewrite(link, quiet):
    """Another message, written with the vector masked and without."""
    link.start()
    link.enable_msix(3, 1)
    host = link.host
    entry = link.table + 16 * 3
    for n in range(1, 11):
        vector = 1 + n % 2
        if n < 6:
            host.write(entry + 12, 1)
        host.write(entry + 8, guest.FIRST_VECTOR + vector)
        host.write(entry + 12, 0)
        count = host.count(vector)
        quietly(
            link, quiet, lambda: [
                link.ep.write(link.raise_msix(3), 0),
                host.wait_count(vector, count + 1)
            ])
    equal('in all', [host.count(v) for v in (1, 2)], [5, 5])


def not_enabled(link, quiet):
    """What the host has not enabled is dropped, and counted."""
    link.start()
    link.enable_msix(3, 1)
    host, fn = link.host, link.function

    def check(register, off, on, n):
        off()
        equal('dropped', link.dropped(), n)
        link.ep.write(register, 0)
        equal('dropped', link.dropped(), n + 1)
        on()
        link.ep.read(link.fn('PCI_COMMAND'))
        quietly(
            link, quiet, lambda:
            [link.ep.write(link.raise_msix(3), 0),
             host.wait_count(1, n + 1)])
        equal('interrupts', host.count(1), n + 1)

    check(link.raise_msix(3),
          lambda: host.set_config(fn, guest.PCI_COMMAND, 2),
          lambda: host.set_config(fn, guest.PCI_COMMAND, 6), 0)
    check(link.raise_msix(3), lambda: host.msix_control(fn, 0),
          lambda: host.msix_control(fn, 0x8000), 1)
    check(link.raise_msix(8), lambda: None, lambda: None, 2)
    check(link.raise_msi(0), lambda: None, lambda: None, 3)


def d3hot(link, quiet):
    """Nothing that a function in D3hot raises reaches the host."""
    link.start()
    link.enable_msix(3, 1)
    host, fn = link.host, link.function
    pmcsr = host.capability(fn, guest.CAP_PM) + 4
    for n in range(5):
        host.set_config(fn, pmcsr, 3)
        if quiet:
            # KVM does not deliver it any more once the host's write is over.
            binds = [line for line in host.traced() if 'irqfd_bind' in line]
            equal('last bind', [line.split()[-4:] for line in binds[-1:]],
                  [['vector', '3', 'bound', '0']])
        equal('dropped', link.dropped(), n)
        link.ep.write(link.raise_msix(3), 0)
        equal('dropped', link.dropped(), n + 1)
        equal('interrupts', host.count(1), n)
        host.set_config(fn, pmcsr, 0)
        link.ep.read(link.fn('PCI_COMMAND'))
        quietly(
            link, quiet, lambda:
            [link.ep.write(link.raise_msix(3), 0),
             host.wait_count(1, n + 1)])
        equal('interrupts', host.count(1), n + 1)


def stop(link, _quiet):
    """A raise right after STOP never arrives."""
    link.start()
    for n in range(5):
        link.enable_msix(3, 1)
        link.ep.read(link.fn('PCI_COMMAND'))
        link.ep.write(link.raise_msix(3), 0)
        link.host.wait_count(1, n + 1)
        link.ep.write(link.regs + R['EPC_REG_LINK_CMD'], R['EPC_LINK_STOP'],
                      link.raise_msix(3), 0)
        equal('dropped', link.dropped(), n + 1)
        link.wait_status(link.regs + R['EPC_REG_LINK_STATUS'], 'STOP')
        equal('interrupts', link.host.count(1), n + 1)
        link.link_command('START')
        link.start_host()


def doorbell_controls(link, quiet):
    """Doorbells that are disabled, have another vector, or are masked."""
    link.start()
    ep, host = link.ep, link.host

    def ring(vector, n):
        host.write(link.doorbell(), 0)
        ep.wait_count(vector, n)

    ring(0, 1)
    ep.write(link.control, 0)
    host.write(link.doorbell(), 0)
    ep.wait(lambda: ep.read(link.fn('INBOUND_DROPPED')) == 1,
            'dropped doorbell')
    equal('interrupts', ep.count(0), 1)
    ep.write(link.control, 1)
    quietly(link, quiet, lambda: ring(0, 2))

    ep.enable_msix(EPC, link.ep_entry + 16, 5)
    ep.write(link.control + 4, (link.ep_entry - link.ep_table) // 16 + 1)
    quietly(link, quiet, lambda: ring(5, 1))
    ep.write(link.ep_entry + 16 + 12, 1)
    host.write(link.doorbell(), 0)
    ep.write(link.ep_entry + 16 + 12, 0)
    ep.wait_count(5, 2)
    quietly(link, quiet, lambda: ring(5, 3))
    equal('interrupts', (ep.count(0), ep.count(5)), (2, 3))


def requested(link, quiet):
    """Requested faults; KVM does it alone again when they have happened."""
    link.start()
    link.enable_msix(3, 1)
    ep, host = link.ep, link.host
    device = '/machine/peripheral/epc'

    def raise_one(n):
        ep.write(link.raise_msix(3), 0)
        host.wait_count(1, n)

    def ring_one(n):
        host.write(link.doorbell(), 0)
        ep.wait_count(0, n)

    def happened(kind, n):
        log = json.loads(ep.qmp.get(device, 'fault-log'))
        return [one['fault'] for one in log].count(kind) == n

    for n in range(0, 9, 3):
        quietly(link, quiet, lambda: (raise_one(n + 1), ring_one(n + 1)))
        link.request('irq-lost')
        ep.write(link.raise_msix(3), 0)
        equal('interrupts', host.count(1), n + 1)
        link.request('doorbell-lost')
        host.write(link.doorbell(), 0)
        ep.wait(lambda: happened('doorbell-lost', n // 3 + 1), 'a lost ring')
        equal('doorbells', ep.count(0), n + 1)
        link.request('irq-double,us=50000')
        raise_one(n + 3)
        link.request('doorbell-double,us=50000')
        ring_one(n + 3)
    quietly(link, quiet, lambda: (raise_one(10), ring_one(10)))
    equal('dropped', link.dropped(), 0)


def silent(link, quiet):
    """The endpoint's QEMU stops while a CPU of the host waits for it."""
    link.start()
    host, command = link.host, 1 << 31 | link.function << 8 | 4
    waits = {
        'read of a BAR': (guest.READ, link.bar(2) + 0x800),
        'write to a BAR': (guest.WRITE, link.bar(2) + 0x800, 1),
        'bus mastering off': (guest.CONFIG_WRITE, command, 2),
    }
    for what, begin in waits.items():
        link.ep.pause(True)
        try:
            host.send(*begin)
            delay = host.monitor_delay(2 * DEADLINE)
        finally:
            link.ep.pause(False)
        print(f'# {what}: the monitor took {delay * 1000:.0f} ms at most')
        if delay > DEADLINE / 4:
            raise Failed(f'{what}: the monitor took {delay:.3f} s')
        host.finish(what)
        link.start_host()


SCENES = (raise_each, ring_each, both_ways, raise_msi, masks, rewrite,
          not_enabled, d3hot, stop, doorbell_controls, requested, silent)
OTHER_IRQCHIP = (raise_each, ring_each, masks)


def all_of(accel):
    """Return name and function of each test for an accelerator."""
    quiet = accel.startswith('kvm')
    scenes = OTHER_IRQCHIP if 'split' in accel else SCENES
    return [(f.__name__.replace('_', '-'), lambda link, f=f: f(link, quiet))
            for f in scenes]
