"""WhatsApp Business Cloud API, template messages."""

from __future__ import annotations

from activations.channels.whatsapp.channel import WhatsAppChannel, WhatsAppConfig

__all__ = ["WhatsAppChannel", "WhatsAppConfig"]
