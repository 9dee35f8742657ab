"""Dagster shells, one module a step of the flow. The work itself is in `orchestration.lib.steps`."""
