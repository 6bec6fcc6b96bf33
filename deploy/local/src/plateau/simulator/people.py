"""Callers and their matters: who calls, how long they wait, and what happens after the call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from plateau.floor import Tenant
from plateau.simulator.arrivals import exponential, lognormal
from plateau.simulator.traffic import Inbound

FICTION: Final = {
    "FR": ("+3319900", "+3326191", "+3335301", "+3346571", "+3353649", "+3363998"),
    "GB": ("+441632960", "+447700900", "+442079460"),
    "US": ("+1212555", "+1415555"),
}
"""Beginnings of the numbers that each country keeps free for fiction; the rest is drawn."""
_LENGTHS: Final = {"FR": 12, "GB": 13, "US": 12}
UNSETTLED: Final = "to-follow"
"""Disposition of a call that does not settle its matter."""
SETTLED: Final = "settled"
"""What a tenant without closing dispositions says instead."""


def invented_number(region: str, random: Random) -> str:
    """A number of E.164 form that no subscriber has. Regions without a range of their own get a French one."""
    known = region if region in FICTION else "FR"
    prefix = random.choice(FICTION[known])
    digits = _LENGTHS[known] - len(prefix)
    if known == "US":  # 555-0100 to 555-0199
        return f"{prefix}01{random.randrange(100):02d}"
    return f"{prefix}{random.randrange(10**digits):0{digits}d}"


@dataclass(slots=True, eq=False)
class Matter:
    """What one caller wants settled. `calls_left` counts the present call."""

    queue_id: str
    number: int
    phone: str | None
    calls_left: int
    calls: int = 0
    """Calls placed so far."""
    random: Random = field(default_factory=Random, repr=False)

    def patience(self, traffic: Inbound) -> float:
        return exponential(traffic.patience_seconds, self.random)

    def talk(self, traffic: Inbound) -> float:
        return max(1.0, lognormal(traffic.talk_seconds, traffic.talk_variation, self.random))


def new_matter(queue_id: str, number: int, traffic: Inbound, region: str, seed: str) -> Matter:
    """The `number`-th matter of a queue: the same for the same seed, whatever happened before."""
    random = Random(f"{seed}/{queue_id}/{number}")
    phone = None if random.random() < traffic.withheld else invented_number(region, random)
    calls = 1
    while phone is not None and random.random() < 1 - 1 / traffic.calls_per_matter:
        calls += 1
    return Matter(queue_id=queue_id, number=number, phone=phone, calls_left=calls, random=random)


def disposition(tenant: Tenant | None, settled: bool, random: Random) -> str:
    """The wrap-up code of a call that did or did not settle its matter."""
    if not settled:
        return UNSETTLED
    codes: Sequence[str] = tenant.closing_dispositions if tenant is not None else ()
    return random.choice(codes) if codes else SETTLED
