"""Units: Hartree atomic units inside, electron volts for band energies outside."""

HARTREE_IN_EV = 27.2114
"""One Hartree in eV. The reference data were made with this rounded value: keep it."""

BOHR_IN_ANGSTROM = 0.529177210903
"""One Bohr in Angstrom (CODATA 2018)."""
