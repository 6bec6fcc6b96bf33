"""Messages left in a voicemail become cases, each exactly once."""

from __future__ import annotations

import asyncio
from uuid import UUID

from common.database import Database
from common.events import CaseCallLinked, CaseClosed, CaseOpened, CaseReopened, ContactCreated, Event, VoicemailLeft
from common.migrations import check
from crm_bridge.service import cases as service
from crm_bridge.store import tenants
from support import Stack

from .calls import PHONE, answered, at, follow, handled, published


def message(call: str, minutes: float = 0, *, phone: str = PHONE) -> VoicemailLeft:
    return VoicemailLeft(
        tenant_id="kettle", call_id=call, sequence=5, pool_id="day", entry_point_id="line", dialled="+33639980100",
        contact_phone=phone, occurred_at=at(minutes), arrived_at=at(minutes), queue_id="complaints", recording="m.wav",
        seconds=12, left_at=at(minutes),
    )  # fmt: skip


async def told(database: Database) -> list[type[Event]]:
    return [type(envelope.event) for envelope in await published(database)]


async def put_tenant(database: Database) -> None:
    async with database.transaction() as session:
        wanted = tenants.Tenant(
            tenant_id="kettle",
            name="Kettle",
            time_zone="Europe/Paris",
            region="FR",
            reopen_window_days=2,
            closing_dispositions=["resolved"],
        )
        await tenants.put(session, wanted)


async def test_the_schema_is_what_the_tables_say(stack: Stack, database: Database) -> None:
    await asyncio.to_thread(check, "crm_bridge", stack.database_url("crm_bridge"))


async def test_a_message_opens_one_case_however_often_it_is_told(database: Database) -> None:
    """Given nobody known; when a message is told twice, in one batch and in two; then one case is open, with one call
    that no agent had."""
    await put_tenant(database)
    await follow(database, [message("m1"), message("m1")])
    await follow(database, [message("m1")])
    assert await told(database) == [ContactCreated, CaseOpened]
    opened = (await published(database))[1].event
    assert isinstance(opened, CaseOpened)
    assert (opened.queue_id, opened.call_id, opened.calls) == ("complaints", "m1", 1)
    async with database.transaction() as session:
        case, calls = await service.get_with_calls(session, UUID(opened.case_id))
    assert [(call.call_id, call.agent_id, call.direction, call.answered_at) for call in calls] == [
        ("m1", None, "inbound", at(0))
    ]
    assert case.opened_at == at(0)


async def test_a_message_joins_the_contacts_open_case(database: Database) -> None:
    """Given a case that is open; when its contact leaves a message and is called back; then all is one case, closed
    once by the call's disposition."""
    await put_tenant(database)
    await follow(database, [answered("a"), message("m1", 10)])
    assert await told(database) == [ContactCreated, CaseOpened, CaseCallLinked]
    await follow(database, handled("b", 20))
    assert await told(database) == [ContactCreated, CaseOpened, CaseCallLinked, CaseCallLinked, CaseClosed]


async def test_a_message_soon_after_the_closing_reopens_the_case(database: Database) -> None:
    await put_tenant(database)
    await follow(database, [*handled("a"), message("m1", 60)])
    assert (await told(database))[-2:] == [CaseReopened, CaseCallLinked]


async def test_a_message_of_somebody_who_withheld_the_number_is_a_case_of_its_own(database: Database) -> None:
    await put_tenant(database)
    await follow(database, [message("m1", phone=""), message("m2", phone="")])
    assert (await told(database)).count(CaseOpened) == 2
