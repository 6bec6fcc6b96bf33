"""The cases that a batch of calls is about, in memory: follow the calls, then save what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.events import CallWrappedUp, ContactCreated, VoicemailLeft
from common.events.crm import CaseEvent
from common.ids import new_id

from crm_bridge.domain import cases
from crm_bridge.domain.cases import Case, Change, Conversation
from crm_bridge.domain.settings import DEFAULTS, TenantSettings

CallName = tuple[str, str]
"""Tenant and call id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseCall:
    """One call of a case; the last two are None until the agent has wrapped up."""

    tenant_id: str
    call_id: str
    case_id: UUID
    contact_id: UUID
    queue_id: str
    direction: str
    agent_id: str | None
    """None: a message in a voicemail."""
    answered_at: datetime
    wrapped_up_at: datetime | None
    disposition: str | None


class CaseBook:
    """Follows calls in the order given; `changed`, `calls` and `handed_on` are then to be saved.

    Give it everything that the calls touch: the contact of each call, the links of those that have one, every contact's
    current case and the other cases that are linked to; `parts`: the cases to which calls with the same first call
    belong, with that call. `created` tells of contacts that are new, by their id.
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, TenantSettings],
        contact_ids: Mapping[CallName, UUID],
        links: Mapping[CallName, UUID],
        current: Iterable[Case],
        others: Iterable[Case] = (),
        parts: Iterable[tuple[UUID, str]] = (),
        created: Mapping[UUID, ContactCreated] | None = None,
    ) -> None:
        self._settings = settings
        self._contact_ids = contact_ids
        self._links = dict(links)
        self._parts = set(parts)
        self._current = {case.contact_id: case for case in current}
        self._cases = {case.id: case for case in (*self._current.values(), *others)}
        self._created = dict(created or {})
        self.changed: dict[UUID, Case] = {}
        self.handed_on: set[tuple[str, str, UUID]] = set()
        """Tenant, first call and case of the calls to which agents handed callers on: new ones."""
        self.calls: dict[CallName, CaseCall] = {}

    def follow(self, call: Conversation) -> list[CaseEvent | ContactCreated]:
        """Decide what the call does; the events to publish, in order. A repeat gives none."""
        name = (call.tenant_id, call.call_id)
        settings = self._settings.get(call.tenant_id, DEFAULTS)
        contact_id = self._contact_ids[name]
        events: list[CaseEvent | ContactCreated] = []
        created = self._created.pop(contact_id, None)
        if created is not None:
            events.append(created)
        if name not in self._links:
            current = self._current.get(contact_id)
            first = cases.first_call_of(call)
            change = cases.conversation(
                current,
                call,
                contact_id=contact_id,
                new_id=new_id(),
                window=settings.reopen_window,
                another_part=current is not None and (current.id, first) in self._parts,
            )
            self._links[name] = change.case.id
            self._parts.add((change.case.id, first))
            if first != call.call_id:
                self.handed_on.add((call.tenant_id, first, change.case.id))
            events.extend(self._apply(change))
            self._remember(call, change.case)
        if isinstance(call, CallWrappedUp):
            case = self._cases[self._links[name]]
            events.extend(self._apply(cases.wrapped_up(case, call, closing_dispositions=settings.closing_dispositions)))
            self._remember(call, case)
        return events

    def _apply(self, change: Change) -> tuple[CaseEvent, ...]:
        if change.events:
            case = change.case
            self._cases[case.id] = self._current[case.contact_id] = self.changed[case.id] = case
        return change.events

    def _remember(self, call: Conversation, case: Case) -> None:
        wrap_up = call if isinstance(call, CallWrappedUp) else None
        self.calls[call.tenant_id, call.call_id] = CaseCall(
            tenant_id=call.tenant_id,
            call_id=call.call_id,
            case_id=case.id,
            contact_id=case.contact_id,
            queue_id=call.queue_id,
            direction="inbound" if isinstance(call, VoicemailLeft) else call.direction,
            agent_id=None if isinstance(call, VoicemailLeft) else call.agent_id,
            answered_at=cases.spoken_at(call),
            wrapped_up_at=wrap_up.wrapped_up_at if wrap_up else None,
            disposition=wrap_up.disposition if wrap_up else None,
        )
