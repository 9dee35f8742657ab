"""Signed links: redirects that count clicks, and unsubscribe links that need no login.

Belongs here: making and reading the tokens. Does not belong here: serving them
(`activations.gateway`).

A token is ``payload.signature``, both URL-safe base64 without padding. The payload is one kind
letter and its parts; the signature is the first 16 bytes of HMAC-SHA256, which is out of reach to
guess and keeps links short enough for a message. No token holds an address: it names the intent,
and the ledger knows whose that is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from activations.errors import ConfigurationError, TokenError

_SIGNATURE_BYTES = 16
# Between parts. A control character cannot occur in a key or a URL.
_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkToken:
    """What a token says.

    Attributes:
        kind: ``redirect`` or ``unsubscribe``.
        intent_key: The message the link was in.
        target_url: Where a redirect leads; None for an unsubscribe.
    """

    kind: Literal["redirect", "unsubscribe"]
    intent_key: str
    target_url: str | None = None


def make_link(secret: str, base_url: str, intent_key: str, target_url: str) -> str:
    """Return the link that counts a click and leads to a target.

    Args:
        secret: The signing secret, shared with the gateway.
        base_url: The gateway's public address, without a trailing slash.
        intent_key: The message the link goes into.
        target_url: Where it leads, http or https.

    Raises:
        ConfigurationError: When the secret is empty.
        TokenError: When the target is not an http(s) address: an open redirect to anything else
            must not carry our signature.
    """
    if not _is_web_address(target_url):
        raise TokenError("a link's target must be an http or https address")
    return f"{base_url.rstrip('/')}/r/{_sign(secret, 'r', intent_key, target_url)}"


def make_unsubscribe(secret: str, base_url: str, intent_key: str) -> str:
    """Return the one-click unsubscribe link of a message.

    Args:
        secret: The signing secret, shared with the gateway.
        base_url: The gateway's public address.
        intent_key: The message the link goes into.

    Raises:
        ConfigurationError: When the secret is empty.
    """
    return f"{base_url.rstrip('/')}/u/{_sign(secret, 'u', intent_key)}"


def parse_token(secret: str, token: str) -> LinkToken:
    """Read a token that this secret signed.

    Args:
        secret: The signing secret.
        token: The last part of the link's path.

    Raises:
        ConfigurationError: When the secret is empty.
        TokenError: When the token was cut, changed, or signed with another secret.
    """
    encoded, separator, signature = token.partition(".")
    if not separator or not encoded or not signature:
        raise TokenError("the link was cut short")
    # Compared before the payload is looked at, in constant time.
    if not hmac.compare_digest(_signature(secret, encoded).encode(), signature.encode()):
        raise TokenError("the link was changed or made with another secret")
    try:
        parts = _decode(encoded).split(_SEPARATOR)
    except (binascii.Error, UnicodeDecodeError) as error:
        raise TokenError("the link does not hold what links hold") from error
    match parts:
        case ["r", intent_key, target_url] if _is_web_address(target_url):
            return LinkToken(kind="redirect", intent_key=intent_key, target_url=target_url)
        case ["u", intent_key]:
            return LinkToken(kind="unsubscribe", intent_key=intent_key)
        case _:
            raise TokenError("the link does not hold what links hold")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and _SEPARATOR not in url


def _sign(secret: str, *parts: str) -> str:
    encoded = _encode(_SEPARATOR.join(parts).encode())
    return f"{encoded}.{_signature(secret, encoded)}"


def _signature(secret: str, encoded: str) -> str:
    if not secret:
        raise ConfigurationError("links need a signing secret: it is empty")
    digest = hmac.new(secret.encode(), encoded.encode(), hashlib.sha256).digest()
    return _encode(digest[:_SIGNATURE_BYTES])


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(encoded: str) -> str:
    padded = encoded + "=" * (-len(encoded) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
