"""docs/bundle.md and docs/models.md: they are those of the code, and their examples can be read."""

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import BaseModel

from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.files.bundle.folder import InputsFolder
from deeppseudopot_jax.files.bundle.input_keys import InputKeys
from deeppseudopot_jax.files.bundle.monte_carlo import OptionKeys
from deeppseudopot_jax.potentials.catalogue import CATALOGUE
from deeppseudopot_jax.settings import Settings

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
sys.path.append(str(REPOSITORY / "scripts"))

import model_figure  # noqa: E402
from key_tables import examples  # noqa: E402
from make_bundle_docs import pages  # noqa: E402

PAGE = (DOCS / "bundle.md").read_text(encoding="utf-8")
EXAMPLES = list(examples(PAGE))
FIRST_FORMS = dict(reversed(EXAMPLES))


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_pages_are_those_of_the_code():
    for path, text in pages().items():
        assert path.read_text(encoding="utf-8") == text, "run scripts/make_bundle_docs.py"


@pytest.mark.parametrize("model", [Settings, InputKeys, OptionKeys])
def test_every_key_says_what_it_does_in_one_short_sentence(model: type[BaseModel]):
    for name, info in model.model_fields.items():
        text = " ".join((info.description or "").split())
        assert 0 < len(text) <= 110 and text.endswith("."), name


def test_the_examples_are_one_bundle(tmp_path):
    bundle = read_bundle(written(tmp_path, FIRST_FORMS))
    (system,) = bundle.systems
    assert not [note for note in bundle.notes if "is not read" in note and "betas" not in note]
    assert bundle.species == ("As", "Ga") and bundle.coefficients is not None
    assert system.reference_energies is not None and system.band_order is not None
    assert system.deformation_targets and system.coupling_targets and bundle.step_sizes is not None


@pytest.mark.parametrize("name", sorted({n for n, t in EXAMPLES if t != FIRST_FORMS[n]}))
def test_so_are_their_other_forms(name, tmp_path):
    for form, text in EXAMPLES:
        if form == name:
            read_bundle(written(tmp_path, FIRST_FORMS | {name: text}))


def test_every_file_that_is_looked_for_is_on_the_page(tmp_path, monkeypatch):
    opened = []
    true_open = InputsFolder.open
    monkeypatch.setattr(
        InputsFolder,
        "open",
        lambda *arguments: opened.append(true_open(*arguments)) or opened[-1],
    )
    read_bundle(written(tmp_path, FIRST_FORMS))
    for name in opened[0].legal:
        general = re.sub(r"^(init_)?(Ga|As)P", r"\1<atom>P", name).replace("_0", "_X")
        general = general.replace("mcOpts1", "mcOpts*").replace("\\", "")
        assert f"`{general}`" in PAGE, name


def test_every_model_has_its_row_and_its_curves():
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    assert all(f"\n| `{name}` |" in page for name in CATALOGUE)
    assert {name for name, _ in drawn_curves()} == {*model_figure.NAMES, "Zunger"}


def drawn_curves() -> dict[tuple[str, str], np.ndarray]:
    """v(q) of docs/data/models.csv, by model and curve."""
    with (DOCS / "data" / "models.csv").open(encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    return {(name, curve): np.array(v, dtype=float) for name, curve, *v in rows}


def test_the_dashed_curve_is_that_of_silicon():
    _, target = model_figure.grid()
    assert_allclose(drawn_curves()["Zunger", "silicon"], target[::2, 0], rtol=0.006)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", model_figure.NAMES)
def test_the_curves_are_those_of_the_code(name):
    starts, fitted = model_figure.curves(name)
    drawn = drawn_curves()
    for number, v in enumerate(starts):
        assert_allclose(drawn[name, f"start {number}"], v[::2], rtol=0.006, atol=1e-4)
    assert_allclose(drawn[name, "fitted"], fitted[::2], atol=2.0)


PAGES = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {anchor(text) for text in headings}, link


def anchor(heading: str) -> str:
    """The name by which a heading is linked to: lower case, blanks as dashes, no punctuation."""
    return re.sub(r"[^\w -]", "", heading.replace("\\", "").lower()).replace(" ", "-")
