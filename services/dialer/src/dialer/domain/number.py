"""What keeps a tenant from dialling a number, whichever of its lists the number stands on.

One person, one telephone call: a number is not dialled while another dial to it is under way, while that person is in
a call with the tenant (they wait, speak with an agent, or have been promised a callback), nor for the tenant's rest
after such a call. A number on the tenant's do-not-call list is not dialled at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

NumberRule = Literal["do_not_call", "dial_under_way", "in_call", "rest_after_call"]

RECHECK: Final = timedelta(minutes=1)
"""After which a number is looked at again that is dialled, or whose person is in a call: nobody knows how long."""

LONGEST_CALL: Final = timedelta(days=2)
"""A call of which no end was told is forgotten after so long; callbacks are promised for a day at most."""


@dataclass(frozen=True, slots=True)
class Number:
    """A tenant's number at one moment."""

    barred: bool = False
    """On the do-not-call list."""
    dialled: bool = False
    in_call: bool = False
    rests_until: datetime | None = None
    """The tenant's rest after the last call, if there was one lately."""

    def refusal(self, now: datetime) -> NumberRule | None:
        """The first rule by which the number may not be dialled at `now`; None: it may."""
        if self.barred:
            return "do_not_call"
        if self.dialled:
            return "dial_under_way"
        if self.in_call:
            return "in_call"
        if self.rests_until is not None and self.rests_until > now:
            return "rest_after_call"
        return None


FREE: Final = Number()
"""Nothing is known of it."""
