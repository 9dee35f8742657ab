"""Raw assets: what the source systems hold, one asset a table, one op a source."""

from collections.abc import Iterator

import dagster as dg

from orchestration.defs.resources import WAREHOUSE_POOL, LifecycleResource, run_as_of
from orchestration.lib import ledger_pull, steps
from orchestration.sources import admin, crm, ga4
from orchestration.sources.errors import SourceError
from orchestration.sources.landing import PullResult

# source -> (tables, kind shown on the asset, description)
SOURCES: dict[str, tuple[tuple[str, ...], str, str]] = {
    ga4.SOURCE: (ga4.TABLES, "googleanalytics", "GA4's BigQuery export, as exported."),
    admin.SOURCE: (admin.TABLES, "sql", "The admin panel's table, as it stands there."),
    crm.SOURCE: (crm.TABLES, "hubspot", "The CRM's table and the older tool's history."),
    ledger_pull.SOURCE: (
        ledger_pull.TABLES,
        "sqlalchemy",
        "Our own ledger: what was decided, sent and answered before this run.",
    ),
}


def _metadata(result: PullResult) -> dict[str, dg.MetadataValue]:
    values: dict[str, dg.MetadataValue] = {
        "rows_read": dg.MetadataValue.int(result.rows_read),
        "rows_written": dg.MetadataValue.int(result.rows_written),
        "rows_removed": dg.MetadataValue.int(result.rows_removed),
    }
    if result.rows_erased:
        values["rows_of_erased_people_left_out"] = dg.MetadataValue.int(result.rows_erased)
    if result.cursor:
        values["read_up_to"] = dg.MetadataValue.text(result.cursor)
    if result.note:
        values["note"] = dg.MetadataValue.text(result.note)
    return values


def _build_source(source: str) -> dg.AssetsDefinition:
    tables, kind, description = SOURCES[source]

    @dg.multi_asset(
        name=f"pull_{source}",
        pool=WAREHOUSE_POOL,
        specs=[
            dg.AssetSpec(
                key=["raw", table],
                group_name="raw",
                kinds={kind, "duckdb"},
                owners=["team:data"],
                description=f"{description} Nothing is cleaned here: `staging` does that.",
            )
            for table in tables
        ],
    )
    def pull(
        context: dg.AssetExecutionContext, lifecycle: LifecycleResource
    ) -> Iterator[dg.MaterializeResult]:
        failure: SourceError | None = None
        try:
            results = steps.pull_source(lifecycle.run, source, run_as_of(context))
        except SourceError as error:
            # What could be read is committed and shown; what could not stays as it was.
            failure, results = error, list(error.results)
        for result in results:
            if result.note:
                context.log.info(f"{result.table}: {result.note}")
            yield dg.MaterializeResult(asset_key=["raw", result.table], metadata=_metadata(result))
        if failure is not None:
            raise dg.Failure(description=str(failure)) from failure

    return pull


pulls = [_build_source(source) for source in SOURCES]
