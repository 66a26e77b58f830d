"""expDefPot_X.par: the deformation potentials a system is fitted to."""

from dataclasses import dataclass

from deeppseudopot_jax.files.bundle.text import Document, read_rows
from deeppseudopot_jax.types import DeformationTarget, GapDeformationTargets

_FORMS = (
    "kVB bVB kCB bCB ratio value weight; or k b ratio value weight; "
    "or the old form, two lines of one number"
)


def read_deformation_targets(
    document: Document, n_k: int | None, n_bands: int | None
) -> tuple[DeformationTarget, ...] | GapDeformationTargets | None:
    """The targets of expDefPot_X.par; None, with problems, where it has none of the three forms."""
    if document.lines and all(len(line.tokens) == 1 for line in document.lines):
        return _read_old_form(document)
    rows = read_rows(document, (5, 7), _FORMS)
    if rows is None:
        return None
    return tuple(_Row(document, *row).target(n_k, n_bands) for row in rows)


def _read_old_form(document: Document) -> GapDeformationTargets | None:
    rows = read_rows(document, (1,), _FORMS)
    if rows is None:
        return None
    if len(rows) != 2:
        document.problem(
            rows[-1][0],
            "wrong number of deformation potentials",
            found=f"{len(rows)} lines of one number",
            legal="2 (valence band, conduction band)",
        )
        return None
    (_, valence), (_, conduction) = rows
    return GapDeformationTargets(valence[0], conduction[0])


@dataclass(frozen=True)
class _Row:
    """One row of the table: states (k, band), then ratio, value and weight."""

    document: Document
    line: int
    values: list[float]

    def target(self, n_k: int | None, n_bands: int | None) -> DeformationTarget:
        """The target, after a problem for everything in it that is not legal."""
        *indices, ratio, value, weight = self.values
        self._check(ratio > 0 and ratio != 1, "latConst_ratio", ratio, "a number > 0 other than 1")
        self._check(weight >= 0, "weight", weight, "a number >= 0")
        valence, *conduction = [
            (self._index(k, "k-point", n_k), self._index(band, "band", n_bands))
            for k, band in zip(indices[::2], indices[1::2], strict=True)
        ]
        return DeformationTarget(
            valence, conduction[0] if conduction else None, ratio, value, weight
        )

    def _index(self, value: float, kind: str, count: int | None) -> int:
        legal = "a whole number >= 0" if count is None else f"0 to {count - 1}"
        in_range = value >= 0 and (count is None or value < count)
        self._check(in_range and value.is_integer(), f"{kind} index", value, legal)
        return int(value)

    def _check(self, good: bool, name: str, found: float, legal: str) -> None:
        if not good:
            self.document.problem(self.line, f"bad {name}", found=f"{found:g}", legal=legal)
