"""What a Monte Carlo checkpoint is only good for: settings, options and data of its run."""

import hashlib
from dataclasses import asdict

import numpy as np

from deeppseudopot_jax.montecarlo.chain import Chain
from deeppseudopot_jax.types import Bundle

EXPORTED = ("plotEvery", "init_Zunger_plotEvery", "nQGrid", "qmax", "nRGrid", "Rmax")
"""Keys of what is exported, which a resumed run may change."""


def chain_facts(bundle: Bundle, chain: Chain) -> dict[str, str]:
    """Everything by name, as text, that must be the same in a run that resumes."""
    changed = bundle.settings.changed()
    facts = {key: value for key, value in changed.items() if key not in ("mc_iter", *EXPORTED)}
    if chain.plan.options is not None:
        options = asdict(chain.plan.options)
        for key in ("total_iterations", "write_every"):
            del options[key]
        facts |= {f"mcOpts {key}": str(value) for key, value in options.items()}
    facts["precision"] = chain.problem.precision
    facts["input data"] = digest(bundle)
    return facts


def digest(bundle: Bundle) -> str:
    """A fingerprint of the numbers in a bundle."""
    arrays = [bundle.coefficients, bundle.step_sizes, *(bundle.model_state or {}).values()]
    # Only where they are there: checkpoints without them are those of versions before.
    arrays += [a for a in (bundle.tabulated_potential, bundle.beta_schedule) if a is not None]
    text = []
    for system in bundle.systems:
        arrays += [value for value in vars(system).values() if isinstance(value, np.ndarray)]
        arrays += [system.crystal.lattice, system.crystal.fractional_positions]
        arrays += [target.values for target in system.coupling_targets]
        text.append(f"{system.crystal.symbols} {system.n_bands} {system.max_kinetic_energy}")
        text.append(str(system.deformation_targets))
    found = hashlib.sha256("\n".join(text).encode())
    for array in arrays:
        found.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
