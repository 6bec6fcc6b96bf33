"""Who serves a call, when, and in which order: from the floor file to `explain`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from common import envelope
from common.events import CallAnnounced, CallRecordingChanged, CallSupervised, ContactCreated
from common.ids import new_id
from common.testing import eventually
from support import Stack, read_all

from .floors import RoutingFloor, routing_floor

TODAY = datetime.now(UTC).date()
FLOOR = f"""\
pools:
  main:
    name: Main
    skills: [french, billing, disputes, parcels]
    agents:
      - {{id: ada, name: Ada, skills: {{french: 9, billing: 6}}}}
      - {{id: ben, name: Ben, skills: {{french: 3}}}}
      - {{id: cleo, name: Cleo, skills: {{french: 7, disputes: 4}}}}
      - {{id: eva, name: Eva, skills: [parcels]}}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: UTC
    directory: {{night-desk: "+33199000199"}}
    queues:
      spoken: {{pool: main, required_skills: [parcels], recording: with_consent}}
      taped: {{pool: main, required_skills: [parcels], recording: always}}
      matters:
        pool: main
        requirement: french >= 5 and (billing or disputes)
        relaxations: [{{after_seconds: 0.5, requirement: french}}]
        agent_order: best_level
        sticky_seconds: 60
      night:
        pool: main
        hours:
          week: {{mon: [["00:00", "24:00"]]}}
          exceptions: {{{", ".join(f'"{TODAY + timedelta(days=day)}": []' for day in (-1, 0, 1))}}}
      parcels:
        pool: main
        required_skills: [parcels]
        announcements: [{{message: hold, after_seconds: 0.2, tell: [position, estimated_wait]}}]
        overflows: [{{when: {{type: estimated_wait, seconds: 0}}, to: {{type: message, message: sorry}}}}]
"""


async def test_skills_levels_and_the_preferred_agent_decide_who_serves(stack: Stack) -> None:
    """Given a queue that asks for French at 5 with either of two skills, and after half a second for French alone,

    when only an agent of little French is there, then the call waits, and is theirs once it has waited so long;

    when two who meet it are there, then the better one comes first; who declines is on a break, and the other is next;

    when a call asks for an agent who is busy, then it waits for them alone, and is theirs when they come free;

    when a call comes for a queue that is closed today, then it is told so; and `explain` says each of these."""
    async with routing_floor(stack, FLOOR) as floor:
        await floor.log_in("ben")
        first = await floor.call("matters", "offered")
        (assignment,) = (await floor.explain(first))["assignments"]
        assert (assignment["ring"], assignment["waited_seconds"] >= 0.5) == (1, True)
        assert "or french' (relaxation 1), ben was offered the call" in await floor.words(first)
        await floor.accept(first, "ben")

        await floor.log_in("cleo", "ada")
        second = await floor.call("matters", "offered")
        said = "ada was offered the call: first of 2 available agents by the best level in the skills asked for."
        assert said in await floor.words(second)
        await floor.tell(type="declined", call_id=second, agent_id="ada")
        assert (await floor.until("agents/ada", state="break"))["reason"] == "declined"
        assert "ada then went on a break: the queue sends whoever misses this offer on one." in await floor.words(
            second
        )
        await floor.accept(second, "cleo")
        assert "cleo was offered the call: the only available agent who may serve it" in await floor.words(second)

        await floor.finish(first, "ben")
        third = await floor.call("matters", "queued", preferred_agent_id="cleo")
        waiting = (await floor.explain(third))["waiting"]
        assert waiting["preferred_agent_id"] == "cleo"
        assert "it waits for cleo alone" in await floor.words(third)
        await floor.finish(second, "cleo")
        await floor.accept(third, "cleo")
        assert "cleo was offered the call: the agent whom it was to go to." in await floor.words(third)
        assert (await floor.get("agents/ben"))["state"] == "available"

        closed = await floor.call("night", "abandoned")
        assert "The queue was closed at" in await floor.words(closed)


async def test_who_waits_hears_how_long_and_dearer_callers_go_first(stack: Stack) -> None:
    """Given a queue with one agent, who is busy, and a caller who is a contact of priority 4,

    when that caller comes last, then they are first, and `explain` says why; each who waits hears their position;

    when enough callers have waited for the queue to know how long one waits, then the next but one goes where the rule
    for the estimated wait says."""
    now = datetime.now(UTC)
    contact = ContactCreated(tenant_id="kettle", contact_id="a", phone="+33199000123", priority=4, occurred_at=now)
    async with routing_floor(stack, FLOOR) as floor, stack.kafka.producer() as producer:
        headers, value = envelope.encode(contact, event_id=new_id(), source="crm-bridge", time=now, traceparent=None)
        await producer.send_and_wait("contacts", value, key=contact.key.encode(), headers=headers)
        await floor.log_in("eva")
        busy_with = await floor.call("parcels", "offered")
        await floor.accept(busy_with, "eva")
        waiting = [await floor.call("parcels", "queued") for _ in range(3)]

        async def dear() -> str | None:
            call_id = await floor.call("parcels", "queued", contact_phone="+33199000123")
            waiting.append(call_id)
            return call_id if (await floor.get(f"calls/{call_id}"))["priority"] == 4 else None

        dearest = await eventually(dear)
        assert dearest is not None
        assert (await floor.get(f"calls/{dearest}"))["position"] == 1
        assert "Its caller is a contact of priority 4" in await floor.words(dearest)

        async def announced() -> set[str]:
            records = await read_all(stack.kafka, "calls")
            events = [envelope.decode(record.headers, record.value).event for record in records]
            told = {event.call_id for event in events if isinstance(event, CallAnnounced) and event.position}
            return told if told >= set(waiting) else set()

        assert await eventually(announced)
        await floor.finish(busy_with, "eva")
        waiting.remove(dearest)
        for call_id in (dearest, *waiting):
            await floor.accept(call_id, "eva")
            await floor.finish(call_id, "eva")
        told = await floor.words(dearest)
        assert "eva came free, and this was the first of the calls that they may serve." in told
        assert "The caller heard announcement hold once, at " in told
        assert "eva wrapped up as 'solved', " in told

        await floor.accept(await floor.call("parcels", "offered"), "eva")
        await floor.call("parcels", "queued")
        sent_on = await floor.call("parcels", "abandoned")
        words = await floor.words(sent_on)
        assert "a rule of queue parcels sent it to message sorry: the estimated wait was" in words
        assert "and the rule is for 0 s or more." in words


async def test_an_agent_holds_records_and_hands_on_while_a_supervisor_listens(stack: Stack) -> None:
    """Given a call of a queue that records with the caller's consent,

    when its agent records without it, then that is refused; with it, it is done, on hold or not; it is paused and goes
    on without another consent, and is stopped;

    when a supervisor listens, whispers to the agent, barges in and leaves, then the switch is told each, and by whom;
    there is nothing to supervise once the call is over;

    when the agent hands the caller on to a number of the directory, then `explain` says where they went;

    given a call of a queue that always records, when it is answered, then it is recorded without a word; the agent may
    pause that and not stop it."""
    async with routing_floor(stack, FLOOR) as floor:
        await floor.log_in("eva")
        call_id = await floor.call("spoken", "offered")
        assert await floor.refusal(f"calls/{call_id}/hold", {"agent_id": "eva"}) == "not_the_agents_call"
        await floor.accept(call_id, "eva")
        assert await _recording(floor, call_id, "on") == "consent_missing"
        assert await _recording(floor, call_id, "paused") == "not_recording"
        await floor.post(f"calls/{call_id}/hold", {"agent_id": "eva"})
        assert await _recording(floor, call_id, "on", consent=True) is None
        await floor.is_in(call_id, "talking", on_hold=True, recording="on")
        await floor.post(f"calls/{call_id}/resume", {"agent_id": "eva"})
        await floor.is_in(call_id, "talking", on_hold=False)
        for recording in ("paused", "on", "off"):
            assert await _recording(floor, call_id, recording) is None
            await floor.is_in(call_id, "talking", recording=recording)

        for mode in ("listen", "whisper", "barge", "off"):
            assert await floor.refusal(f"calls/{call_id}/supervision", {"mode": mode}) is None
        await floor.post(f"calls/{call_id}/transfer", {"agent_id": "eva", "directory": "night-desk"})
        assert (await floor.is_in(call_id, "wrapping_up"))["transferred_to"] == "+33199000199"
        words = await floor.words(call_id)
        assert "The caller went on to +33199000199." in words
        assert "The caller was on hold once, " in words
        assert "the recording began, with the caller's consent." in words
        assert "supervisor rose listened." in words
        token = stack.token("agent", subject="eva")
        eva = await floor.exits.enter_async_context(floor.running.client(token))
        seen = (await eva.get(f"/v1/calls/{call_id}/explain")).json()["conversation"]
        assert seen["holds"] == 1
        assert [one["mode"] for one in seen["supervisions"]] == ["whisper", "barge", "off"], "not who only listened"
        assert await floor.refusal(f"calls/{call_id}/supervision", {"mode": "barge"}) == "no_conversation"
        await floor.tell(type="wrapped_up", call_id=call_id, agent_id="eva", disposition="solved")
        await floor.until("agents/eva", state="available")

        taped = await floor.call("taped", "offered")
        await floor.accept(taped, "eva")
        await floor.is_in(taped, "talking", recording="on")
        assert await _recording(floor, taped, "off") == "recording_required"
        assert await _recording(floor, taped, "paused") is None
        await floor.is_in(taped, "talking", recording="paused")
        assert "eva was offered the call: the only available agent who may serve it." in await floor.words(taped)

        async def told() -> bool:
            return await _told(stack, call_id) == (
                ["on", "paused", "on", "off"],
                [("rose", mode) for mode in ("listen", "whisper", "barge", "off")],
            ) and await _told(stack, taped) == (["on", "paused"], [])

        assert await eventually(told)


async def _recording(floor: RoutingFloor, call_id: str, recording: str, **more: bool) -> str | None:
    """Eva starts, pauses or stops it; why that is refused."""
    return await floor.refusal(f"calls/{call_id}/recording", {"agent_id": "eva", "recording": recording, **more})


async def _told(stack: Stack, call_id: str) -> tuple[list[str], list[tuple[str, str]]]:
    """What the switch is told of the call's recording, and of supervisors on its line."""
    records = await read_all(stack.kafka, "calls")
    events = [envelope.decode(record.headers, record.value).event for record in records]
    recordings = [one for one in events if isinstance(one, CallRecordingChanged) and one.call_id == call_id]
    supervised = [one for one in events if isinstance(one, CallSupervised) and one.call_id == call_id]
    return [one.recording for one in recordings], [(one.supervisor_id, one.mode) for one in supervised]
