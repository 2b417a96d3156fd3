# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest boots: kernel, modules, programs, initramfs."""
