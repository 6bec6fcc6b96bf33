"""Sites: agents of one that is down are offered nothing, rules hold meanwhile, and sites cover queues by the hour."""

from __future__ import annotations

from typing import Any

from common.events import AgentLoggedOut, CallAssigned, CallOfferMissed, CallOverflowed
from common.hours import parse
from msgspec.structs import replace
from routing.domain import explanation, inputs
from routing.domain.configuration import (
    AgentProfile,
    Closed,
    Cover,
    OverflowRule,
    Site,
    SiteDown,
    ToMessage,
    ToQueue,
    ToSite,
    Waited,
)

from .conftest import QUEUE, Routing
from .floors import Floor, at, names, only, profile, queue

# The floor starts on Monday, 2 March 2026, at 10:00 in Paris.
NOON = 7200
MORNING = Cover(("lyon",), parse({"week": {"mon": [["08:00", "12:00"]]}}), "Europe/Paris")
AFTERNOON = Cover(("faro",), parse({"week": {"mon": [["11:00", "17:00"]]}}), "Europe/Lisbon")
"""An hour behind Paris: from noon in Paris on."""


def at_site(agent_id: str, site_id: str, *skills: str) -> AgentProfile:
    return AgentProfile(id=agent_id, skills=dict.fromkeys(skills, 5), version=1, site_id=site_id)


def set_down(floor: Floor, seconds: float, site_id: str, *, down: bool, version: int) -> Any:
    return floor.give(inputs.ConfigureSite, seconds, site=Site(site_id, down, version))


def test_agents_of_a_site_that_is_down_are_offered_nothing_until_it_is_up() -> None:
    floor = Floor(queue("help"), at_site("ann", "lyon"), at_site("ben", "lyon"), at_site("cat", "faro"))
    floor.log_in(0, "ann")
    floor.log_in(1, "ben")
    floor.call(2, "c1", "help")
    floor.accept(3, "c1", "ann")
    assert set_down(floor, 4, "lyon", down=True, version=1) == []
    assert names(floor.call(5, "c2", "help")) == ["call.offered", "call.queued"]
    floor.hang_up(6, "c1")
    assert floor.wrap_up(7, "c1", "ann"), "who speaks there finishes"
    assert floor.agent("ann").state_name == "available"
    assert floor.pool.queue_ids_of("ann") == []
    assert only(floor.log_in(8, "cat"), CallAssigned).call_id == "c2"
    floor.call(9, "c3", "help")
    up = set_down(floor, 10, "lyon", down=False, version=2)
    assert (only(up, CallAssigned).agent_id, only(up, CallAssigned).call_id) == ("ben", "c3"), "the longest idle"
    assert set_down(floor, 11, "lyon", down=True, version=1) == [], "older news changes nothing"
    assert not floor.pool.is_down("lyon")


def test_what_rings_at_a_site_that_goes_down_goes_on_to_others() -> None:
    floor = Floor(queue("help"), at_site("ann", "lyon"), at_site("cat", "faro"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.log_in(2, "cat")
    events = set_down(floor, 3, "lyon", down=True, version=1)
    assert (only(events, CallOfferMissed).agent_id, only(events, CallOfferMissed).reason) == ("ann", "agent_gone")
    assert only(events, CallAssigned).agent_id == "cat"
    assert floor.agent("ann").state_name == "available"


def test_a_call_does_not_wait_for_an_agent_alone_whose_site_is_down() -> None:
    floor = Floor(queue("help", sticky_seconds=60.0), at_site("ann", "lyon"), at_site("cat", "faro"))
    floor.log_in(0, "ann", "cat")
    floor.set_state(0, "ann", "break")
    assert names(floor.call(1, "c1", "help", preferred_agent_id="ann")) == ["call.offered", "call.queued"]
    assert only(set_down(floor, 2, "lyon", down=True, version=1), CallAssigned).agent_id == "cat"


def test_rules_hold_while_a_site_is_down() -> None:
    coming = OverflowRule(SiteDown("lyon"), ToQueue("partner"))
    floor = Floor(queue("help", overflows=(coming,)), queue("partner", "abroad"), at_site("ann", "lyon"))
    floor.call(0, "c1", "help")
    assert set_down(floor, 1, "lyon", down=True, version=1) == [], "who waits stays, unless the rule says so"
    overflowed = only(floor.call(2, "c2", "help"), CallOverflowed)
    assert (overflowed.queue_id, overflowed.to_queue_id) == ("help", "partner")
    assert explanation.words(floor.pool.calls["c2"], None)[0].endswith("to queue partner: site lyon was down.")
    set_down(floor, 3, "lyon", down=False, version=2)
    assert names(floor.call(4, "c3", "help")) == ["call.offered", "call.queued"]
    waiting = OverflowRule(SiteDown("lyon", waiting=True), ToQueue("partner"))
    floor.give(inputs.ConfigureQueue, 5, queue=queue("help", overflows=(waiting,), version=2))
    events = set_down(floor, 6, "lyon", down=True, version=3)
    assert [event.call_id for event in events if isinstance(event, CallOverflowed)] == ["c1", "c3"]


def test_a_call_sent_to_a_site_stays_in_its_queue_for_agents_there() -> None:
    rule = OverflowRule(Waited(30), ToSite("faro"))
    floor = Floor(queue("help", "french", overflows=(rule,)), at_site("ann", "lyon", "french"))
    floor.give(inputs.ConfigureAgent, 0, agent=at_site("cat", "faro", "french"))
    floor.call(0, "c1", "help")
    assert floor.tick(30) == []
    assert floor.log_in(31, "ann")[-1].TYPE == "agent.logged_in.v1"
    call = floor.pool.calls["c1"]
    assert (call.queue_id, call.entry, call.skills) == ("help", 1, ("site:faro",))
    standing = explanation.waiting(call, queue("help", "french", overflows=(rule,)), [], None, at(31))
    assert standing is not None
    assert standing.requirement == "french and site:faro"
    assert "sent it to the agents of site faro: it had waited 30 s" in explanation.words(call, standing)[0]
    assert only(floor.log_in(32, "cat"), CallAssigned).agent_id == "cat"


def test_a_site_that_is_down_is_passed_over() -> None:
    rules = (OverflowRule(Waited(30), ToSite("faro")), OverflowRule(Waited(30), ToMessage("sorry")))
    floor = Floor(queue("help", overflows=rules), at_site("cat", "faro"))
    set_down(floor, 0, "faro", down=True, version=1)
    floor.call(0, "c1", "help")
    assert "call.abandoned" in names(floor.tick(30))


def test_cover_follows_the_sites_by_their_own_clocks() -> None:
    floor = Floor(queue("help", cover=(MORNING, AFTERNOON)), at_site("ann", "lyon"), at_site("cat", "faro"))
    floor.log_in(0, "cat")
    floor.call(1, "c1", "help")
    assert floor.tick(NOON - 1) == [], "cat's site does not cover the queue yet"
    assert floor.pool.queue_ids_of("cat") == []
    assert only(floor.tick(NOON), CallAssigned).agent_id == "cat"
    assert floor.pool.queue_ids_of("cat") == ["help"]
    floor.log_in(NOON + 1, "ann")
    assert names(floor.call(NOON + 2, "c2", "help")) == ["call.offered", "call.queued"], "ann's no longer does"


def test_at_a_time_that_no_site_covers_the_queue_is_closed_and_everybody_serves_who_waits() -> None:
    rules = queue("help", cover=(MORNING,), overflows=(OverflowRule(Closed(), ToMessage("tomorrow")),))
    floor = Floor(rules, at_site("cat", "faro"))
    floor.log_in(0, "cat")
    floor.call(NOON - 10, "c1", "help")
    assert only(floor.tick(NOON), CallAssigned).agent_id == "cat"
    assert "call.abandoned" in names(floor.call(NOON + 1, "c2", "help"))


def test_a_queue_opens_and_closes_by_its_cover_too() -> None:
    day = queue("help", cover=(MORNING,))
    assert (day.next_time(at(0), is_open=True), day.next_time(at(0), is_open=False)) == (at(0), at(NOON))
    opening = day.next_time(at(NOON), is_open=True)
    assert opening is not None
    assert opening > at(NOON)
    assert day.is_open_at(opening)
    assert day.next_time(at(NOON), is_open=False) == at(NOON)
    both = queue("help", cover=(MORNING, AFTERNOON))
    assert both.next_time(at(0), is_open=False) != at(NOON), "the other site goes on"
    assert queue("help").next_time(at(0), is_open=False) is None


def test_a_site_is_no_skill_in_the_order_of_agents() -> None:
    floor = Floor(queue("help", agent_order="least_flexible"), at_site("ann", "lyon", "a"), profile("ben", "a", "b"))
    floor.log_in(0, "ben", "ann")
    assert only(floor.call(1, "c1", "help"), CallAssigned).agent_id == "ann"
    floor = Floor(queue("help"), at_site("ann", "lyon", "a"), profile("zoe", "a"))
    floor.log_in(0, "zoe", "ann")
    assert only(floor.call(1, "c1", "help"), CallAssigned).agent_id == "ann", "as many skills: by id"


def drain(floor: Floor, seconds: float, site_id: str, reason: str | None, version: int) -> Any:
    """The operator's word, as the API sends it; None: cancelled."""
    return floor.give(inputs.ConfigureSite, seconds, site=Site(site_id, False, version, reason))


def test_agents_of_a_drained_site_finish_what_they_have_and_are_logged_out() -> None:
    floor = Floor(queue("help"), at_site("ann", "lyon"), at_site("ben", "lyon"), at_site("dan", "lyon"))
    floor.give(inputs.ConfigureAgent, 0, agent=at_site("cat", "faro"))
    for second, agent_id in enumerate(("ann", "ben", "dan")):
        floor.log_in(second, agent_id)
    floor.call(3, "c1", "help")
    floor.accept(4, "c1", "ann")
    floor.call(5, "c2", "help")
    floor.log_in(6, "cat")
    events = drain(floor, 7, "lyon", "repairs", version=1)
    missed, assigned = only(events, CallOfferMissed), only(events, CallAssigned)
    assert (missed.agent_id, assigned.call_id, assigned.agent_id) == ("ben", "c2", "cat")
    assert [(one.agent_id, one.reason) for one in events if isinstance(one, AgentLoggedOut)] == [
        ("ben", "repairs"),
        ("dan", "repairs"),
    ]
    floor.log_in(8, "dan")
    assert floor.decision.refused == "drained"
    floor.hang_up(9, "c1")
    assert floor.agent("ann").state_name == "wrap_up", "nobody is cut off"
    assert only(floor.wrap_up(10, "c1", "ann"), AgentLoggedOut).reason == "repairs"
    floor.call(11, "c3", "help")
    assert drain(floor, 12, "lyon", None, version=2) == []
    assert only(floor.log_in(13, "dan"), CallAssigned).call_id == "c3"


def test_who_speaks_at_a_site_whose_drain_is_cancelled_stays() -> None:
    floor = Floor(queue("help"), at_site("ann", "lyon"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    floor.call(3, "c2", "help")
    drain(floor, 4, "lyon", "repairs", version=1)
    drain(floor, 5, "lyon", None, version=2)
    floor.hang_up(6, "c1")
    assert only(floor.wrap_up(7, "c1", "ann"), CallAssigned).call_id == "c2"


def test_an_owner_who_read_the_drain_before_its_input_came_still_obeys_it() -> None:
    floor = Floor(queue("help"), at_site("ann", "lyon"))
    floor.log_in(0, "ann")
    floor.pool.configure_site(Site("lyon", False, 1, "repairs"))
    assert only(drain(floor, 1, "lyon", "repairs", version=1), AgentLoggedOut).agent_id == "ann"


def test_an_agent_who_comes_to_a_drained_site_leaves_and_one_who_goes_from_there_may_come_back() -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    drain(floor, 1, "lyon", "repairs", version=1)
    events = floor.give(inputs.ConfigureAgent, 2, agent=replace(at_site("ann", "lyon"), version=2))
    assert only(events, AgentLoggedOut).reason == "repairs"
    floor.give(inputs.ConfigureAgent, 3, agent=replace(profile("ann"), version=3))
    assert names(floor.log_in(4, "ann")) == ["agent.logged_in:available"]


def test_rules_for_a_site_that_is_down_hold_while_it_is_drained() -> None:
    """And the explanation says that it was drained; one that is down besides was down."""
    rule = OverflowRule(SiteDown("lyon", waiting=True), ToQueue("partner"))
    floor = Floor(queue("help", overflows=(rule,)), queue("partner", "abroad"), at_site("ann", "lyon"))
    floor.call(0, "c1", "help")
    events = drain(floor, 1, "lyon", "repairs", version=1)
    assert [event.call_id for event in events if isinstance(event, CallOverflowed)] == ["c1"]
    floor.call(2, "c2", "help")
    for call_id in ("c1", "c2"):
        told = explanation.words(floor.pool.calls[call_id], None)[0]
        assert told.endswith("to queue partner: site lyon was being drained.")
    floor.give(inputs.ConfigureSite, 3, site=Site("lyon", True, 2, "repairs"))
    floor.call(4, "c3", "help")
    assert explanation.words(floor.pool.calls["c3"], None)[0].endswith("site lyon was down.")
    drain(floor, 5, "lyon", None, version=3)
    assert names(floor.call(6, "c4", "help")) == ["call.offered", "call.queued"]


async def test_a_site_is_drained_through_the_api(routing: Routing) -> None:
    """Given an agent of a site in conversation; when an operator drains it, then it is noted with who and why, and
    it is empty once the agent has wrapped up, who comes back when the drain is cancelled."""
    await routing.floor()
    await routing.put("sites/lyon", {"name": "Lyon", "time_zone": "Europe/Paris"})
    await routing.put("agents/ann", {"name": "Ann", "pool_id": "main", "site_id": "lyon"})
    await routing.post("agents/ann/log-in")
    await routing.agent_is("ann", "available")
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(call_id, "offered")
    await routing.post(f"calls/{call_id}/accept", {"agent_id": "ann"})
    await routing.call_is(call_id, "talking")
    drained = (await routing.operator.post("/v1/sites/lyon/drain", json={"reason": "repairs"})).json()
    assert (drained["drain"]["reason"], drained["down"]) == ("repairs", None)
    again = (await routing.operator.post("/v1/sites/lyon/drain", json={"reason": "repairs"})).json()
    assert again["version"] == drained["version"]
    live = (await routing.operator.get("/v1/sites/lyon/live")).json()
    assert (live["logged_in"], live["with_calls"], live["is_empty"]) == (1, 1, False)
    await routing.post(f"calls/{call_id}/hang-up")
    await routing.call_is(call_id, "wrapping_up")
    await routing.post(f"calls/{call_id}/wrap-up", {"agent_id": "ann"})
    assert (await routing.agent_is("ann", "logged_out"))["reason"] == "repairs"
    assert (await routing.operator.get("/v1/sites/lyon/live")).json()["is_empty"]
    assert (await routing.operator.post("/v1/sites/lyon/cancel-drain")).json()["drain"] is None
    await routing.post("agents/ann/log-in")
    await routing.agent_is("ann", "available")
    told = (await routing.operator.get("/v1/configuration-history", params={"kind": "site", "id": "lyon"})).json()
    assert [(one["action"], one["reason"]) for one in told["items"]] == [
        ("drain_cancelled", None),
        ("draining", "repairs"),
        ("configured", None),
    ]
    for path in ("drain", "cancel-drain"):
        assert (await routing.operator.post(f"/v1/sites/none/{path}")).status_code == 404
    assert (await routing.operator.get("/v1/sites/none/live")).status_code == 404


async def test_sites_through_the_api(routing: Routing) -> None:
    """Given two sites and a queue that the first covers; when an operator sets it down and up; then each is noted with
    who and why, its agents serve only while it is up, and what names no site is refused by its place."""
    await routing.floor()
    zone = {"name": "Lyon", "time_zone": "Europe/Paris"}
    assert await routing.put("sites/lyon", zone) == {**zone, "id": "lyon", "down": None, "drain": None, "version": 1}
    await routing.put("sites/faro", {"name": "Faro", "time_zone": "Europe/Lisbon"})
    cover = [{"sites": ["lyon"], "hours": None}]
    assert (await routing.put("queues/help", {**QUEUE, "cover": cover}))["cover"] == cover
    body = {"name": "Ann", "pool_id": "main", "site_id": "lyon"}
    assert (await routing.put("agents/ann", body))["site_id"] == "lyon"
    await routing.post("agents/ann/log-in")
    await routing.agent_is("ann", "available")
    down = (await routing.operator.post("/v1/sites/lyon/down", json={"reason": "power cut"})).json()["down"]
    assert down["reason"] == "power cut"
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(call_id, "queued")
    explained = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    assert (explained["waiting"]["requirement"], explained["waiting"]["agents_logged_in"]) == ("site:lyon", 0)
    assert (await routing.operator.post("/v1/sites/lyon/up")).json()["down"] is None
    await routing.call_is(call_id, "offered")
    told = (await routing.operator.get("/v1/configuration-history", params={"kind": "site", "id": "lyon"})).json()
    assert [(one["action"], one["reason"]) for one in told["items"]] == [
        ("up", None),
        ("down", "power cut"),
        ("configured", None),
    ]
    wrong = {
        "cover": [{"sites": ["lyon", "none"]}],
        "overflows": [
            {"when": {"type": "site_down", "site_id": "nowhere"}, "to": {"type": "message", "message": "m"}},
            {"when": {"type": "closed"}, "to": {"type": "site", "site_id": "faro"}},
            {"when": {"type": "waited", "seconds": 9}, "to": {"type": "site", "site_id": "no"}},
        ],
    }
    refused = await routing.operator.put("/v1/queues/help", json={**QUEUE, **wrong})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [
        "overflows.1.to",
        "overflows.0.when.site_id",
        "overflows.2.to.site_id",
        "cover.0.sites.1",
    ]
    lost = await routing.operator.put("/v1/agents/ann", json={**body, "site_id": "none"})
    assert (lost.status_code, lost.json()["field"]) == (422, "site_id")
    moved = await routing.operator.put("/v1/sites/lyon", json={**zone, "time_zone": "Asia/Tokyo"})
    assert moved.status_code == 409
    hours = {"week": {"mon": [["08:00", "08:00"]]}}
    bad = await routing.operator.put("/v1/queues/help", json={**QUEUE, "cover": [{"sites": ["lyon"], "hours": hours}]})
    assert [error["field"] for error in bad.json()["errors"]] == ["cover.0.hours.week.mon.0"]
    assert (await routing.operator.post("/v1/sites/none/down")).status_code == 404
