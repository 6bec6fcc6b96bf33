"""Progressive pacing: one dial per idle agent, no more.

Agents serve several queues, and several campaigns and inbound queues share agents. So the question "how many more
dials may start?" is a matching: every call that may soon need an agent (a dial in flight, a call that waits) is given
an idle agent of its own, and a further dial may start only if it too can be given one. For a single queue this is
max(0, idle - in flight - waiting).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Skills = frozenset[str]
"""Ids of all queues that an agent may serve."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What pacing knows of one pool at one moment.

    `idle` counts available agents by the queues that they serve. `demand` counts, per queue, dials that are in flight
    (dialling, ringing, answered and not yet given to an agent) and inbound calls that wait.
    """

    idle: Mapping[Skills, int]
    demand: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Wish:
    """A campaign that would start up to `dials` more dials on its queue."""

    campaign_id: str
    queue_id: str
    dials: int


def share_out(floor: Floor, wishes: Sequence[Wish]) -> dict[str, int]:
    """Dials to start now per campaign id (each named once in `wishes`); campaigns take turns, in the order given.

    Never more than the idle agents who can take the calls, after all present demand has been served as far as it can.
    """
    matching = _Matching(floor.idle)
    for queue_id, calls in floor.demand.items():
        for _ in range(calls):
            if not matching.add(queue_id):
                break
    granted = {wish.campaign_id: 0 for wish in wishes}
    turns = deque(wish for wish in wishes if wish.dials > 0)
    while turns:
        wish = turns.popleft()
        if matching.add(wish.queue_id):
            granted[wish.campaign_id] += 1
            if granted[wish.campaign_id] < wish.dials:
                turns.append(wish)
    return granted


class _Matching:
    """Calls matched with idle agents, by augmenting paths: what is matched stays matched."""

    def __init__(self, idle: Mapping[Skills, int]) -> None:
        self._spare = Counter({skills: count for skills, count in idle.items() if count > 0})
        self._groups: dict[str, list[Skills]] = {}
        # Agents with fewer queues first, so that the flexible ones stay free as long as possible.
        for skills in sorted(self._spare, key=lambda skills: (len(skills), sorted(skills))):
            for queue_id in skills:
                self._groups.setdefault(queue_id, []).append(skills)
        self._held: dict[Skills, Counter[str]] = {skills: Counter() for skills in self._spare}
        self._full: set[str] = set()

    def add(self, queue_id: str) -> bool:
        """Match one more call of the queue, moving others if need be; False when there is no agent for it."""
        if queue_id in self._full:
            return False
        reached: dict[Skills, tuple[Skills | None, str]] = {}
        frontier: deque[tuple[Skills | None, str]] = deque([(None, queue_id)])
        asked = {queue_id}
        while frontier:
            origin, queue = frontier.popleft()
            for skills in self._groups.get(queue, ()):
                if skills in reached:
                    continue
                reached[skills] = (origin, queue)
                if self._spare[skills] > 0:
                    self._move_along(reached, skills)
                    return True
                for held, calls in self._held[skills].items():
                    if calls > 0 and held not in asked:
                        asked.add(held)
                        frontier.append((skills, held))
        # More calls never make room: once a queue finds no agent, it finds none later in this round.
        self._full.add(queue_id)
        return False

    def _move_along(self, reached: Mapping[Skills, tuple[Skills | None, str]], last: Skills) -> None:
        self._spare[last] -= 1
        skills: Skills | None = last
        while skills is not None:
            origin, queue = reached[skills]
            self._held[skills][queue] += 1
            if origin is not None:
                self._held[origin][queue] -= 1
            skills = origin
