"""What a band figure shows of one system: energy zero, windows and labels, before drawing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.observables.band_errors import fitted_levels, rms_error
from deeppseudopot_jax.types import PlotRange


@dataclass(frozen=True, eq=False)
class BandPlot:
    """One system of a band figure; energies in eV.

    Attributes:
        title: name of the system.
        k_points: in fractions of the reciprocal vectors.
        lattice: rows in Bohr.
        curves: computed bands by the name in the legend, the most important first; may be empty.
        reference: what they are compared with.
        weights: of the levels in the fit; levels of weight 0 are drawn pale and not counted in the
            deviations.
        held_out_weights: of the levels that the fit has not seen: these have a sign and deviations
            of their own.
        valence_band: index of the highest occupied band, whose maximum becomes the energy zero.
        plot_range: windows of both panels.
        sigma: one standard deviation of the first curve, where it is known.
        followed_by: the key by which bands are followed along the path: deviations are those of
            the columns, lines are drawn by energy; empty where nothing is followed.
        labels: names that the bundle gives its k-points, "" where it gives none; () without any.
    """

    title: str
    k_points: Float[np.ndarray, "kpt 3"]
    lattice: Float[np.ndarray, "3 3"]
    curves: Mapping[str, Float[np.ndarray, "kpt band"]]
    reference: Float[np.ndarray, "kpt band"] | None = None
    weights: Float[np.ndarray, "kpt band"] | None = None
    held_out_weights: Float[np.ndarray, "kpt band"] | None = None
    valence_band: int | None = None
    plot_range: PlotRange = field(default_factory=PlotRange)
    sigma: Float[np.ndarray, "kpt band"] | None = None
    followed_by: str = ""
    labels: tuple[str, ...] = ()

    @property
    def zero(self) -> float:
        """The energy from which the figure counts, eV: VBM of the reference, or the centre."""
        vbm = self._valence_maximum
        return self.plot_range.center if vbm is None else vbm

    @property
    def axis_label(self) -> str:
        """What the energy axis shows."""
        if self._valence_maximum is None:
            return f"Energy relative to ${self.plot_range.center:g}$ eV (eV)"
        source = "" if self.reference is None else r",\,ref"
        return rf"$E - E_{{\mathrm{{VBM{source}}}}}$ (eV)"

    def window(self, zoom: bool) -> tuple[float, float]:
        """Lowest and highest energy of a panel, relative to the zero."""
        chosen = self.plot_range
        half_width = chosen.half_width_zoom if zoom else chosen.half_width
        center = chosen.center - self.zero
        # A centre nobody chose for this energy scale would show no gap at all.
        if abs(center) > chosen.half_width_zoom:
            center = 0.0
        return center - half_width, center + half_width

    def deviation(
        self, name: str, zoom: bool | None = None, held_out: bool = False
    ) -> float | None:
        """Root mean square deviation (eV) of a curve from the fitted or the held-out levels.

        With `zoom`, from those shown in that panel only. None where there is nothing to compare;
        NaN where a level of the curve is not finite.
        """
        if self.reference is None:
            return None
        counted = self.is_held_out if held_out else self.is_fitted
        if zoom is not None:
            low, high = self.window(zoom)
            shifted = self.reference - self.zero
            counted = counted & (shifted >= low) & (shifted <= high)
        return rms_error(self.curves[name], self.reference, counted)

    @property
    def is_fitted(self) -> np.ndarray:
        """Which levels of the reference are in the fit, (kpt, band)."""
        assert self.reference is not None
        return fitted_levels(self.reference, self.weights)

    @property
    def is_held_out(self) -> np.ndarray:
        """Which levels of the reference the fit has not seen, (kpt, band)."""
        assert self.reference is not None
        if self.held_out_weights is None:
            return np.zeros(self.reference.shape, bool)
        return fitted_levels(self.reference, self.held_out_weights)

    @property
    def _valence_maximum(self) -> float | None:
        if self.valence_band is None:
            return None
        if self.reference is not None:
            counted = (self.is_fitted | self.is_held_out)[:, self.valence_band]
            levels = self.reference[counted, self.valence_band]
        else:
            levels = next((bands[:, self.valence_band] for bands in self.curves.values()), [])
            levels = np.asarray(levels)[np.isfinite(levels)]
        return float(levels.max()) if len(levels) else None


@dataclass(frozen=True, eq=False)
class PotentialPlot:
    """Potentials of all species, v(q) in Ha Bohr^3 and v(r) in Ha; `label` is for the legend.

    `sigmas` are one standard deviation of both, where they are known.
    """

    label: str
    v_q: Float[np.ndarray, "q species"]
    v_r: Float[np.ndarray, "r species"]
    sigmas: tuple[Float[np.ndarray, "q species"], Float[np.ndarray, "r species"]] | None = None
