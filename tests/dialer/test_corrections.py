"""Leads that people correct or take off their list."""

from __future__ import annotations

from uuid import UUID

import pytest
from common.errors import Conflict, Invalid, NotFound
from dialer.domain.attempt import CallDone, Ended, PbxFact
from dialer.service import leads as service

from .conftest import Floor, numbers


async def correct(floor: Floor, lead_id: UUID, **said: str | None) -> None:
    async with floor.database.transaction() as session:
        await service.correct(session, lead_id, said, lambda _: None, "olga", floor.clock)


async def remove(floor: Floor, lead_id: UUID) -> None:
    async with floor.database.transaction() as session:
        await service.remove(session, lead_id, lambda _: None, "olga", floor.clock)


async def test_a_corrected_number_is_dialled_in_its_own_hours(floor: Floor) -> None:
    await floor.campaign(leads=["+33639980000"])
    (lead,) = await floor.leads()
    await correct(floor, lead["lead_id"], phone="+1 212 555 0123")
    await floor.agents({"anna": "available"})
    assert await floor.tick() == 0, "it is five in the morning in New York"
    await correct(floor, lead["lead_id"], time_zone="Europe/Paris")
    assert await floor.tick() == 1
    assert (await floor.only()).phone == "+12125550123"


async def test_what_is_not_named_stays(floor: Floor) -> None:
    await floor.campaign()
    await floor.load("phone,name,time_zone,external_id\n+33639980000,Odile,Indian/Reunion,A1\n")
    (lead,) = await floor.leads()
    await correct(floor, lead["lead_id"], name="Odile\nBlanc")
    await correct(floor, lead["lead_id"], name="Odile Blanc")
    (after,) = await floor.leads()
    assert after == {**lead, "name": "Odile Blanc", "version": 2}
    await correct(floor, lead["lead_id"], time_zone=None, external_id=None)
    (after,) = await floor.leads()
    assert after == {**lead, "name": "Odile Blanc", "zones": "Europe/Paris", "external_id": None, "version": 3}


async def test_who_corrected_and_removed_is_noted_without_values(floor: Floor) -> None:
    await floor.campaign(leads=["+33639980000"])
    (lead,) = await floor.leads()
    await correct(floor, lead["lead_id"], name="Odile", external_id="A1")
    await remove(floor, lead["lead_id"])
    await remove(floor, lead["lead_id"])
    rows = await floor.rows("SELECT tenant_id, actor, action, subject, detail, happened_at FROM audit ORDER BY id")
    who = ("kettle", "olga")
    subject, now = str(lead["lead_id"]), floor.clock.now()
    assert [tuple(row) for row in rows] == [
        (*who, "lead.corrected", subject, {"columns": ["name", "external_id"]}, now),
        (*who, "lead.removed", subject, {"columns": []}, now),
    ]


async def test_a_wrong_value_is_refused_as_in_a_file(floor: Floor) -> None:
    await floor.campaign(leads=numbers(2))
    first, second = await floor.leads()
    for column, value in (("phone", "12"), ("phone", ""), ("time_zone", "Europe/Pariss"), ("external_id", "a\x00")):
        with pytest.raises(Invalid) as refused:
            await correct(floor, first["lead_id"], **{column: value})
        assert refused.value.field == column
    with pytest.raises(Conflict, match=str(second["lead_id"])):
        await correct(floor, first["lead_id"], phone=second["phone"])
    await remove(floor, second["lead_id"])
    with pytest.raises(Conflict, match="taken off this list"):
        await correct(floor, first["lead_id"], phone=second["phone"])
    with pytest.raises(NotFound):
        await correct(floor, second["lead_id"], name="Odile")


async def test_a_removed_lead_is_not_dialled_and_no_import_brings_it_back(floor: Floor) -> None:
    await floor.campaign()
    text = "phone,name\n+33639980000,Odile\n+33639980001,Basile\n"
    await floor.load(text)
    first, second = await floor.leads()
    await remove(floor, first["lead_id"])
    again = await floor.load(text)
    assert (again.rows, again.imported, again.unchanged, again.removed, again.rejected) == (2, 0, 1, 1, 0)
    (gone, left) = await floor.leads()
    assert (gone["state"], gone["name"], gone["phone"], left) == ("removed", None, "+33639980000", second)
    await floor.agents({"anna": "available", "bob": "available"})
    assert await floor.tick() == 1
    assert (await floor.only()).lead_id == second["lead_id"]
    await remove(floor, second["lead_id"])


@pytest.mark.parametrize("fact", [PbxFact.BUSY, PbxFact.NO_ANSWER, PbxFact.FAILED])
async def test_a_lead_removed_while_it_is_dialled_is_not_dialled_again(floor: Floor, fact: PbxFact) -> None:
    await floor.campaign(leads=["+33639980000"])
    await floor.agents({"anna": "available"})
    assert await floor.tick() == 1
    attempt = await floor.only()
    with pytest.raises(Conflict, match="is being dialled"):
        await correct(floor, attempt.lead_id, phone="+33639980001")
    await remove(floor, attempt.lead_id)
    await floor.tell(attempt.attempt_id, fact, fact)
    (lead,) = await floor.leads()
    assert (lead["state"], lead["attempts"]) == ("removed", 1)
    floor.clock.advance(7200)
    assert await floor.tick() == 0
    assert len(await floor.attempts()) == 1


@pytest.mark.parametrize("facts", [(), (PbxFact.RINGING,)])
async def test_a_dial_for_a_lead_that_is_removed_is_given_up(floor: Floor, facts: tuple[PbxFact, ...]) -> None:
    await floor.campaign(leads=["+33639980000"])
    await floor.agents({"anna": "available"})
    await floor.tick()
    attempt = await floor.only()
    for fact in facts:
        await floor.tell(attempt.attempt_id, fact)
    await remove(floor, attempt.lead_id)
    for _ in range(2):
        await floor.tick()
    assert (await floor.only()).state == Ended("refused", "lead_removed")
    assert [command for _, command in await floor.commands()] == ["dial", "hang_up"]
    assert (await floor.leads())[0]["state"] == "removed"


async def test_a_call_that_was_answered_goes_on_when_its_lead_is_removed(floor: Floor) -> None:
    attempt = await floor.answered()
    await remove(floor, attempt.lead_id)
    await floor.tick()
    assert (await floor.only()).state == attempt.state
    await floor.tell(attempt.attempt_id, CallDone("call-1", "sale"))
    assert (await floor.only()).state == Ended("answered", "routing", "call-1", "sale")
    assert (await floor.leads())[0]["state"] == "removed"


async def test_a_list_of_numbers_not_to_call_bars_the_number_and_not_the_lead(floor: Floor) -> None:
    await floor.campaign(leads=["+33639980000"])
    await floor.load("phone,time_zone\n+33639980009,America/New_York\n")  # closed; keeps the campaign running
    await floor.bar("+33639980000", "+33639980001")
    await floor.agents({"anna": "available"})
    await floor.tick()
    lead, _ = await floor.leads()
    assert lead["state"] == "barred"
    for phone, state in (("+33639980001", "barred"), ("+33639980002", "in_progress")):
        await correct(floor, lead["lead_id"], phone=phone)
        await floor.tick()
        assert (await floor.leads())[0]["state"] == state


async def test_a_campaign_whose_last_leads_were_removed_completes(floor: Floor) -> None:
    await floor.campaign(leads=numbers(2))
    for lead in await floor.leads():
        await remove(floor, lead["lead_id"])
    await floor.tick()
    (completed,) = [event for event in await floor.published() if event.TYPE == "campaign.completed.v1"]
    assert getattr(completed, "leads", None) == 0
