# SPDX-License-Identifier: GPL-2.0-or-later
"""
The fault matrix: each fault of either machine under each load.

"make check-faults" runs all cells, and "make check" those of USUAL.
"""

from lib import faults, limit
from matrix.cell import LATE, Cell
from matrix.faults import FAULTS
from matrix.loads import LOADS

SECONDS = 1200

# Cells that take little time and show much: "side_fault_load"
USUAL = {
    'ep_reboot_nvme',
    'host_reboot_idle',
    'ep_panic_idle',
    'ep_sigkill_nvme',
    'host_sigkill_vntb',
    'ep_qmp_stop_nvme',
    'ep_link_stop_nvme',
    'host_slot_power_idle',
    'host_bus_resets_idle',
    'host_flr_nvme',
    'host_d3hot_idle',
}


# "make check" has to pass on a machine that is busy with something else. This
# is well below a deadline of the link, for which a frozen monitor is silent.
LATE_USUAL = 1.0


def make_test(fault, load, late):
    """Return the test of one cell."""

    @limit(SECONDS)
    def test(t):
        Cell(t, load, late).run(fault)

    return test


for _fault in FAULTS:
    for _load in LOADS:
        _name = f'{_fault.side}_{_fault.name}_{_load.name}'
        if _name in USUAL:
            _test = make_test(_fault, _load, LATE_USUAL)
        else:
            _test = faults(make_test(_fault, _load, LATE))
        globals()[f'test_{_name}'] = _test
