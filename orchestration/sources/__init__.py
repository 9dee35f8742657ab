"""Clients of the source systems: they read a source and keep its copy in the schema `raw`.

What belongs here: one folder a source (`ga4`, `admin`, `crm`), the helpers they share to land rows
(`landing`), their exceptions (`errors`) and the latest moment seen in the data (`latest`). What
does not: Dagster (assets wrap these functions elsewhere), cleaning and renaming (staging models),
and judging rows (contracts).

Every source module offers the same four things: `TABLES` (the raw tables it owns), a frozen config,
`pull(connection, config, *, as_of, tables=None)` and errors of `errors.SourceError`.
"""
