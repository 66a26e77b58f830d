"""What a Monte Carlo checkpoint is only good for: settings, options and data of its run."""

import hashlib
from dataclasses import asdict

import numpy as np

from deeppseudopot_jax.montecarlo.chain import Chain
from deeppseudopot_jax.types import Bundle

_LENGTHS = ("mc_iter", "plotEvery", "nQGrid", "qmax", "nRGrid", "Rmax")
"""Keys that a resumed run may change: how long it goes on, and what is exported."""


def chain_facts(bundle: Bundle, chain: Chain) -> dict[str, str]:
    """Everything by name, as text, that must be the same in a run that resumes."""
    changed = bundle.settings.changed()
    facts = {key: value for key, value in changed.items() if key not in _LENGTHS}
    if chain.plan.options is not None:
        options = asdict(chain.plan.options)
        for key in ("total_iterations", "write_every"):
            del options[key]
        facts |= {f"mcOpts {key}": str(value) for key, value in options.items()}
    facts["precision"] = chain.problem.precision
    facts["input data"] = _digest(bundle)
    return facts


def _digest(bundle: Bundle) -> str:
    """A fingerprint of the numbers in a bundle."""
    arrays = [bundle.coefficients, bundle.step_sizes, *(bundle.model_state or {}).values()]
    text = []
    for system in bundle.systems:
        arrays += [value for value in vars(system).values() if isinstance(value, np.ndarray)]
        arrays += [system.crystal.lattice, system.crystal.fractional_positions]
        arrays += [target.values for target in system.coupling_targets]
        text.append(f"{system.crystal.symbols} {system.n_bands} {system.max_kinetic_energy}")
        text.append(str(system.deformation_targets))
    digest = hashlib.sha256("\n".join(text).encode())
    for array in arrays:
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
