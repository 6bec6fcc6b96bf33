"""A caller on hold, and off it again."""

from __future__ import annotations

from common.events import CallHeld, CallResumed
from msgspec.structs import replace

from routing.domain.call_states import Talking
from routing.domain.calls import Call
from routing.domain.notes import Conversation
from routing.domain.telling import Telling, seconds


def begin(telling: Telling, call: Call, talking: Talking) -> tuple[Call, Talking]:
    """Put the caller on hold; nothing if they are. Returns both as they are then."""
    if talking.held_since is None:
        talking = replace(talking, held_since=telling.pool.now)
        call = replace(call, conversation=(call.conversation or Conversation()).held())
        call = telling.put(call, talking)
        telling.tell(CallHeld, call, agent_id=talking.agent_id)
    return call, talking


def end(telling: Telling, call: Call, talking: Talking) -> tuple[Call, Talking]:
    """Agent and caller speak again; nothing if they do. Returns both as they are then."""
    if talking.held_since is not None:
        held = seconds(talking.held_since, telling.pool.now)
        talking = replace(talking, held_since=None, held_seconds=talking.held_seconds + held)
        call = telling.put(call, talking)
        telling.tell(CallResumed, call, agent_id=talking.agent_id, held_seconds=held)
    return call, talking
