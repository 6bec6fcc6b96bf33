"""The policy by declared weights in a pool: its figures kept in step, its decisions put to queues, groups and calls.

The policy is worked out anew, before the next decision, when a queue's rules change or when a group's agents on duty
change by more than a little. It depends on nothing but the rules and the agents on duty as they are, so that a pool
that was loaded decides as if it had never left memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import msgspec

from routing.domain.bidding import HOUR, MOST_RIVALS, Bidding, Rival
from routing.domain.configuration import Queue, Weights
from routing.domain.groups import Group, Groups, Rule
from routing.domain.matching import Bins, numbers_in
from routing.domain.policy import Demand, Policy, Staff, weigh

_MOST_PAIRS = 20_000
"""Pairs of a group and a queue that it serves. Beyond, the policy would take too long to work out: the queues are then
served by cost and handling time alone, and no agent is kept."""


class WeighedQueue(msgspec.Struct, frozen=True):
    """A queue's rules, and the bin and rule of each of its rings."""

    queue: Queue
    rings: Sequence[tuple[int, Rule]]


class Weighing:
    """Who takes what, by the weights of a pool's queues."""

    def __init__(self, groups: Groups, waiting: Bins[tuple[float, str]]) -> None:
        self._groups = groups
        self._waiting = waiting
        self._by_id: dict[str, WeighedQueue] = {}
        self._queues: list[WeighedQueue] = []
        """By id; laid anew before the next decision when a queue has changed."""
        self._number_of: dict[str, int] = {}
        self._queue_of_bin: dict[int, int] = {}
        self._weighed_on: list[int] = []
        """Agents on duty by group, rounded, that the policy was worked out for."""
        self._policy = Policy(bids=(), prices=())
        self._serves: list[tuple[int, ...]] = []

    def configure(self, queue: WeighedQueue) -> None:
        """Take over a queue's rules."""
        self._by_id[queue.queue.id] = queue
        self._queues = []

    def forget(self) -> None:
        """Other agents may serve than before: the policy is worked out anew."""
        self._weighed_on = []

    def _lay(self) -> None:
        self._queues = [self._by_id[queue_id] for queue_id in sorted(self._by_id)]
        self._number_of = {one.queue.id: number for number, one in enumerate(self._queues)}
        self._queue_of_bin = {place: number for number, one in enumerate(self._queues) for place, _ in one.rings}
        self._weighed_on = []

    def next_call(
        self,
        group: Group,
        views: Sequence[tuple[Bins[tuple[float, str]], int]] | None = None,
        *,
        withhold: bool = True,
    ) -> tuple[float, str] | None:
        """The key of the waiting call that an available agent of the group takes; None: they are kept, or nobody waits.
        `views`: bins, and which of them hold the calls that may be taken; None: all that the group may serve."""
        if views is None:
            views = [(self._waiting, group.fitting)]
        if not any(bins.filled & bits for bins, bits in views):
            return None
        policy = self._current()
        heads: dict[int, tuple[float, str]] = {}
        for bins, bits in views:
            for number in numbers_in(bins.filled & bits):
                queue, head = self._queue_of_bin[number], bins.head(number)
                heads[queue] = min(head, heads.get(queue, head))
        idle, serves = _Idle(self._groups, self._queues), self._serves[group.number]
        chosen = policy.next_queue(sorted(heads, key=heads.__getitem__), serves, idle, withhold=withhold)
        return None if chosen is None else heads[chosen]

    def next_group(self, queue_id: str, rule: Rule, only: int = -1, *, withhold: bool = True) -> int | None:
        """The number of the group whose agent a call of the queue takes, of those who meet the rule and are among
        `only`; None: it waits."""
        candidates = self._groups.with_available(rule, only)
        if not candidates:
            return None
        policy = self._current()
        serves = [self._serves[group] for group in candidates]
        idle = _Idle(self._groups, self._queues)
        place = policy.next_group(self._number_of[queue_id], serves, idle, withhold=withhold)
        return None if place is None else candidates[place]

    def releasable(self) -> str | None:
        """A waiting call that may take an available agent now, the highest bid first; None if there is none."""
        if not self._groups.any_available():
            return None
        policy = self._current()
        heads = []
        for number in numbers_in(self._waiting.filled):
            queue = self._queue_of_bin[number]
            heads.append((-policy.bids[queue], self._waiting.head(number), number))
        for _, head, number in sorted(heads):
            weighed = self._queues[self._queue_of_bin[number]]
            rule = next(rule for place, rule in weighed.rings if place == number)
            if self.next_group(weighed.queue.id, rule) is not None:
                return head[-1]
        return None

    def bidding(self, queue_id: str, group: Group) -> Bidding:
        """How the queue stands against the others that an available agent of the group may serve: those in which a
        call waits, and those with a higher bid, for which the agent might have been kept."""
        policy = self._current()
        own = self._number_of[queue_id]
        waiting = {self._queue_of_bin[number] for number in numbers_in(self._waiting.filled & group.fitting)}
        others = waiting | {other for other in self._serves[group.number] if policy.is_higher(other, own)}
        return self._bidding(own, others - {own}, waiting)

    def keeping(self, queue_id: str, rule: Rule) -> Bidding | None:
        """The queues for which the available agents who meet the rule are kept from a call of this one; None if one of
        them may take it, or if there are none."""
        candidates = self._groups.with_available(rule)
        if not candidates or self.next_group(queue_id, rule) is not None:
            return None
        policy, own, idle = self._current(), self._number_of[queue_id], _Idle(self._groups, self._queues)
        others = {
            other
            for group in candidates
            for other in self._serves[group]
            if other != own and not policy.yields(other, own, idle)
        }
        waiting = {self._queue_of_bin[number] for number in numbers_in(self._waiting.filled)}
        return self._bidding(own, others, waiting)

    def _bidding(self, own: int, others: AbstractSet[int], waiting: AbstractSet[int]) -> Bidding:
        policy, idle = self._current(), _Idle(self._groups, self._queues)
        rivals = [
            Rival(
                queue_id=self._queues[other].queue.id,
                tenant_id=self._queues[other].queue.tenant_id,
                bid=policy.bids[other] * HOUR,
                price=policy.price(other, max(1, idle[other])) * HOUR,
                waits=other in waiting,
            )
            for other in sorted(others, key=lambda other: (-policy.bids[other], other))[:MOST_RIVALS]
        ]
        return Bidding(policy.bids[own] * HOUR, tuple(rivals))

    def _current(self) -> Policy:
        if not self._queues:
            self._lay()
        groups = self._groups.numbered()
        on_duty = [rounded(group.on_duty) for group in groups]
        if on_duty != self._weighed_on:
            self._weighed_on = on_duty
            homes = {one.rings[0][0]: number for number, one in enumerate(self._queues)}
            self._serves = [
                tuple(sorted(homes[place] for place in numbers_in(group.fitting) if place in homes)) for group in groups
            ]
            self._policy = self._work_out()
        return self._policy

    def _work_out(self) -> Policy:
        weights = [one.queue.weights or Weights() for one in self._queues]
        if sum(map(len, self._serves)) > _MOST_PAIRS:
            bids = tuple(one.lost_call_cost / one.handling_seconds for one in weights)
            return Policy(bids=bids, prices=((),) * len(bids))
        together: dict[tuple[int, ...], int] = {}
        for serves, agents in zip(self._serves, self._weighed_on, strict=True):
            if serves and agents:
                together[serves] = together.get(serves, 0) + agents
        return weigh(
            [
                Demand(
                    lost_call_cost=one.lost_call_cost,
                    calls_per_second=one.calls_per_hour / 3600,
                    handling_seconds=one.handling_seconds,
                    patience_seconds=one.patience_seconds,
                )
                for one in weights
            ],
            [Staff(agents=together[serves], queues=serves) for serves in sorted(together)],
        )


class _Idle(dict[int, int]):
    """Available agents by the queue that they may serve, counted when they are asked for."""

    def __init__(self, groups: Groups, queues: Sequence[WeighedQueue]) -> None:
        super().__init__()
        self._groups = groups
        self._queues = queues

    def __missing__(self, queue: int) -> int:
        count = self[queue] = self._groups.available(self._queues[queue].rings[0][1])[0]
        return count


def rounded(count: int) -> int:
    """To three binary digits and a half: exact up to 15, then by 2, 4, 8 …: the coming and going of a few agents of
    many is no reason to work the policy out anew."""
    step = 1 << max(0, count.bit_length() - 4)
    return count // step * step
