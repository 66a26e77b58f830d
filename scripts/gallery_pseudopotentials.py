"""Pseudopotentials whose bands have the measured gaps: two changes of files in the UPF format.

Density-functional theory makes gaps too small, inverts those of InAs and Ge, and with them gets
masses wrong. Two numbers per material mend that in the pseudopotential, before anything is solved,
so that gaps, masses and deformation potentials stay consistent with each other. A scissor would
leave the masses and the order of bands as they are. The two changes:

- Half-ionised anions. The potential of a fraction f of a p electron of the free atom is taken off
  the local part, cut off smoothly at r_c (L. G. Ferreira, M. Marques, L. K. Teles, Phys. Rev. B 78,
  125116 (2008), with the orbital of the neutral atom in place of the half-ionised one):

      V(r) -> V(r) - f V_p(r) (1 - (r / r_c)^8)^3      for r < r_c

- The strength of the separable s part of cations is multiplied by 1 + x. It raises the s-like
  lowest conduction level at Gamma, half as much the one at L, and hardly the one at X, as the
  ad-hoc potential of N. E. Christensen, Phys. Rev. B 30, 5753 (1984), does.
"""

import re
from pathlib import Path

import numpy as np
from empirical_bands import Floats

CUTOFF = 3.8
"""r_c in Bohr, near the ones that Ferreira et al. give for As, P and Si."""


def half_ionised(upf: str, fraction: float) -> str:
    """The text of a UPF file without the potential of this fraction of a valence p electron."""
    r, weights, local = (_table(upf, tag) for tag in ("PP_R", "PP_RAB", "PP_LOCAL"))
    density = _p_density(upf, weights)
    # Of a spherical charge, in Ry: 2 (charge inside / r + integral outside of density / r).
    safe = np.maximum(r, r[r > 0].min())
    outside = np.cumsum((density * weights / safe)[::-1])[::-1] - density * weights / safe
    potential = 2.0 * (np.cumsum(density * weights) / safe + outside)
    trim = np.clip(1.0 - (r / CUTOFF) ** 8, 0.0, None) ** 3
    return _with_table(upf, "PP_LOCAL", local - fraction * potential * trim)


def stronger_s(upf: str, change: float) -> str:
    """The text of a UPF file with the separable s part multiplied by 1 + `change`."""
    headers = re.findall(r"<PP_BETA\.\d+([^>]*)>", upf)
    momenta = np.array([int(_attribute(header, "angular_momentum")) for header in headers])
    strengths = _table(upf, "PP_DIJ").reshape(len(momenta), len(momenta))
    both_s = np.logical_and.outer(momenta == 0, momenta == 0)
    return _with_table(upf, "PP_DIJ", np.where(both_s, (1.0 + change) * strengths, strengths))


def write_pseudopotentials(
    sources: dict[str, Path],
    folder: Path,
    fractions: dict[str, float],
    s_changes: dict[str, float],
) -> None:
    """Write <symbol>.UPF for every symbol, changed where a fraction or a change is given for it."""
    folder.mkdir(parents=True, exist_ok=True)
    for symbol, source in sources.items():
        text = source.read_text(encoding="utf-8")
        if symbol in fractions:
            text = half_ionised(text, fractions[symbol])
        if symbol in s_changes:
            text = stronger_s(text, s_changes[symbol])
        (folder / f"{symbol}.UPF").write_text(text, encoding="utf-8")


def _p_density(upf: str, weights: Floats) -> Floats:
    """|r R(r)|^2 of the p electrons, mean over both total momenta, of norm 1."""
    density = np.zeros_like(weights)
    for header, body in re.findall(r"<PP_CHI\.\d+([^>]*)>(.*?)</PP_CHI", upf, re.DOTALL):
        if int(_attribute(header, "l")) == 1:
            orbital = np.array(body.split(), float)
            norm = np.sum(orbital**2 * weights)
            density += float(_attribute(header, "occupation")) * orbital**2 / norm
    if not density.any():
        raise ValueError("the pseudopotential has no p orbital (PP_CHI with l = 1)")
    return density / np.sum(density * weights)


def _attribute(header: str, name: str) -> str:
    found = re.search(rf'\b{name}="\s*([^"]*?)\s*"', header)
    if found is None:
        raise ValueError(f"no {name} in <{header}>")
    return found[1]


def _tag(upf: str, tag: str) -> re.Match[str]:
    found = re.search(rf"<{tag}\b[^>]*>(.*?)</{tag}>", upf, re.DOTALL)
    if found is None:
        raise ValueError(f"no {tag} in the pseudopotential")
    return found


def _table(upf: str, tag: str) -> Floats:
    return np.array(_tag(upf, tag)[1].split(), float)


def _with_table(upf: str, tag: str, values: Floats) -> str:
    found = _tag(upf, tag)
    flat = [f"{value:.12E}" for value in values.ravel()]
    lines = [" ".join(flat[i : i + 4]) for i in range(0, len(flat), 4)]
    return upf[: found.start(1)] + "\n" + "\n".join(lines) + "\n" + upf[found.end(1) :]
