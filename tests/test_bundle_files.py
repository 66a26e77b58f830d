"""What stands under the name of an input file must be a file, and of bounded size."""

import os
from pathlib import Path

import pytest
from bundle_samples import COUPLINGS, GOOD, write

from deeppseudopot_jax.files import regular
from deeppseudopot_jax.files.bundle import BundleError, read_bundle
from deeppseudopot_jax.files.torch_pickle import write_checkpoint

EVERY = {
    "NN_config.par": GOOD["NN_config.par"] + "mc_beta_schedule = betas.txt\n",
    "kpoints_0_orderMatrix.par": "0 1 2 3\n0 1 2 3\n",
    "expDefPot_0.par": "0 1 1.01 1 1\n",
    "qpoints_0.par": "0 0 0 1\n0.5 0.5 0.5 1\n",
    "expCoupling_0.par": COUPLINGS,
    "init_qSpace_pot.par": "0 1 1\n1 2 2\n",
    "ZnParamSteps.par": "1 1 1 1 1",
    "SParamSteps.par": "1 1 1 1 1",
    "mcOpts1.par": "betas = 1 2\nstepsAtTemp = 1 1\ntempStepSizeMod = 1 1\ntotalIter = 1\n",
    "betas.txt": "0 1\n",
}
NAMES = sorted({*GOOD, *EVERY, "init_PPmodel.pth", "init_AdamState.pth"})


@pytest.fixture
def everything(tmp_path):
    """A bundle with every file that there can be."""
    folder = write(tmp_path / "inputs")
    for name, text in EVERY.items():
        (folder / name).write_text(text)
    write_checkpoint(folder / "init_PPmodel.pth", {})
    write_checkpoint(folder / "init_AdamState.pth", {})
    read_bundle(folder)
    return folder


def about(folder: Path, name: str) -> list[str]:
    """What is wrong with one file of a bundle."""
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    return [str(problem) for problem in caught.value.problems if problem.file == name]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_a_pipe_or_a_device_is_no_file(everything, name):
    path = everything / name
    path.unlink()
    for found, make in (
        ("a folder", path.mkdir),
        ("a pipe", lambda: os.mkfifo(path)),
        ("a device", lambda: path.symlink_to("/dev/zero")),
    ):
        make()
        assert about(everything, name) == [
            f"{name}: is no file; found '{found}'; legal: a regular file"
        ]
        path.rmdir() if found == "a folder" else path.unlink()
    path.symlink_to("nowhere")
    missing = "names no file" if name == "betas.txt" else f"{name}: cannot be read: No such file"
    assert missing in " ".join(about(everything, name) or about(everything, "NN_config.par"))


def test_links_to_files_are_files(everything):
    for name in NAMES:
        elsewhere = everything.parent / name
        (everything / name).rename(elsewhere)
        (everything / name).symlink_to(elsewhere)
    read_bundle(everything)


@pytest.mark.parametrize(
    ("name", "limit"),
    [("kpoints_0.par", regular.TEXT_LIMIT), ("init_PPmodel.pth", regular.CHECKPOINT_LIMIT)],
)
def test_files_that_are_too_large(everything, name, limit):
    with (everything / name).open("rb+") as file:
        file.truncate(limit + 1)  # sparse: no byte of it is written
    assert about(everything, name) == [
        f"{name}: is too large; found '{limit + 1} bytes'; legal: at most {limit} bytes"
    ]


def test_a_file_that_is_longer_than_it_says(tmp_path):
    endless = Path("/proc/self/maps")  # its size is given as 0
    if not endless.exists():
        pytest.skip("no /proc here")
    with pytest.raises(BundleError, match="maps: is too large; found 'more'; legal: at most 9"):
        regular.read_regular(endless, 9)
