# SPDX-License-Identifier: GPL-2.0-or-later
"""
The scenario "faults": each fault on request, and what Linux makes of them.

The host guest has a function of pci-epf-test and one of nvmet-pci-epf.  A step
asks a device for a fault, and runs a command of the host that meets it.  It
checks that the fault happened, how the command ends and what the host's kernel
says.  Afterwards both functions must work as before.
"""

from collections import Counter
from dataclasses import dataclass
import json
import re
import time
from typing import Callable, List, Sequence, Tuple

from .. import CannotRun
from ..vm.testbed import Testbed, TimeLimit
from . import faults, tap


FUNCTIONS = ['test', 'nvme,disk=file,size=64M,data=4M,fixes=on']
SECONDS = 600.0  # time limit of the scenario
READY_LIMIT = 60  # seconds until both functions work at first
STEP_LIMIT = 60  # seconds for the command of a step
RECOVERY = 60  # seconds from the end of a step until they work again

# The functions of the scripts, for a command that uses one of them
_TEST = 'choose fn0; '
_NVME = 'choose fn1; '
_NODE = 'load pci_endpoint_test; ' \
    'wait_for 20 test -c /dev/pci-endpoint-test.0 && '
DISK = _NVME + 'load nvme; wait_for 20 nvme_disk >/dev/null && ' \
    'nvme_verify 16 4M >/tmp/fio 2>&1 || { tail -n 20 /tmp/fio; false; }'


def selftest(*tests: str, variant: str = 'memcpy') -> str:
    """
    Return a command that fails unless each of these tests passes.

    :param tests: Names of the kernel's tests.
    :param variant: "memcpy" or "dma": how the endpoint copies.
    """
    left_out = 'dma' if variant == 'memcpy' else 'memcpy'
    options = ' '.join(f'-t {test}' for test in tests)
    return (f'{_TEST}{_NODE}/pciep/bin/pci_endpoint_test -V {left_out} '
            f'{options} >/tmp/selftest 2>&1; '
            'if grep -q "^not ok" /tmp/selftest || '
            '! grep -q "^ok" /tmp/selftest; '
            'then grep -v "^#.*RUN" /tmp/selftest; false; fi')


@dataclass(frozen=True, kw_only=True)
class Step:
    """
    What one fault does.

    :param name: Name of its result.
    :param requests: What devices are asked for: guest and request.
    :param command: Command of the host that meets the fault.
    :param passes: Whether the command succeeds.
    :param says: An expression that a line of the host's kernel log matches.
    :param after: What devices are asked for when the command has ended.
    """
    name: str
    requests: Sequence[Tuple[str, str]]
    command: str
    passes: bool = True
    says: str = ''
    after: Sequence[Tuple[str, str]] = ()


# The function vanishes and comes back.  pci_endpoint_test is bound again.
BACK = f'{_TEST}wait_for 20 own_endpoint >/dev/null; '
CONFIG = '/sys/bus/pci/devices/$(endpoint $ENDPOINT)/config'
FIRST_WORD = f'{_TEST}test "$(hexdump -n 4 -e \'1/4 "%08x"\' {CONFIG})" = '
GONE = f'{_TEST}wait_for 20 no_endpoint $ENDPOINT'
_UPTIME = '$(cut -d. -f1 /proc/uptime)'

STEPS = [
    # DMA of the endpoint
    Step(name='dma_delay', requests=[('ep', 'dma-delay,us=200000')],
         command=selftest('WRITE_TEST', variant='dma')),
    Step(name='dma_fail', requests=[('ep', 'dma-fail,function=0')],
         command=selftest('WRITE_TEST', variant='dma'), passes=False),
    Step(name='dma_fail_nvme', requests=[('ep', 'dma-fail,function=1')],
         command=DISK),
    # nvmet waits for 5 s, and the host sends the command again.
    Step(name='dma_drop', requests=[('ep', 'dma-drop,function=1')],
         command=DISK),
    # Interrupts to the host
    Step(name='irq_lost', requests=[('ep', 'irq-lost,function=0')],
         command=selftest('MSI_TEST'), passes=False),
    Step(name='irq_lost_host', requests=[('host', 'irq-lost,function=0')],
         command=selftest('MSI_TEST'), passes=False),
    # The selftest takes an interrupt of the vector before for a failure.
    Step(name='irq_double',
         requests=[('ep', 'irq-double,function=0,us=500,count=0')],
         command=selftest('MSI_TEST'), passes=False),
    Step(name='irq_double_nvme',
         requests=[('ep', 'irq-double,function=1,us=500,count=0')],
         command=DISK),
    Step(name='irq_double_host',
         requests=[('host', 'irq-double,function=1,count=0')], command=DISK),
    Step(name='doorbell_lost', requests=[('ep', 'doorbell-lost')],
         command=selftest('DOORBELL_TEST'), passes=False),
    Step(name='doorbell_double', requests=[('ep', 'doorbell-double,us=500')],
         command=selftest('DOORBELL_TEST')),
    # Accesses of either CPU
    Step(name='window_delay',
         requests=[('ep', 'window-delay,us=20000,count=5')],
         command=selftest('READ_TEST')),
    # The endpoint reads what the host writes.
    Step(name='window_poison', requests=[('ep', 'window-poison')],
         command=selftest('WRITE_TEST'), passes=False),
    Step(name='window_timeout', requests=[('ep', 'window-timeout')],
         command=selftest('WRITE_TEST'), passes=False),
    Step(name='bar_delay', requests=[('host', 'bar-delay,us=2000,count=20')],
         command=selftest('MSI_TEST')),
    # The third write is that of the command, and a write has no completion.
    Step(name='bar_timeout',
         requests=[('host', 'bar-timeout,function=0,after=2')],
         command=selftest('MSI_TEST'), passes=False),
    # A reset by the driver reads registers.  The port contains the error.
    Step(name='bar_poison', requests=[('host', 'bar-poison,function=1')],
         command='echo 1 >/sys/class/nvme/nvme0/reset_controller; '
         f'{BACK}{DISK}', says='DPC: containment event'),
    Step(name='config_delay',
         requests=[('host', 'config-delay,us=2000000,function=0')],
         command=f'{_TEST}since={_UPTIME}; hexdump -n 4 {CONFIG} && '
         f'[ $(({_UPTIME} - since)) -ge 1 ]'),
    Step(name='config_ones', requests=[('host', 'config-ones,function=0')],
         command=f'{FIRST_WORD}ffffffff'),
    # The link
    Step(name='link_down', requests=[('ep', 'link-down,ms=500')],
         command=f'{BACK}{DISK}', says='Link Down|Card not present'),
    Step(name='link_down_host', requests=[('host', 'link-down,ms=500')],
         command=f'{BACK}{DISK}', says='Link Down|Card not present'),
    Step(name='link_flap', requests=[('ep', 'link-flap,ms=200')],
         command=f'{BACK}{DISK}', says='Link Down|Card not present'),
    Step(name='link_up', requests=[('ep', 'link-down')], command=GONE,
         after=[('ep', 'link-up')]),
    Step(name='remove_insert', requests=[('host', 'remove,function=0')],
         command=f'{FIRST_WORD}ffffffff; {GONE}',
         after=[('host', 'insert')]),
    Step(name='link_train', requests=[('host', 'link-train,speed=1,width=1')],
         command=f'{_TEST}grep -q "^2.5 GT/s" '
         '/sys/bus/pci/devices/$(endpoint $ENDPOINT)/current_link_speed'),
    Step(name='config_retry',
         requests=[('host', 'config-retry,count=3'),
                   ('ep', 'link-down,ms=500')],
         command=f'{BACK}{DISK}'),
    # Errors
    Step(name='aer_correctable',
         requests=[('host', 'aer,severity=correctable,function=0')],
         command=f'({selftest("MSI_TEST")}) && ({DISK})',
         says='AER: Correctable error'),
    Step(name='aer_nonfatal',
         requests=[('host', 'aer,severity=nonfatal,function=1')],
         command=DISK, says=r'AER: Uncorrectable \(Non-Fatal\) error'),
    Step(name='dpc', requests=[('host', 'aer,severity=fatal,function=1')],
         command=f'{BACK}{DISK}', says='DPC: containment event'),
]


class Runner:
    """
    Runs the steps.

    :param bed: The guests, which have started.
    :param collector: Takes a result of each step.
    :param seconds: Time limit of all steps, 0 for none.
    :param show: Called with each result.
    """

    def __init__(self, bed: Testbed, collector: tap.Collector, seconds: float,
                 show: Callable[[tap.Result], None]) -> None:
        self._bed = bed
        self._collector = collector
        self._seconds = seconds
        self._end = time.monotonic() + seconds if seconds else float('inf')
        self._show = show

    def run(self) -> None:
        """Run all steps.  A step that fails does not end the others."""
        for name in self._bed.guests:
            self._bed.wait_booted(name, READY_LIMIT)
        problem = self._works(READY_LIMIT)
        if problem:
            raise CannotRun(f'before any fault, {problem.splitlines()[0]} see '
                            'host.log and ep.log')
        for step in STEPS:
            since = time.monotonic()
            try:
                problem = self._step(step)
            except (CannotRun, TimeLimit) as error:
                problem = str(error)
            lines = problem.splitlines()
            self._show(self._collector.add(
                f'faults.{step.name}', tap.FAIL if problem else tap.PASS,
                lines[0] if lines else '',
                [*(f'# {guest}: {request}'
                   for guest, request in step.requests),
                 *(f'# {line}' for line in lines)],
                time.monotonic() - since))
            if time.monotonic() >= self._end:
                raise TimeLimit(f'time limit of {self._seconds:g} s reached')
            if not all(guest.alive for guest in self._bed.guests.values()):
                return

    def _kernel_log(self) -> List[str]:
        return self._bed.run('host', 'dmesg', 10)[1].splitlines()

    def _ask(self, guest: str, request: str) -> None:
        self._bed.monitor(guest).set(faults.device(guest, 0), 'fault',
                                     request)

    def _happened(self) -> List[str]:
        """Return guest and kind of each fault in the logs of the devices."""
        return [f'{guest} {record["fault"]}' for guest in ('ep', 'host')
                for record in json.loads(self._bed.monitor(guest).get(
                    faults.device(guest, 0), 'fault-log'))]

    def _step(self, step: Step) -> str:
        """Run one step, and return what was wrong."""
        happened = Counter(self._happened())
        before = len(self._kernel_log())
        for guest, request in step.requests:
            self._ask(guest, request)
        try:
            status, output = self._bed.run('host', step.command,
                                           self._at_most(STEP_LIMIT))
            for guest, request in step.after:
                self._ask(guest, request)
        finally:
            for guest in ('ep', 'host'):
                if self._bed.guests[guest].alive:
                    self._ask(guest, 'clear')
        log = self._kernel_log()[before:]
        problem = ''
        more = Counter(self._happened()) - happened
        missing = [request for guest, request in (*step.requests, *step.after)
                   if not more[f'{guest} {request.split(",")[0]}']]
        if missing:
            problem = f'{missing[0]} had no chance to happen'
        elif (status == 0) != step.passes:
            problem = f'the command ended with status {status}:\n{output}'
        elif step.says and not any(re.search(step.says, x) for x in log):
            problem = (f"the kernel of the host did not say '{step.says}':\n"
                       + '\n'.join(log[-20:]))
        return problem or self._works(RECOVERY)

    def _at_most(self, seconds: float) -> float:
        """Return that time, or what is left of the time limit."""
        return max(min(seconds, self._end - time.monotonic()), 1.0)

    def _works(self, seconds: float) -> str:
        """Return why the functions do not work that many seconds later."""
        seconds = self._at_most(seconds)
        end = time.monotonic() + seconds
        problem = 'the functions were not tried'
        while problem and time.monotonic() < end:
            problem = ''
            for command in (selftest('BAR_TEST', 'MSI_TEST', 'READ_TEST'),
                            DISK):
                status, output = self._bed.run('host', command, seconds)
                if status:
                    problem = f'a function does not work:\n{output}'
                    self._bed.pump(0.5)
                    break
        return problem
