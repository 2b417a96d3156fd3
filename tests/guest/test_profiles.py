# SPDX-License-Identifier: GPL-2.0-or-later
"""
The endpoint selftest under the profiles of real controllers.

ROWS has the row of "make profiles" that each must have.  What is F there is
in docs/devel/kernel-findings-limits.
"""

import profile_matrix
from lib import check, contains, equal, limit, long

HEAD = ' '.join(profile_matrix.COLUMNS)
ROWS = {
    'am654': 'FrPPPP P FrrFFP F P r PPP rrr F',
    'artpec6': 'PPPPPP P rPPPPP F P F PPF rrr F',
    'cadence-plat': 'PPPPPP P rrrrrr F P r PPP rrr r',
    'dra7xx': 'PPPPPP P rPPPPP F P F PPP rrr F',
    'dw-plat': 'PPPPPP P rPPPPP F P r PPP rrr F',
    'imx8m': 'PrPrPr P rrPrFr F P F PPP PPP P',
    'imx8mq': 'PrPrPr P rrPrPr F P F PPP PPP P',
    'imx8q': 'PrPrPr P rrPrPr F P F PPP PPP P',
    'imx95': 'PPPPPP P rPPPPP F P F PPP PPP P',
    'j721e': 'PPPPPP P rrrrrr F P r PPP rrr r',
    'keembay': 'PrPrPr P rrPrPr F P r PPP rrr F',
    'layerscape': 'PPPrPr P rrrrrr F P r PPP rrr r',
    'qcom-sa8775p': 'PrPrPP P rrPrPP F P F PPP PPP F',
    'qcom-sdx55': 'PrPrPP P rrPrPP F P F PPP rrr F',
    'rcar-gen3': 'PrPrPr P rrrrrr F P F PPP rrr r',
    'rcar-gen4': 'PrPrPr P rrPrFr F P F PPP PPP P',
    'rk3399': 'PPPPPP P rrrrrr P P F PPP rrr r',
    'rk3568': 'PPPPPP P rPPPPP F P r PPP PPP P',
    'rk3588': 'PPPPrP P rPPPrP F P r PPP PPP P',
    'stm32': 'PPPPPP P rPPPPP F P F PPP rrr F',
    'tegra194': 'PrrPrP P rrrPrP F P F PPP rrr F',
    'uniphier-nx1': 'PrPrPr P rrPrPr F P F PPP rrr F',
    'uniphier-pro5': 'PrPrrr P rrPrrr F P F PPP rrr F',
}
# Those that "make check" runs
SHORT = ('rk3588', 'rcar-gen3')


def judge(t, name):
    """The profile has its row, and neither kernel reported a fault."""
    t.kernel('7')
    row = profile_matrix.Row.run(t, name)
    print(f'# {row.line()}', flush=True)
    equal(row.line(), ROWS[name], f'row of {name} ({HEAD}); '
          f'{profile_matrix.reasons([row])}')
    for console in ('console.host', 'console.ep'):
        equal(row.tests[console][0], 'pass', console)
    return row


@limit(240)
def test_rk3588(t):
    """BAR 4 is reserved, and the others have at least 1 MiB."""
    row = judge(t, 'rk3588')
    contains(row.tests['pci_ep_bar.BAR4.BAR_TEST'][1], 'BAR is reserved',
             'reason of BAR 4')


@limit(240)
def test_rcar_gen3(t):
    """BARs of 128 and 256 bytes, no MSI-X, and nothing says that it is up."""
    judge(t, 'rcar-gen3')


def _long_test(name):
    """Return a test of a profile, for "make check-long"."""

    @long
    @limit(240)
    def test(t):
        judge(t, name)

    test.__name__ = 'test_' + name.replace('-', '_')
    return test


for _name in profile_matrix.names():
    if _name not in SHORT:
        _test = _long_test(_name)
        globals()[_test.__name__] = _test


@limit(20)
def test_all_have_rows(_t):
    """Each profile is tested, and each row has a profile."""
    equal(sorted(ROWS), profile_matrix.names(), 'profiles with a row')
    check(all(name in ROWS for name in SHORT), 'a short test has no row')
