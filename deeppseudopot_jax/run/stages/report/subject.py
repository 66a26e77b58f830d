"""What a report is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from deeppseudopot_jax.files.results.plots import BandPlot
from deeppseudopot_jax.files.results.report.finished import INITIAL, Finished
from deeppseudopot_jax.run.outputs import band_plot
from deeppseudopot_jax.types import Bundle, SystemInput


@dataclass(frozen=True)
class Subject:
    """A bundle, or that of one stage of a run, with the folder that has been filled for it."""

    bundle: Bundle
    finished: Finished

    @property
    def outcome(self) -> str:
        """The outcome, as figures and tables call it."""
        return "fit" if self.changes else "potential"

    @property
    def changes(self) -> bool:
        """Whether there is a potential to compare the outcome with."""
        finished = self.finished
        return finished.is_run and finished.prefix != INITIAL and self.bundle.settings.fits

    @cached_property
    def plots(self) -> tuple[tuple[SystemInput, BandPlot], ...]:
        """Systems whose tables are there, and their bands: the outcome, and what it began with."""
        found = []
        for system in self.bundle.systems:
            bands = self.finished.bands(self.finished.prefix, system.index)
            if bands is None:
                continue
            curves = {self.outcome: bands}
            initial = self.finished.bands(INITIAL, system.index) if self.changes else None
            if initial is not None:
                curves["initial"] = initial
            found.append((system, band_plot(system, curves, self._sigma(system.index))))
        return tuple(found)

    @cached_property
    def covariance(self) -> Mapping[str, np.ndarray] | None:
        """Error bars of the outcome, where the fit gives them."""
        of_outcome = self.finished.prefix == "final"
        return self.finished.arrays("final_covariance") if of_outcome else None

    @cached_property
    def timings(self) -> dict[str, Any]:
        """Times, memory, versions and command, as the run has left them; may be empty."""
        return self.finished.document(f"{'run' if self.finished.is_run else 'eval'}_timings")

    def _sigma(self, index: int) -> np.ndarray | None:
        return None if self.covariance is None else self.covariance[f"bands_sigma_sys{index}"]
