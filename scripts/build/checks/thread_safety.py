#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run clang's thread safety analysis over our files of hw/

thread_safety.py CLANG BUILD: BUILD is the directory that QEMU is built in.
Nothing is compiled to code. Prints what clang has to say, and nothing when
all is well. hw/pci-ep/wire/locks.h has the annotations.
"""

import json
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
LOCKS = TOP / 'scripts/build/thread-safety/qemu-locks.h'
# Any file of a device model is compiled with the options that ours take
MODEL = 'hw/pci/pci.c'
COUNT = re.compile(r'^\d+ (?:warning|error)s? generated\.\n', re.M)
ANALYSIS = ['-Wno-everything', '-Wthread-safety', '-Wthread-safety-beta',
            '-fexperimental-late-parse-attributes']


def compile_options(build):
    """The options that say where headers are and what is defined"""
    commands = json.loads((build / 'compile_commands.json').read_text())
    command = next(c['command'] for c in commands
                   if c['file'].endswith(MODEL))
    words = iter(shlex.split(command)[1:])
    options = []
    for word in words:
        if word in ('-MF', '-MQ', '-o', '-c'):
            next(words)
        elif word in ('-isystem', '-iquote', '-include'):
            options += [word, next(words)]
        elif word.startswith(('-I', '-D', '-m', '-std')):
            options.append(word)
    return options


def main():
    """Analyse each file by itself"""
    clang, build = sys.argv[1], Path(sys.argv[2])
    options = ['-iquote', TOP, '-iquote', TOP / 'include']
    options += compile_options(build)
    command = [clang, '-fsyntax-only', *options, '-include', LOCKS, *ANALYSIS]

    def analyse(path):
        return subprocess.run([*command, path], cwd=build, text=True,
                              stdin=subprocess.DEVNULL, check=False,
                              capture_output=True).stderr

    with ThreadPoolExecutor() as pool:
        for output in pool.map(analyse, sorted((TOP / 'hw').rglob('*.c'))):
            text = COUNT.sub('', output).replace(f'{TOP}/', '')
            print(text, end='')


if __name__ == '__main__':
    sys.exit(main())
