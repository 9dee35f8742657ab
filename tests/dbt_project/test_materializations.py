"""The project's own table materialization, on a project of three models."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import yaml
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner

from orchestration.lib.dbt import PROJECT

pytestmark = [pytest.mark.usefixtures("dbt_in_process"), pytest.mark.filterwarnings("ignore")]

TABLE = "{{ config(materialized='table') }} "

COUNTS = "def model(dbt, session):\n    dbt.config(materialized='table')\n{body}"
READS_ITSELF = """\
    before = session.execute(
        "select count(*) from information_schema.tables where table_name = 'counted'"
    ).fetchone()[0]
    if not before:
        return session.sql("select 1 as n")
    return session.sql(f"select n + 1 as n from {dbt.this}")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, content in {
        "dbt_project.yml": {
            "name": "small",
            "version": "1.0.0",
            "config-version": 2,
            "profile": "small",
            "macro-paths": [str(PROJECT / "macros" / "materializations")],
            "flags": {"send_anonymous_usage_stats": False},
            "seeds": {"+post-hook": "{{ prove_key(this, config.get('unique_key')) }}"},
        },
        "profiles.yml": {
            "small": {
                "target": "dev",
                "outputs": {"dev": {"type": "duckdb", "path": str(tmp_path / "small.duckdb")}},
            }
        },
        "models/promised.yml": {
            "models": [
                {
                    "name": "promised",
                    "config": {"contract": {"enforced": True}},
                    "columns": [{"name": "n", "data_type": "integer"}],
                }
            ]
        },
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(content))
    return tmp_path


def _build(project: Path, *, command: str = "run", **models: str) -> dict[str, str]:
    for name, text in models.items():
        ending = "py" if text.startswith("def ") else "sql"
        (project / "models" / f"{name}.{ending}").write_text(text)
    where = ["--project-dir", str(project), "--profiles-dir", str(project), "--quiet"]
    outcome = dbtRunner().invoke([command, *where, "--log-path", str(project / "logs")])
    DuckDBConnectionManager.close_all_connections()
    assert isinstance(outcome.result, RunExecutionResult), outcome.exception
    return {str(node.node.name): str(node.status) for node in outcome.result.results}


def _table(project: Path, name: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(project / "small.duckdb"), read_only=True) as connection:
        return connection.execute(f"select * from {name} order by all").fetchall()


def _names(project: Path) -> set[str]:
    with duckdb.connect(str(project / "small.duckdb"), read_only=True) as connection:
        rows = connection.execute("select table_name from information_schema.tables").fetchall()
    return {str(name) for (name,) in rows}


def test_a_model_that_fails_leaves_the_table_of_before(project: Path) -> None:
    assert _build(project, plain=TABLE + "select 1 as n") == {"plain": "success"}
    assert _build(project, plain=TABLE + "select cast('x' as integer) as n") == {"plain": "error"}
    assert _table(project, "plain") == [(1,)]
    assert _build(project, plain=TABLE + "select 2 as m, 3 as n") == {"plain": "success"}
    assert _table(project, "plain") == [(2, 3)]
    assert _names(project) == {"plain"}


def test_a_broken_contract_leaves_the_table_of_before(project: Path) -> None:
    assert _build(project, promised=TABLE + "select 1 as n") == {"promised": "success"}
    assert _build(project, promised=TABLE + "select 'x' as n") == {"promised": "error"}
    assert _table(project, "promised") == [(1,)]


@pytest.mark.parametrize("second", ["select 1 as n", "select null as n"])
@pytest.mark.parametrize("language", ["sql", "python"])
def test_a_broken_key_leaves_the_table_of_before(project: Path, second: str, language: str) -> None:
    def keyed(query: str) -> str:
        if language == "sql":
            return f"{{{{ config(materialized='table', unique_key=['n', 'm']) }}}} {query}"
        body = f'    return session.sql("{query}")\n'
        return COUNTS.format(body=body).replace("'table'", "'table', unique_key=['n', 'm']")

    one = "select 1 as n, 1 as m"
    assert _build(project, keyed=keyed(one)) == {"keyed": "success"}
    broken = keyed(f"{one} union all {second}, 1 as m")
    assert _build(project, keyed=broken) == {"keyed": "error"}
    assert _table(project, "keyed") == [(1, 1)]
    two = keyed(f"{one} union all select 1 as n, 2 as m")
    assert _build(project, keyed=two) == {"keyed": "success"}
    assert _table(project, "keyed") == [(1, 1), (1, 2)]


def test_a_seed_with_a_broken_key_leaves_the_rows_of_before(project: Path) -> None:
    (project / "seeds").mkdir()
    (project / "seeds" / "promised.yml").write_text(
        yaml.safe_dump({"seeds": [{"name": "rates", "config": {"unique_key": "n"}}]})
    )
    for rows, status in (("1\n2\n", "success"), ("1\n1\n", "error")):
        (project / "seeds" / "rates.csv").write_text(f"n\n{rows}")
        assert _build(project, command="seed") == {"rates": status}
        assert _table(project, "rates") == [(1,), (2,)]


def test_a_view_becomes_a_table_and_a_view_again(project: Path) -> None:
    view, table = "{{ config(materialized='view') }} select 1 as n", TABLE + "select 2 as n"
    for text, rows in ((view, [(1,)]), (table, [(2,)]), (view, [(1,)])):
        assert _build(project, plain=text) == {"plain": "success"}
        assert _table(project, "plain") == rows


def test_a_python_model_may_read_what_it_held(project: Path) -> None:
    for n in (1, 2, 3):
        assert _build(project, counted=COUNTS.format(body=READS_ITSELF)) == {"counted": "success"}
        assert _table(project, "counted") == [(n,)]
    assert _names(project) == {"counted"}


@pytest.mark.parametrize("language", ["sql", "python"])
def test_an_incremental_model_replaces_a_part_or_nothing(project: Path, language: str) -> None:
    def paired(query: str) -> str:
        config = (
            "materialized='incremental', unique_key=['n', 'm', 'o'], replaced_by=['n', 'm'], "
            "replaced_from='part', tracks=['n']"
        )
        if language == "sql":
            return f"-- {{{{ ref('part') }}}}\n{{{{ config({config}) }}}} {query}"
        body = f'    dbt.ref("part")\n    return session.sql("{query}")\n'
        return COUNTS.format(body=body).replace("materialized='table'", config)

    part = TABLE + "select 1 as n, 1 as m"
    first = "select 1 as n, unnest([1, 1, 2]) as m, unnest([1, 2, 3]) as o"
    assert _build(project, part=part, paired=paired(first))["paired"] == "success"
    assert _table(project, "paired") == [(1, 1, 1), (1, 1, 2), (1, 2, 3)]
    repeated = "select 1 as n, 1 as m, 9 as o union all select 1, 1, 9"
    assert _build(project, paired=paired(repeated))["paired"] == "error"
    assert _table(project, "paired") == [(1, 1, 1), (1, 1, 2), (1, 2, 3)]
    ends = "" if language == "python" else " -- a comment"
    third = f"select 1 as n, 1 as m, 9 as o{ends}"
    assert _build(project, paired=paired(third))["paired"] == "success"
    assert _table(project, "paired") == [(1, 1, 9), (1, 2, 3)]
    assert _table(project, "paired__touched") == [(1,)]
    assert _names(project) == {"part", "paired", "paired__touched"}


def test_rows_that_differ_in_columns_apart_alone_are_noted_as_such(project: Path) -> None:
    config = "{{ config(materialized='table', tracks=['n'], tracks_apart=['flag', 'said_at']) }}"
    asks = TABLE + "{{ touched_rows('flagged', 'n', apart=false) }} union all select -1"

    def flagged(*rows: str) -> dict[str, str]:
        values = f"{config} select * from (values {', '.join(rows)}) as t(n, flag, m, said_at)"
        return _build(project, flagged=values, asks=asks)

    before = ["(1, 'a', 'x', 1)", "(2, 'a', 'x', 1)", "(3, 'a', 'x', 1)", "(4, 'a', 'x', 1)"]
    assert set(flagged(*before).values()) == {"success"}
    assert _table(project, "asks") == [(-1,)]
    # one said otherwise, one is another, one is gone, one is new
    flagged("(1, 'b', 'x', 2)", "(2, 'a', 'y', 1)", "(4, 'a', 'x', 1)", "(5, 'a', 'x', 1)")
    assert _table(project, "flagged__touched") == [(1, True), (2, False), (3, False), (5, False)]
    assert _table(project, "asks") == [(-1,), (2,), (3,), (5,)]
    # what was noted once stays, whatever differs later
    flagged("(1, 'b', 'x', 2)", "(2, 'c', 'y', 1)", "(4, 'a', 'x', 1)", "(5, 'a', 'x', 1)")
    assert _table(project, "asks") == [(-1,), (2,), (3,), (5,)]


def test_what_a_run_brought_is_there_for_models_of_the_same_part(project: Path) -> None:
    def incremental(query: str, *, by: str = "part", keeps: bool = False) -> str:
        config = (
            f"materialized='incremental', replaced_by='n', replaced_from='{by}', keeps_part={keeps}"
        )
        return f"-- {{{{ ref('{by}') }}}}\n{{{{ config({config}) }}}} {query}"

    reads = "select n, m from {{ part_of('kept', '%s') }}"
    models = {
        "part": TABLE + "select 1 as n",
        "other": TABLE + "select 1 as n",
        "reader": incremental(reads % "part"),
    }
    first = incremental("select unnest([1, 2]) as n, 7 as m", keeps=True)
    assert set(_build(project, kept=first, **models).values()) == {"success"}
    assert _table(project, "reader") == [(1, 7), (2, 7)]
    again = incremental("select 1 as n, 8 as m", keeps=True)
    assert set(_build(project, kept=again).values()) == {"success"}
    assert _table(project, "kept__part") == [(1, 8)]
    assert _table(project, "reader") == [(1, 8), (2, 7)]
    # another part, or none kept, would leave rows out
    elsewhere = incremental(reads % "other", by="other")
    assert _build(project, reader=elsewhere)["reader"] == "error"
    assert _build(project, kept=again.replace("True", "False"))["reader"] == "error"
    assert _table(project, "reader") == [(1, 8), (2, 7)]


@pytest.mark.parametrize("listed", [0, 1, 500, 50_000])
def test_a_sieve_lets_all_listed_values_through_and_few_others(project: Path, listed: int) -> None:
    config = "{{ config(materialized='table', unique_key='n', sieves=['n', 'm']) }}"
    values = f"{config} select i::varchar as n, i * 3 as m from range({listed}) as listed(i)"
    assert _build(project, listed=values) == {"listed": "success"}
    with duckdb.connect(str(project / "small.duckdb"), read_only=True) as connection:
        for column in ("n", "m"):
            sieve = f"listed__may_hold_{column}"
            lost = connection.execute(
                f"select * from listed where not {sieve}({column})"
            ).fetchall()
            let_through = connection.execute(
                f"select * from range(20000) as others(i) where {sieve}('other' || i)"
            ).fetchall()
            assert lost == []
            assert len(let_through) <= 20_000 * 1.2 * listed / 131_072 + 20
            plan = connection.execute(
                f"explain select * from listed where n is not null and {sieve}({column})"
            ).fetchall()[0][1]
            # at the scan, before the other columns are read
            assert listed == 0 or "FILTER" not in plan


def test_rows_lie_in_the_order_asked_for(project: Path) -> None:
    config = "materialized='incremental', unique_key='n', cluster_by=['n % 2', 'hash(n)']"
    wide = f"{{{{ config({config}) }}}} select i as n from range(1000) as numbers(i)"
    assert _build(project, wide=wide) == {"wide": "success"}
    with duckdb.connect(str(project / "small.duckdb"), read_only=True) as connection:
        lie = connection.execute("select n from wide").fetchall()
        asked = connection.execute("select n from wide order by n % 2, hash(n)").fetchall()
    assert lie == asked
