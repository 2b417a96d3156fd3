# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of users' functions share: they write and run some."""

import os
import shutil
import subprocess
import sys

from lib import LAUNCHER, contains

# pci-epf-test without its driver in the host: nothing has to be built.
TOML = '''
name = "{name}"
ids = "1af4:10f0"
{top}
[ep]
function = "{function}"
modules = ["pci_epf_test"]
[ep.attributes]
{attributes}
[ep.tests]
{ep_tests}
[host]
{host}
[host.tests]
{tests}
'''


def folder(t, name='mine', **values):
    """Write function.toml, and return its directory."""
    fill = dict.fromkeys(('top', 'attributes', 'ep_tests', 'host', 'tests'),
                         '')
    fill['function'] = 'pci_epf_test'
    top = os.path.join(t.rundir, name)
    os.makedirs(top, exist_ok=True)
    t.file(f'{name}/function.toml', TOML.format(name=name, **{**fill,
                                                             **values}))
    return top


def new_function(t, name):
    """Run pci-ep-run new-function, and return the new directory."""
    top = os.path.join(t.rundir, name)
    shutil.rmtree(top, ignore_errors=True)
    done = subprocess.run([sys.executable, LAUNCHER, 'new-function', top],
                          stdout=subprocess.PIPE, check=True, text=True)
    contains(done.stdout, f'--function {top}$', 'what new-function prints')
    return top


def run(t, *args, seconds=150):
    """Run functions, and return exit status, output and results."""
    t.kernel('7')
    words = [word for top in args if not top.startswith('-')
             for word in ('--function', top)]
    options = [word for word in args if word.startswith('-')]
    status, out = t.launch(*words, *options, seconds=seconds)
    return status, out, t.results()
