"""Arguments of public functions that are legal or not depending on the problem they come with."""

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import jax
import numpy as np

from deeppseudopot_jax.arguments import (
    Check,
    described,
    is_known,
    is_traced,
    kind,
    refuse,
    require_array,
    require_index,
    require_list,
    require_shape,
)
from deeppseudopot_jax.parameters import BESIDE_LOCAL, COLUMNS, Parameters
from deeppseudopot_jax.problem import Problem, Target
from deeppseudopot_jax.types import Bundle, DeformationTarget

a_problem = kind(Problem)

Given = Mapping[str, Any]
"""All arguments of a call by their names; its `problem` has been checked before."""


def fitting_parameters(name: str, params: Any, given: Given) -> None:
    """The argument has the parameters of every channel of the problem, of every species.

    Their values are not looked at: what is not finite gives results that are not.
    """
    problem: Problem = given["problem"]
    if not isinstance(params, Parameters):
        legal = "Parameters, as `initial_params` returns them"
        raise refuse(name, described(params), legal)
    n_species = len(problem.species)
    for channel in BESIDE_LOCAL:
        columns = COLUMNS[channel]
        axes = () if isinstance(columns, int) else (columns.stop - columns.start,)
        require_shape(f'{name}["{channel}"]', params[channel], (n_species, *axes))
    _require_like(f'{name}["local"]', params.local, problem.local.parameter_shapes())


def a_system(name: str, index: Any, given: Given) -> None:
    """The argument is the index of a system, or a traced one."""
    require_index(name, index, len(given["problem"].targets), "the problem")


def a_k_point(name: str, index: Any, given: Given) -> None:
    """The argument is the index of a k-point of the system, or a traced one."""
    for system, target in systems_of_call(given):
        require_index(name, index, target.n_k, f"system {system}")


def some_bands(name: str, bands: Any, given: Given) -> None:
    """The argument is a list of indices of bands of the system, which may be traced."""
    legal = "a tuple of the indices of one or more bands"
    require_list(name, bands, legal)
    if len(bands) == 0:
        raise refuse(name, "none", legal)
    for system, target in systems_of_call(given):
        for band in bands:
            require_index(name, band, target.n_bands, f"system {system}")


def bands_of_system(name: str, bands: Any, given: Given) -> None:
    """The argument has one energy for each k-point and band of the system."""
    for _, target in systems_of_call(given):
        require_shape(name, bands, (target.n_k, target.n_bands))


def deformation(name: str, strain: Any, given: Given) -> None:
    """The argument is a strain that leaves the crystal three-dimensional and right-handed."""
    require_array(name, strain, (3, 3))
    if is_known(strain):
        volume = float(np.linalg.det(np.eye(3) + np.asarray(strain, float)))
        if not volume > 0.0:
            legal = "a strain with det(1 + strain) > 0"
            raise refuse(name, f"det(1 + strain) = {volume:g}", legal)


def non_zero_vector(name: str, vector: Any, given: Given) -> None:
    """The argument is a vector of any length but zero."""
    require_array(name, vector, (3,))
    if is_known(vector) and not np.any(np.asarray(vector)):
        raise refuse(name, "the zero vector", "a vector of any length but zero")


def deformation_targets(name: str, rows: Any, given: Given) -> None:
    """The argument lists states of the system, and ratios that change the volume."""
    legal = "a list of DeformationTarget"
    require_list(name, rows, legal)
    for place, row in enumerate(rows):
        of_row = f"{name}[{place}]"
        if not isinstance(row, DeformationTarget):
            raise refuse(of_row, described(row), "a DeformationTarget")
        ratio = row.ratio
        if not isinstance(ratio, Real) or not 0.0 < ratio < math.inf or ratio == 1.0:
            raise refuse(f"{of_row}.ratio", described(ratio), "a number > 0 other than 1")
        for end in ("valence", "conduction"):
            state = getattr(row, end)
            if state is not None or end == "valence":
                _require_state(f"{of_row}.{end}", state, given)


def of_bundle(name: str, problem: Any, given: Given) -> None:
    """The argument is the problem that was built from the bundle, or one alike."""
    bundle: Bundle = given["bundle"]
    a_problem(name, problem, given)
    if problem.species != bundle.species:
        legal = f"one of {' '.join(bundle.species)}, as in the bundle"
        raise refuse(name, f"a problem of {' '.join(problem.species)}", legal)
    found = [(target.n_k, target.n_bands) for target in problem.targets]
    wanted = [(len(system.k_points), system.n_bands) for system in bundle.systems]
    if found != wanted:
        legal = f"{wanted}, as in the bundle"
        raise refuse(name, f"systems with (k-points, bands) = {found}", legal)


a_bundle: Check = kind(Bundle)


def systems_of_call(given: Given) -> Iterator[tuple[int, Target]]:
    """The targets that a call is about: all of them where the system's index is traced."""
    targets, index = given["problem"].targets, given["system_index"]
    yield from enumerate(targets) if is_traced(index) else [(int(index), targets[index])]


def _require_state(name: str, state: Any, given: Given) -> None:
    if not (isinstance(state, tuple | list) and len(state) == 2):
        raise refuse(name, described(state), "a state, (index of a k-point, index of a band)")
    for system, target in systems_of_call(given):
        for part, index, count in zip(
            ("k-point", "band"), state, (target.n_k, target.n_bands), strict=True
        ):
            require_index(f"{part} of {name}", index, count, f"system {system}")


def _require_like(name: str, found: Any, legal: Any) -> None:
    """Raise unless `found` has the arrays of `legal`, a pytree of shapes."""
    shapes = dict(_leaves(name, legal))
    leaves = dict(_leaves(name, found))
    for path in (*shapes, *leaves):
        if path not in leaves:
            there = ", ".join(leaves) or described(found)
            raise refuse(name, there, ", ".join(shapes))
        if path not in shapes:
            raise refuse(path, described(leaves[path]), ", ".join(shapes) or "nothing")
        require_shape(path, leaves[path], shapes[path].shape)


def _leaves(name: str, tree: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield name + jax.tree_util.keystr(path), leaf
