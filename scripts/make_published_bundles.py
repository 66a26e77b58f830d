"""Make the bundles of silicon but for Monte Carlo, and of GaAs, from published form factors.

The reference bands are those of M. L. Cohen and T. K. Bergstresser, Phys. Rev. 141, 789 (1966):
a local empirical pseudopotential without spin-orbit, solved here with the plane waves
|k + G|^2 <= 60 (2 pi/a)^2. Energies are written in eV.

    python scripts/make_published_bundles.py [configs]
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from bundle_writing import (
    FOURIER_NETWORK,
    LEAST_SQUARES,
    PRIORS,
    SPHERE,
    Bundle,
    KPath,
    input_keys,
    rmse,
    units_and_zero,
)
from empirical_bands import (
    BOHR_ANGSTROM,
    HARTREE_EV,
    Floats,
    Zincblende,
    cohen_bergstresser,
    fit_zunger,
    local_bands,
    zunger_pair,
)

N_LEVELS, N_VALENCE = 8, 4  # levels per k (each holds two electrons), occupied ones
G2_REFERENCE = 60  # |k + G|^2 of the reference, (2 pi/a)^2


@dataclass(frozen=True)
class Material:
    """Published input of one material and the levels (eV above the VBM) it must reproduce."""

    name: str
    species: tuple[str, str]
    a_angstrom: float
    table: str
    affinity: float  # electron affinity, eV
    gap: float  # 300 K gap, eV
    max_ke: float  # plane-wave cutoff of the bundle, Ha
    check: dict[str, tuple[int, float]]  # symmetry point -> (level, energy), one level each
    bottom: float  # lowest valence level at Gamma, eV

    @property
    def vbm(self) -> float:
        """Valence-band maximum against vacuum, eV: minus (affinity + gap)."""
        return -(self.affinity + self.gap)


# Affinities and gaps: NSM Archive (Ioffe Institute), after M. Levinshtein, S. Rumyantsev and
# M. Shur (eds.), Handbook Series on Semiconductor Parameters, vol. 1 (World Scientific, 1996).
# Levels to check: an independent solution of the same form factors.
SILICON = Material(
    "silicon", ("Si", "Si"), 5.43, "silicon", 4.05, 1.12, 6.3,
    {"G": (4, 3.424), "X": (4, 0.949), "L": (4, 1.876)}, -12.613,
)  # fmt: skip
GALLIUM_ARSENIDE = Material(
    "gallium arsenide", ("Ga", "As"), 5.64, "III-V", 4.07, 1.424, 5.5,
    {"G": (4, 1.419), "X": (4, 1.737), "L": (4, 1.662)}, -12.249,
)  # fmt: skip

DENSE = 200
"""k-points of a path that is evaluated and not fitted."""

LOCAL = {"nSystem": "1", "SObool": "0"}
SILICON_NETWORK = FOURIER_NETWORK | LOCAL | {"max_num_epochs": "30"} | PRIORS | LEAST_SQUARES
GALLIUM_ARSENIDE_NETWORK = SILICON_NETWORK | {"max_num_epochs": "40"}
ZUNGER = {
    "PPmodel": "ZeroFunction  # trains the Zunger coefficients themselves",
    **LOCAL,
    "max_num_epochs": "40",
    **LEAST_SQUARES,
}
RATES = {
    "optimizer": "adam",
    "optimizer_lr": "0.01",
    "schedulerStep": "50",
    "scheduler_gamma": "0.9",
    "plotEvery": "100",
}
GRADIENT = FOURIER_NETWORK | LOCAL | {"max_num_epochs": "300"} | PRIORS | SPHERE | RATES
HYBRID = {
    **FOURIER_NETWORK,
    **LOCAL,
    "stages": "monte_carlo zunger network  # each starts from the one before it",
    "mc_iter": "200",
    "mc_percentage": "0.01",
    "mc_beta": "20",
    "mc_perturb_mode": "4",
    "max_num_epochs": "20",
    **PRIORS,
    **LEAST_SQUARES,
}
START = FOURIER_NETWORK | LOCAL | SPHERE
EVALUATION = {
    "PPmodel": "ZeroFunction  # the Zunger coefficients are the potential",
    **LOCAL,
    **SPHERE,
}

README = """# {title}

{purpose}

- **Source.** M. L. Cohen and T. K. Bergstresser, Phys. Rev. 141, 789 (1966): local empirical form
  factors, no spin-orbit, a = {a} Angstrom. Solved with all plane waves |k+G|^2 <= 60 (2 pi/a)^2.
  The reference is thus the spectrum of a known local potential, not a measurement.
- **Script.** `python scripts/make_published_bundles.py` (NumPy, SciPy, ASE). It stops unless the
  levels at Gamma, X and L agree within 0.03 eV with an independent solution.
{units_and_zero}
- **Path.** L-Gamma-X-U|K-Gamma, {n_k} points; U and K are equivalent, so the path length does not
  advance between them.
- **Bands.** {n_bands} = 8 levels, each listed twice for spin; 4 levels are occupied.
  {gap_text}
- **Basis.** maxKE = {max_ke} Ha on the |G| sphere: {n_waves} plane waves. With the published
  potential this basis deviates from the reference by at most {basis_error:.0f} meV, at the zone
  edge (RMSE {basis_rmse:.1f} meV; lower five levels {basis_low:.1f} meV).
- **Weights.** Bands: 1 for the valence levels that bond (2 to 4) and the lowest conduction level,
  0.5 for the s-like bottom level (12 eV deep, of little use for transport or optics), 0.5, 0.2 and
  0.1 for the higher conduction levels, which a smooth potential follows less well. k-points: 3 at
  the symmetry points, which carry the published level energies, otherwise 1.
- **Start.** `init_*Params.par`: Zunger form fitted by least squares to the published form factors
  (a4 to a8 are 0). Its bands have an unweighted RMSE of {start_rmse:.3f} eV against the reference
  (lowest gap on the path {start_gap:.2f} eV against {gap_on_path:.2f} eV).
"""

FITS = {
    "silicon": """\
- **Fit.** 30 Levenberg-Marquardt steps of a network of eight waves up to 8 Bohr, with the priors
  of docs/fitting.md. Root mean square error of all bands 4 meV (start: 320), gap 0.828 eV
  (reference 0.8275), about 20 s. `final_plotPP.png`: v(q) is smooth, and near r = 0 the bands
  leave v(r) open, as the shaded error bar tells; `final_plotBS.png`: no difference can be seen.
""",
    "silicon_zunger": """\
- **Fit.** 20 Levenberg-Marquardt steps to where no step would lower the cost. Root mean square
  error of all bands 126 meV, direct gap 3.09 eV (reference 3.42): this is what four numbers can
  do, the network of `silicon` ends at 4 meV.
""",
    "gallium_arsenide": """\
- **Fit.** 40 Levenberg-Marquardt steps of a network of eight waves up to 8 Bohr, with the priors
  of docs/fitting.md. Root mean square error of all bands 4 meV (start: 271), gap 1.4187 eV
  (reference 1.4186), electron mass 0.0990 (reference 0.0989), about half a minute. See
  `final_plotBS.png`.
""",
    "silicon_gradient": """\
- **Fit.** 300 epochs of Adam. Least squares (`silicon`) gets much further in less time; this bundle
  shows the keys of a training by gradients.
""",
    "silicon_hybrid": """\
- **Fit.** Monte Carlo of the four coefficients, least squares of them, and least squares of a
  network that is first fitted to their v(q); the folders `1_monte_carlo` and `2_zunger` of the
  results have the stages before the last one.
""",
    "silicon_start": """\
- **Fit.** None: without max_num_epochs and mc_bool a run fits the network to v(q) of the
  coefficients, evaluates both, and writes the potential and its observables.
""",
    "silicon_evaluation": """\
- **Use.** `deeppseudopot eval configs/silicon_evaluation RESULTS`, or with `--potential FITTED` the
  bands of what a run of `silicon_zunger` has left in FITTED.
""",
}
"""What the last lines of every README say of a run."""


def reference_bands(material: Material, crystal: Zincblende, path: KPath) -> tuple[Floats, float]:
    """Reference bands (n_k, 8) in eV and V(G = 0) in Ha that puts the VBM in its place."""
    unit = (2 * np.pi / crystal.a) ** 2
    v = cohen_bergstresser(crystal, material.table, 0.0)
    # The published cutoff is inclusive, the sphere here is not: keep clear of rounding at 60.
    bands = local_bands(
        crystal, path.fractional, v, (G2_REFERENCE + 1e-6) * unit, N_LEVELS, follow_k=True
    )
    top = bands[:, N_VALENCE - 1].max()
    expected = [(point, *level) for point, level in material.check.items()]
    for point, level, energy in [*expected, ("G", 0, material.bottom)]:
        found = bands[path.symmetry[point], level] - top
        if abs(found - energy) > 0.03:
            raise RuntimeError(
                f"{material.name}: level {level} at {point} lies at {found:.3f} eV against the "
                f"VBM, expected {energy:.3f}"
            )
    return bands - top + material.vbm, float(material.vbm - top) / HARTREE_EV


def make_bundle(
    material: Material, title: str, purpose: str, config: dict[str, str], n_points: int
) -> tuple[Bundle, float]:
    """One bundle and the RMSE (eV) of its starting potential."""
    crystal = Zincblende(material.species, material.a_angstrom / BOHR_ANGSTROM)
    path = KPath.along(crystal, "LGXU,KG", n_points)
    reference, shift = reference_bands(material, crystal, path)
    coefficients = fit_zunger(crystal, material.table, shift)
    published = cohen_bergstresser(crystal, material.table, shift)
    g2 = 2 * material.max_ke
    in_basis = local_bands(crystal, path.fractional, published, g2, N_LEVELS)
    start = local_bands(crystal, path.fractional, zunger_pair(coefficients), g2, N_LEVELS)
    vbm, cbm = reference[:, N_VALENCE - 1].max(), reference[:, N_VALENCE].min()
    gamma = path.symmetry["G"]
    direct = bool(np.isclose(reference[gamma, N_VALENCE], cbm, atol=1e-6))
    readme = README.format(
        title=title,
        purpose=purpose,
        a=material.a_angstrom,
        units_and_zero=units_and_zero(material.affinity, material.gap),
        n_k=len(reference),
        n_bands=2 * N_LEVELS,
        gap_text="The gap is direct at Gamma (idxGap)."
        if direct
        else "The gap is indirect, so idxGap is not set.",
        max_ke=material.max_ke,
        n_waves=len(crystal.plane_waves(g2)),
        basis_error=1e3 * np.abs(in_basis - reference).max(),
        basis_rmse=1e3 * rmse(in_basis, reference),
        basis_low=1e3 * rmse(in_basis[:, :5], reference[:, :5]),
        start_rmse=rmse(start, reference),
        start_gap=start[:, N_VALENCE].min() - start[:, N_VALENCE - 1].max(),
        gap_on_path=cbm - vbm,
    )
    bundle = Bundle(
        crystal=crystal,
        path=path,
        reference=np.repeat(reference, 2, axis=1),
        k_weights=path.weights(3.0),
        band_weights=np.repeat([0.5, 1, 1, 1, 1, 0.5, 0.2, 0.1], 2),
        parameters=np.pad(coefficients, ((0, 0), (0, 5))),
        config=config,
        inputs=input_keys(
            material.name.replace(" ", "_"),
            material.max_ke,
            2 * N_VALENCE,
            (vbm, cbm),
            gamma if direct else None,
        ),
        readme=readme,
    )
    return bundle, rmse(start, reference)


def main() -> None:
    """Write the bundles below the folder given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, nargs="?", default=Path("configs"))
    output = parser.parse_args().output
    jobs = {
        "silicon": (
            SILICON,
            "Silicon, network",
            "One species, local network potential.",
            SILICON_NETWORK,
        ),
        "silicon_zunger": (
            SILICON,
            "Silicon, Zunger form",
            "As `silicon`, but the four Zunger coefficients themselves are trained.",
            ZUNGER,
        ),
        "gallium_arsenide": (
            GALLIUM_ARSENIDE,
            "Gallium arsenide, network",
            "Two species, local network potential, no spin-orbit.",
            GALLIUM_ARSENIDE_NETWORK,
        ),
        "silicon_gradient": (
            SILICON,
            "Silicon, training by gradients",
            "As `silicon`, but trained by Adam.",
            GRADIENT,
        ),
        "silicon_hybrid": (
            SILICON,
            "Silicon, three stages",
            "As `silicon`, but from Monte Carlo over the Zunger form to the network in one run.",
            HYBRID,
        ),
        "silicon_start": (
            SILICON,
            "Silicon, initialisation only",
            "As `silicon`, but nothing is fitted to bands.",
            START,
        ),
        "silicon_evaluation": (
            SILICON,
            "Silicon, evaluation",
            "As `silicon_zunger`, on a dense path and without a fit.",
            EVALUATION,
        ),
    }
    for folder, (material, title, purpose, config) in jobs.items():
        n_points = DENSE if folder == "silicon_evaluation" else 40
        bundle, start_rmse = make_bundle(material, title, purpose, config, n_points)
        replace(bundle, readme=bundle.readme + FITS[folder]).write(output / folder)
        print(f"{output / folder}: starting potential RMSE {start_rmse:.3f} eV")


if __name__ == "__main__":
    main()
