"""Declaring sites, and an operator's word that one is down: stored and told to every pool, in one transaction."""

from __future__ import annotations

import asyncpg
from common import outbox
from common.clock import Clock
from common.database import Session
from common.errors import Conflict, NotFound
from common.ids import FLOOR

from routing.domain import inputs
from routing.service.configuration import CheckVersion
from routing.store import configuration, states
from routing.store import sites as store


async def put_site(
    session: Session, site_id: str, name: str, time_zone: str, clock: Clock, check: CheckVersion
) -> tuple[asyncpg.Record, bool]:
    """Create or replace; beside the row, whether it was created. Raises Conflict for another time zone while the site
    covers a queue: its hours are meant by the clock on the site's wall."""
    await configuration.lock(session, "site", site_id)
    before = await store.site(session, site_id)
    check(before["version"] if before else None)
    if before and (before["name"], before["time_zone"]) == (name, time_zone):
        return before, False
    if before and before["time_zone"] != time_zone and (queue_id := await store.covered_by(session, site_id)):
        raise Conflict(f"the site covers queue {queue_id}: its time zone cannot change", field="time_zone")
    await store.save(session, site_id, name, time_zone)
    return await _tell(session, site_id, clock), before is None


async def set_down(
    session: Session, site_id: str, *, down: bool, actor: str, reason: str | None, clock: Clock, check: CheckVersion
) -> asyncpg.Record:
    """The site goes down, or comes up again. Nothing happens when that is how it is. Raises NotFound."""
    await configuration.lock(session, "site", site_id)
    before = await store.site(session, site_id)
    if before is None:
        raise NotFound(f"there is no site {site_id}")
    check(before["version"])
    if before["down"] == down and (not down or before["down_reason"] == reason):
        return before
    await store.set_down(session, site_id, down, actor, clock.now(), reason)
    return await _tell(session, site_id, clock)


async def drain(
    session: Session, site_id: str, *, drained: bool, actor: str, reason: str | None, clock: Clock, check: CheckVersion
) -> asyncpg.Record:
    """Take the site out of service once its agents' calls are done, or (`drained` false) let them come back. Nothing
    happens when that is what was said before. Raises NotFound."""
    await configuration.lock(session, "site", site_id)
    before = await store.site(session, site_id)
    if before is None:
        raise NotFound(f"there is no site {site_id}")
    check(before["version"])
    if (before["drained_at"] is not None) == drained and (before["drain_reason"] == reason or not drained):
        return before
    noted = (actor, clock.now(), reason) if drained else (None, None, None)
    await store.drain(session, site_id, *noted)
    return await _tell(session, site_id, clock)


async def _tell(session: Session, site_id: str, clock: Clock) -> asyncpg.Record:
    row = await store.site(session, site_id)
    assert row is not None
    for pool_id in await states.pool_ids(session):
        told = inputs.ConfigureSite(tenant_id=FLOOR, pool_id=pool_id, occurred_at=clock.now(), site=store.site_of(row))
        outbox.add(session, told)
    return row
