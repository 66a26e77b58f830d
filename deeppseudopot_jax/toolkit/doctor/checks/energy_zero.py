"""The zero of energy: a potential gives absolute energies."""

from collections.abc import Iterator

from deeppseudopot_jax.toolkit.doctor.examined import Examined, shift_of
from deeppseudopot_jax.toolkit.doctor.remarks import Remark
from deeppseudopot_jax.types import SystemInput

_FAR = 2.0
"""eV"""
_RIGID = 0.5
"""Of the shift: what is left of the differences without it, as a root mean square."""
_ZERO = 0.02
"""eV"""


def other_zero_of_energy(examined: Examined) -> Iterator[Remark]:
    """The bands of the start must not be the reference shifted by several eV."""
    for system, start in examined.with_start:
        found = shift_of(system, start)
        if found is None or system.relative_band is not None:
            continue
        if abs(found.size) < _FAR or found.rest > min(_RIGID * abs(found.size), _FAR):
            continue
        side = "above" if found.size > 0.0 else "below"
        yield Remark(
            "zero of energy",
            "warning",
            f"expBandStruct_{system.index}.par: the reference lies {abs(found.size):.3g} eV "
            f"{side} the bands of the potential that the run starts from, and is like them "
            f"otherwise (within {found.rest:.2g} eV){_at_zero(system)}",
            "put the reference on the zero of the potential (the vacuum, for those of the "
            "literature), or compare energies relative to one band with relE_bIdx",
        )


def _at_zero(system: SystemInput) -> str:
    valence, reference = system.valence_band, system.reference_energies
    if valence is None or reference is None or abs(reference[:, valence].max()) > _ZERO:
        return ""
    return "; its valence band maximum is at 0"
