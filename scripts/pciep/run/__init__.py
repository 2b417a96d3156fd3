# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of pci-ep-run: options, terminal, results, verdict."""
