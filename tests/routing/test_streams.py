"""What readers of streams are told, and what happens to a slow one."""

from __future__ import annotations

from typing import Any

import pytest
from common.auth import Principal
from common.events import CallAbandoned, Event
from common.kafka import Kafka
from routing.api.streams import Reader, Seen, Streams, for_agent
from routing.api.telephony import _only, commands_of
from routing.domain import inputs

from .floors import Floor, profile, queue


def story() -> list[Event]:
    """One call declined by ann, answered by ben; one abandoned by its wait limit."""
    floor = Floor(queue("help", wrap_up_seconds=0), profile("ann"), profile("ben"))
    floor.log_in(0, "ann")
    floor.log_in(1, "ben")
    floor.call(2, "c1", "help")
    floor.decline(3, "c1", "ann")
    floor.accept(4, "c1", "ben")
    floor.give(inputs.HangUp, 5, call_id="c1")
    floor.log_out(6, "ben")
    floor.call(7, "c2", "help", max_wait_seconds=2)
    floor.tick(20)
    return floor.events


def test_an_agent_is_told_their_own_affairs() -> None:
    def told(agent_id: str, known: int = 0) -> list[str]:
        return [sent.name for event in story() for sent in for_agent(agent_id, known, Seen("", event, None))]

    assert told("ann") == ["state", "offer", "state", "offer_withdrawn", "state"]
    assert told("ann", known=2) == ["offer", "offer_withdrawn", "state"]
    assert told("ben") == ["state", "offer", "state", "call", "state", "call", "state", "call", "state", "state"]
    assert told("eve") == []


def test_a_pbx_is_told_each_step() -> None:
    told = [sent.name for event in story() for sent in _only(FLOOR, {})(Seen("", event, None))]
    assert told == ["play", "ring", "stop_ringing", "ring", "bridge", "release", "play", "play", "release"]
    assert [sent for event in story() for sent in _only(STRANGER, {})(Seen("", event, None))] == []
    only_second = [s.data["call_id"] for e in story() for s in _only(FLOOR, {"c1": 99})(Seen("", e, None))]
    assert set(only_second) == {"c2"}


FLOOR = Principal("pbx", frozenset(), None)
STRANGER = Principal("pbx", frozenset(), "other")


def test_a_caller_who_gives_up_stops_the_ringing() -> None:
    (abandoned,) = [event for event in story() if isinstance(event, CallAbandoned)]
    names = [sent.name for sent in commands_of(abandoned, Seen("", abandoned, "ann"))]
    assert names == ["stop_ringing", "play", "release"]
    (told,) = for_agent("ann", 0, Seen("", abandoned, "ann"))
    assert told.data == {"call_id": "c2", "reason": "abandoned"}


async def test_a_reader_that_falls_behind_is_disconnected() -> None:
    reader = Reader(backlog=3)
    seen: list[Any] = [Seen(str(number), event, None) for number, event in enumerate(story())]
    for one in seen[:10]:
        reader.offer(one)
    taken = [await reader.take() for _ in range(4)]
    assert taken == [*seen[:3], None]


async def test_an_idle_stream_is_kept_open_by_comments() -> None:
    streams = Streams(Kafka("nowhere:1"), backlog=10, heartbeat_seconds=0.01)
    with streams.reader() as reader:
        lines = streams.lines(reader, lambda seen: [])
        assert (await anext(lines)).startswith(b":")
        streams.close()
        with pytest.raises(StopAsyncIteration):
            while True:
                await anext(lines)
