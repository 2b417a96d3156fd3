# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run came to, and the exit status that says so."""

PASSED, FAILED, CANNOT = 0, 1, 2
SIGNAL = 128  # and the number of the signal that ended the run
# For "git bisect run": the commit says nothing, and "do not go on"
SKIP, ABORT = 125, 128

# Each outcome with its exit status, and the one with --bisect.  CannotRun and
# what is derived from it name theirs.
_OUTCOMES = {
    'passed': (PASSED, PASSED),
    'skipped': (PASSED, SKIP),  # all tests
    'failed': (FAILED, FAILED),
    # A kernel crashed before its init ran.
    'unbooted': (FAILED, SKIP),
    'kernel': (CANNOT, SKIP),
    'function': (CANNOT, FAILED),
    'cannot': (CANNOT, ABORT),
}


def of(outcome: str, bisect: bool) -> int:
    """Return the exit status of an outcome."""
    return _OUTCOMES[outcome][bisect]
