"""Feedback: the ledger read again after the sends, so the run's own tables tell what it did."""

import dagster as dg

from activations.channels.registry import CHANNELS
from orchestration.defs.resources import WAREHOUSE_POOL, LifecycleResource, run_as_of
from orchestration.defs.transform import LEDGER_AFTER_SEND
from orchestration.lib import steps


@dg.asset(
    key=LEDGER_AFTER_SEND,
    deps=[
        *(dg.AssetKey(["activation", channel]) for channel in CHANNELS),
        dg.AssetKey(["activation", "meta_custom_audience"]),
    ],
    group_name="feedback",
    kinds={"sqlalchemy", "duckdb"},
    owners=["team:data"],
    pool=WAREHOUSE_POOL,
    description="The ledger as it is after this run's sends; receipts that arrived meanwhile included.",
)
def ledger(context: dg.AssetExecutionContext, lifecycle: LifecycleResource) -> dg.MaterializeResult:
    """Read the ledger again."""
    results = steps.pull_source(lifecycle.run, "ledger", run_as_of(context))
    return dg.MaterializeResult(metadata={result.table: result.rows_read for result in results})
