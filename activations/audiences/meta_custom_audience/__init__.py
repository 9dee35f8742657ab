"""Meta custom audiences, by hashed e-mail and phone."""

from __future__ import annotations

from activations.audiences.meta_custom_audience.destination import (
    MetaAudienceConfig,
    MetaCustomAudience,
)

__all__ = ["MetaAudienceConfig", "MetaCustomAudience"]
