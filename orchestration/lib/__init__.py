"""What the Dagster definitions and the command line share. No Dagster here but in `ticks`."""
