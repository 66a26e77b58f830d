"""What is known of elements beforehand: valence electrons, and Zunger coefficients to start from.

The coefficients are fits to the form factors of M. L. Cohen and T. K. Bergstresser, Phys. Rev. 141,
789 (1966), with the valence-band maximum at minus the sum of electron affinity and gap
(`scripts/make_start_values.py`). They serve as a start: gaps come out within an eV.
"""

from typing import NamedTuple

_COLUMNS = {
    1: "Li Na K Rb Cs", 2: "Be Mg Ca Sr Ba", 12: "Zn Cd Hg", 13: "B Al Ga In Tl",
    14: "C Si Ge Sn Pb", 15: "N P As Sb Bi", 16: "O S Se Te", 17: "F Cl Br I",
}  # fmt: skip
_COLUMN_OF = {symbol: n for n, symbols in _COLUMNS.items() for symbol in symbols.split()}
_PERIOD_OF = {
    symbol: period
    for n, symbols in _COLUMNS.items()
    for period, symbol in enumerate(symbols.split(), 4 if n == 12 else 2)
}

FITTED: dict[str, tuple[str, tuple[float, float, float, float]]] = {
    "Si": ("silicon", (73.2651, 2.135, 3.0, 0.6609)),
    "Ge": ("germanium", (67.2935, 2.3697, 3.0, 0.6941)),
    "Ga": ("GaAs", (65.231, 2.0056, 3.0, 0.7016)),
    "As": ("GaAs", (70.3584, 2.7028, 3.0, 0.6938)),
    "In": ("InP", (70.9458, 1.9096, 3.0, 0.7222)),
    "P": ("InP", (78.5431, 2.5608, 3.0, 0.7152)),
    "Zn": ("ZnSe", (46.9099, 1.4254, 3.0, 0.6357)),
    "Se": ("ZnSe", (70.2635, 3.2043, 3.0, 0.6648)),
    "Cd": ("CdTe", (60.4148, 1.2519, 3.0, 0.7503)),
    "Te": ("CdTe", (88.4518, 2.8989, 3.0, 0.8494)),
}
"""Symbol -> the compound and a0 to a3."""
_LENDERS = {12: "Cd", 13: "Ga", 14: "Ge", 15: "As", 16: "Se"}
"""Column of the periodic table -> the element whose coefficients its other ones borrow."""
_EXTRAPOLATED = {1: (38.0, 1.04, 3.0, 0.7), 17: (81.0, 3.45, 3.0, 0.7)}
"""Column -> from the table: a1 and v(0) = -a0 a1 / (a2 - 1) are linear in the valence electrons."""
_NEUTRAL = (65.0, 2.2, 3.0, 0.7)
"""About the mean of the table."""
_SPIN_ORBIT = {2: 0.02, 3: 0.06, 4: 0.6, 5: 4.0, 6: 7.0}
"""Period -> a5 (Ha), near which the fits of configs/gallery end."""
_SPIN_ORBIT_ELSEWHERE = 0.1
"""Not 0, where levels that the coupling splits are degenerate and have no derivative."""


class Start(NamedTuple):
    """Coefficients a0 to a3 to start from, and where they come from."""

    coefficients: tuple[float, float, float, float]
    source: str

    @property
    def is_guess(self) -> bool:
        """Whether they belong to another element, or to none."""
        return not self.source.startswith("fitted")


def start_of(symbol: str) -> Start:
    """What an element starts from: its own fit, that of its column, or the same for all others."""
    if symbol in FITTED:
        compound, coefficients = FITTED[symbol]
        return Start(
            coefficients,
            f"fitted to the form factors of {compound} in Cohen and Bergstresser, "
            "Phys. Rev. 141, 789 (1966)",
        )
    column = _COLUMN_OF.get(symbol, 0)
    lender = _LENDERS.get(column)
    if lender is not None:
        return Start(FITTED[lender][1], f"borrowed from {lender}, of the same column: a guess")
    if column in _EXTRAPOLATED:
        return Start(_EXTRAPOLATED[column], "extrapolated from other columns: a guess")
    return Start(_NEUTRAL, "no element like it is known here: a guess")


def spin_orbit_start(symbol: str) -> float:
    """a5 (Ha) to start from; it grows with the period."""
    return _SPIN_ORBIT.get(_PERIOD_OF.get(symbol, 0), _SPIN_ORBIT_ELSEWHERE)


def valence_electrons(symbol: str) -> int | None:
    """s and p electrons of the outer shell; None for elements with open d or f shells."""
    column = _COLUMN_OF.get(symbol)
    if column is None:
        return None
    return column if column < 12 else column - 10
