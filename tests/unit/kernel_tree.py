# SPDX-License-Identifier: GPL-2.0-or-later
"""
A kernel tree that only looks like one, for tests without a compiler.

What the Makefile makes of kernel/fork.c is the image.  With stand-in-qemu
as QEMU, its last line is what this kernel does.
"""

import os
import subprocess
import sys
import tempfile

from python_tests import TOP
from pciep.image import kernels, variants
from pciep.image.variants import Wanted

LAUNCHER = os.path.join(TOP, 'scripts/pci-ep-run')
QEMU = os.path.join(TOP, 'tests/unit/stand-in-qemu')

MAKEFILE = r'''
allnoconfig:
	@mkdir -p $(O)/include/config
	@touch $(O)/include/config/auto.conf
	@grep -v CONFIG_REFUSED $(KCONFIG_ALLCONFIG) > $(O)/.config
	@printf 'srctree := %s\ninclude %s/Makefile\n' $(CURDIR) $(CURDIR) \
		> $(O)/Makefile
bzImage: arch/x86/boot/bzImage
arch/x86/boot/bzImage: $(srctree)/kernel/fork.c
	@mkdir -p $(@D)
	@cp $< $@
	@echo built >> built.log
	@echo "$(CC)" >> cc.log
modules:
ifdef M
	@mkdir -p $(M)/test $(M)/functions/some
	@for name in pcie-qemu-ep test/more functions/some/other; do \
		echo 'const char v[] = "vermagic=7.9.9 ";' | \
			cc -g -c -x c - -o $(M)/$$name.ko; done
endif
scripts_gdb headers_install:
kernelrelease:
	@echo one >> runs.log
	@echo 7.9.9
modules_install:
	@mkdir -p $(INSTALL_MOD_PATH)/lib/modules/7.9.9
	@touch $(INSTALL_MOD_PATH)/lib/modules/7.9.9/none.ko
	@echo none.ko: > $(INSTALL_MOD_PATH)/lib/modules/7.9.9/modules.dep
'''


class Place:
    """A kernel tree of a user, a build directory and a cache."""

    def __init__(self, directory):
        self.directory = directory
        self.source = os.path.join(directory, 'my tree')
        self.build = os.path.join(directory, 'build')
        self.said = []
        self.output = os.path.join(directory, 'output')  # of the scripts
        self.write('my tree/Makefile', MAKEFILE)
        self.write('my tree/Kconfig', 'config REFUSED\n\tbool\n')
        self.write('my tree/.gitignore', '.*\n*.o\ninclude/config/\n')
        self.write('my tree/kernel/fork.c', 'one\n')
        # It is configured and built, for another architecture.
        self.write('my tree/.config', 'CONFIG_ARM64=y\n')
        self.write('my tree/include/config/auto.conf', 'CONFIG_ARM64=y\n')
        self.write('my tree/kernel/fork.o', '')
        self.write('build/config.sh', '')
        os.environ['PCI_EP_CACHE'] = os.path.join(directory, 'cache')

    def add_programs(self):
        """Give the tree, and the usual kernel, the program of the test."""
        for name in ('my tree/tools/testing/selftests/pci_endpoint/'
                     'pci_endpoint_test.c',
                     'build/kernel-7/bin/pci_endpoint_test'):
            self.write(name, 'int main(void) { return 0; }\n')

    def write(self, name, text):
        """Write a file, and return its path."""
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def ensure(self, *configs, source=None, name='7'):
        """Build the kernel, and return it."""
        wanted = Wanted(name=name, configs=configs,
                        source=self.source if source is None else source)
        variants.ensure(self.build, wanted, self.said.append)
        return kernels.built(self.build, wanted.label)

    def read(self, path):
        """Return the text of a file below the directory."""
        with open(os.path.join(self.directory, path),
                  encoding='utf-8') as file:
            return file.read()

    def builds(self, kernel, log='built'):
        """Return how often the image was made, or what else a log counts."""
        return self.read(os.path.join(kernel.kbuild,
                                      f'{log}.log')).count('\n')

    def git(self, *args):
        """Run git in the tree, and return what it prints."""
        return subprocess.run(
            ['git', '-C', self.source, '-c', 'user.name=a', '-c',
             'user.email=b', *args], check=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True).stdout.strip()

    def run(self, *args, program=LAUNCHER, log='log'):
        """Run the launcher with the stand-in; return status and output."""
        more = []
        if program == LAUNCHER:
            more = ['--qemu', QEMU, '--accel=tcg', '--no-console',
                    '--build-dir', self.build,
                    '--log-dir', os.path.join(self.directory, log)]
        done = subprocess.run(
            [sys.executable, program, *more, *args], check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=200)
        return done.returncode, done.stdout

    def state(self):
        """Return all files of the user's tree, and their times."""
        return {path: os.stat(path).st_mtime_ns
                for top, names, files in os.walk(self.source)
                for path in [os.path.join(top, name)
                             for name in (*names, *files, '.')]}


def with_place(test):
    """Decorator: the test gets a Place."""
    def run():
        with tempfile.TemporaryDirectory() as directory:
            place = Place(directory)
            keep = os.dup(2)
            with open(place.output, 'w', encoding='utf-8') as output:
                os.dup2(output.fileno(), 2)
            try:
                test(place)
            finally:
                os.dup2(keep, 2)
                os.close(keep)
    return run
