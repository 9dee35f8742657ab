"""What a forgotten line of a recipe would leave out of the run without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import Definitions

from activations.channels.registry import CHANNELS
from data_contracts.loader import load_contracts
from orchestration.lib.settings import read_settings
from orchestration.lib.steps import channel_config

pytestmark = [
    pytest.mark.usefixtures("dbt_in_process"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning"),
    pytest.mark.filterwarnings("ignore::dagster._utils.warnings.PreviewWarning"),
]
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def defs(dbt_in_process: None, tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(tmp_path_factory.mktemp("home")))
        from orchestration.definitions import defs
    return defs


def test_every_source_folder_is_pulled_and_each_of_its_tables_is_judged(defs: Definitions) -> None:
    from orchestration.defs.ingestion import SOURCES

    folders = {
        path.parent.name for path in (REPOSITORY / "orchestration/sources").glob("*/__init__.py")
    }
    assert not folders - set(SOURCES), "folders that SOURCES of defs/ingestion.py lacks"
    steps = set(defs.resolve_job_def("hourly").graph.node_dict)
    for source, (tables, *_) in SOURCES.items():
        assert f"pull_{source}" in steps
        assert f"check_raw_{source}" in steps, f"{source} has no contract"
        strangers = [table for table in tables if not table.startswith(f"{source}_")]
        assert not strangers, f"tables of {source} must begin with {source}_"
    tables = {f"raw.{table}" for names, *_ in SOURCES.values() for table in names}
    sync = {f"sync.{path.stem}" for path in (REPOSITORY / "dbt_project/models/sync").glob("*.sql")}
    contracts = {contract.table for contract in load_contracts()}
    assert not tables - contracts, "raw tables without a file in data_contracts/raw/"
    assert not sync - contracts, "sync tables without a file in data_contracts/sync/"
    assert not contracts - tables - sync, "contracts of tables nobody makes"


def test_every_source_and_channel_has_its_branch_in_the_steps(defs: Definitions) -> None:
    from orchestration.defs.ingestion import SOURCES

    text = (REPOSITORY / "orchestration/lib/steps.py").read_text("utf-8")
    for source in SOURCES:
        assert f'source == "{source}"' in text, f"pull_source has no branch for {source}"
    for channel, entry in CHANNELS.items():
        assert isinstance(channel_config(channel, read_settings({})), entry.config), channel
        assert f"activation__{channel}" in defs.resolve_job_def("hourly").graph.node_dict
