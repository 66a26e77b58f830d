"""What a bundle to start from says where nothing else is known: model, weights, start values."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.toolkit.new.elements import spin_orbit_start, start_of

MAX_KINETIC_ENERGY = 6
"""Ha; suits tetrahedral semiconductors."""
OF_CUTOFF = "a potential belongs to the cutoff it was fitted with"

EMPTY_WEIGHTS = (1.0, 0.5, 0.2, 0.1)
"""Of the conduction levels: higher ones are followed less well, and matter less."""
_SYMMETRY_WEIGHT = 3
_DEEPEST_WEIGHT = 0.5
_COEFFICIENTS = (
    "a0, Ha Bohr^5", "a1, Bohr^-2", "a2", "a3, Bohr^2", "a4, long range", "a5, spin-orbit",
    "a6, nonlocal", "a7, nonlocal", "a8, strain",
)  # fmt: skip

_CONFIG = """\
# What the run does; docs/bundle.md explains every key.
PPmodel = Net_fourier_celu_HeInit_decayGaussian  # a network of waves in q, times a Gaussian
hiddenLayers = 20 20
PPmodel_n_frequencies = 8
PPmodel_range = 8               # Bohr, range of v(r)
PPmodel_gaussian_std = 3.0      # Bohr^-1
nSystem = 1
{spin}
basis_sphere = G_full           # |G|^2/2 < maxKE; kG where a band edge is at the zone boundary
seed = 1

# The network first learns the curves of init_<atom>Params.par.
init_Zunger_num_epochs = 2000
init_Zunger_optimizer_lr = 0.01
init_Zunger_scheduler_gamma = 0.7
init_Zunger_plotEvery = 500

# Then least squares fits the bands; it ends by itself where no step helps.
optimizer = lm
max_num_epochs = 60
plotEvery = 20
prior_roughness = 0.003         # eV: keeps v(q) smooth
prior_range = 0.1               # eV: keeps v(r) short
"""
_WITHOUT_SPIN = """\
SObool = 0                      # 1: spinors, spin-orbit a5 and nonlocal terms a6, a7
# trainSO = 1                   # with SObool = 1: fit a5, if the energies have spin-orbit
# trainNL = 1                   # with SObool = 1: fit a6 and a7; slower, and nearer to DFT bands"""
_WITH_SPIN = """\
SObool = 1                      # spinors, spin-orbit a5 and nonlocal terms a6, a7
trainSO = 1                     # fit a5
trainNL = 1                     # fit a6 and a7"""
_SPIN_PRIOR = "prior_width = 1200              # steps: keeps a5 to a7 in bounds\n"


def config_text(spin_orbit: bool = False) -> str:
    """NN_config.par: least squares of a network, with spin-orbit coupling where asked for."""
    if not spin_orbit:
        return _CONFIG.format(spin=_WITHOUT_SPIN)
    return _CONFIG.format(spin=_WITH_SPIN) + _SPIN_PRIOR


def k_weights(labels: Sequence[str]) -> Float[np.ndarray, " kpt"]:
    """Weights along a path: symmetry points count more, each once; "" stands for no such point."""
    weights, met = [], {""}
    for label in labels:
        weights.append(1.0 if label in met else _SYMMETRY_WEIGHT)
        met.add(label)
    return np.array(weights)


def band_weights(n_bands: int, occupied: int | None) -> Float[np.ndarray, " band"]:
    """Weights of the bands, counted with spin; all are 1 where `occupied` is not known."""
    weights = np.ones(n_bands)
    if occupied is not None:
        weights[:2] = _DEEPEST_WEIGHT
        n_empty = max(n_bands - occupied, 0)
        of_levels = np.repeat(EMPTY_WEIGHTS, 2)[:n_empty]
        weights[n_bands - n_empty :] = EMPTY_WEIGHTS[-1]
        weights[occupied : occupied + len(of_levels)] = of_levels
    return weights


def coefficient_texts(symbols: Sequence[str], spin_orbit: bool = False) -> dict[str, str]:
    """Name and text of the init_<atom>Params.par of every species."""
    return {
        f"init_{symbol}Params.par": _coefficients(symbol, spin_orbit)
        for symbol in sorted(set(symbols))
    }


def guessed_files(symbols: Sequence[str]) -> list[str]:
    """Which init_<atom>Params.par hold values of other elements, or of none."""
    return [f"init_{s}Params.par" for s in sorted(set(symbols)) if start_of(s).is_guess]


def _coefficients(symbol: str, spin_orbit: bool) -> str:
    start = start_of(symbol)
    coupling = spin_orbit_start(symbol) if spin_orbit else 0.0
    values = (*start.coefficients, 0.0, coupling, 0.0, 0.0, 0.0)
    rows = [f"{x:9.4f}   # {name}\n" for x, name in zip(values, _COEFFICIENTS, strict=True)]
    return f"# {symbol}: {start.source}\n" + "".join(rows)
