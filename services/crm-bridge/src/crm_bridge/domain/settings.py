"""What a tenant decides about its cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from common.phone import DEFAULT_REGION

DEFAULT_REOPEN_WINDOW_DAYS = 14
DEFAULT_CLOSING_DISPOSITIONS = ("closed", "resolved")


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """`region` and `allow_possible_numbers` say how phone numbers are read; `reopen_window` counts from the moment of
    the last closing.

    The defaults serve a tenant whose calls arrive before its settings do: a case opened under defaults is right, a
    call in the dead letters is not.
    """

    region: str = DEFAULT_REGION
    allow_possible_numbers: bool = False
    reopen_window: timedelta = timedelta(days=DEFAULT_REOPEN_WINDOW_DAYS)
    closing_dispositions: frozenset[str] = frozenset(DEFAULT_CLOSING_DISPOSITIONS)


DEFAULTS = TenantSettings()
