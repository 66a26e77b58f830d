"""Make the bundle silicon_monte_carlo from a published Zunger potential of silicon.

The bands of a known potential are the reference, its coefficients, each changed by 20 %, the
start: Monte Carlo has to find a potential with the same bands. Energies are written in eV.

    python scripts/make_recovery_bundle.py [configs]
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from bundle_writing import Bundle, KPath, input_keys, rmse
from empirical_bands import (
    BOHR_ANGSTROM,
    HARTREE_EV,
    Floats,
    Zincblende,
    local_bands,
    zunger_pair,
)

A_ANGSTROM = 5.43
PUBLISHED = np.array([0.53706, 2.19104, 2.05716, 0.48716])  # a0 in Rydberg, see the README
MAX_KE = 2.25  # Ha, 4.5 Ry
N_LEVELS, N_VALENCE = 8, 4  # levels per k (each holds two electrons), occupied ones
GAP, GAP_ERROR = 1.17, 0.05  # eV, measured at 0 K, and what a misread coefficient would exceed
CHANGE = 0.2

CONFIG = {
    "PPmodel": "ZeroFunction  # moves the Zunger coefficients themselves",
    "hiddenLayers": "1  # required key, unused by ZeroFunction",
    "nSystem": "1",
    "SObool": "0",
    "basis_sphere": "kG  # |k+G|^2/2 < maxKE, as published",
    "mc_bool": "1",
    "mc_replicas": "4  # parallel tempering",
    "mc_betas": "500 10  # of the coldest and the hottest replica, 1/eV",
    "mc_swap_every": "5",
    "mc_iter": "1200  # this and the next two are required keys; mcOpts1.par has the say",
    "mc_percentage": "0.01",
    "mc_beta": "500",
    "seed": "1",
}
OPTIONS = """betas = 10 500  # the step factors follow beta along the ladder: 80 / beta
stepsAtTemp = 1 1  # required key, unused by parallel tempering
tempStepSizeMod = 8 0.16
totalIter = 1200
"""
STEPS = """0.36  # a0: about 1 %
0.022  # a1: 1 %
0.013  # a2: 0.6 %, the bands depend on it most
0.02  # a3: 4 %, the bands depend on it least
0  # a4: no long-range part
0  # a5 to a8: nothing here depends on them
0
0
0
"""

README = """# Silicon, Monte Carlo from coefficients that are 20 % wrong

One species, Zunger form: parallel tempering recovers the bands of a known potential.

- **Source.** v(q) = 0.53706 (q^2 - 2.19104) / (2.05716 exp(0.48716 q^2) - 1) Rydberg, q in Bohr^-1,
  normalised to the volume per atom. S. B. Zhang, C.-Y. Yeh and A. Zunger, Phys. Rev. B 48, 11204
  (1993), as quoted in public plane-wave code; the paper itself was not at hand. What speaks for
  the numbers: the bands have an indirect gap of {gap:.2f} eV at {where:.2f} Gamma-X (measured: 1.17
  eV, 0.85) and their maximum {ionisation:.2f} eV below vacuum (measured: 5.17 eV).
- **Reference.** The bands of this potential with the plane waves of the bundle, a = {a} Angstrom
  and a0 to a3 = {known} (a0 in Ha Bohr^3). So the reference is not a
  measurement, and there is a potential of cost 0, up to the six decimals of the files.
- **Script.** `python scripts/make_recovery_bundle.py` (NumPy, ASE), independent of the package. It
  stops unless the gap is within {gap_error} eV of the measured one.
- **Units.** Energies in eV (1 Ha = {hartree} eV) against vacuum, path length in Bohr^-1, k-points
  in fractions of the reciprocal vectors of the primitive cell. Coefficients in Bohr and Hartree.
- **Path.** L-Gamma-X-W-K, {n_k} points, enough for four unknowns.
- **Bands.** {n_bands} = 8 levels, each listed twice for spin; 4 levels are occupied.
- **Basis.** maxKE = {max_ke} Ha on the |k+G| sphere, {fewest} to {most} plane waves.
- **Weights.** All 1, so that the square root of the Monte Carlo cost is the RMSE in eV.
- **Start.** `init_SiParams.par`: every one of a0 to a3 is changed by 20 %,
  {signs}. Of the sixteen choices of signs these start farthest away,
  with an RMSE of {start_rmse:.1f} eV (the nearest: {least_rmse:.2f} eV), most of it a rigid shift
  by v(0) = -a0 a1 / (a2 - 1).
- **Settings.** Parallel tempering of four replicas at 500 to 10 per eV. Changing a0, a1, a2 or a3
  alone by 1 % costs {sensitivity} meV, changing all along the softest direction
  {softest:.1f} meV. So steps must shrink with the temperature (mcOpts1.par), a3 may take wider ones
  (SiParamSteps.par), and coefficients end anywhere along a valley that the bands hardly see.
  Delayed acceptance is off: in a basis this small a screen costs about as much as a solve.
"""


def main() -> None:
    """Write the bundle below the folder given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, nargs="?", default=Path("configs"))
    folder = parser.parse_args().output / "silicon_monte_carlo"
    bundle, start_rmse = make_bundle()
    bundle.write(folder)
    print(f"{folder}: starting potential RMSE {start_rmse:.3f} eV")


def make_bundle() -> tuple[Bundle, float]:
    """The bundle and the RMSE (eV) of its start."""
    crystal = Zincblende(("Si", "Si"), A_ANGSTROM / BOHR_ANGSTROM)
    path = KPath.along(crystal, "LGXWK", 10)
    scale = np.array([crystal.volume / 4, 1, 1, 1])  # half a cell, half a Rydberg
    known = np.round(PUBLISHED * scale, 4)
    reference = bands(crystal, path.fractional, known)
    signs = np.array(list(product((1, -1), repeat=4)))
    starts = np.round(known * (1 + CHANGE * signs), 4)
    errors = [rmse(bands(crystal, path.fractional, start), reference) for start in starts]
    worst = int(np.argmax(errors))
    gap, where = indirect_gap(crystal, known)
    if abs(gap - GAP) > GAP_ERROR:
        raise RuntimeError(f"the known potential has a gap of {gap:.3f} eV, expected {GAP}")
    singular, alone = sensitivities(crystal, path, known)
    waves = [len(crystal.plane_waves(2 * MAX_KE, k)) for k in path.fractional @ crystal.reciprocal]
    vbm, cbm = reference[:, N_VALENCE - 1].max(), reference[:, N_VALENCE].min()
    readme = README.format(
        gap=gap,
        where=where,
        ionisation=-vbm,
        a=A_ANGSTROM,
        known=" ".join(f"{value:.4f}" for value in known),
        gap_error=GAP_ERROR,
        hartree=HARTREE_EV,
        n_k=len(reference),
        n_bands=2 * N_LEVELS,
        max_ke=MAX_KE,
        fewest=min(waves),
        most=max(waves),
        signs=", ".join(
            f"a{i} {'up' if sign > 0 else 'down'}" for i, sign in enumerate(signs[worst])
        ),
        start_rmse=errors[worst],
        least_rmse=min(errors),
        sensitivity=", ".join(f"{10 * value:.0f}" for value in alone),
        softest=10 * singular[-1],
    )
    bundle = Bundle(
        crystal=crystal,
        path=path,
        reference=np.repeat(reference, 2, axis=1),
        k_weights=path.weights(1.0),
        band_weights=np.ones(2 * N_LEVELS),
        parameters=np.pad(np.tile(starts[worst], (2, 1)), ((0, 0), (0, 5))),
        config=CONFIG,
        inputs=input_keys("silicon", MAX_KE, 2 * N_VALENCE, (vbm, cbm), None),
        readme=readme,
        others={"mcOpts1.par": OPTIONS, "SiParamSteps.par": STEPS},
    )
    return bundle, errors[worst]


def bands(crystal: Zincblende, points: Floats, coefficients: Floats) -> Floats:
    """Bands (n_k, 8) in eV at fractional k `points` of a potential with a0..a3 of silicon."""
    form_factors = zunger_pair(np.tile(coefficients, (2, 1)))
    return local_bands(crystal, points, form_factors, 2 * MAX_KE, N_LEVELS, follow_k=True)


def indirect_gap(crystal: Zincblende, coefficients: Floats) -> tuple[float, float]:
    """Gap (eV) from Gamma to the lowest conduction level along Gamma-X, and its k over |X|."""
    fractions = np.linspace(0, 1, 101)
    levels = bands(crystal, np.outer(fractions, [0.5, 0.0, 0.5]), coefficients)
    lowest = levels[:, N_VALENCE].argmin()
    gap = levels[lowest, N_VALENCE] - levels[0, N_VALENCE - 1]
    return float(gap), float(fractions[lowest])


def sensitivities(crystal: Zincblende, path: KPath, coefficients: Floats) -> tuple[Floats, Floats]:
    """RMSE (eV) per relative change: of the four principal combinations, and of each alone."""
    columns = []
    for direction in np.eye(4):
        up, down = (
            bands(crystal, path.fractional, coefficients * (1 + step * direction))
            for step in (1e-4, -1e-4)
        )
        columns.append((up - down).ravel() / 2e-4)
    jacobian = np.array(columns).T / np.sqrt(len(columns[0]))
    singular: Floats = np.linalg.svd(jacobian, compute_uv=False)
    return singular, np.linalg.norm(jacobian, axis=0)


if __name__ == "__main__":
    main()
