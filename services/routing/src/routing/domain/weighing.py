"""The policy by declared weights in a pool: its figures kept in step, its decisions put to queues, groups and calls.

The policy is worked out anew, before the next decision, when a queue's rules change, when a group's agents on duty
change by more than a little, or when what was learnt of a queue has moved. It depends on nothing but the rules, the
agents on duty as they are and the estimates in use, which are saved with the pool: one that was loaded decides as if it
had never left memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

import msgspec

from routing.domain.bidding import HOUR, MOST_RIVALS, Bidding, Rival
from routing.domain.calls import Call
from routing.domain.configuration import Queue, Weights
from routing.domain.groups import Group, Groups, Rule
from routing.domain.learning import Learning
from routing.domain.matching import Bins, numbers_in
from routing.domain.memory import Memories
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

    def __init__(
        self, groups: Groups, waiting: Bins[tuple[float, str]], calls: Mapping[str, Call], memories: Memories
    ) -> None:
        self._groups = groups
        self._waiting = waiting
        self._calls = calls
        self.learning = Learning(memories)
        self._by_id: dict[str, WeighedQueue] = {}
        self._queues: list[WeighedQueue] = []
        """By id; laid anew before the next decision when a queue has changed."""
        self._number_of: dict[str, int] = {}
        self._queue_of_bin: dict[int, int] = {}
        self._rules: dict[str, Queue] = {}
        self._weighed_on: list[int] | None = None
        """Agents on duty by group, rounded, that the policy was worked out for; None: to be worked out anew."""
        self._policy = Policy(bids=(), prices=())
        self._serves: list[tuple[int, ...]] = []

    def configure(self, queue: WeighedQueue) -> None:
        """Take over a queue's rules."""
        self._by_id[queue.queue.id] = queue
        self._rules[queue.queue.id] = queue.queue
        self._queues = []

    def forget(self) -> None:
        """Other agents may serve than before: the policy is worked out anew."""
        self._weighed_on = None

    def observe(self, before: Call | None, call: Call, now: datetime) -> None:
        """A call has a new state: what it tells of its queues is learnt."""
        if self.learning.observe(self._rules, before, call, now):
            self._weighed_on = None

    def _lay(self) -> None:
        self._queues = [self._by_id[queue_id] for queue_id in sorted(self._by_id)]
        self._number_of = {one.queue.id: number for number, one in enumerate(self._queues)}
        self._queue_of_bin = {place: number for number, one in enumerate(self._queues) for place, _ in one.rings}
        self._weighed_on = None

    def next_call(
        self,
        group: Group,
        now: datetime,
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
        chosen = policy.next_queue(
            sorted(heads, key=heads.__getitem__),
            self._serves[group.number],
            _Idle(self._groups, self._queues),
            {queue: self._bid(queue, head, now) for queue, head in heads.items()} if policy.late else None,
            withhold=withhold,
        )
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

    def _bid(self, queue: int, head: tuple[float, str], now: datetime) -> float:
        """What the queue bids for the first of its waiting calls."""
        return self._bid_for(self._current(), queue, self._calls[head[-1]], now)

    def _bid_for(self, policy: Policy, queue: int, call: Call, now: datetime) -> float:
        if not policy.late or policy.late[queue] is None:
            return policy.bids[queue]
        bins = 0
        for number, _ in self._queues[queue].rings:
            bins |= 1 << number
        return policy.bid(queue, (now - call.queued_at).total_seconds(), max(1, self._waiting.count(bins)))

    def releasable(self, now: datetime) -> str | None:
        """A waiting call that may take an available agent now, the highest bid first; None if there is none."""
        if not self._groups.any_available():
            return None
        self._current()
        heads = []
        for number in numbers_in(self._waiting.filled):
            queue = self._queue_of_bin[number]
            head = self._waiting.head(number)
            heads.append((-self._bid(queue, head, now), head, number))
        for _, head, number in sorted(heads):
            weighed = self._queues[self._queue_of_bin[number]]
            rule = next(rule for place, rule in weighed.rings if place == number)
            if self.next_group(weighed.queue.id, rule) is not None:
                return head[-1]
        return None

    def bidding(self, call: Call, group: Group, now: datetime) -> Bidding:
        """How the call's queue stands against the others that an available agent of the group may serve: those in which
        a call waits, and those with a higher bid, for which the agent might have been kept."""
        policy, own = self._current(), self._number_of[call.queue_id]
        heads = self._heads(self._waiting.filled & group.fitting)
        others = heads.keys() | {other for other in self._serves[group.number] if policy.is_higher(other, own)}
        return self._bidding(own, others - {own}, heads, self._bid_for(policy, own, call, now), now)

    def keeping(self, queue_id: str, rule: Rule, now: datetime) -> Bidding | None:
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
        return self._bidding(own, others, self._heads(self._waiting.filled), policy.bids[own], now)

    def _heads(self, bins: int) -> dict[int, tuple[float, str]]:
        """The first waiting call of each queue that has one in these bins."""
        heads: dict[int, tuple[float, str]] = {}
        for number in numbers_in(bins):
            queue, head = self._queue_of_bin[number], self._waiting.head(number)
            heads[queue] = min(head, heads.get(queue, head))
        return heads

    def _bidding(
        self, own: int, others: AbstractSet[int], heads: Mapping[int, tuple[float, str]], bid: float, now: datetime
    ) -> Bidding:
        policy, idle = self._current(), _Idle(self._groups, self._queues)
        bids = {
            other: self._bid(other, heads[other], now) if other in heads else policy.bids[other] for other in others
        }
        rivals = [
            Rival(
                queue_id=self._queues[other].queue.id,
                tenant_id=self._queues[other].queue.tenant_id,
                bid=bids[other] * HOUR,
                price=policy.price(other, max(1, idle[other])) * HOUR,
                waits=other in heads,
            )
            for other in sorted(others, key=lambda other: (-bids[other], other))[:MOST_RIVALS]
        ]
        in_time = max(0.0, bid - self._lateless(policy, own))
        return Bidding(bid * HOUR, tuple(rivals), in_time * HOUR)

    @staticmethod
    def _lateless(policy: Policy, queue: int) -> float:
        """The queue's bid but for what its first call's own threshold adds."""
        late = policy.late[queue] if policy.late else None
        return policy.bids[queue] - (late.cost * late.saved(0, 1) if late else 0.0)

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
        demands = [self._demand(one.queue) for one in self._queues]
        if sum(map(len, self._serves)) > _MOST_PAIRS:
            bids = tuple(one.lost_call_cost / one.handling_seconds for one in demands)
            return Policy(bids=bids, prices=((),) * len(bids))
        together: dict[tuple[int, ...], int] = {}
        for serves, agents in zip(self._serves, self._weighed_on or (), strict=True):
            if serves and agents:
                together[serves] = together.get(serves, 0) + agents
        return weigh(demands, [Staff(agents=together[serves], queues=serves) for serves in sorted(together)])

    def _demand(self, queue: Queue) -> Demand:
        """What is declared of the queue, and what was learnt where nothing is."""
        weights, used = queue.weights or Weights(), self.learning.used(queue.id)
        late = weights.lost_call_cost if weights.late_call_cost is None else weights.late_call_cost
        rate = used.calls_per_second if weights.calls_per_hour is None else weights.calls_per_hour / 3600
        return Demand(
            lost_call_cost=weights.lost_call_cost,
            calls_per_second=rate,
            handling_seconds=weights.handling_seconds or used.handling_seconds,
            patience_seconds=weights.patience_seconds or used.patience_seconds,
            late_call_cost=0.0 if weights.service_level_target is None else late * used.late,
            threshold_seconds=queue.service_level_seconds,
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
