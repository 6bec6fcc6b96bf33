"""Cases: driven by calls, closed and reopened by people too."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common import outbox, telemetry
from common.clock import Clock
from common.consumer import Delivery
from common.database import Session
from common.errors import Conflict, InvalidEvent, NotFound
from common.events import CallAnswered, CallWrappedUp, ContactCreated, VoicemailLeft
from common.events.crm import CaseEvent
from common.ids import new_id

from crm_bridge.domain import cases as domain
from crm_bridge.domain.book import CallName, CaseBook, CaseCall
from crm_bridge.domain.cases import Case, Change, Closed, Open
from crm_bridge.domain.contacts import ContactKey, of_call
from crm_bridge.domain.settings import DEFAULTS
from crm_bridge.service import webhooks
from crm_bridge.store import cases as store
from crm_bridge.store import contacts, tenants
from crm_bridge.store.contacts import Caller

case_events = telemetry.meter.create_counter("plateau_case_events")


async def follow_calls(session: Session, deliveries: Sequence[Delivery]) -> None:
    """Bring the cases to where these answered and wrapped-up calls and these messages take them. One batch, a handful
    of statements.

    Repeats and any order across calls are harmless (see `domain.cases`); a wrap-up that comes without the answer before
    it links its call first. Contacts are locked first and in one order, so replicas never decide about one contact at
    the same time.
    """
    calls = [_conversation(delivery) for delivery in deliveries]
    book = await _load(session, calls)
    published: list[CaseEvent] = []
    for delivery, call in zip(deliveries, calls, strict=True):
        with telemetry.with_traceparent(delivery.traceparent, f"handle {delivery.type}"):
            for event in book.follow(call):
                outbox.add(session, event)
                if isinstance(event, CaseEvent):
                    published.append(event)
    await store.save(session, book.changed.values())
    await store.save_calls(session, book.calls.values())
    await store.save_handed_on(session, book.handed_on)
    await _announce(session, published)


def _conversation(delivery: Delivery) -> domain.Conversation:
    match delivery.event:
        case CallAnswered() | CallWrappedUp() as call:
            times = [call.answered_at, call.wrapped_up_at] if isinstance(call, CallWrappedUp) else [call.answered_at]
            if any(moment.tzinfo is None for moment in times):
                raise InvalidEvent("a time has no time zone")
            return call
        case VoicemailLeft() as message:
            if message.left_at.tzinfo is None:
                raise InvalidEvent("a time has no time zone")
            return message
        case other:
            raise InvalidEvent(f"{other.TYPE} is not for crm-bridge")


async def _load(session: Session, calls: Sequence[domain.Conversation]) -> CaseBook:
    settings = await tenants.settings(session, {call.tenant_id for call in calls})
    first: dict[CallName, domain.Conversation] = {}
    for call in calls:
        first.setdefault((call.tenant_id, call.call_id), call)
    linked = await store.links(session, first)

    keys: dict[CallName, ContactKey] = {}
    callers: dict[tuple[str, str], Caller] = {}
    moved: set[UUID] = set()
    for name, call in first.items():
        key = of_call(call.contact_phone, domain.first_call_of(call), settings.get(call.tenant_id, DEFAULTS).region)
        if name in linked and linked[name].contact_key != key.key:
            # The contact's number was edited since: the call stays with the contact that it was linked to.
            moved.add(linked[name].contact_id)
            continue
        keys[name] = key
        spoken_at = domain.spoken_at(call)
        present = callers.get((call.tenant_id, key.key))
        callers[call.tenant_id, key.key] = Caller(
            present.id if present else new_id(),
            call.tenant_id,
            key.key,
            key.phone,
            min(present.first_call_at, spoken_at) if present else spoken_at,
            max(present.last_call_at, spoken_at) if present else spoken_at,
        )

    claimed = await contacts.claim(session, callers.values())
    if moved:
        await contacts.lock(session, moved)
    unlinked = [name for name in first if name not in linked]
    # Read again under the locks: the partition's owner before us may have linked them in the meantime.
    linked.update(await store.links(session, unlinked))

    contact_ids = {
        name: linked[name].contact_id if name in linked else claimed[name[0], keys[name].key] for name in first
    }
    current = {case.id: case for case in await store.current(session, set(contact_ids.values()))}
    older = {link.case_id for link in linked.values()} - current.keys()
    others = await store.by_ids(session, older) if older else []
    created = {
        caller.id: ContactCreated(
            tenant_id=caller.tenant_id,
            contact_id=str(caller.id),
            phone=caller.phone or "",
            occurred_at=caller.first_call_at,
        )
        for caller in callers.values()
        if claimed[caller.tenant_id, caller.key] == caller.id
    }
    links = {name: link.case_id for name, link in linked.items()}
    parts = await store.parts(session, {(name[0], domain.first_call_of(first[name])) for name in unlinked})
    return CaseBook(
        settings=settings,
        contact_ids=contact_ids,
        links=links,
        current=current.values(),
        others=others,
        parts=parts,
        created=created,
    )


async def get(session: Session, case_id: UUID) -> Case:
    """Raises NotFound."""
    found = await store.by_ids(session, [case_id])
    if not found:
        raise NotFound(f"no case {case_id}")
    return found[0]


async def get_with_calls(session: Session, case_id: UUID) -> tuple[Case, list[CaseCall]]:
    """The case and its calls. Raises NotFound."""
    return await get(session, case_id), await store.calls(session, case_id)


async def close(session: Session, case_id: UUID, disposition: str, clock: Clock) -> Case:
    """A person closes the case. Raises NotFound, or Conflict when it is closed already."""
    case = await _held(session, case_id)
    if isinstance(case, Closed):
        raise Conflict(f"case {case_id} is closed already")
    return await _commit(session, domain.close(case, clock.now(), disposition))


async def reopen(session: Session, case_id: UUID, clock: Clock) -> Case:
    """A person reopens the case, however long ago it was closed.

    Raises NotFound, or Conflict when it is open already or its contact has another open case.
    """
    case = await _held(session, case_id)
    if isinstance(case, Open):
        raise Conflict(f"case {case_id} is open already")
    for other in await store.current(session, [case.contact_id]):
        if isinstance(other, Open):
            raise Conflict(f"the contact has another open case, {other.id}")
    return await _commit(session, domain.reopen(case, clock.now()))


async def _held(session: Session, case_id: UUID) -> Case:
    """The case, with its contact locked, as the consumer locks it."""
    await contacts.lock(session, [(await get(session, case_id)).contact_id])
    return await get(session, case_id)


async def _commit(session: Session, change: Change) -> Case:
    await store.save(session, [change.case])
    for event in change.events:
        outbox.add(session, event)
    await _announce(session, change.events)
    return change.case


async def _announce(session: Session, events: Sequence[CaseEvent]) -> None:
    await webhooks.announce(session, events)

    def count() -> None:
        for event in events:
            case_events.add(1, {"service": session.source, "type": event.TYPE})

    session.after_commit(count)
