"""Form factors v(q) as potentials v(r) in real space."""

import numpy as np
from jaxtyping import Float

_ROWS_AT_ONCE = 256
"""Radii per block: with 2048 q the kernel of a block takes 4 MB."""


def real_space_potential(
    q: Float[np.ndarray, " q"], v_q: Float[np.ndarray, "q species"], r: Float[np.ndarray, " r"]
) -> Float[np.ndarray, "r species"]:
    """v(r) = 1/(2 pi^2) int q^2 v(q) sin(q r)/(q r) dq in Ha, for every species.

    A plain Riemann sum over the equidistant q (Bohr^-1), as in the reference code; r in Bohr,
    r = 0 included, v_q in Ha Bohr^3.

    Raises:
        ValueError: if q is not equidistant and ascending.
    """
    steps = np.diff(q)
    if len(q) < 2 or steps[0] <= 0 or not np.allclose(steps, steps[0], rtol=1e-6, atol=0.0):
        raise ValueError("the real-space potential needs an equidistant, ascending q grid")
    weighted = (q**2 * steps[0] / (2.0 * np.pi**2))[:, None] * v_q
    blocks = (r[i : i + _ROWS_AT_ONCE] for i in range(0, len(r), _ROWS_AT_ONCE))
    # np.sinc(x) = sin(pi x) / (pi x), and 1 at x = 0
    return np.concatenate([np.sinc(np.outer(block, q) / np.pi) @ weighted for block in blocks])
