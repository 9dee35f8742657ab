"""Dagster, the steps of a run, the source clients, the demo world and the command line."""
