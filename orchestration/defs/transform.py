"""dbt models as assets, in three parts: up to the decisions, what goes out, and what was sent.

They are apart because a gate stands between them: a blocking check cannot stop a later model of the same op.
dbt runs inside this process (`orchestration.lib.dbt`), so nothing is looked for on PATH.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from orchestration.defs.resources import (
    ACCEPT_MERGES_TAG,
    FULL_TAG,
    WAREHOUSE_POOL,
    LifecycleResource,
    run_as_of,
)
from orchestration.lib import steps
from orchestration.lib.dbt import (
    AFTER_SEND_TAG,
    OUTBOUND_TAG,
    NodeResult,
    explain_failures,
    parsed_manifest,
)

MANIFEST: Mapping[str, Any] = json.loads(parsed_manifest().read_text(encoding="utf-8"))
OUTBOUND = f"tag:{OUTBOUND_TAG}"
AFTER_SEND = f"tag:{AFTER_SEND_TAG}"
LEDGER_AFTER_SEND = dg.AssetKey(["feedback", "ledger"])
# Layers whose row counts a person wants to see on the asset.
COUNTED_SCHEMAS = ("marts", "segments", "journeys", "decisions", "sync")


class Translator(DagsterDbtTranslator):
    """Keys by layer, groups by layer, owners from the model's meta."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Return layer/name for models and seeds; sources carry their key in meta."""
        if dbt_resource_props["resource_type"] in ("model", "seed"):
            return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])
        return super().get_asset_key(dbt_resource_props)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Group by layer."""
        return str(dbt_resource_props["schema"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Return the team of `config.meta.owner`, the data team otherwise."""
        meta = dbt_resource_props.get("config", {}).get("meta") or {}
        return [f"team:{meta.get('owner', 'data').replace('team:', '')}"]

    def get_asset_spec(self, manifest: Any, unique_id: str, project: Any) -> dg.AssetSpec:
        """Put what tells of this run's sends behind them."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = manifest["nodes"].get(unique_id, {})
        if AFTER_SEND_TAG in (node.get("tags") or []):
            spec = spec.merge_attributes(deps=[LEDGER_AFTER_SEND])
        if node.get("schema") == "marts":
            spec = spec.replace_attributes(
                freshness_policy=dg.FreshnessPolicy.time_window(
                    fail_window=timedelta(hours=4), warn_window=timedelta(hours=2)
                )
            )
        return spec


TRANSLATOR = Translator(settings=DagsterDbtTranslatorSettings(enable_code_references=False))


def _row_counts(run: steps.Run, results: list[NodeResult]) -> dict[str, int]:
    """Count the rows of the freshly built tables in one pass."""
    built = [
        MANIFEST["nodes"][result.unique_id]
        for result in results
        if result.unique_id.startswith("model.") and result.is_good
    ]
    tables = [
        f"{node['schema']}.{node['name']}" for node in built if node["schema"] in COUNTED_SCHEMAS
    ]
    if not tables:
        return {}
    with run.connect() as connection:
        query = " union all ".join(
            f"select '{table}' as name, count(*) as row_count from {table}" for table in tables
        )
        return {str(name): int(count) for name, count in connection.execute(query).fetchall()}


def _events(
    context: dg.AssetExecutionContext, run: steps.Run, results: list[NodeResult]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    counts = _row_counts(run, results)
    expected_checks = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
    for result in results:
        node = MANIFEST["nodes"].get(result.unique_id)
        if node is None:
            continue
        if node["resource_type"] == "test":
            key = get_asset_check_key_for_test(MANIFEST, TRANSLATOR, result.unique_id, None)
            if key is None or (key.asset_key, key.name) not in expected_checks:
                continue
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=result.status == "pass",
                description=f"{result.failures} rows against {node['name']}"
                if result.failures
                else None,
                severity=dg.AssetCheckSeverity.WARN
                if node["config"].get("severity", "error").lower() == "warn"
                else dg.AssetCheckSeverity.ERROR,
                metadata={"failing_rows": result.failures},
            )
        elif result.is_good and node["resource_type"] in ("model", "seed"):
            metadata: dict[str, Any] = {"seconds": round(result.seconds, 3)}
            name = f"{node['schema']}.{node['name']}"
            if name in counts:
                metadata["dagster/row_count"] = counts[name]
            yield dg.MaterializeResult(asset_key=TRANSLATOR.get_asset_key(node), metadata=metadata)
    if failures := explain_failures(results):
        raise dg.Failure(
            description=f"Models or their tests failed; the tables before stay.\n{failures}"
        )


def _build(
    context: dg.AssetExecutionContext,
    lifecycle: LifecycleResource,
    select: list[str],
    exclude: list[str],
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    if context.is_subset:
        select = [
            node["name"]
            for node in MANIFEST["nodes"].values()
            if node["resource_type"] in ("model", "seed")
            and TRANSLATOR.get_asset_key(node) in context.selected_asset_keys
        ]
        exclude = []
    results = steps.build_models(
        lifecycle.run,
        run_as_of(context),
        accept_merges=ACCEPT_MERGES_TAG in context.run.tags,
        is_full=FULL_TAG in context.run.tags,
        select=select,
        exclude=exclude,
    )
    yield from _events(context, lifecycle.run, results)


@dbt_assets(
    manifest=MANIFEST,
    name="build_models",
    exclude=f"{OUTBOUND} {AFTER_SEND}",
    dagster_dbt_translator=TRANSLATOR,
    pool=WAREHOUSE_POOL,
)
def models(context: dg.AssetExecutionContext, lifecycle: LifecycleResource) -> Iterator[Any]:
    """Everything up to the decisions: staging, identity, stages, segments, journeys."""
    yield from _build(context, lifecycle, [], [OUTBOUND, AFTER_SEND])


@dbt_assets(
    manifest=MANIFEST,
    name="build_sync",
    select=OUTBOUND,
    dagster_dbt_translator=TRANSLATOR,
    pool=WAREHOUSE_POOL,
)
def sync_models(context: dg.AssetExecutionContext, lifecycle: LifecycleResource) -> Iterator[Any]:
    """The tables that go out, one a destination."""
    yield from _build(context, lifecycle, [OUTBOUND], [])


@dbt_assets(
    manifest=MANIFEST,
    name="build_after_send",
    select=AFTER_SEND,
    dagster_dbt_translator=TRANSLATOR,
    pool=WAREHOUSE_POOL,
)
def after_send_models(
    context: dg.AssetExecutionContext, lifecycle: LifecycleResource
) -> Iterator[Any]:
    """What this run decided and sent, for people to look at."""
    yield from _build(context, lifecycle, [AFTER_SEND], [])
