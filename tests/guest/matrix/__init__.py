# SPDX-License-Identifier: GPL-2.0-or-later
"""
The fault matrix: what happens to either machine, under each load.

    faults.py    what happens: reboot, SIGKILL, a reset of the bus...
    loads.py     what the guests do meanwhile, and what must work after
    monitors.py  how long the monitors of both QEMUs take to answer
    processor.py how long their threads waited for a processor
    cell.py      one fault under one load, with all that is checked
    table.py     the results of the cells as one table
"""
