"""The gallery: changed pseudopotentials, k-points, bundles, and tables of what the fits gave."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.toolkit.new.template import coefficient_texts

REPOSITORY = Path(__file__).parents[1]
PAGES = REPOSITORY / "docs" / "gallery"
sys.path.append(str(REPOSITORY / "scripts"))

import gallery_joint  # noqa: E402
import gallery_materials  # noqa: E402
import gallery_numbers  # noqa: E402
import gallery_pseudopotentials  # noqa: E402
import make_gallery  # noqa: E402
from empirical_bands import BOHR_ANGSTROM  # noqa: E402


def upf(r, weights, local, orbitals, strengths, momenta):
    """The parts of a UPF file that are looked at."""

    def block(tag, values, attributes=""):
        return (
            f"<{tag} {attributes}>\n{' '.join(f'{x:.12E}' for x in np.ravel(values))}\n</{tag}>\n"
        )

    text = block("PP_R", r) + block("PP_RAB", weights) + block("PP_LOCAL", local)
    for i, (momentum, occupation, orbital) in enumerate(orbitals, 1):
        text += block(f"PP_CHI.{i}", orbital, f'occupation=" {occupation:.3f}"\n l="{momentum}"')
    for i, momentum in enumerate(momenta, 1):
        text += block(f"PP_BETA.{i}", [0.0], f'angular_momentum="{momentum}"')
    return text + block("PP_DIJ", strengths)


@pytest.fixture
def sample():
    r = np.linspace(0.0, 10.0, 20001)
    weights = np.full_like(r, r[1])
    p = r**2 * np.exp(-r)
    orbitals = [(0, 2.0, r * np.exp(-2.0 * r)), (1, 2.0, p), (1, 1.0, 3.0 * p)]
    return r, upf(r, weights, -2.0 / (r + 1.0), orbitals, np.diag([1.0, 2.0, 3.0]) + 0.1, [0, 0, 1])


def numbers(text, tag):
    return np.array(re.search(rf"<{tag}[^>]*>(.*?)</{tag}>", text, re.DOTALL)[1].split(), float)


def test_the_potential_of_a_p_electron_is_taken_off(sample):
    r, text = sample
    changed = gallery_pseudopotentials.half_ionised(text, 0.25)
    taken = numbers(text, "PP_LOCAL") - numbers(changed, "PP_LOCAL")
    inside = (r > 0.5) & (r < 1.5)
    # |p|^2 = r^4 exp(-2r) / 0.75: its potential in closed form, in Ry.
    q = 2.0 * r[inside]
    powers = [q**n / [1, 1, 2, 6, 24][n] for n in range(5)]
    enclosed = 1.0 - np.exp(-q) * sum(powers)
    outside = (2.0**5 / 24.0) * np.exp(-q) * (q**3 + 3 * q**2 + 6 * q + 6) / 2.0**4
    exact = 2.0 * (enclosed / r[inside] + outside)
    trim = (1.0 - (r[inside] / 3.8) ** 8) ** 3
    assert taken[inside] == pytest.approx(0.25 * exact * trim, rel=2e-3)
    assert not taken[r >= 3.8].any()
    for tag in ("PP_R", "PP_RAB", "PP_DIJ", "PP_CHI.1"):
        assert (numbers(text, tag) == numbers(changed, tag)).all()


def test_only_the_s_part_is_made_stronger(sample):
    _, text = sample
    changed = gallery_pseudopotentials.stronger_s(text, 0.5)
    before, after = (numbers(t, "PP_DIJ").reshape(3, 3) for t in (text, changed))
    assert after[:2, :2] == pytest.approx(1.5 * before[:2, :2])
    assert (after[2] == before[2]).all() and (after[:, 2] == before[:, 2]).all()


def test_a_pseudopotential_without_p_orbitals_is_refused(sample):
    r, _ = sample
    text = upf(r, np.ones_like(r), r, [(0, 2.0, r)], [[1.0]], [0])
    with pytest.raises(ValueError, match="no p orbital"):
        gallery_pseudopotentials.half_ionised(text, 0.5)


def test_k_points_close_to_the_edge():
    materials = gallery_materials
    for material in materials.MATERIALS:
        points, names = materials.path_of(material)
        to_bohr = 2 * np.pi * BOHR_ANGSTROM * material.crystal.cell.reciprocal()
        edge = points[names.index(material.edge)]
        distances = np.linalg.norm((points - edge) @ to_bohr, axis=1)
        assert np.sum(np.abs(distances - materials.CLOSE) < 1e-9) >= 2, material.name
        sparse = materials.path_of(material, deformed=True)[1]
        assert len(sparse) < len(names)
        assert set(sparse) == ({material.edge} if material.only_edge else set(names))


def test_bundles_are_those_of_the_materials(configs):
    for material in gallery_materials.MATERIALS:
        folder = configs / "gallery" / material.name
        bundle = read_bundle(folder)
        (system,) = bundle.systems
        assert bundle.settings.max_epochs == material.fit_steps
        assert (bundle.settings.basis_sphere == "kG") == material.periodic
        for name, text in coefficient_texts(bundle.species, spin_orbit=True).items():
            assert (folder / name).read_text(encoding="utf-8") == text
        edges = system.k_weights > 3.5
        assert system.k_weights[edges].sum() == pytest.approx(sum(material.edge_weights), rel=0.05)
        assert len(system.k_points) == len(gallery_materials.path_of(material)[0])
        assert system.valence_band == material.n_valence - 1
        assert system.deformation_targets
        assert system.reference_energies[:, material.n_valence - 1].max() == pytest.approx(
            material.valence_top, abs=1e-6
        )


def test_the_joint_bundle(configs, tmp_path):
    joint, bundle = gallery_joint, configs / "gallery" / "III-V"
    names = joint.names_of(bundle)
    assert names[:4] == [material.name for material in joint.COMPOUNDS]
    settings = read_bundle(bundle).settings
    assert [names[i] for i in settings.validation_systems] == list(filter(joint.is_unseen, names))
    joint.select(bundle, tmp_path / "two", [0, 4], [4])
    two = read_bundle(tmp_path / "two")
    assert [system.name for system in two.systems] == ["GaAs", "GaAs_0.96"]
    assert list(two.settings.validation_systems) == [1]


def test_tables_are_those_of_the_levels_that_are_drawn():
    rows = (PAGES / "summary.md").read_text(encoding="utf-8").splitlines()[2:]
    materials = gallery_materials.MATERIALS
    assert len(rows) == len(materials)
    for material, row in zip(materials, rows, strict=True):
        cells = [cell.strip(" *") for cell in row.split("|")[1:-1]]
        levels = np.loadtxt(PAGES / f"{material.name}.dat")[:, 1:]
        reference, fit = np.split(levels, 2, axis=1)
        n = material.n_valence
        errors = (fit - reference)[:, n - 8 : n + 4]
        assert cells[0] == material.title
        assert float(cells[1]) == pytest.approx(1e3 * np.sqrt(np.mean(errors**2)), abs=0.6)


@pytest.mark.exhaustive
def test_a_fit_of_the_gallery_comes_out_as_its_table_says(configs, tmp_path):
    silicon = gallery_materials.MATERIALS[0]
    make_gallery.fit(silicon, tmp_path)
    found = gallery_numbers.outcome(silicon, configs / "gallery" / "Si", tmp_path / "Si")
    row = make_gallery.summary([found]).splitlines()[2]
    told = (PAGES / "summary.md").read_text(encoding="utf-8").splitlines()[2]
    for now, then in zip(
        re.findall(r"-?\d+\.?\d*", row), re.findall(r"-?\d+\.?\d*", told), strict=True
    ):
        assert float(now) == pytest.approx(float(then), abs=2.0 if "." not in then else 0.01)
