"""Golden tests are skipped where their numbers are absent, but never on CI."""

import pytest
from conftest import reference_material


def test_ci_fails_without_the_golden_numbers_and_others_skip(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPPSEUDOPOT_SHARED", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="set DEEPPSEUDOPOT_SHARED"):
        reference_material()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no reference material"):
        reference_material()
    (tmp_path / "golden").mkdir()
    assert reference_material() == tmp_path
