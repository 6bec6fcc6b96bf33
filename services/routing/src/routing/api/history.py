"""The history of the configuration: every change with who and when, written in the transaction of the change."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar

from common.auth import Role
from common.clock import Clock
from common.database import Session
from common.fields import SLUG, TenantFilter
from common.http import (
    Caller,
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    check_if_match,
    decode_key,
    page,
    require,
)
from common.ids import FLOOR
from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from routing.store import history as store

router = Router(
    tags=["configuration"],
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT)],
)


class Versioned(Protocol):
    """A view of something that is configured."""

    @property
    def id(self) -> str: ...

    @property
    def version(self) -> int: ...

    def model_dump(self, *, mode: str, include: set[str]) -> dict[str, Any]: ...


V = TypeVar("V", bound=Versioned)


class Change:
    """One change under way: its If-Match is checked, and what it came to is noted."""

    def __init__(self, request: Request, caller: Caller, session: Session) -> None:
        self._request = request
        self._caller = caller
        self._session = session
        self._before: int | None = None
        self.clock: Clock = request.app.state.runtime.clock
        self._at = self.clock.now()

    @property
    def actor(self) -> str:
        return self._caller.subject

    def check(self, version: int | None) -> None:
        """Raises PreconditionFailed when the client wanted to change another version (None: absent)."""
        check_if_match(self._request, version)
        self._before = version

    async def noted(
        self,
        kind: str,
        view: V,
        body: type[BaseModel],
        *,
        tenant_id: str = FLOOR,
        action: str = "configured",
        reason: str | None = None,
    ) -> V:
        """Note the change unless there was none; `body` is what a PUT that says the same would hold."""
        if view.version != self._before:
            await store.note(
                self._session,
                tenant_id=tenant_id,
                actor=self.actor,
                roles=sorted(self._caller.roles),
                kind=kind,
                item_id=view.id,
                action=action,
                version=view.version,
                value=view.model_dump(mode="json", include=set(body.model_fields)),
                reason=reason,
                at=self._at,
            )
        return view


async def _change(request: Request, caller: Caller, session: Db) -> Change:
    return Change(request, caller, session)


Changing = Annotated[Change, Depends(_change)]
"""The change that this request makes."""


class ChangeView(Model):
    """One change. `value` is the whole configuration after it: sent again with PUT it is restored, as a new version."""

    number: int
    """Grows with every change of anything."""
    kind: str = Field(examples=["queue"])
    id: str = Field(examples=["help"])
    """Of a share its pool's."""
    tenant_id: str = Field(examples=["kettle"])
    """Whose it is; `floor` for what is nobody's alone."""
    version: int
    action: str = Field(examples=["configured"])
    """configured: by PUT; otherwise what an operator said of it: `closed`, `draining` …"""
    by: str
    """Subject of the token."""
    roles: list[str]
    at: datetime
    reason: str | None
    value: dict[str, Any]


@router.get("/configuration-history")
async def list_changes(
    session: Db,
    kind: Annotated[str | None, Query(pattern=r"^[a-z_]{1,40}$", examples=["queue"])] = None,
    item_id: Annotated[str | None, Query(alias="id", pattern=SLUG, examples=["help"])] = None,
    tenant_id: TenantFilter = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[ChangeView]:
    """Newest first. A client company sees the changes of what is its own; agents and pools are the floor's."""
    before = decode_key(cursor, int)
    rows = await store.changes(session, before, limit, kind=kind, item_id=item_id, tenant_id=tenant_id)
    views = [
        ChangeView(
            number=row["number"],
            kind=row["kind"],
            id=row["subject"],
            tenant_id=row["tenant_id"],
            version=row["detail"]["version"],
            action=row["action"],
            by=row["actor"],
            roles=row["detail"]["roles"],
            at=row["happened_at"],
            reason=row["detail"]["reason"],
            value=row["detail"]["value"],
        )
        for row in rows
    ]
    return page(views, limit, lambda last: (last.number,))
