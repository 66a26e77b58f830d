"""A small invented bundle, and ways to change it, for the tests of reading bundles."""

from pathlib import Path

from deeppseudopot_jax.files.bundle import BundleError, read_bundle
from deeppseudopot_jax.types import Bundle

# Two k-points, four bands, a zinc-blende cell of two species.
GOOD = {
    "NN_config.par": "PPmodel = Net_relu\nhiddenLayers = 4 3\nnSystem = 1\n",
    "system_0.par": (
        "scale = 10.0  # Bohr\n\ncell\n0.0 0.5\t0.5\n0.5 0.0 0.5\n0.5 0.5 0.0\n\n"
        "atoms\nZn 0 0 0\nS 0.25 0.25 0.25"
    ),
    "input_0.par": "nBands = 4\nmaxKE = 5\nidxVB = 1\nidxCB = 2\nidxGap = 0\n",
    "kpoints_0.par": "0 0 0 1.0\n0.5 0.5 0.5 2.0\n",
    "expBandStruct_0.par": "0.0 -1 0 2 3\n0.5 -2 -1 3 4\n",
    "bandWeights_0.par": "1\n2\n3\n4\n",
    "init_ZnParams.par": "1\n2\n3\n4\n0\n6\n7\n8\n9\n",
    "init_SParams.par": "-1\n2\n3\n4\n",
}
COUPLINGS = "".join(
    f"Atom idx = {atom}   atom = {symbol}   position = XXX\n"
    + "".join(
        f"{band}-{band} coupling elements. polarization of derivative = x\n{values}\n"
        f"polarization of derivative = y\n0 0\npolarization of derivative = z\n0 0\n\n"
        for band, values in (("vb", "0.1 0.2"), ("cb", "0.3\n0.4"))
    )
    for atom, symbol in enumerate(("Zn", "S"))
)


def write(folder: Path, **changes: str | bytes | None) -> Path:
    """Write the good bundle with some files replaced, or removed where the text is None.

    A file is named without the ending .par: `write(folder, input_0="nBands = 4")`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, str | bytes | None] = dict(GOOD)
    files.update({f"{name}.par": text for name, text in changes.items()})
    for name, text in files.items():
        if isinstance(text, bytes):
            (folder / name).write_bytes(text)
        elif text is not None:
            (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def read(folder: Path, **changes: str | bytes | None) -> Bundle:
    """The good bundle with changes, read."""
    return read_bundle(write(folder, **changes))


def problems(folder: Path, **changes: str | bytes | None) -> list[str]:
    """What is wrong with the good bundle once it is changed, one line per problem."""
    try:
        read(folder, **changes)
    except BundleError as error:
        return [str(problem) for problem in error.problems]
    return []
