"""The terms of H at some k-points: sizes of their elements, and what they add to every band."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deeppseudopot_jax.basis import Sphere, plane_waves
from deeppseudopot_jax.files.results.painter import Drawing, Here
from deeppseudopot_jax.files.results.tables import write_costs
from deeppseudopot_jax.observables.observable import vector
from deeppseudopot_jax.observables.term_energies import (
    SUM,
    TermEnergies,
    term_energies,
    term_matrices,
)
from deeppseudopot_jax.problem import build_problem
from deeppseudopot_jax.run.checks.capabilities import check_initialised
from deeppseudopot_jax.run.checks.potential import evaluation_of, parameters_of
from deeppseudopot_jax.symmetry_points import point_namer
from deeppseudopot_jax.toolkit.plot.blocks import Block, block_of
from deeppseudopot_jax.toolkit.plot.targets import check_figure, check_index
from deeppseudopot_jax.types import SystemInput
from deeppseudopot_jax.units import HARTREE_IN_EV


def plot_hamiltonian(
    figure: Path,
    inputs: Path,
    potential: Path | None = None,
    system: int = 0,
    k_points: Sequence[int] = (0,),
    block: str | None = None,
    spins: str = "up-up",
    overwrite: bool = False,
) -> list[Path]:
    """Draw |T|, |V_loc|, |V_NL|, |V_SO| and |H|, and what each adds to the bands.

    Beside `figure`, whose stem they share, stand <stem>_energies in the same format and
    <stem>_energies.dat; returns all three.

    Args:
        figure: an SVG, PDF or PNG file.
        inputs: the bundle.
        potential: the results folder of a run, or a prefix of files in it; the potential of the
            inputs where None.
        system: of the bundle.
        k_points: indices of its k-points.
        block: plane waves of rows and columns, as `block_of` reads them.
        spins: of rows and columns.
        overwrite: whether files may be replaced.

    Raises:
        BundleError: if the bundle or the potential has problems.
        UnsupportedError: if there is no potential.
        InputError: if an argument is not legal.
        ResultsError: if a file cannot be written.
    """
    shares = figure.with_name(f"{figure.stem}_energies{figure.suffix}")
    table = shares.with_suffix(".dat")
    check_figure(figure, overwrite, (shares, table))
    plan, taken = evaluation_of(inputs, potential)
    check_initialised(plan)
    bundle = plan.bundle
    check_index("--system", system, len(bundle.systems), str(inputs))
    described = bundle.systems[system]
    for k_point in k_points:
        check_index("--k-point", k_point, len(described.k_points), described.name)
    n_spin = 2 if bundle.settings.spin_orbit else 1
    n_waves = _smallest_basis(described, k_points, bundle.settings.basis_sphere)
    chosen = block_of(block, spins, n_waves, n_spin)
    problem = build_problem(bundle)
    params = parameters_of(bundle, problem, taken)
    titles = {k_point: _title(described, k_point) for k_point in k_points}
    matrices, energies = {}, {}
    for k_point, title in titles.items():
        terms = term_matrices(problem, params, system, k_point, chosen.waves)
        matrices[title] = _sizes(terms, chosen, n_spin)
        energies[k_point] = term_energies(problem, params, system, k_point)
    painter = Here()
    drawn = matrices, chosen.rows, chosen.columns
    painter.paint(Drawing("term_matrix_figure", drawn, (figure,)))
    panels = {
        titles[k_point]: found.terms | {SUM: np.sum(list(found.terms.values()), axis=0)}
        for k_point, found in energies.items()
    }
    painter.paint(Drawing("term_energy_figure", (panels,), (shares,)))
    write_term_energies(table, energies)
    return [figure, shares, table]


def write_term_energies(path: Path, k_points: Mapping[int, TermEnergies]) -> None:
    """<stem>_energies.dat: k-point, band, its energy, what every term adds and their sum (eV)."""
    symbols = list(next(iter(k_points.values())).terms)
    rows = [
        (k_point, band, float(energy), *adds.tolist(), float(adds.sum()))
        for k_point, found in k_points.items()
        for band, energy in enumerate(found.energies)
        for adds in [np.array([found.terms[symbol][band] for symbol in symbols])]
    ]
    columns = ("k_point", "band", "energy", *symbols, SUM)
    write_costs(path, rows, columns, "expectation values of the terms of H in every band (eV)")


def _sizes(terms: Mapping[str, np.ndarray], block: Block, n_spin: int) -> dict[str, np.ndarray]:
    """Sizes (eV) of the elements of every term and of their sum."""
    found = {symbol: HARTREE_IN_EV * block.of(matrix, n_spin) for symbol, matrix in terms.items()}
    found[SUM] = np.sum(list(found.values()), axis=0)
    return {symbol: np.abs(matrix) for symbol, matrix in found.items()}


def _smallest_basis(system: SystemInput, k_points: Sequence[int], sphere: Sphere) -> int:
    """Plane waves that all of the k-points have."""
    waves = plane_waves(system.crystal, system.max_kinetic_energy, sphere, system.k_points)
    sets = waves.mask[list(k_points)] if waves.own_sets else waves.mask
    return int(sets.sum(axis=1).min())


def _title(system: SystemInput, k_point: int) -> str:
    """A k-point in few words: its name, if it has one, else its fractions."""
    k = system.k_points[k_point]
    name = point_namer(system.crystal.lattice)(k)
    return f"k-point {k_point}, {name or vector(np.round(k, 3))}"
