"""k-path of the fcc zone and writer of input bundles, shared by the bundle scripts.

Path lengths in Bohr^-1, energies in eV, k-points in fractions of the primitive reciprocal cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.cell import Cell
from empirical_bands import FCC_CELL, FRACTIONAL, HARTREE_EV, Floats, Zincblende

FOURIER_NETWORK = {
    "PPmodel": "Net_fourier_celu_HeInit_decayGaussian",
    "hiddenLayers": "20 20",
    "PPmodel_n_frequencies": "8",
    "PPmodel_range": "8  # Bohr, of v(r)",
    "PPmodel_gaussian_std": "3.0  # Bohr^-1",
    "seed": "1",
    "init_Zunger_num_epochs": "2000",
    "init_Zunger_optimizer_lr": "0.01",
    "init_Zunger_scheduler_gamma": "0.7",
    "init_Zunger_plotEvery": "500",
}
"""A flexible v(q), fitted to the Zunger form at first."""
SPHERE = {"basis_sphere": "G_full  # every wave with |G|^2/2 < maxKE"}
LEAST_SQUARES = SPHERE | {"optimizer": "lm", "plotEvery": "20"}
PRIORS = {"prior_roughness": "0.003", "prior_range": "0.1"}
"""As docs/fitting.md recommends them; they keep a flexible v(q) smooth and v(r) short."""


@dataclass(frozen=True)
class KPath:
    """Path in reciprocal space: fractional k (n, 3), length (n,) in Bohr^-1, symmetry points."""

    fractional: Floats
    length: Floats
    symmetry: Mapping[str, int]  # label -> index of its first occurrence

    @classmethod
    def along(cls, crystal: Zincblende, labels: str, n_points: int) -> "KPath":
        """Path through the labelled points of the fcc zone (ASE notation, a comma is a jump)."""
        # ASE is unit-agnostic here: a cell in Bohr gives lengths in Bohr^-1.
        band_path = Cell(crystal.cell).bandpath(labels, npoints=n_points)
        length, _, _ = band_path.get_linear_kpoint_axis()
        distance = {
            name: np.abs(band_path.kpts - band_path.special_points[name]).max(1)
            for name in labels.replace(",", "")
        }
        return cls(band_path.kpts, length, {n: int(d.argmin()) for n, d in distance.items()})

    def weights(self, at_symmetry: float) -> Floats:
        """Weight 1 for each k, `at_symmetry` at the symmetry points."""
        weights = np.ones(len(self.fractional))
        weights[list(self.symmetry.values())] = at_symmetry
        return weights


def rmse(bands: Floats, reference: Floats) -> float:
    """Unweighted root mean square difference over all k-points and bands, eV."""
    return float(np.sqrt(np.mean((bands - reference) ** 2)))


@dataclass(frozen=True)
class Bundle:
    """Everything one input bundle contains; `reference` (n_k, nBands) in eV, spin included."""

    crystal: Zincblende
    path: KPath
    reference: Floats
    k_weights: Floats
    band_weights: Floats
    parameters: Floats  # (2, 9): a0..a8 of both atoms
    config: Mapping[str, str]
    inputs: Mapping[str, str]
    readme: str
    others: Mapping[str, str] = field(default_factory=dict)  # name -> text of further files

    def write(self, folder: Path) -> None:
        """Write the files of the bundle format to `folder`, which is created if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        cell = "\n".join(_row(r, "7.4f") for r in FCC_CELL)
        atoms = "\n".join(
            f"{s} {_row(f, '7.4f')}" for s, f in zip(self.crystal.species, FRACTIONAL, strict=True)
        )
        k_rows = np.column_stack([self.path.fractional, self.k_weights])
        bands = np.column_stack([self.path.length, self.reference])
        texts = {
            "NN_config.par": _keys(self.config),
            "input_0.par": _keys({"nBands": str(self.reference.shape[1]), **self.inputs}),
            "system_0.par": f"scale = {self.crystal.a:.8f}\ncell\n{cell}\natoms\n{atoms}\n",
            "kpoints_0.par": _table(k_rows, "12.8f"),
            "bandWeights_0.par": _table(self.band_weights[:, None], "6.3f"),
            "expBandStruct_0.par": _table(bands, "11.6f"),
            "README.md": self.readme,
            **self.others,
        }
        for symbol, values in zip(self.crystal.species, self.parameters, strict=True):
            texts[f"init_{symbol}Params.par"] = _table(values[:, None], "9.4f")
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")


def input_keys(
    name: str, max_ke: float, n_valence: int, edges: tuple[float, float], gap_k: int | None
) -> dict[str, str]:
    """Keys of input_0.par: cutoff (Ha), band indices from 0, plot window around the gap.

    `edges` are the valence-band maximum and the conduction-band minimum (eV); `gap_k` is the
    k-point of a direct gap.
    """
    return {
        "maxKE": str(max_ke),
        "idxVB": str(n_valence - 1),
        "idxCB": str(n_valence),
        **({} if gap_k is None else {"idxGap": str(gap_k)}),
        "BS_plot_center": f"{sum(edges) / 2:.1f}",
        "BS_plot_CBVB_range": "13",
        "BS_plot_CBVB_range_zoom": "4",
        "systemName": name,
    }


def units_and_zero(affinity: float, gap: float) -> str:
    """README paragraphs on units and on the energy zero (vacuum), from affinity and gap in eV."""
    return f"""- **Units.** Energies in eV (1 Ha = {HARTREE_EV} eV), path length in Bohr^-1, k-points in fractions of
  the reciprocal vectors of the primitive cell. Coefficients in Bohr and Hartree.
- **Energy zero.** Vacuum: the valence-band maximum lies at {-affinity - gap:.3f} eV, minus the sum of the
  electron affinity ({affinity} eV) and the 300 K gap ({gap} eV) of the NSM Archive (Ioffe Institute),
  after M. Levinshtein, S. Rumyantsev, M. Shur (eds.), Handbook Series on Semiconductor
  Parameters, vol. 1 (World Scientific, 1996). Ionisation energies depend on the surface by some
  tenths of an eV; the choice shifts all levels alike."""  # noqa: E501


def _row(values: Sequence[float] | Floats, form: str) -> str:
    return " ".join(format(float(v) + 0.0, form) for v in values)


def _table(rows: Floats, form: str) -> str:
    return "\n".join(_row(np.round(row, 10), form) for row in rows) + "\n"


def _keys(entries: Mapping[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in entries.items())
