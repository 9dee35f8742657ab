"""What the Dagster definitions and the command line share: settings, the warehouse, dbt, publishing. No Dagster here."""
