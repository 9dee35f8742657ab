"""Which replies are an opt-out or an opt-in.

A reply counts when all of it, without punctuation, emoji and words of politeness, is one of the
phrases: `STOP!!`, `please stop`, `बंद करो 🙏`. A longer message that only contains such a word
("stop by at five") is not one: it goes to a person, not to a rule. `cancel` and `no` are left out
on purpose, because here they mostly speak of a pickup.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from functools import lru_cache

STOP_PHRASES = frozenset(
    {
        "stop", "stop all", "stopall", "stop it", "stop this", "stop now", "stop promotions",
        "stop messages", "stop messaging", "stop messaging me", "stop sending", "stop message",
        "stop sending messages", "stop sending me messages", "stop these messages",
        "stop marketing",
        "unsubscribe", "unsubscribe me", "opt out", "optout", "quit", "remove me",
        "no more messages", "do not message me", "dont message me", "don t message me",
        # Hindi, also in Latin letters
        "बंद", "बंद करो", "बंद करें", "बंद करे", "बंद कर दो", "बन्द", "बन्द करो", "बन्द करें",
        "रोको", "रोकें", "रोक दो", "स्टॉप", "मत भेजो", "मत भेजें", "मैसेज बंद करो",
        "मैसेज मत भेजो", "मुझे मैसेज मत भेजो", "अनसब्सक्राइब",
        "band karo", "band kro", "band karen", "band karein", "band kar do", "mat bhejo",
        "message mat bhejo", "msg mat bhejo", "rok do",
        # Marathi, Gujarati, Punjabi, Bengali, Urdu
        "थांबवा", "थांबा", "बंद करा", "પાઠવશો નહીં", "બંધ", "બંધ કરો", "ਬੰਦ", "ਬੰਦ ਕਰੋ",
        "বন্ধ", "বন্ধ করুন", "বন্ধ করো", "থামুন", "بند کرو", "بند کریں",
        # Tamil, Telugu, Kannada, Malayalam
        "நிறுத்து", "நிறுத்தவும்", "நிறுத்துங்கள்", "ఆపు", "ఆపండి", "ఆపేయండి",
        "ನಿಲ್ಲಿಸಿ", "ನಿಲ್ಲಿಸು", "നിർത്തുക", "നിർത്തൂ",
    }
)  # fmt: skip

START_PHRASES = frozenset(
    {
        "start", "unstop", "subscribe", "subscribe me", "resume", "opt in", "optin",
        "start messages", "start promotions", "resume promotions",
        "शुरू", "शुरू करो", "शुरू करें", "चालू", "चालू करो", "चालू करें", "स्टार्ट",
        "shuru karo", "chalu karo", "सुरू करा", "શરૂ", "શરૂ કરો", "ਸ਼ੁਰੂ", "ਸ਼ੁਰੂ ਕਰੋ",
        "শুরু", "শুরু করুন", "شروع کریں", "தொடங்கு", "தொடங்கவும்", "ప్రారంభించు",
        "ప్రారంభించండి", "ಪ್ರಾರಂಭಿಸಿ", "തുടങ്ങുക",
    }
)  # fmt: skip

_POLITE = frozenset(
    {"please", "pls", "plz", "kindly", "sir", "madam", "कृपया", "प्लीज", "जी", "ji", "bhai", "भाई"}
)
# Longer replies are never commands, and normalising them would be work for nothing.
_MAX_LENGTH = 80


class ReplyKind(StrEnum):
    """What a reply asks for."""

    STOP = "stop"
    START = "start"
    OTHER = "other"


def classify_reply(
    text: str,
    *,
    stop_phrases: frozenset[str] = STOP_PHRASES,
    start_phrases: frozenset[str] = START_PHRASES,
) -> ReplyKind:
    """Read a reply as opt-out, opt-in or neither; an opt-out wins.

    Args:
        text: what the person wrote, or the title of the button they pressed.
        stop_phrases: phrases as `normalise_reply` leaves them or as people write them.
        start_phrases: the same for opt-ins.
    """
    if len(text) > _MAX_LENGTH:
        return ReplyKind.OTHER
    words = normalise_reply(text)
    if words and words in _normalised(stop_phrases):
        return ReplyKind.STOP
    if words and words in _normalised(start_phrases):
        return ReplyKind.START
    return ReplyKind.OTHER


def normalise_reply(text: str) -> str:
    """Lower case, without punctuation, symbols, joiners and polite words, single spaces.

    Compatibility composition makes full-width letters and the two spellings of nukta letters one.
    Combining marks stay: they are vowels in Indian scripts.
    """
    kept: list[str] = []
    for character in unicodedata.normalize("NFKC", text).casefold():
        category = unicodedata.category(character)
        if category[0] in "LMN" and character != "\ufe0f":
            kept.append(character)
        elif category != "Cf" and character != "\ufe0f":
            # Joiners (Cf) vanish inside a word; everything else ends one.
            kept.append(" ")
    return " ".join(word for word in "".join(kept).split() if word not in _POLITE)


@lru_cache(maxsize=16)
def _normalised(phrases: frozenset[str]) -> frozenset[str]:
    return frozenset(map(normalise_reply, phrases))
