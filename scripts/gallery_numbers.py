"""Numbers of a fit beside those of its reference, from the tables that a run leaves."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from empirical_bands import HARTREE_EV, Floats
from gallery_materials import CLOSE, Material, path_of

_DEGENERATE = 1e-3  # eV
_SAME = 0.02
"""Runs take masses along another leg, gaps at an edge where two k-points may tie."""


@dataclass(frozen=True)
class Bands:
    """Levels along the path of a material, (k, band) in eV."""

    material: Material
    levels: Floats

    @property
    def _edge(self) -> int:
        return path_of(self.material)[1].index(self.material.edge)

    @property
    def gap(self) -> float:
        """Lowest conduction minus highest valence level of the path."""
        n = self.material.n_valence
        return float(self.levels[:, n].min() - self.levels[:, n - 1].max())

    def gap_at(self, corner: str) -> float:
        """Lowest conduction level there above the valence level at the edge."""
        at, n = path_of(self.material)[1].index(corner), self.material.n_valence
        return float(self.levels[at, n] - self.levels[self._edge, n - 1])

    @property
    def splitting(self) -> float:
        """Of the valence top, or of the conduction bottom where the valence top is one level."""
        n, edge = self.material.n_valence, self.levels[self._edge]
        if self.material.splits_conduction:
            return float(edge[n:][edge[n:] > edge[n] + _DEGENERATE][0] - edge[n])
        return float(edge[n - 1] - edge[:n][edge[:n] < edge[n - 1] - _DEGENERATE][-1])

    def mass(self, band: int) -> float:
        """Size of the mass of a band at the edge, along the leg behind it or else before it."""
        names, edge = path_of(self.material)[1], self._edge
        beside = edge + 1 if edge + 1 < len(names) and edge > 0 else edge - 1
        change = self.levels[beside, band] - self.levels[edge, band]
        return float(abs(CLOSE**2 / (2.0 * change / HARTREE_EV)))


@dataclass(frozen=True)
class Outcome:
    """A reference, the fit to it, deformation potentials and error bars that the run tells."""

    reference: Bands
    fit: Bands
    deformation: tuple[float, float]  # reference and fit, of the gap at the edge
    deformation_bar: float | None
    bars: dict[str, tuple[float, float]]  # value and error bar by the name that the run gives

    def bar(self, name: str, found: float) -> float | None:
        """Error bar of a number that the run tells too, if it is the same one."""
        value, bar = self.bars.get(name, (np.nan, None))
        return bar if abs(value / found - 1.0) < _SAME else None

    def errors(self, bands: slice) -> float:
        """Root mean square of fit minus reference in meV, without weights, of what was fitted."""
        columns = np.arange(self.fit.levels.shape[1])[bands]
        columns = np.setdiff1d(columns, self.reference.material.unweighted)
        difference = (self.fit.levels - self.reference.levels)[:, columns]
        return float(1e3 * np.sqrt(np.mean(difference**2)))


def outcome(material: Material, bundle: Path, results: Path) -> Outcome:
    """Read what a run of the bundle has left."""
    reference = np.loadtxt(bundle / "expBandStruct_0.par")[:, 1:]
    fit = np.loadtxt(results / "final_BS_sys0.dat")[:, 1:]
    text = (results / "final_observables.json").read_text(encoding="utf-8")
    numbers = json.loads(text)["systems"][0]["observables"]
    deformation = [n for n in numbers if n["group"] == "deformation potentials"]
    rows = [
        line.split("#")
        for line in (bundle / "expDefPot_0.par").read_text(encoding="utf-8").splitlines()[1:]
    ]
    at_edge = [i for i, (_, name) in enumerate(rows) if name.strip() == material.edge]
    chosen = [deformation[i] for i in at_edge]
    bars = [n["sigma"] for n in chosen if n.get("sigma") is not None]
    return Outcome(
        Bands(material, reference),
        Bands(material, fit),
        (
            float(np.mean([n["reference"] for n in chosen])),
            float(np.mean([n["value"] for n in chosen])),
        ),
        max(bars, default=None),  # rows of one gap scatter together
        {n["name"]: (n["value"], n["sigma"]) for n in numbers if n.get("sigma") is not None},
    )
