# SPDX-License-Identifier: GPL-2.0-or-later
"""Configuration of Sphinx; "make docs" runs it (scripts/build/docs.sh)."""

project = 'pci-ep'
author = 'the pci-ep authors'
copyright = 'the pci-ep authors, GPL-2.0-or-later'

master_doc = 'index'
extensions = []
exclude_patterns = []
language = 'en'
nitpicky = True
smartquotes = False
highlight_language = 'none'

# A theme that comes with Sphinx: a build needs no network
html_theme = 'alabaster'
html_theme_options = {
    'description': 'The Linux PCI endpoint subsystem without hardware',
    'fixed_sidebar': True,
    'page_width': '72em',
}
html_sidebars = {'**': ['about.html', 'navigation.html', 'searchbox.html']}
html_copy_source = False
html_show_sphinx = False

# (page, name, description, authors, section)
man_pages = [
    ('system/launcher', 'pci-ep-run',
     'boot two QEMU guests that share a PCI Express link, and test what is '
     'between them', [], 1),
]
