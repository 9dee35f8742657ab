"""The Dagster code location: every module of `defs/`, one resource, one executor."""

import dagster as dg

from orchestration.defs import (
    activation,
    automation,
    contracts,
    feedback,
    ingestion,
    reports,
    transform,
)
from orchestration.defs.resources import LifecycleResource

MODULES = [ingestion, contracts, transform, activation, feedback, reports, automation]

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(MODULES),
    asset_checks=dg.load_asset_checks_from_modules(MODULES),
    jobs=[automation.hourly_job],
    schedules=[automation.hourly],
    sensors=[automation.run_failure],
    resources={"lifecycle": LifecycleResource()},
    # One process a run: the warehouse file has one writer, and a process a step costs 30 s an hour.
    executor=dg.in_process_executor,
)
