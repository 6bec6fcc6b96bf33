"""What a caller hears and where they go: the steps of a flow, and the ways out of a full queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from common import envelope
from common.events import CallPrompted, ContactCreated
from common.ids import new_id
from common.testing import eventually
from support import Stack, read_all

from .floors import TimedFloor, daily, timed_floor

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LINE, KNOWN, UNKNOWN = "+33199001000", "+33199000123", "+33199000456"
FLOOR = f"""\
pools:
  main:
    name: Main
    skills: [french, german]
    agents:
      - {{id: fleur, name: Fleur, skills: [french]}}
      - {{id: greta, name: Greta, skills: [german]}}
  full: {{name: Full}}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    directory: {{partner: "+33199000199"}}
    queues:
      help: {{pool: main, hours: {{week: {daily("09:00", "18:00")}}}}}
      spare: {{pool: full}}
      short:
        pool: full
        overflows: [{{when: {{type: queue_length, calls: 2}}, to: {{type: queue, queue_id: spare}}}}]
      shared:
        pool: full
        overflows: [{{when: {{type: waited, seconds: 30}}, to: {{type: number, name: partner}}}}]
    entry_points:
      line:
        pool: main
        numbers: ["{LINE}"]
        start: hours
        steps:
          hours: {{type: hours, queue: help, open: language, closed: sorry}}
          sorry: {{type: message, prompt: we-are-closed}}
          language:
            type: language
            prompt: choose
            choices: {{"1": french, "2": german}}
            next: known
            otherwise: known
          known: {{type: priority, next: wait, steps: 1, known_contacts: true}}
          wait: {{type: queue, queue: help}}
"""


@pytest.fixture(scope="module")
async def floor(shared_stack: Stack) -> AsyncIterator[TimedFloor]:
    """A routing process to which the file's queues and entry point were put."""
    async with timed_floor(shared_stack, FLOOR, START) as made:
        yield made


async def arrive(floor: TimedFloor, phone: str, digits: str) -> str:
    """Somebody dials the line and presses that at the menu of languages."""
    call_id = await floor.tell(type="arrived", number=LINE, contact_phone=phone)
    await floor.is_in(call_id, "in_flow", flow_step="language")
    await floor.tell(type="digits", call_id=call_id, digits=digits)
    return call_id


async def prompts(floor: TimedFloor, call_id: str) -> list[str]:
    """What the caller was played, as the switch was told."""
    records = await read_all(floor.stack.kafka, "calls")
    events = [envelope.decode(record.headers, record.value).event for record in records]
    return [event.prompt for event in events if isinstance(event, CallPrompted) and event.call_id == call_id]


async def test_the_language_that_a_caller_chooses_is_a_skill_of_their_agent(floor: TimedFloor) -> None:
    """Given an agent who speaks French and has been available for longer, and one who speaks German; when a caller
    presses the digit for German; then they are offered to that one, and `explain` says what the flow asked for; when a
    second one does, then they wait beside the French one."""
    floor.until_it_is("10:30", "Europe/Paris")
    await floor.log_in("fleur")
    floor.later(1)
    await floor.log_in("greta")
    call_id = await arrive(floor, UNKNOWN, "2")
    await floor.accept(call_id, "greta")
    assert (await floor.get(f"calls/{call_id}"))["skills"] == ["german"]
    words = await floor.words(call_id)
    assert f"It came by {LINE}, entry point line." in words
    assert "Its flow asks for german beside what its queue asks for." in words
    assert "greta was offered the call: the only available agent who may serve it." in words
    second = await arrive(floor, UNKNOWN, "2")
    await floor.is_in(second, "queued")
    assert "the queue asks for 'german'." in await floor.words(second)
    assert (await floor.get("agents/fleur"))["state"] == "available"
    await floor.tell(type="hung_up", call_id=second)
    await floor.finish(call_id, "greta")
    for agent_id in ("fleur", "greta"):
        await floor.post(f"agents/{agent_id}/log-out")


async def test_the_flow_lets_known_contacts_come_first(floor: TimedFloor) -> None:
    """Given a flow that raises the priority of known contacts by one beside their own, and a contact of priority 2;
    when they call after somebody who is unknown; then they are first, and `explain` says by how much."""
    floor.until_it_is("11:00", "Europe/Paris")
    now = floor.clock.now()
    contact = ContactCreated(tenant_id="kettle", contact_id="a", phone=KNOWN, priority=2, occurred_at=now)
    async with floor.stack.kafka.producer() as producer:
        headers, value = envelope.encode(contact, event_id=new_id(), source="crm-bridge", time=now, traceparent=None)
        await producer.send_and_wait("contacts", value, key=contact.key.encode(), headers=headers)
    unknown = await arrive(floor, UNKNOWN, "1")
    await floor.is_in(unknown, "queued", priority=0)

    async def is_known() -> str | None:
        call_id = await arrive(floor, KNOWN, "1")
        if (await floor.is_in(call_id, "queued"))["priority"] == 3:
            return call_id
        await floor.tell(type="hung_up", call_id=call_id)
        return None

    known = await eventually(is_known)
    assert known is not None
    await floor.is_in(known, "queued", position=1)
    await floor.is_in(unknown, "queued", position=2)
    assert "Its flow raised its priority by 3." in await floor.words(known)
    assert "raised its priority" not in await floor.words(unknown)
    await floor.post("agents/fleur/log-in")
    await floor.accept(known, "fleur")
    await floor.finish(known, "fleur")
    await floor.accept(unknown, "fleur")
    await floor.finish(unknown, "fleur")
    await floor.post("agents/fleur/log-out")


async def test_the_flow_looks_at_the_hours_of_a_queue_and_plays_a_message(floor: TimedFloor) -> None:
    """Given a flow that asks whether a queue is open, every day from 9 to 18; when somebody calls in the last minute,
    then they hear the menu; when it is 18, then they hear the message instead, the call is over, and `explain` says
    so."""
    floor.until_it_is("17:59", "Europe/Paris")
    asked = await floor.tell(type="arrived", number=LINE, contact_phone=UNKNOWN)
    await floor.is_in(asked, "in_flow", flow_step="language")
    assert "It is in its flow, at step language." in await floor.words(asked)
    await floor.tell(type="hung_up", call_id=asked)
    floor.later(60)
    told = await floor.tell(type="arrived", number=LINE, contact_phone=UNKNOWN)
    await floor.is_in(told, "left_in_flow")
    at = floor.clock.now().isoformat(timespec="seconds")
    assert (await floor.explain(told))["words"] == [
        f"It came by {LINE}, entry point line.",
        f"Its flow ended the call at {at}.",
    ]
    assert await eventually(lambda: prompts(floor, told)) == ["we-are-closed"]
    assert await prompts(floor, asked) == ["choose"]


async def test_a_full_queue_sends_the_next_call_to_another_one(floor: TimedFloor) -> None:
    """Given a queue whose calls go to another one once two wait; when three calls come; then the first two wait there,
    the third at the other one, and `explain` says how many were waiting."""
    waits = [await floor.call("short", "queued") for _ in range(3)]
    assert [(await floor.get(f"calls/{call_id}"))["queue_id"] for call_id in waits] == ["short", "short", "spare"]
    explained = await floor.explain(waits[2])
    assert [(move["when"], move["measured"]) for move in explained["moves"]] == [
        ({"type": "queue_length", "calls": 2}, 2)
    ]
    said = "a rule of queue short sent it to queue spare: 2 calls were waiting, and the rule is for 2 or more."
    assert said in explained["words"][0]
    assert (await floor.explain(waits[1]))["moves"] == []


async def test_a_call_that_has_waited_goes_to_a_partners_number(floor: TimedFloor) -> None:
    """Given a queue whose calls go to a partner's number of the client's directory after 30 seconds; when a call has
    waited so long; then it goes there, as `explain` had said that it would, and then says that it did."""
    call_id = await floor.call("shared", "queued")
    assert (await floor.explain(call_id))["waiting"]["overflow_to"] == {"type": "number", "name": "partner"}
    assert "it overflows to number partner." in await floor.words(call_id)
    floor.later(45)
    await floor.is_in(call_id, "redirected", transferred_to="+33199000199")
    (move,) = (await floor.explain(call_id))["moves"]
    assert (move["to"], move["measured"]) == ({"type": "number", "name": "partner"}, 30)
    words = await floor.words(call_id)
    said = "a rule of queue shared sent it to number partner: it had waited 30 s, and the rule is for 30 s or more."
    assert said in words
    assert "The caller went on to +33199000199 at" in words
