"""Print the coefficients of toolkit/new/elements.py: fits to published form factors.

The zero of energy is the vacuum: the valence-band maximum lies at minus the sum of electron
affinity and gap. Affinities and gaps of Si, Ge, GaAs, InP: NSM Archive (Ioffe
Institute); affinities of ZnSe and CdTe: R. K. Swank, Phys. Rev. 153, 844 (1967).

    python scripts/make_start_values.py
"""

from dataclasses import dataclass

import numpy as np
from empirical_bands import (
    BOHR_ANGSTROM,
    HARTREE_EV,
    Zincblende,
    cohen_bergstresser,
    fit_zunger,
    local_bands,
)

_POINTS = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.5, 0.5, 0.5]])  # Gamma, X, L
_G2 = 30  # plane waves up to |k + G|^2, (2 pi/a)^2
_N_VALENCE = 4


@dataclass(frozen=True)
class Compound:
    """Lattice constant in Angstrom, table of form factors, electron affinity and gap in eV."""

    species: tuple[str, str]
    a_angstrom: float
    table: str
    affinity: float
    gap: float


COMPOUNDS = {
    "silicon": Compound(("Si", "Si"), 5.43, "silicon", 4.05, 1.12),
    "germanium": Compound(("Ge", "Ge"), 5.66, "germanium", 4.0, 0.661),
    "GaAs": Compound(("Ga", "As"), 5.64, "III-V", 4.07, 1.424),
    "InP": Compound(("In", "P"), 5.86, "III-V", 4.38, 1.344),
    "ZnSe": Compound(("Zn", "Se"), 5.65, "ZnSe", 4.09, 2.70),
    "CdTe": Compound(("Cd", "Te"), 6.41, "CdTe", 4.28, 1.50),
}


def start_values(compound: Compound) -> dict[str, tuple[float, ...]]:
    """a0 to a3 of both species."""
    crystal = Zincblende(compound.species, compound.a_angstrom / BOHR_ANGSTROM)
    g2 = _G2 * (2 * np.pi / crystal.a) ** 2
    form_factors = cohen_bergstresser(crystal, compound.table, 0.0)
    bands = local_bands(crystal, _POINTS, form_factors, g2, _N_VALENCE, follow_k=True)
    shift = -(compound.affinity + compound.gap + bands.max()) / HARTREE_EV
    rows = fit_zunger(crystal, compound.table, shift)
    return {symbol: tuple(row) for symbol, row in zip(compound.species, rows.tolist(), strict=True)}


def main() -> None:
    """Print the table."""
    for name, compound in COMPOUNDS.items():
        for symbol, row in start_values(compound).items():
            print(f'    "{symbol}": ("{name}", {row}),')


if __name__ == "__main__":
    main()
