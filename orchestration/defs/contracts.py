"""Contract checks: what came in and what is about to go out, judged by Great Expectations.

A critical promise broken blocks everything downstream of the table in the same run; a warning only shows.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from data_contracts.models import Contract
from data_contracts.validator import CheckResult, ContractResult
from orchestration.defs.ingestion import SOURCES
from orchestration.defs.resources import WAREHOUSE_POOL, LifecycleResource, run_as_of
from orchestration.lib import steps

BLOCKING_CHECK = "contract"
WARNING_CHECK = "contract_warnings"


def asset_key_of(contract: Contract) -> dg.AssetKey:
    """Return the asset of a contract's table."""
    return dg.AssetKey(contract.table.split("."))


def _describe(checks: Sequence[CheckResult]) -> str:
    return "\n\n".join(check.message for check in checks) or "Every promise is kept."


def _result(
    found: ContractResult,
    name: str,
    failed: Sequence[CheckResult],
    severity: dg.AssetCheckSeverity,
    docs: str,
) -> dg.AssetCheckResult:
    metadata: dict[str, dg.MetadataValue] = {
        "data_docs": dg.MetadataValue.url(docs),
        "checks": dg.MetadataValue.int(len(found.checks)),
        "rows": dg.MetadataValue.int(found.rows),
        "rows_in_quarantine": dg.MetadataValue.int(sum(found.quarantined.values())),
    }
    for reason, rows in found.quarantined.items():
        if rows:
            metadata[f"quarantine: {reason}"] = dg.MetadataValue.int(rows)
    return dg.AssetCheckResult(
        asset_key=asset_key_of(found.contract),
        check_name=name,
        passed=not failed,
        severity=severity,
        description=_describe(failed),
        metadata=metadata,
    )


def _build_checks(name: str, contracts: Sequence[Contract]) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(
        name=name,
        pool=WAREHOUSE_POOL,
        specs=[
            spec
            for contract in contracts
            for spec in (
                dg.AssetCheckSpec(
                    name=BLOCKING_CHECK,
                    asset=asset_key_of(contract),
                    blocking=True,
                    description=f"Critical promises of the contract: {contract.description}",
                ),
                dg.AssetCheckSpec(
                    name=WARNING_CHECK,
                    asset=asset_key_of(contract),
                    description="Promises whose breach is worth a look and stops nothing.",
                ),
            )
        ],
    )
    def check(
        context: dg.AssetCheckExecutionContext, lifecycle: LifecycleResource
    ) -> Iterator[dg.AssetCheckResult]:
        for found in steps.judge_tables(lifecycle.run, contracts, run_as_of(context)):
            for broken in (*found.blocking, *found.warnings):
                context.log.warning(broken.message)
            docs = steps.data_docs_url(lifecycle.run, found.contract.table)
            yield _result(found, BLOCKING_CHECK, found.blocking, dg.AssetCheckSeverity.ERROR, docs)
            yield _result(found, WARNING_CHECK, found.warnings, dg.AssetCheckSeverity.WARN, docs)

    return check


raw_checks = [
    _build_checks(f"check_raw_{source}", contracts)
    for source in SOURCES
    if (contracts := steps.contracts_of("raw", source))
]
sync_checks = _build_checks("check_sync", steps.contracts_of("sync"))
