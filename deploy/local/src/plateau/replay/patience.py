"""How long each caller would have waited.

A caller who hung up shows their patience; that of answered calls is drawn from the Kaplan–Meier estimate of their
service type, on condition that it exceeds the wait that they are known to have borne.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from routing.domain.patience import Survival, kaplan_meier

from plateau.replay.calls import Outcome, PastCall

__all__: Final = ["Survival", "estimates", "kaplan_meier", "patience_of"]


def estimates(calls: Iterable[PastCall]) -> dict[str, Survival]:
    """One estimate per service type, from the calls that waited in a queue."""
    seen: dict[str, list[tuple[float, bool]]] = {}
    for call in calls:
        if call.offered:
            observed = seen.setdefault(call.service_type, [])
            if call.queued:
                observed.append((call.wait_seconds, call.outcome is Outcome.HANG))
    return {service_type: kaplan_meier(observed) for service_type, observed in seen.items()}


def patience_of(call: PastCall, survival: Mapping[str, Survival], seed: str) -> float:
    """Seconds that the caller waits: known for those who hung up, drawn for those who were answered.

    The same for the same seed, whatever other calls are played.
    """
    if call.outcome is Outcome.HANG:
        return call.wait_seconds
    estimate = survival[call.service_type]
    if not estimate.times:
        return call.wait_seconds + 1.0
    return estimate.draw(call.wait_seconds, Random(f"{seed}/patience/{call.number}"))
