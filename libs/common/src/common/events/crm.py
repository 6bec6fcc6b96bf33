"""Events of crm-bridge: `contacts` (key: contact id) and `cases` (key: case id)."""

from __future__ import annotations

from typing import ClassVar

from common.events.base import Event, Moment


class ContactEvent(Event, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "contacts"

    contact_id: str
    phone: str
    """E.164."""
    name: str | None = None
    email: str | None = None
    priority: int = 0
    """0 ordinary … 9 most urgent caller."""
    occurred_at: Moment

    @property
    def subject(self) -> str:
        return self.contact_id


class ContactCreated(ContactEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "contact.created.v1"


class ContactUpdated(ContactEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "contact.updated.v1"


class CaseEvent(Event, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "cases"

    case_id: str
    contact_id: str
    queue_id: str
    """Queue of the call that opened the case."""
    sequence: int
    """1, 2, 3 … within the case."""
    opened_at: Moment
    occurred_at: Moment
    calls: int
    """Calls linked so far."""
    handed_on: int = 0
    """Of these, the calls by which agents handed on a caller of the case: `calls` less these is how often one came."""
    call_id: str | None = None
    """The call that caused it; none when a person did it through the API."""

    @property
    def subject(self) -> str:
        return self.case_id


class CaseOpened(CaseEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "case.opened.v1"


class CaseCallLinked(CaseEvent, frozen=True, kw_only=True):
    """A later call of the contact was attached to the open case."""

    TYPE: ClassVar[str] = "case.call_linked.v1"

    another_part: bool = False
    """Its caller's first call, or another to which agents handed them on, belongs to the case already: `handed_on` has
    grown with `calls`."""


class CaseClosed(CaseEvent, frozen=True, kw_only=True):
    """The matter is settled. `closing` is 1 the first time; 2 after one reopening …: the version of its charge."""

    TYPE: ClassVar[str] = "case.closed.v1"

    closing: int
    closed_at: Moment
    disposition: str


class CaseReopened(CaseEvent, frozen=True, kw_only=True):
    """The case goes on: closing number `closing` does not stand."""

    TYPE: ClassVar[str] = "case.reopened.v1"

    closing: int
    closed_at: Moment
    reopened_at: Moment
