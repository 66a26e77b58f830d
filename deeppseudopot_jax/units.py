"""Units: Hartree atomic units inside, electron volts for band energies outside."""

HARTREE_IN_EV = 27.2114
"""One Hartree in eV. The reference data were made with this rounded value: keep it."""
