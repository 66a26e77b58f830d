"""Bands that cross as continuous curves: which level belongs to which curve, k-point by k-point.

A rule follows curves along every straight piece of a path; then each curve is given to the column
of the reference that it is closest to. All of it is piecewise constant: it has no derivative.
"""

from typing import ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int
from optax.assignment import hungarian_algorithm

from deeppseudopot_jax.records import record, static

_ONE_MULTIPLET = 1e-3
"""eV: levels that are closer belong to one multiplet, inside which states are arbitrary."""
_OF_ITS_OWN = 1e-3
"""Share of the single overlap in what assigns states inside a multiplet."""
_UNSEEN = 1e-6
"""Share of the weight of held-out levels: they decide where the fitted ones leave it open."""
_WEIGHTLESS = 1e-12
_ROUNDING = 1e-3  # eV; no file has fewer digits


@runtime_checkable
class Rule(Protocol):
    """How curves are followed: `rule(energies, starts, overlaps)`; hashable."""

    key: ClassVar[str]
    words: ClassVar[str]
    needs_vectors: ClassVar[bool]

    @property
    def of_references(self) -> "Smooth":
        """The rule for ascending references, which have no states."""
        ...

    def __call__(
        self,
        energies: Float[Array, "kpt level"],
        starts: Bool[Array, " kpt"],
        overlaps: Complex[Array, "step level level"] | None,
    ) -> Int[Array, "kpt curve"]:
        """The level that every curve has at every k-point; at `starts` curve i has level i.

        Args:
            energies: in eV, ascending.
            starts: k-points where a piece of the path begins, the first one among them.
            overlaps: <u_a(k+1)|u_b(k)> of the periodic parts, for rules that need vectors.
        """
        ...


@record
class Smooth:
    """By extrapolated energies.

    The prediction from up to four points is E + 1.3 dE + 0.5 d2E + d3E/6, with differences dE, as
    in the PyTorch code. Lines are overshot: bands that cross at a k-point or up to 0.3 of a step
    behind may be exchanged one step too early. The best assignment of energies to predictions on a
    line, by squared distances, is that of equal ranks: what the Hungarian method would find.
    """

    key: ClassVar[str] = "smooth_reorder"
    words: ClassVar[str] = "extrapolated energies"
    needs_vectors: ClassVar[bool] = False
    factors: tuple[float, float, float, float] = static(default=(1.0, 1.3, 0.5, 1.0 / 6.0))

    @property
    def of_references(self) -> "Smooth":
        """The same, so that both err alike."""
        return self

    def __call__(
        self,
        energies: Float[Array, "kpt level"],
        starts: Bool[Array, " kpt"],
        overlaps: Complex[Array, "step level level"] | None = None,
    ) -> Int[Array, "kpt curve"]:
        """See `Rule`."""
        del overlaps
        n = energies.shape[1]
        factors = jnp.array(self.factors, energies.dtype)

        def step(past: tuple[Array, Array], at_k: tuple[Array, Array]) -> tuple[tuple, Array]:
            (differences, count), (levels, start) = past, at_k
            ranks = jnp.argsort(jnp.argsort(factors @ differences))
            chosen = jnp.where(start, jnp.arange(n), ranks)
            count = jnp.where(start, 0, count)
            rows = [levels[chosen]]
            for order in range(3):
                change = rows[order] - differences[order]
                rows.append(jnp.where(count > order, change, jnp.zeros_like(change)))
            return (jnp.stack(rows), count + 1), chosen

        nothing = jnp.zeros((4, n), energies.dtype), jnp.zeros((), int)
        return jax.lax.scan(step, nothing, (jnp.nan_to_num(energies), starts))[1]


@record
class ByOverlaps:
    """By overlaps of the periodic parts of neighbouring k-points, chained.

    A curve is carried as a vector. At every k-point it is given to the multiplet that it overlaps
    with most and projected on it; vectors inside one multiplet are made orthonormal by the polar
    decomposition. So curves that meet in a point leave it as they have come, whatever basis the
    solver chose there. Inside a multiplet energies are the same, and single overlaps decide.
    """

    key: ClassVar[str] = "eigvec_reorder"
    words: ClassVar[str] = "overlaps of states"
    needs_vectors: ClassVar[bool] = True

    @property
    def of_references(self) -> Smooth:
        """The parabola through three points, which finds crossings where they are."""
        return Smooth((1.0, 1.0, 1.0, 0.0))

    def __call__(
        self,
        energies: Float[Array, "kpt level"],
        starts: Bool[Array, " kpt"],
        overlaps: Complex[Array, "step level level"] | None,
    ) -> Int[Array, "kpt curve"]:
        """See `Rule`."""
        assert overlaps is not None
        n = energies.shape[1]
        multiplets = jnp.cumsum(jnp.diff(energies, axis=1) > _ONE_MULTIPLET, axis=1)
        multiplets = jnp.pad(multiplets, [(0, 0), (1, 0)])
        whole = jnp.eye(n, dtype=overlaps.dtype)

        def step(frame: Array, at_k: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            multiplet, start, overlap = at_k
            same = multiplet[:, None] == multiplet[None, :]
            carried = overlap @ frame
            alone = jnp.abs(carried) ** 2
            chosen = assigned(-(same.astype(alone.dtype) @ alone + _OF_ITS_OWN * alone))
            left, _, right = jnp.linalg.svd(jnp.where(same[:, chosen], carried, 0.0))
            return (
                jnp.where(start, whole, left @ right),
                jnp.where(start, jnp.arange(n), chosen),
            )

        before = jnp.pad(jnp.nan_to_num(overlaps), [(1, 0), (0, 0), (0, 0)])
        return jax.lax.scan(step, whole, (multiplets, starts, before))[1]


@record
class Following:
    """How the bands of one system are followed.

    `pieces` numbers the straight pieces of the path, `reference_levels` has the column (of a pair,
    where levels are doubled) that every curve of the reference has at every k-point.
    """

    pieces: Int[Array, " kpt"]
    reference_levels: Int[Array, "kpt curve"]
    rule: Rule = static()
    n_pieces: int = static()


def starts_of(pieces: Int[Array, " kpt"]) -> Bool[Array, " kpt"]:
    """Where a piece begins."""
    return jnp.diff(pieces, prepend=pieces[:1] - 1) != 0


def followed_levels(
    following: Following,
    energies: Float[Array, "kpt curve"],
    overlaps: Complex[Array, "step curve curve"] | None,
    reference: Float[Array, "kpt curve double"],
    weights: Float[Array, "kpt curve double"],
) -> Int[Array, "kpt curve"]:
    """The level that belongs to every column of the reference at every k-point.

    On every piece of the path, curves are given to curves of the reference so that the weighted
    squared errors are least (Hungarian method).

    Args:
        following: rule, pieces and the curves of the reference.
        energies: of the fit, eV, ascending; every level once.
        overlaps: see `Rule`.
        reference: columns, eV; levels that are doubled have two.
        weights: of these.
    """
    rule, pieces = following.rule, following.pieces
    columns = following.reference_levels
    curves = rule(energies, starts_of(pieces), overlaps)
    found = jnp.take_along_axis(jnp.nan_to_num(energies), curves, axis=1)
    wanted, weighted = (
        jnp.take_along_axis(leaf, columns[..., None], axis=1) for leaf in (reference, weights)
    )
    errors = found[:, :, None, None] - wanted[:, None]
    squares = jnp.sum(weighted[:, None] * errors**2, axis=-1)
    of_piece = jax.ops.segment_sum(squares, pieces, following.n_pieces)
    partner = jax.vmap(assigned)(of_piece)[pieces]
    levels = jnp.take_along_axis(curves, partner, axis=1)
    return jnp.put_along_axis(jnp.zeros_like(levels), columns, levels, axis=1, inplace=False)


def reference_curves(
    reference: Float[np.ndarray, "kpt band"],
    weights: Float[np.ndarray, "kpt band"],
    doubled: int,
    pieces: Int[np.ndarray, " kpt"],
    rule: Rule,
) -> Int[np.ndarray, "kpt curve"]:
    """The column (of `doubled` ones) that every curve of the reference has at every k-point.

    Columns that ascend at all k-points are in the order of energy: curves are followed through
    them by `rule.of_references`. Other columns are curves as they are. Columns without weight, and
    those that are 0 everywhere, stand for unknown levels.
    """
    n_k, n = len(reference), reference.shape[1] // doubled
    levels = reference[:, : n * doubled].reshape(n_k, n, doubled)
    counted = weights[:, : n * doubled].reshape(n_k, n, doubled)
    known = np.flatnonzero((levels.any(axis=0) & counted.any(axis=0)).any(axis=-1))
    energies = levels[:, known].mean(axis=-1)
    columns = np.tile(np.arange(n), (n_k, 1))
    if ascends(energies):
        starts = starts_of(jnp.asarray(pieces))
        columns[:, known] = known[np.asarray(rule.of_references(jnp.asarray(energies), starts))]
    return columns


def ascends(energies: Float[np.ndarray, "kpt level"]) -> bool:
    """Whether the columns are in the order of energy at all k-points, up to rounding."""
    return bool((np.diff(energies, axis=1) >= -_ROUNDING).all())


def matching_weights(
    weights: Float[Array, "kpt band"], held_out: Float[Array, "kpt band"] | None
) -> Float[Array, "kpt band"]:
    """What levels count where curves are given to columns: held-out ones hardly, none nothing."""
    unseen = 0.0 if held_out is None else _UNSEEN * held_out
    return weights + unseen + _WEIGHTLESS


def assigned(costs: Float[Array, "row column"]) -> Int[Array, " column"]:
    """The row of every column of a square matrix, each row once, whose costs add up to least."""
    rows, columns = hungarian_algorithm(costs.astype(float))
    return jnp.zeros(len(costs), rows.dtype).at[columns].set(rows)
