"""The command `plot`: figures of files that are there, in the look of a run's own figures."""

from deeppseudopot_jax.toolkit.plot.bands import plot_bands
from deeppseudopot_jax.toolkit.plot.costs import plot_costs
from deeppseudopot_jax.toolkit.plot.hamiltonian import plot_hamiltonian
from deeppseudopot_jax.toolkit.plot.potentials import plot_potentials

__all__ = ["plot_bands", "plot_costs", "plot_hamiltonian", "plot_potentials"]
