"""What a network shows of a caller: a fact, which refuses no call. What people type: `common.phone`."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

from common.phone import InvalidPhone, normalise

LONGEST_SHOWN: Final = 100
"""Characters that are kept of what was shown."""

_WITHHELD_WORDS: Final = frozenset(
    {
        # RFC 3323 4.1.1.3 and 3GPP TS 23.003 13.6, 13.7: anonymous@anonymous.invalid, unavailable@unknown.invalid.
        "anonymous", "unavailable", "unknown",
        # Asterisk's chan_dahdi and chan_sip, where a caller's presentation is restricted or there is none.
        "notavailable", "asterisk", "unknowncaller",
        # GR-30-CORE and ETSI EN 300 659-3, reasons for the absence of a number: P private, O out of area.
        "p", "o", "private", "outofarea", "payphone",
        # Twilio, "Why am I getting calls from these strange numbers?" (help article 223179988).
        "restricted", "blocked",
        # Android's CallLog and TelecomManager presentations, and what handsets write for them.
        "withheld", "hidden", "privatenumber", "privatecaller", "unknownnumber", "withheldnumber", "blockednumber",
        "restrictednumber", "anonymouscaller", "nocallerid", "nonumber", "numberwithheld", "callerunknown",
        # The same of French and German networks.
        "anonyme", "inconnu", "masque", "numeromasque", "numeroprive", "prive", "appelmasque", "appelanonyme",
        "anonym", "unbekannt", "unterdruckt", "privat", "unbekannterteilnehmer",
    }
)  # fmt: skip
"""In small letters, without accents, blanks and punctuation."""
_KEYS: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_SPELT: Final = frozenset(
    word.translate(_KEYS) for word in ("anonymous", "unavailable", "restricted", "blocked", "unknown")
)
"""The words as a telephone's keys spell them, which Twilio sends with a +: +266696687 is ANONYMOUS, +86282452253
UNAVAILABLE, +7378742833 RESTRICTED, +2562533 BLOCKED, +8656696 UNKNOWN (help article 223179988). Systems between drop
the +. Somebody may have 7378742833 in Texas: better one person who is not recognised than many taken for one."""
_NO_NUMBER: Final = re.compile(r"0*|10{10}")
"""Nothing, or zeros alone: Kazoo's privacy mode (0000000000), +10000000000 of North American carriers."""

_NAMED = re.compile(r'^(?:"[^"]*"\s*|[^<"]*)<([^<>]*)>')
_SIP = re.compile(r"^sips?:([^@;?>]*)(?:@([^;?>]*))?", re.IGNORECASE)
_TEL = re.compile(r"^tel:([^;]*)((?:;[^;]*)*)$", re.IGNORECASE)
_CONTEXT = re.compile(r";phone-context=(\+[\d.()-]+)(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CallerId:
    """A known number (`phone`), or what was shown instead of one (`shown`), or neither: the caller withheld it."""

    phone: str = ""
    """E.164."""
    shown: str | None = None
    """As the network shows it, for people to read: it recognises nobody."""


WITHHELD: Final = CallerId()


def caller_id(given: Any, region: str | None, *, possible: bool = False) -> CallerId:
    """What to make of a caller's id. Never raises, whatever was given; `region` and `possible` as in `normalise`.

    Words and numbers that stand for a withheld number are withheld. A number that `normalise` reads is known, also as
    `tel:` URI (RFC 3966). All else is kept as shown, without control characters and at most LONGEST_SHOWN long: short
    numbers, names, malformed ones, numbers outside their plan, and SIP URIs whatever their user part: who may use it
    is the host's business, so a PBX that trusts the host gives the number alone.
    """
    text = _text(given)
    named = _NAMED.match(text)
    address = named[1].strip() if named else text
    if _is_withheld(address):
        return WITHHELD
    if _SIP.match(address):
        return CallerId(shown=text)
    number = _of_tel(address)
    try:
        return CallerId(phone=normalise(number, region, possible=possible))
    except InvalidPhone:
        return CallerId(shown=text)


def _text(given: Any) -> str:
    """What was given as one line of text that can be stored: bounded, without control characters and half pairs."""
    if given is None:
        return ""
    if not isinstance(given, str):
        given = json.dumps(given, ensure_ascii=False, default=str)
    kept = (
        character for character in given[: 4 * LONGEST_SHOWN] if unicodedata.category(character) not in ("Cc", "Cs")
    )
    line = "".join(kept).strip()
    return line if len(line) <= LONGEST_SHOWN else f"{line[: LONGEST_SHOWN - 1]}…"


def _is_withheld(address: str) -> bool:
    sip = _SIP.match(address)
    if sip:
        host = (sip[2] or "").rstrip(".").casefold()
        return host.endswith(".invalid") or _is_withheld(sip[1])
    plain = unicodedata.normalize("NFKD", address.rpartition("@")[0] or address).casefold()
    word = "".join(character for character in plain if character.isalnum())
    return word in _WITHHELD_WORDS or word in _SPELT or _NO_NUMBER.fullmatch(word) is not None


def _of_tel(address: str) -> str:
    """The number of a `tel:` URI, which a global context completes; any other text as it is."""
    found = _TEL.match(address)
    if found is None:
        return address
    number, parameters = found.groups()
    context = _CONTEXT.search(parameters)
    if context is not None and not number.startswith("+"):
        return f"{context[1]}{number}"
    return address if "phone-context" in parameters.lower() or ";ext=" in parameters.lower() else number
