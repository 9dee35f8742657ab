"""The CRM and the older tool's history: HubSpot's API, or an export folder."""

from orchestration.sources.crm.client import SOURCE, TABLES, CrmConfig, parse_crm_uri, pull
from orchestration.sources.crm.folder import FolderConfig
from orchestration.sources.crm.hubspot import HubSpotConfig

__all__ = [
    "SOURCE",
    "TABLES",
    "CrmConfig",
    "FolderConfig",
    "HubSpotConfig",
    "parse_crm_uri",
    "pull",
]
