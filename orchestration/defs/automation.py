"""When things run, and who hears when they fail."""

import dagster as dg
from dagster import DagsterRunStatus

from orchestration.defs.resources import AS_OF_TAG
from orchestration.lib.notify import post_failure
from orchestration.lib.settings import read_settings

hourly_job = dg.define_asset_job(
    name="hourly",
    selection=dg.AssetSelection.all(),
    description="One whole run: pull, judge, decide, send, settle, publish.",
)

IN_PROGRESS = [DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]


@dg.schedule(
    job=hourly_job,
    # Twenty past: people released from quiet hours are spread over the first twenty minutes of the hour.
    cron_schedule="20 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The hourly run. An hour whose predecessor still runs is skipped, not queued.",
)
def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for the run of this hour unless one is still going on."""
    running = context.instance.get_runs(
        filters=dg.RunsFilter(job_name=hourly_job.name, statuses=IN_PROGRESS), limit=1
    )
    if running:
        return dg.SkipReason(f"run {running[0].run_id[:8]} is still going on")
    tick = context.scheduled_execution_time
    return dg.RunRequest(run_key=tick.isoformat(), tags={AS_OF_TAG: tick.isoformat()})


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the Slack webhook which run failed, where and why.",
)
def run_failure(context: dg.RunFailureSensorContext) -> None:
    """Post the failure; without a webhook nobody is told."""
    settings = read_settings()
    if not settings.slack_webhook_url:
        return
    failed = [event.step_key for event in context.get_step_failure_events() if event.step_key]
    post_failure(
        settings.slack_webhook_url,
        run_id=context.dagster_run.run_id,
        job=context.dagster_run.job_name,
        steps=failed,
        reason=context.failure_event.message or "",
        ui=f"http://127.0.0.1:{settings.ui_port}",
    )
