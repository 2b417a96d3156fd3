# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the guests do while a fault happens, and what must work afterwards.

A load runs as one command in the host guest. It goes on until /tmp/end
exists, and tolerates that its device vanishes. /tmp/loop exists as long as it
runs.
"""

from dataclasses import dataclass
from typing import Sequence, Tuple

from lib import READY

CHOOSE = 'choose fn0; '
# FUNCTIONS of the scripts are those of a run with one function.
LOOP = 'rm -f /tmp/end; >/tmp/loop; choose fn0 2>/dev/null; ' \
    'while [ ! -e /tmp/end ]; do {} || sleep 0.2; done; rm /tmp/loop'
IDLE_TESTS = '-t BAR_TEST -t MSI_TEST -t READ_TEST'
TESTS = IDLE_TESTS + ' -t CONSECUTIVE_BAR_TEST -t WRITE_TEST -t COPY_TEST'
PROGRAM = '/pciep/bin/pci_endpoint_test -V dma'
NVME_TRAFFIC = 'nvme_verify 32 $OPT_DATA'
NTB_TRAFFIC = 'ntb_ping && ntb_send && ntb_receive'


@dataclass(frozen=True, kw_only=True)
class Load:
    """
    What the guests do.

    :param name: Its name.
    :param function: Endpoint function, as --function names it.
    :param setup: Command of the host that makes the function usable, at first.
    :param loop: Command that runs again and again during the fault, if any.
    :param again: Command that fails until the function is usable after a
                  fault.
    :param works: Command that then uses it, and checks the data.
    :param lost: Command of the endpoint after the host has crashed, if the
                 endpoint function does not notice that by itself.
    :param excuses: Reports of the host's kernel that are faults of its own
                    driver: an expression that a line of them matches, and the
                    reason. docs/devel/kernel-findings has each.
    :param mortal: An oops among these ends a thread that the host's kernel
                   needs, so the host is reset then.
    :param stuck: What may leave a process of the host waiting for ever, in its
                  own driver: an expression for side.name of the fault, and one
                  for a line of /proc/PID/stack. The host is reset then.
    :param once: The endpoint function cannot be taken apart: its memory is
                 used on. So the endpoint refuses to sleep, and is rebooted
                 after its driver was unbound.
    """
    name: str
    function: str
    setup: str
    again: str
    works: str
    loop: str = ''
    lost: str = ''
    excuses: Sequence[Tuple[str, str]] = ()
    mortal: bool = False
    stuck: Tuple[str, str] = ('', '')
    once: bool = False


def selftest(tests):
    """Return a command that runs tests and fails unless each passes."""
    return (f'{READY} {PROGRAM} {tests} >/tmp/selftest 2>&1; '
            'if grep -q "^not ok" /tmp/selftest || '
            '! grep -q "^ok" /tmp/selftest; '
            'then cat /tmp/selftest; false; fi')


LOADS = [
    Load(
        name='idle',
        function='test',
        setup=READY + 'true',
        again='endpoint $ENDPOINT',
        works=selftest(IDLE_TESTS),
    ),
    Load(
        name='selftest',
        function='test',
        setup=READY + 'true',
        loop=f'{PROGRAM} {TESTS}',
        excuses=[(r'\bpci_endpoint_test_\w+\+0x',
                  'pci_endpoint_test_remove() unmaps BARs under an ioctl')],
        stuck=(r'host\.(flr|bus_resets|d3hot)',
               r'pci_endpoint_test_\w+\+0x'),
        again='endpoint $ENDPOINT',
        works=selftest(TESTS),
    ),
    Load(
        name='nvme',
        function='nvme,disk=file,size=128M,data=16M,fixes=on',
        setup=CHOOSE + 'function_setup',
        loop=NVME_TRAFFIC,
        again=CHOOSE + 'load nvme; nvme_disk',
        works=CHOOSE + NVME_TRAFFIC,
    ),
    Load(
        name='vntb',
        function='vntb,data=4M,pings=100',
        setup=CHOOSE + 'function_setup && ntb_link && ntb_ping',
        loop='{ ' + NTB_TRAFFIC + '; }',
        again=CHOOSE + 'load ntb_hw_epf; ntb_bound && ntb_renew',
        works=CHOOSE + 'ntb_link; ' + NTB_TRAFFIC,
        lost='. /pciep/ntb.sh; ntb_restart $NTB_PEER',
        excuses=[(r'\bntb_epf_\w+\+0x',
                  'ntb_hw_epf uses what it reads from an endpoint that is '
                  'gone'),
                 (r'\brewind_stack_and_make_dead\+0x',
                  'a thread with an oops ends, and its stack is reused'),
                 (r'Kernel panic - not syncing: Fatal exception in interrupt',
                  'the oops was in a softirq, and panic=-1 resets the host')],
        mortal=True,
        once=True,
    ),
]
