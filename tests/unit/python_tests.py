# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the test functions of a Python unit test, and prints TAP."""

import os
import re
import sys
import time
import traceback

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '../..'))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from pciep.run import tap  # noqa: E402


class Skipped(Exception):
    """The test cannot run here; the text says why."""


def equal(seen, expected, what):
    """Fail unless two values are equal; the text says what they are."""
    if seen != expected:
        raise AssertionError(f'{what}: expected {expected!r}, saw {seen!r}')


def contains(text, pattern, what):
    """Fail unless the pattern is in the text; "what" says where it is."""
    if not re.search(pattern, text):
        raise AssertionError(f'{what}: nothing matches {pattern!r} in: {text}')


def raises(kind, function, *args):
    """Return the text of the exception of that kind; fail without one."""
    try:
        seen = function(*args)
    except kind as error:
        return str(error)
    raise AssertionError(f'{args}: no {kind.__name__}, but {seen!r}')


def run_one(name, function):
    """Return the result of one test."""
    since = time.monotonic()
    status, reason, notes = tap.PASS, '', []
    try:
        function()
    except Skipped as error:
        status, reason = tap.SKIP, str(error)
    except Exception as error:  # pylint: disable=broad-except
        status, reason = tap.FAIL, str(error)
        notes = [f'# {line}' for line in traceback.format_exc().splitlines()]
    return tap.Result(name, status, reason, notes, time.monotonic() - since)


def main(namespace):
    """Run all functions test_NAME, and return the exit status."""
    tests = {name[5:]: function for name, function in namespace.items()
             if name.startswith('test_') and callable(function)}
    printer = tap.Printer(len(tests))
    for name, function in tests.items():
        printer.result(run_one(name, function))
    return 0 if printer.end() else 1
