"""The few pages people see. No script, no foreign content, readable by everyone.

Addresses are masked: a forwarded message must not show its first reader's address.
"""

from __future__ import annotations

from html import escape

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#566072;--paper:#fff;--ground:#f2f4f8;
--accent:#1f4fd8;--on-accent:#fff;--line:#dfe3ec}
@media(prefers-color-scheme:dark){:root{--ink:#eef1f7;--soft:#a9b3c6;--paper:#1b2130;
--ground:#11151f;--accent:#8fb0ff;--on-accent:#0d1424;--line:#2d3548}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;
background:var(--ground);color:var(--ink);
font:1.0625rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{width:100%;max-width:30rem;background:var(--paper);border:1px solid var(--line);
border-radius:1rem;padding:2.25rem 2rem;box-shadow:0 .5rem 2rem rgb(16 24 40/.07)}
.brand{margin:0 0 1.5rem;color:var(--soft);font-size:.9375rem;letter-spacing:.01em}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25;text-wrap:balance}
p{margin:0 0 1rem;overflow-wrap:anywhere}
.note{color:var(--soft);font-size:.9375rem;margin-bottom:0}
form{margin:1.5rem 0}
button{font:inherit;font-weight:600;width:100%;min-height:3rem;padding:.6rem 1.25rem;border:0;
border-radius:.75rem;background:var(--accent);color:var(--on-accent);cursor:pointer}
button:hover{filter:brightness(1.08)}
button:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
"""

_CHANNEL_WORDS = {
    "email": "promotional e-mails",
    "whatsapp": "promotional WhatsApp messages",
    "sms": "promotional text messages",
    "push": "promotional notifications",
}


def mask_address(address: str) -> str:
    """First letter and domain of an e-mail, last two digits of a phone."""
    local, at, domain = address.partition("@")
    if at:
        return f"{local[:1]}•••@{domain}"
    return f"••• {address[-2:]}"


def ask_page(*, brand: str, channel: str, address: str) -> str:
    """Asks for the press of a button; opening it changes nothing."""
    words = _CHANNEL_WORDS.get(channel, "promotional messages")
    return _page(
        brand,
        f"Stop {words}?",
        f"<p>We will no longer send {words} to "
        f"<strong>{escape(mask_address(address))}</strong>.</p>"
        '<form method="post">'
        '<input type="hidden" name="List-Unsubscribe" value="One-Click">'
        '<button type="submit">Unsubscribe</button></form>'
        '<p class="note">Messages about your own orders and pickups still reach you.</p>',
    )


def done_page(*, brand: str, channel: str, address: str) -> str:
    """Says that it is done."""
    words = _CHANNEL_WORDS.get(channel, "promotional messages")
    return _page(
        brand,
        "You are unsubscribed",
        f'<p role="status">No more {words} to '
        f"<strong>{escape(mask_address(address))}</strong>.</p>"
        '<p class="note">Messages about your own orders and pickups still reach you. '
        "You can close this page.</p>",
    )


def missing_page(*, brand: str) -> str:
    """For any link that does not lead anywhere; it never says why."""
    return _page(
        brand,
        "This link does not work",
        "<p>It may have been cut when it was copied. Please open it from the message itself.</p>"
        '<p class="note">To stop messages you can also reply STOP, or write to us.</p>',
    )


def later_page(*, brand: str) -> str:
    """For a moment in which nothing can be written down."""
    return _page(
        brand,
        "Please try again in a minute",
        "<p>We could not save this just now. Nothing was changed.</p>",
    )


def _page(brand: str, title: str, content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="robots" content="noindex,nofollow">'
        f"<title>{escape(title)} · {escape(brand)}</title><style>{_STYLE}</style></head>"
        f'<body><main><p class="brand">{escape(brand)}</p><h1>{escape(title)}</h1>'
        f"{content}</main></body></html>"
    )
