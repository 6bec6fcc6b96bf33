"""The policy "by declared weights": which queue an agent serves, and when a call waits although an agent is idle.

A policy is two things per queue, worked out beforehand from what is declared (`Demand`, `Staff`), never in a decision:

- its **bid**: what it is worth to answer its first waiting call now rather than leave it waiting;
- its **price** by the number of idle agents who may serve it: what it costs the floor to have one of them fewer.

Both are in units of lost-call cost per second of an agent's time, so that long and short calls compare (the cμ rule).

The decision: queues are served by bid, equal bids in the order of the pool. A call may take an agent only if its bid is
above the price of every queue with a higher bid that the agent could serve instead; otherwise the agent is kept for
those (a reservation). So the highest bid never waits while an agent fits, and with one queue nobody is ever kept.
Of several groups that a call may take an agent of, it takes the one whose other queues pay least for it.

Where the figures come from: each queue is seen as a birth-and-death chain of its own (idle agents who fit … none idle …
1, 2, 3 calls waiting), in which the other queues appear as the mean flows that they send to the same agents. The
relative values of its states solve the Poisson equation of the chain (one-step policy improvement; cf. Bhulai 2009,
"Dynamic routing policies for multiskill call centers"). A flow that finds itself shut out pays its own bid. Bids and
prices depend on each other and are found by damped iteration.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

_ROUNDS = 60
_DAMPING = 0.2
_LEFTOVER = 0.05
"""However much the higher bids take of a group, this share of its time is thought to be left for the lower."""
_IDLE = 48
"""Idle agents looked at per queue: with so many idle, one fewer costs next to nothing."""
_WAITING = 40
"""Waiting calls looked at per queue."""
_FLOW_ROUNDS = 120
_FLOW_STEP = 0.3
_EQUAL = 1 + 1e-6
"""Bids closer than this are equal: rounding must not rank queues that are the same."""


Idle: TypeAlias = Sequence[int] | Mapping[int, int]
"""By queue: how many idle agents may serve it."""
Bids: TypeAlias = Sequence[float] | Mapping[int, float]
"""By queue."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a queue's calls. `lost_call_cost` ≥ 0 in any unit, the same for all queues."""

    lost_call_cost: float
    calls_per_second: float
    handling_seconds: float
    """Mean of conversation and wrap-up; > 0."""
    patience_seconds: float
    """Mean time after which a waiting caller hangs up; > 0."""
    late_call_cost: float = 0.0
    """Of a call that is not answered within `threshold_seconds`, beside what it costs if it is lost."""
    threshold_seconds: float = 20.0


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """`agents` (> 0) who all may serve the same queues, given by their numbers."""

    agents: int
    queues: tuple[int, ...]


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """What a queue's bid owes to its threshold, by how long its first call has waited and how many wait."""

    cost: float
    """Of one late call, per second of an agent's time."""
    served: float
    """Rate, a second, at which agents come to the queue's waiting calls."""
    threshold_seconds: float

    def saved(self, wait_seconds: float, waiting: int) -> float:
        """Expected number of calls, of those `waiting`, that are in time only if the first is answered now.

        A call with k before it is late if at most k agents come before its threshold, and k - 1 are enough if one of
        those is answered now: the Poisson probability of exactly k. Those behind the first are thought to have come at
        even distances.
        """
        left = [
            self.threshold_seconds - wait_seconds * (1 - ahead / waiting) for ahead in range(min(waiting, _WAITING))
        ]
        return sum(_poisson(ahead, self.served * seconds) for ahead, seconds in enumerate(left) if seconds > 0)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Bids and prices of queues numbered from 0, in lost-call cost per second of an agent's time. The bid of a queue
    with a threshold is that of a first call that has just come."""

    bids: tuple[float, ...]
    prices: tuple[tuple[float, ...], ...]
    """By queue, then by idle agents who may serve it: entry 0 is for one idle agent. Beyond the last entry: 0."""
    late: tuple[Late | None, ...] = ()
    """By queue: None if it has no threshold to hold. Empty: none has."""

    def bid(self, queue: int, wait_seconds: float, waiting: int) -> float:
        """What the queue bids when its first call has waited so long and so many (≥ 1) wait: more as the threshold
        comes near, less once it has passed, never less than without one."""
        late = self.late[queue] if self.late else None
        if late is None:
            return self.bids[queue]
        return self.bids[queue] + late.cost * (late.saved(wait_seconds, waiting) - late.saved(0, 1))

    def price(self, queue: int, idle: int) -> float:
        """Cost of taking one of the `idle` (≥ 1) agents who may serve the queue."""
        prices = self.prices[queue]
        return prices[idle - 1] if idle <= len(prices) else 0.0

    def may_take(self, queue: int, serves: Sequence[int], idle: Idle) -> bool:
        """Whether a call of `queue` may take an idle agent who `serves` these queues. `idle[q]`: idle agents who may
        serve q, this one included."""
        return all(other == queue or self.yields(other, queue, idle) for other in serves)

    def is_higher(self, queue: int, than: int) -> bool:
        """Whether the queue bids more than the other."""
        return self.bids[queue] > self.bids[than] * _EQUAL

    def yields(self, queue: int, to: int, idle: Idle) -> bool:
        """Whether the queue leaves an agent whom it may need to a call of the other one: that bids as much, or more
        than the agent is worth to it."""
        return not self.is_higher(queue, to) or self.price(queue, idle[queue]) < self.bids[to]

    def next_queue(
        self,
        waiting: Sequence[int],
        serves: Sequence[int],
        idle: Idle,
        bids: Bids | None = None,
        *,
        withhold: bool = True,
    ) -> int | None:
        """The queue whose first call an idle agent who `serves` these queues takes, or None: they stay idle, which
        `withhold` allows.

        `waiting`: the queues of `serves` in which somebody waits, in the pool's order of their first calls; `bids`:
        what these bid now, if that is not what they bid for a call that has just come. Whether an agent is kept does
        not depend on it: that would change with time alone.
        """
        now = self.bids if bids is None else bids
        best: int | None = None
        for queue in waiting:
            better = best is None or now[queue] > now[best] * _EQUAL
            if better and (not withhold or self.may_take(queue, serves, idle)):
                best = queue
        return best

    def next_group(
        self, queue: int, groups: Sequence[Sequence[int]], idle: Idle, *, withhold: bool = True
    ) -> int | None:
        """Which of `groups` (the queues that each may serve; each has an idle agent; in the pool's order) gives an
        agent to a call of `queue`: its place in the list, or None: the call waits, which `withhold` allows."""
        best: int | None = None
        least = 0.0
        for place, serves in enumerate(groups):
            cost = max((self.price(other, idle[other]) for other in serves if other != queue), default=0.0)
            better = best is None or cost * _EQUAL < least
            if better and (not withhold or self.may_take(queue, serves, idle)):
                best, least = place, cost
        return best


def weigh(demands: Sequence[Demand], staff: Sequence[Staff]) -> Policy:
    """The policy for these queues and groups: the same figures always give the same policy.

    Cost: some 5,000 steps of arithmetic per queue and 200 per pair of a group and a queue that it serves.
    """
    return _Weighing(demands, staff).policy()


class _Weighing:
    """The iteration towards bids and prices that fit each other."""

    def __init__(self, demands: Sequence[Demand], staff: Sequence[Staff]) -> None:
        self.demands = demands
        self.staff = [group for group in staff if group.queues]
        count = len(demands)
        self.groups_of: list[list[int]] = [[] for _ in range(count)]
        for number, group in enumerate(self.staff):
            for queue in group.queues:
                self.groups_of[queue].append(number)
        self.flows = _balanced_flows(demands, self.staff, self.groups_of)
        self.rates = [self._release_rate(number) for number in range(len(self.staff))]
        self.agents = [sum(self.staff[group].agents for group in groups) for groups in self.groups_of]
        self.release = [
            sum(self.staff[group].agents * self.rates[group] for group in groups) / max(1, agents)
            for groups, agents in zip(self.groups_of, self.agents, strict=True)
        ]
        """By queue: rate at which one busy agent who may serve it becomes idle."""
        self.rivals = [self._rivals(queue) for queue in range(count)]
        self.worth = [demand.lost_call_cost for demand in demands]
        self.losses = [[0.0] * min(agents, _IDLE) for agents in self.agents]
        """By queue: relative value of its 1st, 2nd, … idle agent, as `worth` in lost-call cost."""
        self.served = [0.0] * count
        """By queue: rate at which agents come to its waiting calls."""

    def _release_rate(self, group: int) -> float:
        queues = self.staff[group].queues
        flow = sum(self.flows[queue][group] for queue in queues)
        if flow > 0:
            work = sum(self.flows[queue][group] * self.demands[queue].handling_seconds for queue in queues)
            return flow / work
        return len(queues) / sum(self.demands[queue].handling_seconds for queue in queues)

    def _rivals(self, queue: int) -> list[tuple[int, float]]:
        """The other queues that share agents with this one, each with its flow (calls a second) to those agents."""
        flows: dict[int, float] = {}
        for group in self.groups_of[queue]:
            for other in self.staff[group].queues:
                if other != queue:
                    flows[other] = flows.get(other, 0.0) + self.flows[other][group]
        return list(flows.items())

    def _bid(self, queue: int) -> float:
        return self.worth[queue] / self.demands[queue].handling_seconds

    def policy(self) -> Policy:
        queues = range(len(self.demands))
        for _ in range(_ROUNDS):
            solved = [self._solve(queue) for queue in queues]
            for queue, (worth, losses) in enumerate(solved):
                self.worth[queue] += _DAMPING * (worth - self.worth[queue])
                self.losses[queue] = [
                    before + _DAMPING * (after - before)
                    for before, after in zip(self.losses[queue], losses, strict=True)
                ]
        return Policy(
            bids=tuple(self._bid(queue) for queue in queues),
            prices=tuple(tuple(loss * self.release[queue] for loss in self.losses[queue]) for queue in queues),
            late=tuple(map(self._late, queues)) if any(demand.late_call_cost for demand in self.demands) else (),
        )

    def _late(self, queue: int) -> Late | None:
        demand = self.demands[queue]
        if not demand.late_call_cost:
            return None
        return Late(
            cost=demand.late_call_cost / demand.handling_seconds,
            served=self.served[queue],
            threshold_seconds=demand.threshold_seconds,
        )

    def _solve(self, queue: int) -> tuple[float, list[float]]:
        """Worth of answering the first waiting call, and losses by idle agents, with the others as they are now.

        Never negative: nothing is gained by letting a caller wait or by an agent's absence, whatever mean flows say.
        """
        demand, bid = self.demands[queue], self._bid(queue)
        higher = {other for other, _ in self.rivals[queue] if self._bid(other) > bid * _EQUAL}
        served = 0.0
        for group in self.groups_of[queue]:
            capacity = self.staff[group].agents * self.rates[group]
            taken = sum(self.flows[other][group] for other in self.staff[group].queues if other in higher)
            served += max(_LEFTOVER * capacity, capacity - taken)
        self.served[queue] = served
        late = _late_costs(demand, served)
        idle = len(self.losses[queue])
        births, deaths, costs = [], [], []
        for free in range(idle, 0, -1):
            price = self.losses[queue][free - 1] * self.release[queue]
            birth, shut_out = demand.calls_per_second, 0.0
            for other, flow in self.rivals[queue]:
                if other in higher or self._bid(other) > price:
                    birth += flow
                else:
                    shut_out += flow * self.worth[other]
            births.append(birth)
            deaths.append((self.agents[queue] - free) * self.release[queue])
            costs.append(shut_out)
        shut_out = sum(flow * self.worth[other] for other, flow in self.rivals[queue] if other not in higher)
        for waiting in range(_WAITING + 1):
            lost = waiting / demand.patience_seconds
            births.append(demand.calls_per_second)
            deaths.append(served + lost if waiting else self.agents[queue] * self.release[queue])
            costs.append(demand.lost_call_cost * lost + shut_out + demand.calls_per_second * late[waiting])
        costs[-1] += demand.lost_call_cost * demand.calls_per_second
        steps = [max(0.0, step) for step in _relative_values(births, deaths, costs)]
        return steps[idle] + late[0], [steps[idle - free] for free in range(1, idle + 1)]


def _late_costs(demand: Demand, served: float) -> list[float]:
    """By the calls that wait before it, at most _WAITING: what it costs on average that too few agents come before the
    threshold of a call that comes now."""
    if not demand.late_call_cost:
        return [0.0] * (_WAITING + 1)
    exactly = [_poisson(count, served * demand.threshold_seconds) for count in range(_WAITING + 1)]
    return [demand.late_call_cost * min(1.0, total) for total in itertools.accumulate(exactly)]


def _poisson(count: int, mean: float) -> float:
    """Probability of exactly so many."""
    if mean <= 0:
        return float(count == 0)
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


def _relative_values(births: Sequence[float], deaths: Sequence[float], costs: Sequence[float]) -> list[float]:
    """Differences between the relative values of neighbouring states k and k + 1 of a birth-and-death chain that pays
    `costs[k]` a second in state k. From the nearer end of the likeliest state, where rounding does not grow."""
    weights = [1.0]
    for state in range(1, len(costs)):
        weights.append(weights[-1] * births[state - 1] / deaths[state])
        if weights[-1] > 1e200:
            weights = [weight * 1e-200 for weight in weights]
    mean = sum(weight * cost for weight, cost in zip(weights, costs, strict=True)) / sum(weights)
    likeliest = max(range(len(weights)), key=weights.__getitem__)
    steps = [0.0] * (len(costs) - 1)
    step = 0.0
    for state in range(likeliest):
        step = steps[state] = (mean - costs[state] + (deaths[state] * step if state else 0.0)) / births[state]
    step = 0.0
    for state in range(len(costs) - 1, likeliest, -1):
        above = births[state] * step if state < len(costs) - 1 else 0.0
        step = steps[state - 1] = (costs[state] - mean + above) / deaths[state]
    return steps


def _balanced_flows(
    demands: Sequence[Demand], staff: Sequence[Staff], groups_of: Sequence[Sequence[int]]
) -> list[dict[int, float]]:
    """Calls a second by queue and group, such that groups that can share work are about equally busy."""
    flows = [
        dict.fromkeys(groups, demand.calls_per_second / max(1, len(groups)))
        for demand, groups in zip(demands, groups_of, strict=True)
    ]
    for _ in range(_FLOW_ROUNDS):
        loads = [
            sum(flows[queue][number] * demands[queue].handling_seconds for queue in group.queues) / group.agents
            for number, group in enumerate(staff)
        ]
        for demand, flow in zip(demands, flows, strict=True):
            if demand.calls_per_second <= 0 or len(flow) < 2:
                continue
            mean = sum(flow[group] * loads[group] for group in flow) / demand.calls_per_second
            for group in flow:
                flow[group] *= max(0.1, 1 - _FLOW_STEP * (loads[group] - mean) / mean)
            total = sum(flow.values())
            for group in flow:
                flow[group] *= demand.calls_per_second / total
    return flows
