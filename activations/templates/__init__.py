"""Templates: what is said, apart from who hears it.

One file a template and language: ``<channel>/<template_id>.<language>.yaml``. `loader` reads and
checks them, `content` fills them for one message.
"""

from __future__ import annotations

from activations.templates.content import Content, LinkSettings
from activations.templates.loader import Templates, load_templates

__all__ = ["Content", "LinkSettings", "Templates", "load_templates"]
