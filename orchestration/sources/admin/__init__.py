"""The company's admin panel: a relational database behind any SQLAlchemy URL."""

from orchestration.sources.admin.client import SOURCE, TABLES, AdminConfig, pull

__all__ = ["SOURCE", "TABLES", "AdminConfig", "pull"]
