"""Data contracts: what every table must look like at the two edges of the warehouse.

Belongs here: one YAML file a table (`raw/` for what came in, `sync/` for what goes out), the
loader that reads them strictly, the validator that measures a table with DuckDB and judges the
measures with Great Expectations, the quarantine of bad rows, the history of measures, and the
Data Docs pages. Does not belong here: Dagster (asset checks are built from our results by
`orchestration`), fetching or repairing data, and rules of the business, which are dbt tests.

Importing this package costs nothing: Great Expectations takes 5 to 15 seconds of CPU and is
imported where the first contract is judged (`data_contracts.validator.warm_up` starts it early).
"""
