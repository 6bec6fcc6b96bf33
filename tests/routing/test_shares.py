"""The shared floor: agents who serve several tenants, and what of them is whose."""

from __future__ import annotations

from typing import Any

import msgspec
from common.events import CallAssigned
from common.hours import parse
from msgspec.structs import replace
from routing.domain import inputs
from routing.domain.agents import Agent
from routing.domain.calls import Call
from routing.domain.configuration import Weights
from routing.domain.pool import Pool
from routing.domain.shares import Positions, Share, faults

from .floors import Floor, at, only, profile, queue
from .shared_floor import positions, share


def floor(*shares: Share, agents: int = 3, weights: dict[str, Weights] | None = None, **rules: Any) -> Floor:
    """Three tenants with a queue each, agents a1, a2 … who serve them all and are available, and these shares."""
    made = Floor(
        *(queue(one, tenant_id=one, weights=(weights or {}).get(one), **rules) for one in ("kettle", "lamp", "mill")),
        *(profile(f"a{number}") for number in range(1, agents + 1)),
    )
    for one in shares:
        declare(made, 0, one)
    for number in range(1, agents + 1):
        made.log_in(number / 1000, f"a{number}")
    return made


def declare(made: Floor, seconds: float, one: Share) -> list[str]:
    return taken(made.give(inputs.ConfigureShare, seconds, share=one))


def taken(events: Any) -> list[str]:
    """Who took which call."""
    return [f"{event.agent_id} {event.call_id}" for event in events if isinstance(event, CallAssigned)]


def finish(made: Floor, seconds: float, call_id: str, agent_id: str) -> list[str]:
    """The call is answered, ended and wrapped up at once; what that leads to."""
    made.accept(seconds, call_id, agent_id)
    made.hang_up(seconds, call_id)
    return taken(made.wrap_up(seconds, call_id, agent_id))


def why(made: Floor, call_id: str) -> str | None:
    return made.pool.calls[call_id].assignments[-1].share


def test_as_many_agents_are_kept_as_the_tenant_is_short_of() -> None:
    """Given 2 of 3 agents reserved for kettle; then lamp takes one, and kettle still finds its two."""
    made = floor(share("kettle", reserved=2))
    assert taken(made.call(1, "l1", "lamp")) == ["a1 l1"]
    assert taken(made.call(2, "l2", "lamp")) == []
    assert taken(made.call(3, "k1", "kettle")) == ["a2 k1"]
    assert taken(made.call(4, "m1", "mill")) == [], "one serves kettle, one is kept"
    assert taken(made.call(5, "k2", "kettle")) == ["a3 k2"]
    assert [why(made, one) for one in ("l1", "k1", "k2")] == [None, "reserved", "reserved"]
    assert finish(made, 6, "l1", "a1") == ["a1 l2"], "kettle has its two: the next agent is anybody's"


def test_an_agent_who_comes_free_stays_for_the_tenant_that_is_short() -> None:
    made = floor(share("kettle", reserved=1), agents=1)
    assert taken(made.call(1, "k1", "kettle")) == ["a1 k1"]
    made.call(2, "l1", "lamp")
    assert finish(made, 3, "k1", "a1") == []
    assert made.agent("a1").state_name == "available"
    assert taken(made.call(4, "k2", "kettle")) == ["a1 k2"]


def test_a_reservation_that_is_met_or_taken_away_lets_waiting_calls_through() -> None:
    made = floor(share("kettle", reserved=2), agents=2)
    made.call(1, "l1", "lamp")
    made.call(2, "l2", "lamp")
    assert taken(made.give(inputs.ConfigureAgent, 3, agent=profile("a3"))) == []
    assert taken(made.log_in(4, "a3")) == ["a3 l1"], "three are there: one is for all"
    assert declare(made, 5, share("kettle", reserved=1, version=2)) == ["a1 l2"]
    assert declare(made, 6, share("kettle", reserved=3, version=2)) == []
    made.call(7, "l3", "lamp")
    assert declare(made, 8, share("kettle", version=3)) == ["a2 l3"], "a share that says nothing is none"
    assert made.pool.sharing.slots == {}


def test_an_older_share_never_replaces_a_newer_one() -> None:
    made = floor(share("kettle", version=3), agents=1)
    declare(made, 1, share("kettle", reserved=1, version=2))
    assert taken(made.call(2, "l1", "lamp")) == ["a1 l1"]


def test_another_tenant_that_is_short_itself_takes_whom_it_needs() -> None:
    made = floor(share("kettle", reserved=2), share("lamp", reserved=1), agents=2)
    assert taken(made.call(1, "m1", "mill")) == []
    assert taken(made.call(2, "l1", "lamp")) == ["a1 l1"]
    assert why(made, "l1") == "reserved"
    assert taken(made.call(3, "l2", "lamp")) == []
    assert taken(made.call(4, "k1", "kettle")) == ["a2 k1"]


def test_only_agents_who_may_serve_the_tenant_are_kept_for_it() -> None:
    made = Floor(
        queue("kettle", "tea", tenant_id="kettle"), queue("lamp", tenant_id="lamp"), profile("a1", "tea"), profile("a2")
    )
    declare(made, 0, share("kettle", reserved=2))
    made.log_in(1, "a1")
    made.log_in(2, "a2")
    assert taken(made.call(3, "l1", "lamp")) == ["a2 l1"], "the longest idle is kept"
    assert taken(made.call(4, "l2", "lamp")) == []
    assert finish(made, 5, "l1", "a2") == ["a2 l2"]
    made.call(6, "l3", "lamp")
    assert taken(made.give(inputs.ConfigureAgent, 7, agent=profile("a1", version=2))) == ["a1 l3"]


def test_a_call_that_has_waited_for_the_release_time_takes_a_kept_agent() -> None:
    """It happens by itself, in the order of service, and one call at a time."""
    made = floor(share("kettle", reserved=2, release_after_seconds=30), agents=2, offer_timeout_seconds=600.0)
    made.call(10, "l1", "lamp")
    made.call(20, "m1", "mill")
    made.call(21, "k1", "kettle")
    assert taken(made.tick(39.9)) == []
    assert made.pool.next_due() == at(40)
    assert taken(made.tick(40)) == ["a2 l1"]
    assert why(made, "l1") == "released"
    assert finish(made, 41, "k1", "a1") == []
    assert taken(made.tick(50)) == ["a1 m1"]
    made.call(60, "l2", "lamp")
    made.call(61, "l3", "lamp")
    made.tick(95)
    assert finish(made, 96, "m1", "a1") == ["a1 l2"], "released while nobody was available"
    assert finish(made, 97, "l2", "a1") == ["a1 l3"]


def test_the_release_time_is_counted_over_all_queues_of_a_call() -> None:
    made = Floor(
        queue("kettle", tenant_id="kettle"),
        queue("first", "nobody", tenant_id="lamp", overflow=("second", 25)),
        queue("second", tenant_id="lamp"),
        profile("a1"),
    )
    declare(made, 0, share("kettle", reserved=1, release_after_seconds=30))
    made.log_in(0, "a1")
    made.call(0, "l1", "first")
    assert taken(made.tick(29)) == []
    assert taken(made.tick(30)) == ["a1 l1"]


def test_a_tenant_never_has_more_agents_than_most() -> None:
    made = floor(share("lamp", most=1))
    assert taken(made.call(1, "l1", "lamp")) == ["a1 l1"]
    assert taken(made.call(2, "l2", "lamp")) == []
    assert taken(made.call(3, "m1", "mill")) == ["a2 m1"]
    assert finish(made, 4, "m1", "a2") == [], "who comes free does not take it either"
    made.accept(5, "l1", "a1")
    made.hang_up(6, "l1")
    assert taken(made.tick(7)) == [], "the wrap-up counts"
    assert taken(made.wrap_up(8, "l1", "a1")) == ["a1 l2"]
    assert declare(made, 9, share("lamp", most=0, version=2)) == []
    assert finish(made, 10, "l2", "a1") == []
    made.call(11, "l3", "lamp")
    assert declare(made, 12, share("lamp", most=2, version=3)) == ["a3 l3"]


def test_who_comes_free_serves_the_tenant_below_its_guarantee_first() -> None:
    made = floor(share("kettle", guaranteed=1), agents=2)
    assert taken(made.call(1, "l1", "lamp")) == ["a1 l1"]
    assert taken(made.call(2, "l2", "lamp")) == ["a2 l2"], "nobody is kept"
    for second, one in enumerate(["lamp", "lamp", "kettle", "kettle"], 3):
        made.call(second, f"{one[0]}{second}", one)
    assert finish(made, 10, "l1", "a1") == ["a1 k5"]
    assert why(made, "k5") == "guaranteed"
    assert finish(made, 11, "l2", "a2") == ["a2 l3"], "the guarantee is met: again the longest waiting"
    assert why(made, "l3") is None


def test_a_preferred_agent_who_is_kept_is_not_waited_for() -> None:
    made = floor(share("kettle", reserved=1), agents=1, sticky_seconds=60.0)
    made.call(1, "l1", "lamp", preferred_agent_id="a1")
    (waiting,) = made.pool.waiting_in("lamp")
    assert waiting.state.alone_until is None  # type: ignore[union-attr]
    assert made.pool.agents["a1"].state_name == "available"
    made.give(inputs.ConfigureAgent, 2, agent=profile("a2"))
    assert taken(made.log_in(3, "a2")) == ["a2 l1"], "one of two is kept"


def test_who_comes_free_and_is_kept_leaves_those_who_waited_for_them_alone() -> None:
    made = floor(share("kettle", reserved=1), agents=1, sticky_seconds=60.0)
    made.call(1, "k1", "kettle")
    made.call(2, "l1", "lamp", preferred_agent_id="a1")
    assert made.pool.waiting_for("a1")
    assert finish(made, 3, "k1", "a1") == []
    assert made.pool.waiting_for("a1") == []
    assert declare(made, 4, share("kettle", version=2)) == ["a1 l1"]


def test_weights_choose_within_the_shares_and_never_withhold_what_is_reserved() -> None:
    """Given weights by which agents are kept from kettle's cheap calls for lamp's dear ones; then a reservation and a
    guarantee of kettle hold all the same, and lamp cannot take kettle's agent."""
    cheap, dear = Weights(lost_call_cost=0.01, calls_per_hour=60), Weights(lost_call_cost=100, calls_per_hour=60)
    weights = {"kettle": cheap, "lamp": dear, "mill": cheap}
    plain = floor(agents=2, weights=weights)
    assert taken(plain.call(1, "k1", "kettle")) == [], "by weights alone"
    reserved = floor(share("kettle", reserved=1), agents=2, weights=weights)
    assert taken(reserved.call(1, "l1", "lamp")) == ["a1 l1"]
    assert taken(reserved.call(2, "l2", "lamp")) == []
    assert taken(reserved.call(3, "k1", "kettle")) == ["a2 k1"]
    reserved.call(4, "k2", "kettle")
    assert finish(reserved, 5, "k1", "a2") == ["a2 k2"], "short again: its agent is not for lamp, however dear"
    guaranteed = floor(share("kettle", guaranteed=1), agents=1, weights=weights)
    assert taken(guaranteed.call(1, "l1", "lamp")) == ["a1 l1"]
    guaranteed.call(2, "l2", "lamp")
    guaranteed.call(3, "k1", "kettle")
    assert finish(guaranteed, 4, "l1", "a1") == ["a1 k1"]
    assert finish(guaranteed, 5, "k1", "a1") == ["a1 l2"]
    capped = floor(share("lamp", most=1), agents=2, weights={**weights, "kettle": dear})
    assert taken(capped.call(1, "l1", "lamp")) == ["a1 l1"]
    assert taken(capped.call(2, "l2", "lamp")) == []
    assert taken(capped.call(3, "k1", "kettle")) == ["a2 k1"]
    assert finish(capped, 4, "k1", "a2") == []
    assert finish(capped, 5, "l1", "a1") == ["a1 l2"]


NINE_TO_TEN = parse({"week": {"mon": [["10:30", "11:00"]]}})
"""Monday 9:30 to 10:00 UTC; the floor's tests begin at 9:00."""


def test_a_burst_is_switched_by_its_hours_and_by_an_operator() -> None:
    """Switching lets waiting calls through at once, also by the clock alone."""
    half, hour = 1800, 3600
    said: dict[str, Any] = {"burst": positions(reserved=2), "burst_hours": NINE_TO_TEN}
    made = floor(share("kettle", reserved=1, **said), agents=2)
    assert made.pool.next_due() == at(half)
    assert taken(made.call(1, "l1", "lamp")) == ["a1 l1"]
    assert finish(made, 2, "l1", "a1") == []
    made.tick(half)
    made.call(half + 1, "l2", "lamp")
    assert made.pool.sharing.standing("kettle") == (positions(reserved=2), True, 0, 2, 2)
    assert taken(made.tick(hour - 1)) == []
    assert taken(made.tick(hour)) == ["a2 l2"]
    assert declare(made, hour + 1, share("kettle", reserved=1, version=2, burst_override="on", **said)) == []
    assert finish(made, hour + 2, "l2", "a2") == []
    made.call(hour + 3, "l3", "lamp")
    assert declare(made, hour + 4, share("kettle", reserved=1, version=3, burst_override="off", **said)) == ["a1 l3"]
    assert made.pool.next_due() == at(hour + 24), "the offer alone: the hours do not count"


def test_a_pool_that_was_loaded_keeps_and_releases_as_before() -> None:
    def played(restart: bool) -> list[str]:
        made = floor(share("kettle", reserved=1, release_after_seconds=30), share("lamp", guaranteed=1), agents=2)
        happened = []
        for second, call_id in enumerate(["m1", "m2", "l1", "m3", "k1"], 1):
            tenant = {"m": "mill", "l": "lamp", "k": "kettle"}[call_id[0]]
            happened += taken(made.call(second, call_id, tenant))
            if restart:
                made.pool = reloaded(made.pool)
        happened += finish(made, 10, "m1", "a1")
        happened += finish(made, 20, "k1", "a2")
        happened += taken(made.tick(40))
        return happened

    assert played(restart=True) == played(restart=False) == ["a1 m1", "a2 k1", "a1 l1", "a2 m2"]


def reloaded(pool: Pool) -> Pool:
    calls = msgspec.json.decode(msgspec.json.encode(list(pool.calls.values())), type=list[Call])
    agents = msgspec.json.decode(msgspec.json.encode(list(pool.agents.values())), type=list[Agent])
    shares = msgspec.json.decode(msgspec.json.encode(pool.sharing.known), type=list[Share])
    return Pool.load(pool.id, pool.now, pool.queues, pool.profiles, agents, calls, shares=shares)


def test_figures_that_cannot_be_are_all_named() -> None:
    assert faults(positions(reserved=3, guaranteed=4, most=2), positions(reserved=1, most=0)) == [
        ("reserved_positions", "is more than most_positions, 2"),
        ("guaranteed_positions", "is more than most_positions, 2"),
        ("burst.reserved_positions", "is more than most_positions, 0"),
    ]
    assert [field for field, _ in faults(Positions(), None)] == ["reserved_positions"]
    assert faults(Positions(), positions(reserved=2)) == []
    assert faults(positions(most=0), None) == []


def test_a_floor_without_shares_takes_the_first_agent() -> None:
    made = floor()
    assert only(made.call(1, "l1", "lamp"), CallAssigned).agent_id == "a1"
    assert why(made, "l1") is None


def test_a_missed_call_is_not_before_the_others_that_its_miss_makes_room_for() -> None:
    """Given one agent at most for kettle, and two of its calls: one rings, the other waits, and comes before it."""
    made = floor(share("kettle", most=1), agents=2, missed_offers_before_break=1)
    made.give(inputs.ConfigureQueue, 0, queue=queue("vip", tenant_id="kettle", priority=9))
    assert taken(made.call(1, "k1", "kettle")) == ["a1 k1"]
    assert taken(made.call(2, "v1", "vip")) == []
    assert taken(made.log_out(3, "a1")) == ["a2 v1"]


def test_a_missed_call_whose_queue_has_moved_goes_there_also_where_tenants_have_shares() -> None:
    made = floor(share("kettle", most=1), agents=2)
    made.give(inputs.ConfigureQueue, 0, queue=queue("later", tenant_id="kettle", priority=0))
    made.call(1, "k1", "kettle")
    assert taken(made.call(1, "k2", "later")) == []
    moved = replace(queue("kettle", tenant_id="kettle").at_home_in("side"), version=2)
    made.give(inputs.ConfigureQueue, 2, queue=moved, moved=True)
    events = made.log_out(3, "a1")
    assert only(events, inputs.TakeOver).call.id == "k1"
    assert taken(events) == ["a2 k2"]
