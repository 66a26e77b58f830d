"""The materials of the gallery: crystals, corrections, levels that are fitted, k-points."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from ase import Atoms
from ase.build import bulk
from empirical_bands import BOHR_ANGSTROM, Floats

CLOSE = 0.006
"""Bohr^-1 from a band edge to the k-point that tells its mass."""
ZINCBLENDE_CORNERS = ("LGX", "KG")
SPARSE = 3
"""Steps on the first leg of the path of a deformed cell whose bands are fitted."""


@dataclass(frozen=True)
class Material:
    """What the reference calculation and the bundle of one material are made of.

    Attributes:
        crystal: cell in Angstrom, atoms.
        n_valence: filled levels that are fitted; as many empty ones as `n_empty` follow.
        drop_lowest: semicore levels below them.
        drop: first and end of filled levels that lie between them, counted from the lowest.
        fractions: f of the half-ionised anions.
        s_changes: x of the cations.
        corners: of the path, a word per piece, G for Gamma.
        edge: the corner with the valence top.
        splits_conduction: whether spin-orbit coupling splits the conduction bottom there.
        valence_top: eV, where it is put.
        published: gaps by corner (eV at 0 K), `splitting`, `electron_mass`, `gap` and
            `deformation`, with the source in `source`.
        steps: on the first leg of the path.
        ratios: of the lattice constants of deformed cells.
        bands_of_deformed: whether they get a bundle of their own, for the joint fit.
        only_edge: whether deformed cells have one k-point, the edge.
        fit_steps: of least squares.
        periodic: whether bases are `kG`, for a band edge near the boundary of the zone.
        edge_weights: of the valence top and of the conduction bottom, which k-points close to them
            share.
        higher_weight: of levels above the two lowest conduction pairs, if not that of `convert`.
        unweighted: columns that are not fitted, such as one that levels left out cross.
        second_path: corners of another path, which no fit sees.
    """

    name: str
    title: str
    crystal: Atoms
    n_valence: int
    drop_lowest: int
    published: Mapping[str, float | str]
    drop: tuple[int, int] | None = None
    fractions: Mapping[str, float] = field(default_factory=dict)
    s_changes: Mapping[str, float] = field(default_factory=dict)
    corners: tuple[str, ...] = ZINCBLENDE_CORNERS
    edge: str = "G"
    splits_conduction: bool = False
    valence_top: float = -5.5
    valence_deformation: float = 0.0
    n_empty: int = 8
    max_ke: float = 6.0
    steps: int = 10
    cutoff: float = 60.0  # Ry
    grid: tuple[int, int, int] = (6, 6, 6)
    ratios: tuple[float, ...] = (0.99, 1.01)
    bands_of_deformed: bool = False
    second_path: str = ""
    only_edge: bool = False
    fit_steps: int = 80
    periodic: bool = False
    edge_weights: tuple[float, float] = (20.0, 20.0)
    higher_weight: float | None = None
    unweighted: tuple[int, ...] = ()

    @property
    def n_dropped(self) -> int:
        """Filled levels of the calculation that are not fitted."""
        return self.drop_lowest + (0 if self.drop is None else self.drop[1] - self.drop[0])


def path_of(material: Material, deformed: bool = False) -> tuple[Floats, list[str]]:
    """Fractional k-points along the corners, and the names of these.

    Legs have steps in proportion to their lengths, undeformed cells close points beside the edge.
    Of deformed cells, the edge alone is taken where nothing else is compared.
    """
    special = material.crystal.cell.bandpath().special_points
    if deformed and material.only_edge:
        return special[material.edge][None], [material.edge]
    steps = SPARSE if deformed else material.steps
    to_bohr = 2 * np.pi * BOHR_ANGSTROM * material.crystal.cell.reciprocal()
    start, end, *_ = material.corners[0]
    first = np.linalg.norm((special[end] - special[start]) @ to_bohr)
    points: list[Floats] = []
    names: list[str] = []
    for piece in material.corners:
        points.append(special[piece[0]])
        names.append(piece[0])
        for start, end in pairwise(piece):
            leg = special[end] - special[start]
            length = float(np.linalg.norm(leg @ to_bohr))
            n = max(1, round(steps * length / first))
            fractions = list(np.arange(1, n + 1) / n)
            if not deformed and start == material.edge:
                fractions.insert(0, CLOSE / length)
            if not deformed and end == material.edge:
                fractions.insert(-1, 1.0 - CLOSE / length)
            for fraction in fractions:
                points.append(special[start] + fraction * leg)
                names.append(end if fraction == 1.0 else "")
    return np.array(points), names


def _zincblende(
    symbols: str, a: float, published: Mapping[str, float | str], **options: object
) -> Material:
    structure = "diamond" if symbols in ("Si", "Ge") else "zincblende"
    return Material(
        name=symbols, title=symbols, crystal=bulk(symbols, structure, a=a), n_valence=8,
        published=published, **options,
    )  # type: ignore[arg-type]  # fmt: skip


_VURGAFTMAN = "Vurgaftman, Meyer, Ram-Mohan, J. Appl. Phys. 89, 5815 (2001)"
_MADELUNG = "Madelung, Semiconductors: Data Handbook (2004)"
_ADACHI = "Adachi, Handbook on Physical Properties of Semiconductors (2004)"
_PROTESESCU = "Protesescu et al., Nano Lett. 15, 3692 (2015)"
_III_V = (0.96, 0.98, 0.99, 1.01, 1.02, 1.04)
_WURTZITE = Atoms(
    "Cd2Se2",
    cell=[4.2999, 4.2999, 7.0109, 90, 90, 120],
    scaled_positions=[
        [1 / 3, 2 / 3, 0],
        [2 / 3, 1 / 3, 0.5],
        [1 / 3, 2 / 3, 0.376],
        [2 / 3, 1 / 3, 0.876],
    ],
    pbc=True,
)


def _ideal_wurtzite(cation: str, anion: str, a: float) -> Atoms:
    """With the bonds of zinc blende of lattice constant `a` (Angstrom), all of them as long."""
    length = a / 2**0.5
    return bulk(cation + anion, "wurtzite", a=length, c=length * (8 / 3) ** 0.5, u=3 / 8)


_PEROVSKITE = Atoms(
    "CsPbBr3",
    cell=[5.874] * 3,
    scaled_positions=[[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]],
    pbc=True,
)

MATERIALS = (
    _zincblende(
        "Si", 5.43102,
        {"gap": 1.17, "splitting": 0.044, "source": _MADELUNG},
        drop_lowest=0, fractions={"Si": 0.14},
    ),
    _zincblende(
        "Ge", 5.6579,
        {"G": 0.898, "L": 0.744, "gap": 0.744, "splitting": 0.296, "electron_mass": 0.038,
         "source": _MADELUNG},
        drop_lowest=20, fractions={"Ge": 0.073}, s_changes={"Ge": 0.096}, edge_weights=(40.0, 15.0),
        higher_weight=0.02, fit_steps=100,
    ),
    _zincblende(
        "GaAs", 5.65325,
        {"G": 1.519, "X": 1.981, "L": 1.815, "gap": 1.519, "splitting": 0.341,
         "electron_mass": 0.067, "deformation": -8.33, "source": _VURGAFTMAN},
        drop_lowest=10, fractions={"As": 0.172}, s_changes={"Ga": 0.212}, valence_top=-5.5,
        valence_deformation=1.16, second_path="XWL", ratios=_III_V, bands_of_deformed=True,
    ),
    _zincblende(
        "InAs", 6.0583,
        # With 1.04 times its lattice constant it has no gap.
        {"G": 0.417, "X": 1.433, "L": 1.133, "gap": 0.417, "splitting": 0.39,
         "electron_mass": 0.026, "deformation": -6.08, "source": _VURGAFTMAN},
        drop_lowest=10, s_changes={"In": 0.19}, fit_steps=120, valence_top=-5.29,
        valence_deformation=1.0, ratios=_III_V[:-1], bands_of_deformed=True,
    ),
    _zincblende(
        "GaP", 5.4505,
        {"G": 2.886, "X": 2.35, "L": 2.72, "gap": 2.35, "splitting": 0.08, "electron_mass": 0.13,
         "deformation": -9.9, "source": _VURGAFTMAN},
        drop_lowest=10, fractions={"P": 0.232}, s_changes={"Ga": 0.153}, edge_weights=(40.0, 15.0),
        periodic=True, valence_top=-5.97, valence_deformation=1.7, ratios=_III_V,
        bands_of_deformed=True,
    ),
    _zincblende(
        "InP", 5.8697,
        {"G": 1.4236, "X": 2.384, "L": 2.014, "gap": 1.4236, "splitting": 0.108,
         "electron_mass": 0.0795, "deformation": -6.6, "source": _VURGAFTMAN},
        drop_lowest=10, fractions={"P": 0.148}, s_changes={"In": 0.076}, fit_steps=120,
        valence_top=-5.64, valence_deformation=0.6, ratios=_III_V, bands_of_deformed=True,
    ),
    _zincblende(
        "CdSe", 6.052,
        {"gap": 1.66, "splitting": 0.42, "electron_mass": 0.11,
         "source": _ADACHI},
        drop_lowest=8, drop=(10, 20), fractions={"Se": 0.33},
    ),
    Material(
        name="CdSe_wurtzite", title="CdSe, wurtzite", crystal=_WURTZITE, n_valence=16,
        drop_lowest=16, drop=(20, 40), fractions={"Se": 0.33}, corners=("AGM", "KG"),
        grid=(4, 4, 2), steps=5, ratios=(1.01,), only_edge=True, fit_steps=60,
        published={"gap": 1.83, "splitting": 0.026, "electron_mass": 0.12, "source": _ADACHI},
    ),
    Material(
        name="CsPbBr3", title="CsPbBr3, cubic", crystal=_PEROVSKITE, n_valence=26, drop_lowest=12,
        drop=(18, 24), fractions={"Br": 0.45}, corners=("GXMRG",), edge="R",
        # Cs 5p crosses the Pb 6s band, which takes the first two of these columns; the last two
        # belong to a level of four at Gamma.
        unweighted=(6, 7, 32, 33),
        splits_conduction=True, grid=(3, 3, 3),
        ratios=(1.01,), only_edge=True, fit_steps=50, steps=4, cutoff=50.0,
        max_ke=4.5,
        published={"gap": 2.36, "electron_mass": 0.13, "source": _PROTESESCU},
    ),
)  # fmt: skip

POLYTYPES = (
    Material(
        name="GaAs_wurtzite", title="GaAs, wurtzite", crystal=_ideal_wurtzite("Ga", "As", 5.65325),
        n_valence=16, drop_lowest=20, fractions={"As": 0.172}, s_changes={"Ga": 0.212},
        corners=("AGM",), grid=(4, 4, 2), steps=4, ratios=(), published={},
    ),
)  # fmt: skip
"""Other crystals of the same elements, which no fit sees."""
