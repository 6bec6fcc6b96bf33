"""Callbacks: each attempt is told once, by its number, and nobody is answered or given up but by the rules."""

from __future__ import annotations

from collections.abc import Iterator

from common.events import (
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallbackDialled,
    CallbackFailed,
    CallbackReached,
    CallbackRequested,
    CallEvent,
    CallOfferMissed,
)
from common.events.routing import CALLBACK_ENDS


class Callback:
    """What was promised to one call's caller, followed event by event."""

    def __init__(self) -> None:
        self._attempts: int | None = None
        self._dials: list[str] = []
        self._under_way = False
        self._rang = 0
        """Attempts that failed and count: by the others no telephone rang."""
        self._away = False
        """The caller has hung up and is not reached yet."""

    def follow(self, event: CallEvent) -> Iterator[str]:
        """What is wrong with the event."""
        match event:
            case CallbackRequested():
                if self._attempts is not None:
                    yield "was promised a callback twice"
                self._attempts, self._away = event.attempts, True
            case CallbackDialled():
                yield from self._dialled(event)
            case CallbackFailed(reason="machine") if not (self._under_way or self._away):
                # Recognised after the answer, while no agent spoke yet.
                if not self._dials or event.dial_id != self._dials[-1]:
                    yield f"{event.TYPE} is of {event.dial_id}, which was not answered"
                self._away = True
                self._rang += 1
            case CallbackReached() | CallbackFailed():
                if not self._under_way or event.dial_id != self._dials[-1]:
                    yield f"{event.TYPE} is of {event.dial_id}, which is not under way"
                self._under_way = False
                self._away = isinstance(event, CallbackFailed)
                self._rang += isinstance(event, CallbackFailed) and event.reason not in ("failed", "timed_out")
            case CallAnswered():
                if self._away and not self._under_way:
                    yield "was answered although its caller had hung up and was not dialled"
                if (event.away_seconds > 0) and self._attempts is None:
                    yield f"its caller was away for {event.away_seconds} s without a callback"
                self._under_way = self._away = False
            case CallAbandoned():
                if self._away is not (event.reason in CALLBACK_ENDS):
                    yield f"was abandoned ({event.reason}) while its caller was {'away' if self._away else 'here'}"
            case CallAssigned() | CallOfferMissed():
                if event.callback is not self._away:
                    yield f"{event.TYPE} says callback {event.callback}"
            case _:
                pass

    def _dialled(self, event: CallbackDialled) -> Iterator[str]:
        if event.dial_id in self._dials:
            yield f"{event.dial_id} was dialled twice"
        if self._under_way:
            yield f"{event.dial_id} was dialled while another attempt was under way"
        self._dials.append(event.dial_id)
        self._under_way = True
        if event.attempt != self._rang + 1:
            yield f"is attempt {event.attempt} after {self._rang} that count"
        if self._attempts is None or event.attempt > self._attempts:
            yield f"attempt {event.attempt} of {self._attempts or 0} was made"
