"""The files of one stage of a run: bands, potentials, parameters, each with its figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from optax import OptState

from deeppseudopot_jax.band_curves import Following
from deeppseudopot_jax.basis import plane_waves
from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.results import tables
from deeppseudopot_jax.files.results.observables import (
    write_observables_json,
    write_observables_table,
)
from deeppseudopot_jax.files.results.painter import Drawing, Painter
from deeppseudopot_jax.files.results.plots import BandPlot, PotentialPlot
from deeppseudopot_jax.files.results.transform import real_space_potential
from deeppseudopot_jax.k_path import k_path
from deeppseudopot_jax.observables.band_errors import aligned
from deeppseudopot_jax.observables.observable import Observable
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.compose import v_of_q
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.run.potential_files import PotentialFiles
from deeppseudopot_jax.types import Bundle, SystemInput


class Formats(NamedTuple):
    """Files of a figure, by the ends of their names, and the function of `figures` that saves."""

    suffixes: tuple[str, ...]
    saved_by: str = "save"


PDF = Formats(("pdf",))
PDF_AND_PNG = Formats(("pdf", "png"))
ON_THE_WAY = Formats(("pdf", "png"), "save_draft")
"""Of figures that there are many of."""

_v_q = jax.jit(v_of_q, static_argnums=(0, 3))


@dataclass(frozen=True, eq=False)
class Spread:
    """One standard deviation of bands (eV) and of potentials on the grids of the outputs.

    Where they are known, `numbers` are those of `band_numbers`, and `deformation_potentials` those
    of the rows of expDefPot_X.par, system by system.
    """

    bands: Sequence[np.ndarray]
    v_q: np.ndarray
    v_r: np.ndarray
    numbers: Sequence[Sequence[float]] = ()
    deformation_potentials: Sequence[Sequence[float]] = ()


def _by_first_process(write: Callable[..., None]) -> Callable[..., None]:
    """The same method, doing nothing where there is no results folder."""

    @wraps(write)
    def method(self: "Outputs", *arguments: Any, **options: Any) -> None:
        if self.folder is not None:
            write(self, *arguments, **options)

    return method


@dataclass(frozen=True, eq=False)
class Outputs:
    """Writes what belongs to a stage, named by its prefix (`oldFunc`, `epoch_100`, `final`).

    `folder` is None for all but the first process of a run: they write nothing. So nothing here may
    compute with arrays that span processes.
    """

    bundle: Bundle
    problem: Problem
    folder: ResultsFolder | None
    painter: Painter

    @cached_property
    def q(self) -> np.ndarray:
        """Wave numbers (Bohr^-1) of exported potentials: nQGrid points up to qmax."""
        settings = self.bundle.settings
        return np.linspace(0.0, settings.q_max, settings.n_q)

    @cached_property
    def r(self) -> np.ndarray:
        """Radii (Bohr) of exported potentials: nRGrid points up to Rmax."""
        settings = self.bundle.settings
        return np.linspace(0.0, settings.r_max, settings.n_r)

    @_by_first_process
    def basis_states(self) -> None:
        """basisStates_<X>.dat of every system; with kG bases, all waves of any k-point."""
        for system in self.bundle.systems:
            sphere, energy = self.bundle.settings.basis_sphere, system.max_kinetic_energy
            waves = plane_waves(system.crystal, energy, sphere, system.k_points)
            tables.write_basis_states(
                self.file(f"basisStates_{system.index}.dat"),
                np.unique(waves.integers[waves.mask], axis=0),
                reciprocal_lattice(system.crystal.lattice),
            )

    @_by_first_process
    def band_tables(self, prefix: str, energies: Sequence[np.ndarray]) -> None:
        """<prefix>_BS_sys<X>.dat of every system; bands that are followed ascend in energy here."""
        for system, target, bands in zip(
            self.bundle.systems, self.problem.targets, energies, strict=True
        ):
            shown = np.asarray(bands)
            tables.write_bands(
                self.file(f"{prefix}_BS_sys{system.index}.dat"),
                path_length(system),
                shown if target.following is None else np.sort(shown, axis=1),
            )

    @_by_first_process
    def band_figure(
        self,
        prefix: str,
        curves: Mapping[str, Sequence[np.ndarray]],
        formats: Formats,
        spread: Spread | None = None,
    ) -> None:
        """<prefix>_plotBS.*: curves (name to energies of every system) over the reference.

        `spread` are the error bars of the first curve.
        """
        plots = [
            band_plot(
                system,
                {name: bands[i] for name, bands in curves.items()},
                None if spread is None else spread.bands[i],
                self.problem.targets[i].following,
            )
            for i, system in enumerate(self.bundle.systems)
        ]
        self.save("band_figure", (plots,), f"{prefix}_plotBS", formats)

    @_by_first_process
    def potential_tables(self, prefix: str, params: Parameters, real_space: bool = True) -> None:
        """<prefix>_qSpace_pot.dat and, with `real_space`, <prefix>_pot_<atom>.dat."""
        v_q = self.v_q(params)
        species = self.problem.species
        tables.write_q_space_potential(self.file(f"{prefix}_qSpace_pot.dat"), self.q, v_q, species)
        if real_space:
            v_r = real_space_potential(self.q, v_q, self.r)
            for symbol, column in zip(species, v_r.T, strict=True):
                file = self.file(f"{prefix}_pot_{symbol}.dat")
                tables.write_real_space_potential(file, self.r, column)

    @_by_first_process
    def potential_figure(
        self,
        prefix: str,
        curves: Mapping[str, np.ndarray],
        formats: Formats,
        spread: Spread | None = None,
    ) -> None:
        """<prefix>_plotPP.*: v(q) and v(r) of every species.

        Curves map a name to v(q) on the grid `q`, NaN where it is not known; the first is solid,
        and `spread` its error bars.
        """
        plots: list[PotentialPlot] = []
        for name, v_q in curves.items():
            v_r = real_space_potential(self.q, np.nan_to_num(v_q), self.r)
            shaded = spread if not plots else None
            sigmas = None if shaded is None else (shaded.v_q, shaded.v_r)
            plots.append(PotentialPlot(name, v_q, v_r, sigmas))
        arguments = self.q, self.r, self.problem.species, plots
        self.save("potential_figure", arguments, f"{prefix}_plotPP", formats)

    @_by_first_process
    def parameters(
        self,
        prefix: str,
        params: Parameters,
        optimizer_state: OptState | None = None,
        suffix: str = "par",
    ) -> None:
        """What a later run starts from: weights, coefficients, and Adam's moments if given.

        They appear together: a killed run never leaves parts of different potentials.
        """
        with self._folder.together(prefix) as folder:
            potential = PotentialFiles(self.bundle, self.problem, folder, prefix)
            potential.write(params, optimizer_state, suffix)

    @_by_first_process
    def cost_figure(
        self, name: str, curves: Mapping[str, Float[np.ndarray, "row 2"]], unit: str = "eV$^2$"
    ) -> None:
        """<name>.pdf: columns (epoch, cost) by the name in the legend."""
        self.save("cost_figure", (dict(curves), "Epoch", f"Cost ({unit})"), name, PDF)

    @_by_first_process
    def observables(self, prefix: str, per_system: Sequence[Sequence[Observable]]) -> None:
        """<prefix>_observables.dat for people, .json for programs: the numbers of every system."""
        systems = [
            (system.index, system.name, found)
            for system, found in zip(self.bundle.systems, per_system, strict=True)
        ]
        path = self.file(f"{prefix}_observables.dat")
        write_observables_table(path, prefix, systems)
        write_observables_json(path.with_suffix(".json"), prefix, systems)

    @_by_first_process
    def table(self, name: str, rows: Sequence[Sequence[float]], columns: Sequence[str]) -> None:
        """<name>.dat: rows of numbers under the names of their columns."""
        tables.write_costs(self.file(f"{name}.dat"), rows, columns)

    @_by_first_process
    def arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """<name>.npz."""
        tables.write_arrays(self.file(f"{name}.npz"), arrays)

    @_by_first_process
    def json(self, name: str, value: Mapping[str, Any]) -> None:
        """<name>.json."""
        tables.write_json(self.file(f"{name}.json"), value)

    def v_q(self, params: Parameters) -> np.ndarray:
        """v(q) in Ha Bohr^3 of every species on the grid `q`."""
        q = jnp.asarray(self.q, self.problem.dtype)
        gamma = self.problem.channels.long_range_gamma
        return np.asarray(_v_q(self.problem.local, params, q, gamma), np.float64)

    @property
    def _folder(self) -> ResultsFolder:
        assert self.folder is not None
        return self.folder

    def file(self, name: str) -> Path:
        """Where the first process writes a file."""
        return self._folder.file(name)

    def save(
        self,
        figure: str,
        arguments: tuple[Any, ...],
        name: str,
        formats: Formats,
    ) -> None:
        """<name>.<format> of a figure, by its name in `figures`; by the first process, soon."""
        paths = tuple(self.file(f"{name}.{suffix}") for suffix in formats.suffixes)
        self.painter.paint(Drawing(figure, arguments, paths, saved_by=formats.saved_by))


def path_length(system: SystemInput) -> np.ndarray:
    """Length along the k-path (Bohr^-1): as the bundle gives it, else from the k-points."""
    if system.path_length is not None:
        return system.path_length
    return k_path(system.k_points, system.crystal.lattice).position


def band_plot(
    system: SystemInput,
    curves: Mapping[str, Float[np.ndarray, "kpt band"]],
    sigma: Float[np.ndarray, "kpt band"] | None = None,
    following: Following | None = None,
) -> BandPlot:
    """Bands as figures show them: where they compare with the reference.

    `sigma` is one standard deviation of the first curve, `following` tells how bands are followed.
    """
    reference = system.reference_energies
    return BandPlot(
        title=system.name,
        k_points=system.k_points,
        lattice=system.crystal.lattice,
        curves={
            name: aligned(np.asarray(bands), reference, system.relative_band)
            for name, bands in curves.items()
        },
        reference=reference,
        weights=system.level_weights,
        held_out_weights=system.held_out_weights,
        valence_band=system.valence_band,
        plot_range=system.plot_range,
        sigma=sigma,
        followed_by="" if following is None else following.rule.key,
        labels=system.labels,
    )
