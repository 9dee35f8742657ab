"""Google Analytics 4, by its BigQuery export: files in a folder, or BigQuery itself."""

from orchestration.sources.ga4.client import SOURCE, TABLES, Ga4Config, pull

__all__ = ["SOURCE", "TABLES", "Ga4Config", "pull"]
