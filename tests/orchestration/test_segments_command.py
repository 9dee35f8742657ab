"""`lifecycle segments list|show`: what a marketer reads, from a published copy made by hand."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from orchestration.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose published copy knows a living segment and one without its source."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    with duckdb.connect(str(tmp_path / "published.duckdb")) as connection:
        connection.execute(
            """
            create schema marts;
            create table marts.segments as
            select * from (values
                ('lead_hot', 'Hot lead', 'Two quotes', 'growth', 1, 'live', null),
                ('uninstalled', 'Uninstalled', 'Removed the app', 'retention', 0, 'dormant', 'No app stream')
            ) as rows(key, name, description, owner, size, status, dormant_reason);
            create table marts.dim_customers as select 'c1' as customer_id, 'Asha' as display_name, 'Pune' as city;
            create table marts.segment_membership as
            select 'lead_hot' as segment_key, 'c1' as customer_id, timestamp '2026-10-01 09:00:00' as entered_at,
                '{}' as context
            """
        )
    return tmp_path


def _said(*arguments: str) -> list[str]:
    done = CliRunner().invoke(main, ["segments", *arguments])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


@pytest.mark.usefixtures("home")
def test_the_list_says_why_a_dormant_segment_has_nobody() -> None:
    living, dormant = _said("list")
    assert living.split() == ["lead_hot", "1", "growth", "Two", "quotes"]
    assert dormant.split()[:3] == ["uninstalled", "0", "retention"]
    assert dormant.endswith("Removed the app (dormant: No app stream)")


@pytest.mark.usefixtures("home")
def test_a_segment_shows_its_people_or_why_it_has_none() -> None:
    living = _said("show", "lead_hot")
    assert living[0] == "lead_hot: Two quotes. 1 people."
    assert "Asha" in living[1]
    assert "dormant" not in "".join(living)
    assert _said("show", "uninstalled") == [
        "uninstalled: Removed the app. 0 people.",
        "  dormant: No app stream",
    ]
