"""`lifecycle segments new`: what it lays out is whole, and it never overwrites."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import yaml

from orchestration.lib.dbt import PROJECT
from orchestration.lib.scaffold import ScaffoldError, lay_out_segment


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("models/segments", "models/intermediate/segments", "seeds"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    return tmp_path


def _contents(project: Path) -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in project.rglob("*.*") if path.is_file()}


def test_a_new_segment_is_in_every_place_a_segment_is(project: Path) -> None:
    before = _contents(project)
    lay_out_segment(
        "pune_sellers", owner="growth", description="Sellers in Pune, it's new.", project=project
    )
    after = _contents(project)
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed == {
        "seg_pune_sellers.sql",
        "_segments__models.yml",
        "_segments__unit_tests.yml",
        "segment_catalogue.csv",
        "int_segment_matches.sql",
    }
    folder = project / "models" / "segments"
    models = yaml.safe_load((folder / "_segments__models.yml").read_text())["models"]
    assert models[-1]["name"] == "seg_pune_sellers"
    assert models[-1]["config"]["meta"]["owner"] == "growth"
    tests = yaml.safe_load((folder / "_segments__unit_tests.yml").read_text())["unit_tests"]
    assert tests[-1]["model"] == "seg_pune_sellers"
    with (project / "seeds" / "segment_catalogue.csv").open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    assert row["segment_key"] == "pune_sellers"
    assert row["description"] == "Sellers in Pune, it’s new"
    assert row["expires_on"] == ""
    listing = (project / "models/intermediate/segments/int_segment_matches.sql").read_text()
    assert "    'pune_sellers',\n] %}" in listing


@pytest.mark.parametrize(
    ("key", "owner"),
    [("inactive_60", "growth"), ("Inactive", "growth"), ("a", "growth"), ("good_key", "nobody")],
)
def test_what_cannot_be_laid_out_changes_nothing(project: Path, key: str, owner: str) -> None:
    before = _contents(project)
    with pytest.raises(ScaffoldError, match=owner if owner == "nobody" else key):
        lay_out_segment(key, owner=owner, description="x", project=project)
    assert _contents(project) == before
