"""What is noted of a call beside its state, to explain it afterwards. Small and bounded; no decision asks for it."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec
from common.events.routing import MissReason, Recording, Supervision
from msgspec.structs import replace

from routing.domain.configuration import USUAL_PRIORITY

MOST_NOTES: Final = 20
"""Of each kind, the newest."""


class Missed(msgspec.Struct, frozen=True, array_like=True):
    """An offer that was over without an answer."""

    missed_at: datetime
    reason: MissReason
    in_a_row: int = 0
    """How many offers in a row the agent had missed with this one; 0: it does not count as missed."""
    agent_then: Literal["break", "logged_out"] | None = None
    """Where they went by it, once no other call was at hand; None: nowhere."""


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What counts for a waiting call in the order of service."""

    queue_id: str
    tenant_id: str
    queue_priority: int
    priority: int
    """Steps of its own beside its queue's."""
    ageing_seconds_per_priority: float
    """What one step is worth."""
    waited_seconds: float
    """From its first queue on, or by the place that it took over."""

    @property
    def queue_steps(self) -> int:
        """Steps of the queue's priority from the usual one."""
        return self.queue_priority - USUAL_PRIORITY

    @property
    def seconds(self) -> float:
        """All of it as waiting time: the higher is served first."""
        return self.waited_seconds + (self.queue_steps + self.priority) * self.ageing_seconds_per_priority


class Precedence(msgspec.Struct, frozen=True, array_like=True):
    """The call went before the first call of another queue that its agent might have taken instead."""

    own: Claim
    other: Claim


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """An announcement that the waiting caller heard: `position` and `estimated_wait_seconds` as it told them last."""

    message: str
    times: int
    last_at: datetime
    position: int | None = None
    estimated_wait_seconds: float | None = None


def heard_once_more(heard: tuple[Heard, ...], one: Heard) -> tuple[Heard, ...]:
    """With `one` more, the message heard last at the end."""
    before = [each for each in heard if each.message != one.message]
    times = one.times + sum(each.times for each in heard if each.message == one.message)
    return (*before[1 - MOST_NOTES :], replace(one, times=times))


class RecordingChange(msgspec.Struct, frozen=True, array_like=True):
    """The recording was started, paused or stopped. `consent`: the caller had said yes by then."""

    changed_at: datetime
    recording: Recording
    consent: bool


class Supervised(msgspec.Struct, frozen=True, array_like=True):
    """A supervisor joined the conversation, changed how they take part in it, or left (off)."""

    happened_at: datetime
    supervisor_id: str
    mode: Supervision


class Conversation(msgspec.Struct, frozen=True):
    """What happened while agent and caller spoke, beside what the call's state has: the newest MOST_NOTES of each."""

    holds: int = 0
    """How often the caller was put on hold, all of them counted."""
    recordings: tuple[RecordingChange, ...] = ()
    supervisions: tuple[Supervised, ...] = ()

    def held(self) -> Conversation:
        """On hold once more."""
        return replace(self, holds=self.holds + 1)

    def recorded(self, change: RecordingChange) -> Conversation:
        """With one more change of the recording."""
        return replace(self, recordings=(*self.recordings[1 - MOST_NOTES :], change))

    def supervised(self, one: Supervised) -> Conversation:
        """With one more deed of a supervisor's."""
        return replace(self, supervisions=(*self.supervisions[1 - MOST_NOTES :], one))

    def as_the_agent_knows(self) -> Conversation:
        """Without those who only listened: neither agent nor caller is to notice them."""
        noticed: list[Supervised] = []
        present: set[str] = set()
        for one in self.supervisions:
            if one.mode in ("whisper", "barge"):
                present.add(one.supervisor_id)
                noticed.append(one)
            elif one.supervisor_id in present:
                # Whoever falls silent is gone as far as the agent can tell.
                present.discard(one.supervisor_id)
                noticed.append(replace(one, mode="off"))
        return replace(self, supervisions=tuple(noticed))


class TakeOver(msgspec.Struct, frozen=True, array_like=True):
    """A supervisor took the caller over from an agent: noted of the call before and of the one after."""

    taken_at: datetime
    supervisor_id: str
    agent_id: str
    """Who spoke with the caller until then."""
