"""Entry points through HTTP and PostgreSQL: declared, checked as a whole, drawn, and nobody else's."""

from __future__ import annotations

import copy
from typing import Any
from xml.etree import ElementTree

from .conftest import Routing

NUMBER = "+33639980100"
FLOW: dict[str, Any] = {
    "start": "hello",
    "steps": {
        "hello": {"type": "greeting", "prompt": "welcome", "next": "language"},
        "language": {
            "type": "language",
            "prompt": "which-language",
            "choices": [{"digits": "1", "skill": "french"}],
            "next": "topic",
            "otherwise": "topic",
        },
        "topic": {
            "type": "menu",
            "prompt": "what-is-it-about",
            "choices": [{"digits": "1", "next": "help"}, {"digits": "2", "next": "record"}],
            "otherwise": "bye",
            "tries": 2,
            "timeout_seconds": 10.0,
            "no_input": "help",
        },
        "help": {"type": "queue", "queue_id": "help"},
        "record": {"type": "voicemail", "prompt": "leave-a-message", "queue_id": "help", "max_seconds": 60.0},
        "bye": {"type": "message", "prompt": "goodbye"},
    },
}
BODY: dict[str, Any] = {"tenant_id": "kettle", "pool_id": "main", "numbers": [NUMBER], "flow": FLOW}


async def test_an_entry_point_is_declared_and_read_with_its_version(routing: Routing) -> None:
    """Given a floor; when an entry point is put, put again and changed; then it is created, unchanged and replaced."""
    await routing.floor()
    first = await routing.operator.put("/v1/entry-points/main-line", json=BODY)
    assert (first.status_code, first.headers["etag"]) == (201, '"1"')
    again = await routing.operator.put("/v1/entry-points/main-line", json=BODY)
    assert (again.status_code, again.json()["version"]) == (200, 1)
    read = await routing.operator.get("/v1/entry-points/main-line")
    assert read.headers["etag"] == '"1"'
    shown = read.json()
    assert (shown["numbers"], shown["flow"]["start"], list(shown["flow"]["steps"])) == (
        [NUMBER],
        "hello",
        sorted(FLOW["steps"], key=lambda name: (len(name), name)),
    )
    changed = {**BODY, "numbers": [NUMBER, "+33 6 39 98 01 01"]}
    stale = await routing.operator.put("/v1/entry-points/main-line", json=changed, headers={"if-match": '"7"'})
    assert stale.status_code == 412
    after = await routing.operator.put("/v1/entry-points/main-line", json=changed, headers={"if-match": '"1"'})
    assert (after.status_code, after.json()["version"]) == (200, 2)
    assert after.json()["numbers"] == [NUMBER, "+33639980101"]
    listed = (await routing.operator.get("/v1/entry-points", params={"tenant_id": "kettle"})).json()["items"]
    assert [item["id"] for item in listed] == ["main-line"]


async def test_a_wrong_flow_is_refused_as_a_whole_with_every_fault(routing: Routing) -> None:
    """Given a flow with a dead end, an unknown queue, a loop and more; when it is put; then each fault is listed by
    its place and nothing is stored."""
    await routing.floor()
    body = copy.deepcopy(BODY)
    steps = body["flow"]["steps"]
    steps["hello"]["next"] = ""
    steps["language"]["choices"].append({"digits": "x", "skill": "klingon"})
    steps["topic"]["otherwise"] = "topic"
    steps["topic"]["no_match"] = "gone"
    steps["help"]["queue_id"] = "nowhere"
    steps["bye"] = {"type": "callback", "queue_id": "help", "otherwise": ""}
    answer = await routing.operator.put("/v1/entry-points/main-line", json=body)
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {
        "flow.steps.hello.next",
        "flow.steps.language.choices.1.digits",
        "flow.steps.language.choices.1.skill",
        "flow.steps.topic.otherwise",
        "flow.steps.topic.no_match",
        "flow.steps.help.queue_id",
        "flow.steps.bye.queue_id",
        "flow.steps.bye.otherwise",
        *(f"flow.steps.{name}" for name in ("language", "topic", "help", "record", "bye")),
    }
    twice = await routing.operator.put("/v1/entry-points/main-line", json={**BODY, "numbers": ["1", NUMBER, NUMBER]})
    assert [error["field"] for error in twice.json()["errors"]] == ["numbers.0", "numbers.2"]
    flow = {**FLOW, "start": "nowhere"}
    wrong = {**BODY, "tenant_id": "nobody", "pool_id": "gone", "numbers": ["1"], "flow": flow}
    unknown = await routing.operator.put("/v1/entry-points/main-line", json=wrong)
    assert unknown.status_code == 422
    assert [error["field"] for error in unknown.json()["errors"]] == [
        "numbers.0",
        "tenant_id",
        "pool_id",
        "flow.start",
        "flow.steps.help.queue_id",
        "flow.steps.record.queue_id",
    ]
    assert (await routing.operator.get("/v1/entry-points/main-line")).status_code == 404


async def test_a_number_leads_to_one_entry_point(routing: Routing) -> None:
    await routing.floor()
    await routing.put("entry-points/main-line", BODY)
    taken = await routing.operator.put("/v1/entry-points/second", json={**BODY, "numbers": ["+33639980101", NUMBER]})
    assert (taken.status_code, taken.json()["field"]) == (409, "numbers.1")
    assert (await routing.operator.get("/v1/entry-points/second")).status_code == 404
    await routing.put("entry-points/main-line", {**BODY, "numbers": []})
    await routing.put("entry-points/second", BODY)
    await routing.put("pools/second", {"name": "Second", "skills": ["french"]})
    moved = await routing.operator.put("/v1/entry-points/second", json={**BODY, "pool_id": "second"})
    assert (moved.status_code, moved.json()["field"]) == (409, "pool_id")
    pool = await routing.operator.put("/v1/pools/main", json={"name": "Main", "skills": ["billing"]})
    assert (pool.status_code, pool.json()["field"]) == (409, "skills")
    assert "entry point" in pool.json()["detail"]


async def test_a_flow_is_drawn(routing: Routing) -> None:
    await routing.floor()
    await routing.put("entry-points/main-line", BODY)
    answer = await routing.operator.get("/v1/entry-points/main-line/flow.svg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    told = " ".join(ElementTree.fromstring(answer.text).itertext())
    for name in (*FLOW["steps"], NUMBER, "otherwise", "no input", "1 french"):
        assert name in told


async def test_another_tenants_entry_point_does_not_exist(routing: Routing) -> None:
    await routing.floor()
    await routing.put("tenants/other", {"name": "Other", "time_zone": "Europe/Paris"})
    await routing.put("entry-points/main-line", BODY)
    stranger = await routing.client("tenant", "theirs", tenant="other")
    for path in ("main-line", "main-line/flow.svg", "nothing", "nothing/flow.svg"):
        assert (await stranger.get(f"/v1/entry-points/{path}")).status_code == 404
    assert (await stranger.get("/v1/entry-points")).json()["items"] == []
    assert (await stranger.put("/v1/entry-points/main-line", json=BODY)).status_code == 403
    owner = await routing.client("tenant", "mine", tenant="kettle")
    assert (await owner.get("/v1/entry-points/main-line")).status_code == 200
    foreign = copy.deepcopy(BODY)
    foreign["tenant_id"] = "other"
    answer = await routing.operator.put("/v1/entry-points/theirs", json={**foreign, "numbers": []})
    assert [error["field"] for error in answer.json()["errors"]] == [
        "flow.steps.help.queue_id",
        "flow.steps.record.queue_id",
    ]


async def test_numbers_are_read_as_their_tenant_says(routing: Routing) -> None:
    """Given a tenant of France; when its numbers come in national form, from people and from the network; then they are
    one number each; and a range that no plan has is taken only once the tenant says so."""
    await routing.floor()
    tenant = {"name": "Kettle", "time_zone": "Europe/Paris", "region": "FR", "directory": {"desk": "06 39 98 00 02"}}
    assert (await routing.put("tenants/kettle", tenant))["directory"] == {"desk": "+33639980002"}
    flow = copy.deepcopy(FLOW)
    flow["steps"]["hello"]["next"] = "first"
    flow["steps"]["first"] = {"type": "priority", "next": "language", "phones": ["06.39.98.00.01"]}
    body = {**BODY, "numbers": ["06 39 98 01 00"], "flow": flow}
    entry_point = await routing.put("entry-points/main-line", body)
    assert entry_point["numbers"] == [NUMBER]
    assert entry_point["flow"]["steps"]["first"]["phones"] == ["+33639980001"]
    arrived = {"type": "arrived", "number": NUMBER, "contact_phone": "0639980001"}
    (accepted,) = (await routing.post("telephony/facts", {"facts": [arrived]}))["accepted"]
    call = await routing.call_is(accepted["call_id"], "in_flow")
    assert (call["contact_phone"], call["priority"]) == ("+33639980001", 1)

    new = {**tenant, "directory": {"desk": "0639123456"}}
    refused = await routing.operator.put("/v1/tenants/kettle", json=new)
    assert (refused.status_code, refused.json()["field"]) == (422, "directory")
    assert "allow_possible_numbers" in refused.json()["detail"]
    assert "639123" not in refused.text
    taken = await routing.put("tenants/kettle", {**new, "allow_possible_numbers": True})
    assert taken["directory"] == {"desk": "+33639123456"}
    german = await routing.operator.put(
        "/v1/tenants/kettle", json={**new, "region": "DE", "directory": {"d": "33639980001"}}
    )
    assert (german.status_code, "+33" in german.json()["detail"]) == (422, True)
