"""The bundle of the joint III-V fit, put together from those of the four compounds."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from gallery_bundles import deformed_folder
from gallery_materials import MATERIALS, POLYTYPES

COMPOUNDS = tuple(material for material in MATERIALS if material.bands_of_deformed)
UNSEEN_RATIOS = (0.99, 1.01)
"""Of the lattice constants of deformed cells that no fit sees."""

_STEPS = 40
_FILES = ("system", "input", "kpoints", "expBandStruct", "bandWeights", "expDefPot")

README = """# GaAs, InAs, GaP and InP with shared species

One v(q) and one set of spin-orbit and nonlocal coefficients for Ga, In, As and P. The first systems
are the bundles of these compounds in `configs/gallery`, with deformation potentials; then come
deformed cells, with lattice constants times the number in their names, at fewer k-points, GaAs on
another path, and GaAs as wurtzite with the bonds of zinc blende. `validation_systems` holds out the
cells of 0.99 and 1.01, that path and wurtzite.

Valence tops are at the band offsets of Vurgaftman, Meyer, Ram-Mohan, J. Appl. Phys. 89, 5815
(2001), with GaAs at -5.5 eV; those of deformed cells move by their a_v times 3 ln(ratio); that of
wurtzite is where zinc blende has it, for want of a number.

- **Source.** That of these bundles: PBE with spin-orbit coupling, changed pseudopotentials.
- **Script.** `python scripts/make_gallery_references.py`
"""


def joint_sources(bundles: Path, others: Path) -> list[Path]:
    """Folders of the systems: compounds, their deformed cells, other paths, other crystals."""
    return [
        *(bundles / material.name for material in COMPOUNDS),
        *(deformed_folder(others, m, ratio) for m in COMPOUNDS for ratio in m.ratios),
        *(others / f"{m.name}_{m.second_path}" for m in COMPOUNDS if m.second_path),
        *(others / material.name for material in POLYTYPES),
    ]


def write_joint(sources: Sequence[Path], folder: Path) -> None:
    """Write the bundle whose systems are those of the bundles `sources`."""
    _copy_systems([(source, 0) for source in sources], folder)
    for number, source in enumerate(sources):
        path = folder / f"input_{number}.par"
        path.write_text(_named(path.read_text(encoding="utf-8"), source.name), encoding="utf-8")
    names = [source.name for source in sources]
    held_out = [str(number) for number, name in enumerate(names) if is_unseen(name)]
    config = (sources[0] / "NN_config.par").read_text(encoding="utf-8")
    config = config.replace("nSystem = 1\n", f"nSystem = {len(sources)}\n")
    config = re.sub(r"max_num_epochs = \d+", f"max_num_epochs = {_STEPS}", config)
    config += f"validation_systems = {' '.join(held_out)}\n" if held_out else ""
    (folder / "NN_config.par").write_text(config, encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")


def is_unseen(name: str) -> bool:
    """Whether no fit sees the system of this name."""
    _, _, kind = name.partition("_")
    paths = {material.second_path for material in COMPOUNDS} - {""}
    crystals = {material.name.partition("_")[2] for material in POLYTYPES}
    return kind in {f"{ratio:.2f}" for ratio in UNSEEN_RATIOS} | paths | crystals


def select(bundle: Path, folder: Path, systems: Sequence[int], held_out: Sequence[int]) -> None:
    """Write a bundle of some systems of another one, some of them held out.

    Args:
        bundle: the joint bundle.
        folder: for the new one.
        systems: numbers of its systems in the joint bundle.
        held_out: those of `systems` that are not fitted.
    """
    _copy_systems([(bundle, system) for system in systems], folder)
    lines = [
        f"nSystem = {len(systems)}" if line.startswith("nSystem") else line
        for line in (bundle / "NN_config.par").read_text(encoding="utf-8").splitlines()
        if not line.startswith("validation_systems")
    ]
    numbers = [str(number) for number, system in enumerate(systems) if system in held_out]
    if numbers:
        lines.append(f"validation_systems = {' '.join(numbers)}")
    (folder / "NN_config.par").write_text("\n".join(lines) + "\n", encoding="utf-8")


def names_of(bundle: Path) -> list[str]:
    """Of the systems of the joint bundle, in their order."""
    n_systems = len(list(bundle.glob("system_*.par")))
    inputs = [bundle / f"input_{number}.par" for number in range(n_systems)]
    return [path.read_text(encoding="utf-8").split("\n", 1)[0].split(" = ")[1] for path in inputs]


def _copy_systems(systems: Sequence[tuple[Path, int]], folder: Path) -> None:
    """Files of systems, each given by its bundle and number there, and their start coefficients."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, (bundle, system) in enumerate(systems):
        for name in _FILES:
            path = bundle / f"{name}_{system}.par"
            if path.exists():
                shutil.copyfile(path, folder / f"{name}_{number}.par")
    for bundle in dict.fromkeys(bundle for bundle, _ in systems):
        for path in bundle.glob("init_*Params.par"):
            shutil.copyfile(path, folder / path.name)


def _named(text: str, name: str) -> str:
    lines = text.splitlines()
    return "\n".join([f"systemName = {name}", *lines[1:]]) + "\n"
