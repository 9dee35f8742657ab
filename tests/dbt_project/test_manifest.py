"""What every dbt model promises: read from the project's files and from the manifest made of them.

dbt on DuckDB accepts misspelt YAML keys without a word, and nothing in dbt itself asks that a list
in SQL, a seed and a folder of models name the same things. These tests do.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from activations.outcomes import Reason

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = REPOSITORY / "dbt_project"
MODELS = PROJECT / "models"
TEMPLATES = REPOSITORY / "activations" / "templates"
OWNERS = {"data", "growth", "operations", "retention"}
PREFIXES = {
    "staging": ("stg_",),
    "intermediate": ("int_",),
    "decisions": ("int_",),
    "segments": ("seg_",),
    "journeys": ("journey_",),
    "sync": ("sync_",),
}
CONTRACTED = {"marts", "segments", "journeys", "sync"}
CONTRACTED_MODELS = {"int_decisions", "int_planned_messages"}
KEYS = {
    "file": {"version", "models", "sources", "seeds", "unit_tests", "anchors"},
    "model": {"name", "description", "config", "columns", "data_tests"},
    "column": {"name", "description", "data_type", "constraints", "data_tests"},
    "source": {"name", "description", "schema", "config", "tables"},
    "table": {"name", "description", "config", "columns", "data_tests"},
    "config": {
        "contract",
        "meta",
        "severity",
        "sieves",
        "where",
        "freshness",
        "tags",
        "tracks",
        "unique_key",
    },
    "unit_test": {"name", "description", "model", "overrides", "given", "expect"},
    "test": {"arguments", "config", "name", "description"},
}


def seed_rows(name: str) -> list[dict[str, str]]:
    with (PROJECT / "seeds" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def documents() -> list[tuple[Path, dict]]:
    paths = sorted([*MODELS.rglob("*.yml"), *(PROJECT / "seeds").rglob("*.yml")])
    return [(path, yaml.safe_load(path.read_text(encoding="utf-8"))) for path in paths]


def listed_in(model: str, variable: str) -> list[str]:
    """The names in a `{% set variable = [...] %}` list of a model."""
    (path,) = MODELS.rglob(f"{model}.sql")
    listing = re.search(rf"set {variable} = \[(.*?)\]", path.read_text("utf-8"), re.DOTALL)
    assert listing, f"{model} has no list {variable}"
    return re.findall(r"'(\w+)'", listing.group(1))


def listed_in_mapping(model: str, variable: str) -> list[str]:
    """The keys of a `{% set variable = {...} %}` mapping of a model."""
    (path,) = MODELS.rglob(f"{model}.sql")
    mapping = re.search(rf"set {variable} = {{(.*?)}} %}}", path.read_text("utf-8"), re.DOTALL)
    assert mapping, f"{model} has no mapping {variable}"
    return re.findall(r"'(\w+)':", mapping.group(1))


def layer_of(node: dict[str, Any]) -> str:
    return Path(node["original_file_path"]).parts[1]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The manifest of the whole project, parsed afresh by a dbt of its own."""
    target = tmp_path_factory.mktemp("dbt")
    parsed = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("dbt")), "parse", "--no-partial-parse"),
            *("--project-dir", PROJECT, "--profiles-dir", PROJECT),
            *("--target-path", target / "target", "--log-path", target / "logs"),
            "--quiet",
        ],
        env={**os.environ, "LIFECYCLE_WAREHOUSE": str(target / "warehouse.duckdb")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert parsed.returncode == 0, parsed.stdout + parsed.stderr
    assert "warning" not in parsed.stdout.lower(), parsed.stdout
    return json.loads((target / "target" / "manifest.json").read_text("utf-8"))


def nodes_of(manifest: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == kind]


def test_every_model_says_its_grain_first_and_has_an_owner(manifest):
    for node in nodes_of(manifest, "model"):
        first_sentence = node["description"].split(". ")[0]
        assert re.match(r"One row an? \w", first_sentence), (
            f"{node['name']}: {node['description']!r}"
        )
        assert node["config"]["meta"].get("owner") in OWNERS, node["name"]


def test_every_source_and_seed_is_described(manifest):
    for source in manifest["sources"].values():
        assert source["source_description"], source["source_name"]
        assert re.match(r"One row an? \w", source["description"]), source["name"]
        assert source["meta"]["dagster"]["asset_key"] == ["raw", source["name"]]
    for node in nodes_of(manifest, "seed"):
        assert re.match(r"One row an? \w", node["description"]), node["name"]
        columns = seed_rows(node["name"])[0].keys()
        assert list(node["columns"]) == list(columns), node["name"]
        assert all(column["description"] for column in node["columns"].values()), node["name"]


def test_every_model_and_nothing_else_is_described_once():
    described = [
        (path.parent, model["name"])
        for path, document in documents()
        for model in document.get("models", [])
    ]
    files = {
        (path.parent, path.stem) for path in MODELS.rglob("*.*") if path.suffix in {".sql", ".py"}
    }
    assert set(described) == files
    assert len(described) == len(files)


def test_every_column_is_described():
    for path, document in documents():
        for model in [*document.get("models", []), *document.get("seeds", [])]:
            assert model["columns"], model["name"]
            for column in model["columns"]:
                assert column.get("description", "").strip(), (path.name, model["name"], column)


def test_contracts_are_enforced_on_every_table_people_or_channels_read(manifest):
    for node in nodes_of(manifest, "model"):
        if layer_of(node) in CONTRACTED or node["name"] in CONTRACTED_MODELS:
            assert node["config"]["contract"]["enforced"], node["name"]
            assert node["language"] == "sql", (
                f"{node['name']}: a Python model cannot keep a contract"
            )
            assert all(column["data_type"] for column in node["columns"].values()), node["name"]


def test_names_begin_as_their_layer_says(manifest):
    for node in nodes_of(manifest, "model"):
        prefixes = PREFIXES.get(layer_of(node))
        assert prefixes is None or node["name"].startswith(prefixes), node["name"]
        if layer_of(node) == "staging":
            system = Path(node["original_file_path"]).parts[2]
            assert node["name"].startswith(f"stg_{system}__"), node["name"]


def test_only_staging_reads_sources(manifest):
    for node in nodes_of(manifest, "model"):
        if any(name.startswith("source.") for name in node["depends_on"]["nodes"]):
            assert layer_of(node) == "staging", node["name"]


@pytest.mark.parametrize(
    ("kind", "prefix", "list_models", "list_name", "catalogue"),
    [
        (
            "segments",
            "seg_",
            ["int_segment_matches", "int_segment_members"],
            "segments",
            "segment_catalogue",
        ),
        ("journeys", "journey_", ["int_journey_windows"], "journeys", "journey_catalogue"),
    ],
)
def test_model_files_list_and_catalogue_name_the_same(
    kind, prefix, list_models, list_name, catalogue
):
    files = sorted(path.stem.removeprefix(prefix) for path in (MODELS / kind).glob("*.sql"))
    key = "segment_key" if kind == "segments" else "journey_key"
    listed = [name for model in list_models for name in listed_in(model, list_name)]
    assert len(set(listed)) == len(listed)
    assert not set(files) - set(listed), f"not in the list of {list_models[0]}.sql"
    assert not set(listed) - set(files), f"in the list of {list_models[0]}.sql without a model"
    rows = [row[key] for row in seed_rows(catalogue)]
    assert len(set(rows)) == len(rows)
    assert not set(files) - set(rows), f"not in seeds/{catalogue}.csv"
    assert not set(rows) - set(files), f"in seeds/{catalogue}.csv without a model"


@pytest.mark.parametrize("kind", ["segments", "journeys"])
def test_every_segment_and_journey_has_the_owner_of_its_catalogue_and_a_unit_test(manifest, kind):
    key = kind.removesuffix("s")
    prefix = "seg_" if kind == "segments" else "journey_"
    tested = {test["model"] for test in manifest["unit_tests"].values()}
    for row in seed_rows(f"{key}_catalogue"):
        (node,) = (
            n for n in nodes_of(manifest, "model") if n["name"] == prefix + row[f"{key}_key"]
        )
        assert node["config"]["meta"].get("owner") == row["owner"], node["name"]
        assert node["name"] in tested, f"{node['name']} has no unit test"


def test_every_source_a_segment_needs_is_one_that_is_looked_at():
    sources = listed_in_mapping("segments", "sources")
    needed = {row["needs"] for row in seed_rows("segment_needs")}
    assert needed == set(sources)


def test_a_segment_that_expires_does_so_on_a_day():
    for row in seed_rows("segment_catalogue"):
        assert not row["expires_on"] or date.fromisoformat(row["expires_on"]), row["segment_key"]


def test_families_of_segments_have_one_for_every_group_of_their_seed():
    keys = {row["segment_key"] for row in seed_rows("segment_catalogue")}
    acquisitions = {row["acquisition"] for row in seed_rows("acquisition_groups")}
    clusters = {row["city_cluster"] for row in seed_rows("city_clusters")}
    family = {key for key in keys if key.startswith("acquisition_")}
    # how they introduced themselves, beside where the first visit came from
    assert family == {f"acquisition_{name}" for name in acquisitions} | {"acquisition_lead_form"}
    family = {key for key in keys if key.startswith("city_cluster_")}
    assert family == {f"city_cluster_{name}" for name in clusters}


def test_every_window_of_time_in_an_incremental_segment_is_listed_where_time_moves_people():
    elsewhere = {
        "activation_window_days": "between two facts, the clock moves nobody",
        "best_hour_window_days": "judged by the day: int_hour_cells",
        "listening_window_days": "int_touched_readers",
    }
    listed = (MODELS / "intermediate/segments/int_touched_members.sql").read_text()
    missing = {
        (path.name, window)
        for path in (
            *MODELS.glob("segments/*.sql"),
            *PROJECT.glob("macros/segments/*.sql"),
            MODELS / "marts/dim_customers.sql",
            MODELS / "intermediate/segments/int_attention.sql",
            MODELS / "intermediate/traits/int_icp_scores.sql",
        )
        for window in re.findall(r"var\('(\w+_(?:days|hours|minutes))'\)", path.read_text())
        if window not in elsewhere
        and "cycle_segment(" not in path.read_text()
        and f"var('{window}')" not in listed
    }
    assert missing == set()


def test_segments_look_for_activities_that_are_kept_for_them():
    kept = (MODELS / "intermediate/activities/int_segment_activities.sql").read_text()
    readers = [
        path.read_text()
        for path in (*MODELS.glob("segments/*.sql"), *MODELS.glob("intermediate/segments/*.sql"))
        if "int_segment_activities" in path.read_text()
    ]
    assert len(readers) > 4
    rules = "activity (?:=|in) (?:'\\w+'|[\\[(]('\\w+'(?:, )?)+[\\])])|when '\\w+' then"
    named = {
        name
        for text in readers
        for rule in re.finditer(rules, text)
        for name in re.findall(r"'(\w+)'", rule[0])
    }
    assert named == set(re.findall(r"'(\w+_\w+)'", kept[kept.index("where ") :]))


def test_every_channel_group_belongs_to_an_acquisition():
    macro = (PROJECT / "macros" / "channel_group.sql").read_text("utf-8")
    groups = set(re.findall(r"(?:then|else) '([\w -]+)'", macro))
    assert "Direct" in groups
    assert "Unassigned" in groups
    assert groups == {row["channel_group"] for row in seed_rows("acquisition_groups")}


def test_no_fatigue_tier_recommends_more_than_the_cap_allows():
    (week,) = (row for row in seed_rows("caps") if row["cap_key"] == "cap_week")
    for row in seed_rows("fatigue_tiers"):
        assert 0 <= int(row["weekly_cap"]) <= int(week["max_messages"]), row["volume_tier"]


def test_zones_are_looked_up_by_the_one_spelling_of_a_city():
    cities = {row["city"].lower() for row in seed_rows("city_clusters")}
    for row in seed_rows("zone_priorities"):
        assert row["place"] in cities or re.fullmatch(r"\d{6}", row["place"]), row["place"]


def test_every_journey_has_steps_numbered_from_one():
    steps: dict[str, list[int]] = {}
    for row in seed_rows("journey_step_catalogue"):
        steps.setdefault(row["journey_key"], []).append(int(row["step_number"]))
    assert set(steps) == {row["journey_key"] for row in seed_rows("journey_catalogue")}
    for journey, numbers in steps.items():
        assert numbers == list(range(1, len(numbers) + 1)), journey


def test_every_step_has_its_template_on_every_channel_with_a_sender():
    senders = {row["channel"] for row in seed_rows("channels") if row["has_sender"] == "true"}
    known = {row["channel"] for row in seed_rows("channels")}
    purposes = {row["journey_key"]: row["purpose"] for row in seed_rows("journey_catalogue")}
    for row in seed_rows("journey_step_catalogue"):
        order = row["channel_order"].split(">")
        assert set(order) <= known, row["step_key"]
        for channel in set(order) & senders:
            template = TEMPLATES / channel / f"{row['template_id']}.en.yaml"
            assert template.is_file(), f"{row['step_key']}: no {channel}/{template.name}"
            category = yaml.safe_load(template.read_text("utf-8"))["category"]
            fits = "marketing" if purposes[row["journey_key"]] == "promotional" else "utility"
            assert category == fits, f"{channel}/{template.name}: a {fits} template is wanted"


def test_goals_conditions_and_ends_of_journeys_are_words_the_models_know():
    stream = (MODELS / "intermediate/activities/int_activities.sql").read_text("utf-8")
    windows = "".join(path.read_text("utf-8") for path in (MODELS / "journeys").glob("*.sql"))
    for row in seed_rows("journey_catalogue"):
        goal = row["goal_activity"]
        assert goal == "any" or f"'{goal}'" in stream, f"{row['journey_key']}: goal {goal}"
    for row in seed_rows("journey_step_catalogue"):
        assert row["useful_until"] in {"", "eligible_to"}, row["step_key"]
        condition = row["condition"]
        assert not condition or f"'{condition}'" in windows, f"{row['step_key']}: {condition}"


def test_every_sender_has_a_sync_table_and_only_senders_have_one():
    senders = {row["channel"] for row in seed_rows("channels") if row["has_sender"] == "true"}
    tables = {path.stem for path in (MODELS / "sync").glob("sync_*_messages.sql")}
    assert tables == {f"sync_{channel}_messages" for channel in senders}
    sentence = PROJECT / "tests" / "assert_every_planned_message_has_a_sender.sql"
    handed_over = set(re.findall(r"ref\('(sync_\w+)'\)", sentence.read_text("utf-8")))
    assert not tables - handed_over, f"not in {sentence.name}: a run would stop at it"


def test_every_reason_the_sql_or_the_sender_gives_is_listed():
    listed = {row["reason"] for row in seed_rows("decision_reason_catalogue")}
    text = (MODELS / "decisions" / "int_decisions.sql").read_text("utf-8")
    text += (MODELS / "decisions" / "int_step_candidates.sql").read_text("utf-8")
    text += (PROJECT / "macros" / "reachable_channel.sql").read_text("utf-8")
    given = set(re.findall(r"\bthen '([a-z_]+)'", text)) | set(re.findall(r"else '(\w+)'", text))
    no_reasons = {
        *("planned", "held", "ghost", "skipped", "sent"),  # outcomes
        *("open", "final", "window_ended", "promotional", "service"),  # standings and classes
    }
    assert given - no_reasons <= listed
    assert {"no_consent", "quiet_hours", "cap_day", "holdout_control", "expired"} <= given
    assert {str(reason) for reason in Reason} <= listed


def test_every_cap_is_a_listed_reason_and_the_unit_tests_use_the_seeds_numbers():
    caps = seed_rows("caps")
    assert {row["cap_key"] for row in caps} <= {
        row["reason"] for row in seed_rows("decision_reason_catalogue")
    }
    document = yaml.safe_load((MODELS / "decisions" / "_decisions__unit_tests.yml").read_text())
    (tested,) = (
        anchor["rows"] for anchor in document["anchors"] if anchor.get("input") == "ref('caps')"
    )
    assert [
        (row["cap_key"], row["max_messages"], float(row["window_hours"])) for row in tested
    ] == [
        (
            row["cap_key"],
            int(row["max_messages"]) if row["max_messages"] else None,
            float(row["window_hours"]),
        )
        for row in caps
    ]


def test_no_yaml_key_is_unknown():
    unknown: list[tuple[str, str, set[str]]] = []

    def check(path: Path, where: str, mapping: dict, kind: str) -> None:
        if extra := set(mapping) - KEYS[kind]:
            unknown.append((path.name, where, extra))
        if kind != "config" and "config" in mapping:
            check(path, where, mapping["config"], "config")
        for test in mapping.get("data_tests", []):
            if isinstance(test, dict):
                ((name, body),) = test.items()
                check(path, f"{where}.{name}", body, "test")

    for path, document in documents():
        check(path, "file", document, "file")
        for model in [*document.get("models", []), *document.get("seeds", [])]:
            check(path, model["name"], model, "model")
            for column in model["columns"]:
                check(path, f"{model['name']}.{column['name']}", column, "column")
        for source in document.get("sources", []):
            check(path, source["name"], source, "source")
            for table in source["tables"]:
                check(path, table["name"], table, "table")
        for test in document.get("unit_tests", []):
            check(path, test["name"], test, "unit_test")
    assert unknown == []


def test_columns_are_named_after_what_they_hold(manifest):
    for node in nodes_of(manifest, "model"):
        names = list(node["columns"])
        assert len(set(names)) == len(names), node["name"]
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names), node["name"]
        for name in names:
            if name.startswith(("is_", "has_")):
                data_type = node["columns"][name]["data_type"]
                assert data_type in {None, "boolean"}, f"{node['name']}.{name}"
            if name.endswith("_at") and node["config"]["contract"]["enforced"]:
                assert node["columns"][name]["data_type"] == "timestamp", f"{node['name']}.{name}"


def test_singular_tests_are_sentences():
    for path in (PROJECT / "tests").glob("*.sql"):
        assert path.stem.startswith("assert_"), path.name
        assert path.read_text("utf-8").startswith("{#"), f"{path.name} says not what it asserts"
