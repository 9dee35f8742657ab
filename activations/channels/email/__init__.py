"""E-mail through SendGrid's v3 API."""

from __future__ import annotations

from activations.channels.email.channel import EmailChannel, EmailConfig

__all__ = ["EmailChannel", "EmailConfig"]
