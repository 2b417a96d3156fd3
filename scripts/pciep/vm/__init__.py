# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of a run: QEMU processes, their consoles and the links."""
