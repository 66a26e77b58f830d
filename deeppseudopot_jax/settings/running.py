"""Keys of NN_config.par: how a run goes, and what it writes."""

from typing import Literal

from pydantic import Field

from deeppseudopot_jax.settings.kinds import GridEnd, GridSize, KeyGroup, NonNegativeInt, Seed


class Execution(KeyGroup):
    """Execution."""

    num_cores: NonNegativeInt = Field(0, alias="num_cores")
    """Processes of the PyTorch code."""
    separate_k_gradients: bool = Field(True, alias="separateKptGrad")
    """Gradients k-point by k-point, to save memory in the PyTorch code."""
    gradient_checkpointing: bool = Field(False, alias="checkpoint")
    """Recompute instead of store, to save memory in the PyTorch code."""
    show_plots: bool = Field(False, alias="SHOWPLOTS")
    """Show figures in windows."""
    log_memory: bool = Field(False, alias="memory_flag")
    """Tell the highest memory of host and device after every part of the run."""
    log_runtime: bool = Field(False, alias="runtime_flag")
    """Tell the time of every part of the run, compilation apart, and of every epoch."""
    log_gradients: bool = Field(False, alias="printGrad")
    """Tell the norm of the gradient of every channel, layer and species."""


class Output(KeyGroup):
    """Basis, random numbers and output grids."""

    basis_sphere: Literal["G", "G_full", "kG"] = Field("G", alias="basis_sphere")
    """Plane waves: G as in PyTorch, G_full all abs(G)^2/2 < maxKE, kG all abs(k+G)^2/2 < maxKE:
    periodic in k."""
    seed: Seed = Field(0, alias="seed")
    """Of the random weights, moves and starts of an ensemble."""
    q_max: GridEnd = Field(20.0, alias="qmax")
    """End in Bohr^-1 of the tables and figures of v(q)."""
    n_q: GridSize = Field(2048, alias="nQGrid")
    """Points of the tables of v(q)."""
    n_r: GridSize = Field(2048, alias="nRGrid")
    """Points of the tables of v(r)."""
    movie: bool = Field(True, alias="movie")
    """Make movies of the bands and potentials that a fit writes on its way."""
    r_max: GridEnd = Field(25.0, alias="Rmax")
    """End in Bohr of the tables and figures of v(r)."""
