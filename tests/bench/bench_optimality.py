"""How far the policy by declared weights is from the best there is: `make bench-routing`.

R1, the N-design: 10 agents who serve A, 10 who serve A and B; 2.6 and 2.0 calls a minute, handling 4 minutes, patience
2 minutes, all exponential; a lost call costs its queue's weight. The optimum of all policies, those that keep agents
idle included, is found by value iteration over every state, and so is the exact long-run cost of each policy: nothing
of R1 is simulated. R2, six kinds of calls, 1.40 a minute each, handling 10 minutes, 90 agents, 30 places to wait,
nobody hangs up: simulated with two skills an agent, six agents for each of the fifteen pairs of kinds; beside it,
fifteen agents for each of the six pairs of neighbours on the ring 1-2-3-4-5-6-1, and one and six skills an agent.
R1 once more with nothing declared but the weights: the rest is what a pool has estimated after some hours of simulated
calls; the policy that it then follows is again put to the exact long-run cost.
The last line is one line of JSON.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import bench_decide
import days
import numpy as np
from floors import Loop
from numpy.typing import NDArray
from routing.domain.configuration import AgentProfile, Queue, Weights
from routing.domain.policy import Demand, Policy, Staff, weigh

Numbers = NDArray[Any]
State = tuple[Numbers, Numbers, Numbers, Numbers]
"""Busy agents who serve A alone, busy agents who serve both, A waiting, B waiting: one entry for each state."""

OWN = SHARED = 10
RATES = (2.6, 2.0)
RELEASE, ABANDONMENT = 1 / 4, 1 / 2
WEIGHTS = ((3, 1), (1, 1), (1, 3))
SEEDS, WARM_UP_HOURS = 5, 8
"""Simulated days, and hours of each, from which a pool learns R1."""
CALLS = 800_000
"""Calls in one run of R2."""


class Floor:
    """R1 with at most `room` calls waiting in each queue. `shape`: the states, as `State` numbers them."""

    def __init__(self, weights: tuple[int, int], room: int) -> None:
        self.weights, self.room = weights, room
        self.shape = (OWN + 1, SHARED + 1, room + 1, room + 1)
        self.state: State = tuple(np.meshgrid(*(np.arange(size) for size in self.shape), indexing="ij"))  # type: ignore[assignment]
        self.top = sum(RATES) + RELEASE * (OWN + SHARED) + 2 * room * ABANDONMENT

    def optimum(self) -> float:
        """The least long-run cost a minute."""
        return self._long_run(self._best_moves, None)

    def cost(self, answer: Callable[[State], tuple[Numbers, Numbers]]) -> float:
        """The long-run cost a minute of a policy. `answer`: whether a shared agent takes an A, and a B, now."""
        settled = self._settled(answer)
        lasting = (settled == np.arange(settled.size)).reshape(self.shape)
        return self._long_run(lambda value: value.ravel()[settled].reshape(self.shape), lasting)

    @staticmethod
    def _best_moves(value: Numbers) -> Numbers:
        """The best value that is reached from each state by answering any calls, or none."""
        best = value.copy()
        for own in range(OWN, -1, -1):
            for shared in range(SHARED, -1, -1):
                here = best[own, shared]
                if own < OWN:
                    np.minimum(here[1:], best[own + 1, shared][:-1], out=here[1:])
                if shared < SHARED:
                    np.minimum(here[1:], best[own, shared + 1][:-1], out=here[1:])
                    np.minimum(here[:, 1:], best[own, shared + 1][:, :-1], out=here[:, 1:])
        return best

    def _settled(self, answer: Callable[[State], tuple[Numbers, Numbers]]) -> Numbers:
        """By state: the number of the one in which the policy's decisions end. Agents of A alone never wait."""
        own, shared, a, b = (part.ravel().copy() for part in self.state)
        while True:
            alone = (a > 0) & (own < OWN)
            free = (shared < SHARED) & ~alone
            wants_a, wants_b = answer((own, shared, a, b))
            takes_a = free & (a > 0) & wants_a
            takes_b = free & (b > 0) & wants_b & ~takes_a
            if not (alone | takes_a | takes_b).any():
                return np.ravel_multi_index((own, shared, a, b), self.shape)
            own, shared = own + alone, shared + takes_a + takes_b
            a, b = a - alone - takes_a, b - takes_b

    def _long_run(self, decide: Callable[[Numbers], Numbers], lasting: Numbers | None) -> float:
        """Relative value iteration until the bounds of the cost meet. `lasting`: the states in which the floor can be
        between two events; None: those in which doing nothing is best."""
        own, shared, a, b = self.state
        full_a, full_b = a == self.room, b == self.room
        cost = ABANDONMENT * (self.weights[0] * a + self.weights[1] * b)
        cost = cost + self.weights[0] * RATES[0] * full_a + self.weights[1] * RATES[1] * full_b
        rest = self.top - sum(RATES) - RELEASE * (own + shared) - ABANDONMENT * (a + b)
        value = np.zeros(self.shape)
        for turn in range(100_000):
            after = decide(value)
            new = cost + rest * after
            new[:, :, :-1] += RATES[0] * after[:, :, 1:]
            new[:, :, -1] += RATES[0] * after[:, :, -1]
            new[..., :-1] += RATES[1] * after[..., 1:]
            new[..., -1] += RATES[1] * after[..., -1]
            new[1:] += RELEASE * own[1:] * after[:-1]
            new[:, 1:] += RELEASE * shared[:, 1:] * after[:, :-1]
            new[:, :, 1:] += ABANDONMENT * a[:, :, 1:] * after[:, :, :-1]
            new[..., 1:] += ABANDONMENT * b[..., 1:] * after[..., :-1]
            new /= self.top
            if turn % 50 == 0:
                gains = (new - after)[after == value if lasting is None else lasting] * self.top
                if gains.max() - gains.min() < 1e-6:
                    return float(gains.max() + gains.min()) / 2
            value = new - new.flat[0]
        raise AssertionError("value iteration does not converge")


def declared(weights: tuple[int, int]) -> list[Demand]:
    """R1 as an operator who knows it all would declare it."""
    return [
        Demand(lost_call_cost=weight, calls_per_second=rate / 60, handling_seconds=240, patience_seconds=120)
        for weight, rate in zip(weights, RATES, strict=True)
    ]


def estimated(weights: tuple[int, int], seed: int) -> list[Demand]:
    """R1 as a pool that was told the weights alone has come to know it, hours after its first call."""
    traffic = days.Traffic(RATES[0], 240, 120), days.Traffic(RATES[1], 240, 120)
    rules: list[Queue | AgentProfile] = [
        Queue(
            id=name,
            tenant_id="kettle",
            time_zone="Europe/Paris",
            channel="voice",
            required_skills=(name,),
            priority=5,
            ageing_seconds_per_priority=60,
            service_level_seconds=20,
            short_abandon_seconds=5,
            offer_timeout_seconds=20,
            wrap_up_seconds=30,
            max_wait_seconds=None,
            overflow=None,
            version=1,
            weights=Weights(lost_call_cost=weight),
        )
        for name, weight in zip("ab", weights, strict=True)
    ]
    for number in range(OWN + SHARED):
        skills = {"a": 5} if number < OWN else {"a": 5, "b": 5}
        rules.append(AgentProfile(id=f"agent-{number}", skills=skills, version=1))
    pool, _ = days.play(rules, dict(zip("ab", traffic, strict=True)), WARM_UP_HOURS, seed)
    known = {figures.queue_id: figures.used for figures in pool.memories.figures()}
    return [
        Demand(
            lost_call_cost=weight,
            calls_per_second=known[name].calls_per_second,
            handling_seconds=known[name].handling_seconds,
            patience_seconds=known[name].patience_seconds,
        )
        for name, weight in zip("ab", weights, strict=True)
    ]


def by_weights(demands: list[Demand]) -> Callable[[State], tuple[Numbers, Numbers]]:
    """The policy under test, told what any pool would tell it. Queues that bid the same are served A first."""
    policy = weigh(demands, [Staff(agents=OWN, queues=(0,)), Staff(agents=SHARED, queues=(0, 1))])

    def choose(waits_a: bool, waits_b: bool, idle_own: int, idle_shared: int) -> int | None:
        waiting = [queue for queue, waits in ((0, waits_a), (1, waits_b)) if waits]
        return policy.next_queue(waiting, (0, 1), (idle_own + idle_shared, idle_shared))

    table = np.full((2, 2, OWN + 1, SHARED + 1), -1)
    for waits_a, waits_b, idle_own, idle_shared in np.ndindex(*table.shape):
        if idle_shared and (chosen := choose(bool(waits_a), bool(waits_b), idle_own, idle_shared)) is not None:
            table[waits_a, waits_b, idle_own, idle_shared] = chosen

    def answer(state: State) -> tuple[Numbers, Numbers]:
        own, shared, a, b = state
        chosen = table[(a > 0).astype(int), (b > 0).astype(int), OWN - own, SHARED - shared]
        return chosen == 0, chosen == 1

    return answer


def _always(state: State) -> Numbers:
    return np.ones(state[0].shape, dtype=bool)


KNOWN: dict[str, Callable[[State], tuple[Numbers, Numbers]]] = {
    "least flexible first, A first": lambda state: (_always(state), _always(state)),
    "least flexible first, B first": lambda state: (state[3] == 0, _always(state)),
    "least flexible first, longest queue": lambda state: (state[2] >= state[3], _always(state)),
    "least flexible first, queue ratio 0.2": lambda state: (
        (state[3] == 0) | (state[2] > 0.2 * (state[2] + state[3])),
        _always(state),
    ),
    "one shared agent kept for B, B first": lambda state: (
        (state[3] == 0) & (SHARED - state[1] > 1),
        _always(state),
    ),
}


def r1() -> dict[str, float]:
    """Gaps above the optimum, as fractions, by weights."""
    gaps = {}
    for weights in WEIGHTS:
        floor = Floor(weights, 24)
        optimum = floor.optimum()
        wider = Floor(weights, 32).optimum()
        assert abs(wider - optimum) < 1e-5, "24 waiting calls a queue are too few"
        print(f"\nR1 at {weights[0]} : {weights[1]}: optimum {optimum:.5f} a minute (room for 32: {wider:.5f})")
        for name, answer in {"by declared weights": by_weights(declared(weights)), **KNOWN}.items():
            cost = floor.cost(answer)
            gap = cost / optimum - 1
            print(f"  {name:<40} {cost:.5f}  {gap:+7.2%}")
            if name == "by declared weights":
                gaps[f"r1_gap_{weights[0]}_{weights[1]}"] = round(max(0.0, gap), 5)
        days_gaps = [floor.cost(by_weights(estimated(weights, seed))) / optimum - 1 for seed in range(1, SEEDS + 1)]
        mean, worst = sum(days_gaps) / SEEDS, max(days_gaps)
        print(f"  by weights, all else estimated           {SEEDS} days: {mean:+7.2%}, worst {worst:+7.2%}", flush=True)
        gaps[f"r1_gap_estimated_{weights[0]}_{weights[1]}"] = round(max(0.0, mean), 5)
    return gaps


# R2

KINDS, PER_MINUTE, MEAN, AGENTS, ROOM = 6, 1.40, 10.0, 90, 30


def pooled() -> tuple[float, float]:
    """M/M/90/30 exactly: blocking, and the mean wait in minutes of those who enter."""
    agents, rate = AGENTS, KINDS * PER_MINUTE
    weights = [1.0]
    for state in range(1, agents + ROOM + 1):
        weights.append(weights[-1] * rate / (min(state, agents) / MEAN))
    total = sum(weights)
    blocking = weights[-1] / total
    waiting = sum(weight * max(0, state - agents) for state, weight in enumerate(weights)) / total
    return blocking, waiting / (rate * (1 - blocking))


def run(policy: Policy, staff: Sequence[Staff], calls: int, seed: int) -> tuple[float, float]:
    """One long run: blocking, mean wait in minutes of those who enter. A freed agent sees the calls in the order of
    arrival, a call sees the crews in the order of their longest idle agent, and the policy decides."""
    chance = random.Random(seed)
    crews_of = [[crew for crew, group in enumerate(staff) if kind in group.queues] for kind in range(KINDS)]
    rested: list[deque[float]] = [deque([0.0] * group.agents) for group in staff]
    idle = [sum(group.agents for group in staff if kind in group.queues) for kind in range(KINDS)]
    queues: list[deque[float]] = [deque() for _ in range(KINDS)]
    ends: list[tuple[float, int]] = []
    waiting, entered, blocked, waited = 0, 0, 0, 0.0

    def busy(crew: int) -> None:
        rested[crew].popleft()
        for kind in staff[crew].queues:
            idle[kind] -= 1
        heapq.heappush(ends, (now + chance.expovariate(1 / MEAN), crew))

    warm_up = calls // 20
    arrival = 0.0
    for number in range(calls + warm_up):
        arrival += chance.expovariate(KINDS * PER_MINUTE)
        while ends and ends[0][0] <= arrival:
            now, crew = heapq.heappop(ends)
            rested[crew].append(now)
            serves = staff[crew].queues
            for kind in serves:
                idle[kind] += 1
            heads = sorted((kind for kind in serves if queues[kind]), key=lambda kind: queues[kind][0])
            chosen = policy.next_queue(heads, serves, idle)
            if chosen is not None:
                waiting -= 1
                came = queues[chosen].popleft()
                waited += now - came if number >= warm_up else 0.0
                busy(crew)
        now, kind = arrival, chance.randrange(KINDS)
        crews = sorted((crew for crew in crews_of[kind] if rested[crew]), key=lambda crew: rested[crew][0])
        place = policy.next_group(kind, [staff[crew].queues for crew in crews], idle)
        fits = place is not None or waiting < ROOM
        if number >= warm_up:
            entered, blocked = entered + fits, blocked + (not fits)
        if place is not None:
            busy(crews[place])
        elif fits:
            queues[kind].append(now)
            waiting += 1
    return blocked / (entered + blocked), waited / entered


def crews(name: str) -> list[Staff]:
    """Who serves what, 90 agents in all."""
    kinds = range(KINDS)
    sets: dict[str, list[tuple[int, ...]]] = {
        "1 skill": [(kind,) for kind in kinds],
        "2 skills, ring": [tuple(sorted((kind, (kind + 1) % KINDS))) for kind in kinds],
        "2 skills, every pair": list(itertools.combinations(kinds, 2)),
        "6 skills": [tuple(kinds)],
    }
    return [Staff(agents=AGENTS // len(sets[name]), queues=queues) for queues in sets[name]]


def r2() -> dict[str, float]:
    """Blocking and mean wait with two skills an agent; 95 % confidence over independent runs."""
    blocking, wait = pooled()
    print(f"\nR2, full pooling, M/M/90/30 exactly: blocking {blocking:.3%}, E[W] {wait:.3f} min", flush=True)
    found = {}
    demand = Demand(lost_call_cost=1, calls_per_second=PER_MINUTE / 60, handling_seconds=600, patience_seconds=600)
    for name, runs in (("1 skill", 4), ("2 skills, ring", 8), ("2 skills, every pair", 12), ("6 skills", 4)):
        staff = crews(name)
        policy = weigh([demand] * KINDS, staff)
        pairs = [run(policy, staff, CALLS, seed) for seed in range(1, runs + 1)]
        lost, lost_by = _interval([pair[0] for pair in pairs])
        waits, waits_by = _interval([pair[1] for pair in pairs])
        print(
            f"  {name:<22} blocking {lost:.3%} ± {lost_by:.3%}, E[W] {waits:.3f} ± {waits_by:.3f} min "
            f"({runs} runs of {CALLS:,} calls)",
            flush=True,
        )
        if name == "2 skills, every pair":
            found = {"r2_blocking": round(lost, 5), "r2_mean_wait_min": round(waits, 4)}
    return found


_STUDENT = {4: 3.18, 8: 2.36, 12: 2.20}
"""Two-sided 95 % points of Student's t for that many runs."""


def _interval(values: list[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return mean, _STUDENT[len(values)] * spread / math.sqrt(len(values))


# the engine at scale


def scale() -> dict[str, float]:
    """Decisions a second with 15,000 agents, 5,000 queues and 20,000 calls waiting; against a pool of 100 agents with
    the same load for each agent."""
    took = {}
    for agents, queues, waiting in ((100, 33, 133), (15_000, 5_000, 20_000)):
        result = bench_decide.measure(agents, queues, 30_000, 1.0, Loop(), waiting)
        took[agents] = result["mean_us"]
        print(f"{agents:,} agents, {queues:,} queues, {waiting:,} calls waiting: {result}")
    return {
        "decisions_per_second_15000": result["decisions_per_second"],
        "decisions_vs_loop_15000": result["decisions_vs_loop"],
        "growth_100_to_15000": round(took[15_000] / took[100], 2),
    }


def main() -> None:
    figures = r1() | r2()
    print()
    print(json.dumps(figures | scale()))


if __name__ == "__main__":
    main()
