"""What people open: the published copy of the tables, and the data docs."""

import dagster as dg

from orchestration.defs.resources import WAREHOUSE_POOL, LifecycleResource, run_as_of
from orchestration.defs.transform import MANIFEST, TRANSLATOR
from orchestration.lib import steps
from orchestration.lib.warehouse import PUBLISHED_SCHEMAS


@dg.asset(
    key=["published", "tables"],
    deps=[
        TRANSLATOR.get_asset_key(node)
        for node in MANIFEST["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in PUBLISHED_SCHEMAS
    ],
    group_name="reports",
    kinds={"duckdb"},
    owners=["team:data"],
    pool=WAREHOUSE_POOL,
    description="`published.duckdb`: marts and segments, replaced atomically. Query this one.",
)
def published(
    context: dg.AssetExecutionContext, lifecycle: LifecycleResource
) -> dg.MaterializeResult:
    """Replace the published copy."""
    size = steps.publish_tables(lifecycle.run)
    return dg.MaterializeResult(
        metadata={
            "as_of": run_as_of(context).isoformat(),
            "bytes": size,
            "path": dg.MetadataValue.path(str(lifecycle.run.settings.published_path)),
        }
    )
