"""Activation assets: decisions into the ledger, messages to the channels, the audience to the ad platform.

They have no retry policy of any kind: the ledger alone knows what may be tried again.
"""

from typing import Any

import dagster as dg

from activations.channels.registry import CHANNELS
from activations.errors import ActivationError
from activations.runner import SendReport
from orchestration.defs.resources import (
    WAREHOUSE_POOL,
    LifecycleResource,
    reason_not_to_send,
    run_as_of,
)
from orchestration.lib import steps

RECORDED = dg.AssetKey(["activation", "recorded_decisions"])


def _may_send(context: dg.AssetExecutionContext, lifecycle: LifecycleResource) -> str | None:
    return reason_not_to_send(context) or steps.may_send(lifecycle.run, run_as_of(context))


def _nothing_sent(context: dg.AssetExecutionContext, reason: str) -> dg.MaterializeResult:
    context.log.info(f"Nothing is sent: {reason}.")
    return dg.MaterializeResult(metadata={"sent": 0, "not_sent_because": reason})


@dg.asset(
    key=RECORDED,
    deps=[
        dg.AssetKey(["decisions", "int_decisions"]),
        dg.AssetKey(["decisions", "int_planned_messages"]),
    ],
    group_name="activation",
    kinds={"python", "sqlalchemy"},
    owners=["team:data"],
    pool=WAREHOUSE_POOL,
    description="This run's decisions written to the ledger: one row an intent, before anything is sent.",
)
def recorded_decisions(
    context: dg.AssetExecutionContext, lifecycle: LifecycleResource
) -> dg.MaterializeResult:
    """Write the decisions; a run that may not send leaves the ledger alone."""
    if reason := _may_send(context, lifecycle):
        return _nothing_sent(context, reason)
    counts = steps.write_decisions(lifecycle.run, run_as_of(context))
    metadata: dict[str, Any] = {"decisions": sum(counts.values())}
    for (outcome, why), count in sorted(counts.items()):
        metadata[f"{outcome}: {why}"] = count
    return dg.MaterializeResult(metadata=metadata)


def _report(report: SendReport) -> dict[str, Any]:
    counts = report.counts
    metadata: dict[str, Any] = {
        "status": report.status,
        "planned": counts.planned,
        "sent": counts.accepted,
        "rejected": counts.rejected,
        "unknown": counts.unknown,
        "to_be_tried_again": counts.retried,
        "recovered_from_a_dead_run": report.recovered,
    }
    metadata |= {f"not sent: {reason}": count for reason, count in sorted(report.refused.items())}
    metadata |= {f"answer: {code}": count for code, count in sorted(report.errors.items())}
    if report.detail:
        metadata["detail"] = report.detail
    return metadata


def _build_channel_asset(channel: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=["activation", channel],
        deps=[dg.AssetKey(["sync", f"sync_{channel}_messages"]), RECORDED],
        group_name="activation",
        kinds={"python", channel},
        owners=["team:growth"],
        pool=WAREHOUSE_POOL,
        description=f"The planned {channel} messages handed to the provider, each at most once.",
    )
    def send(
        context: dg.AssetExecutionContext, lifecycle: LifecycleResource
    ) -> dg.MaterializeResult:
        if reason := _may_send(context, lifecycle):
            return _nothing_sent(context, reason)
        try:
            report = steps.send_channel(lifecycle.run, channel, run_as_of(context))
        except ActivationError as error:
            raise dg.Failure(description=str(error)) from error
        if report is None:
            return _nothing_sent(context, f"{channel} has no credentials")
        return dg.MaterializeResult(metadata=_report(report))

    return send


channel_assets = [_build_channel_asset(channel) for channel in CHANNELS]


@dg.asset(
    key=["activation", "meta_custom_audience"],
    deps=[dg.AssetKey(["sync", "sync_meta_custom_audience"])],
    group_name="activation",
    kinds={"python", "meta"},
    owners=["team:growth"],
    pool=WAREHOUSE_POOL,
    description="Hot leads kept in step with Meta by difference: unchanged means no request.",
)
def meta_custom_audience(
    context: dg.AssetExecutionContext, lifecycle: LifecycleResource
) -> dg.MaterializeResult:
    """Add, update and remove what differs from what the destination confirmed."""
    if reason := _may_send(context, lifecycle):
        return _nothing_sent(context, reason)
    try:
        report = steps.send_audience(lifecycle.run, run_as_of(context))
    except ActivationError as error:
        raise dg.Failure(description=str(error)) from error
    if report is None:
        return _nothing_sent(context, "Meta has no credentials")
    counts = report.counts
    return dg.MaterializeResult(
        metadata={
            "status": report.status,
            "added": counts.added,
            "updated": counts.updated,
            "removed": counts.removed,
            "rejected": counts.rejected,
        }
    )
