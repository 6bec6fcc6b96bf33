"""Declaring shares of tenants, and switching their bursts: checked, stored, told to the pool's owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec
from common import outbox
from common.clock import Clock
from common.database import Session
from common.errors import Conflict, NotFound
from common.hours import Hours

from routing.domain import inputs
from routing.domain.pool import Pool
from routing.domain.shares import BurstState, Positions
from routing.domain.sharing import Standing
from routing.service.configuration import CheckVersion, saved
from routing.store import configuration, states
from routing.store import shares as store


@dataclass(frozen=True, slots=True)
class ShareDeclaration:
    """A share as the operator wants it, its figures and hours checked."""

    usual: Positions
    burst: Positions | None
    burst_hours: Hours | None
    release_after_seconds: float | None


async def put_share(
    session: Session, pool_id: str, tenant_id: str, wanted: ShareDeclaration, clock: Clock, check: CheckVersion
) -> tuple[asyncpg.Record, bool]:
    """Create or replace; beside the row, whether it was created. Raises NotFound for an unknown pool or tenant.

    More positions may be reserved, over all tenants, than the pool has agents: these come and go.
    """
    await _lock(session, pool_id, tenant_id)
    if await configuration.tenant(session, tenant_id) is None:
        raise NotFound(f"there is no tenant {tenant_id}")
    before = await _declared(session, pool_id, tenant_id)
    check(before["version"] if before else None)
    rules = _rules(wanted)
    if before and before["rules"] == rules:
        return before, False
    after = saved(await store.save_share(session, pool_id, tenant_id, rules))
    _tell(session, after, clock)
    return after, before is None


async def delete_share(
    session: Session, pool_id: str, tenant_id: str, clock: Clock, check: CheckVersion
) -> tuple[asyncpg.Record, int]:
    """Take the share away; the row that it had, and the version that it went with. Raises NotFound without one."""
    await _lock(session, pool_id, tenant_id)
    before = await share(session, pool_id, tenant_id)
    check(before["version"])
    after = saved(await store.save_share(session, pool_id, tenant_id, None))
    _tell(session, after, clock)
    return before, after["version"]


async def override_burst(
    session: Session,
    pool_id: str,
    tenant_id: str,
    state: BurstState | None,
    actor: str,
    reason: str | None,
    clock: Clock,
    check: CheckVersion,
) -> asyncpg.Record:
    """Switch the burst on or off against its hours, or let them decide again (None). Raises NotFound without a share,
    Conflict for one that has no burst.

    Nothing happens when that is what was said before.
    """
    await _lock(session, pool_id, tenant_id)
    before = await share(session, pool_id, tenant_id)
    check(before["version"])
    if before["rules"]["burst"] is None:
        raise Conflict(f"the share of tenant {tenant_id} in pool {pool_id} has no burst", field="burst")
    if before["burst_override"] == state and (before["burst_override_reason"] == reason or state is None):
        return before
    now = clock.now()
    after = saved(await store.override_burst(session, pool_id, tenant_id, state, actor, now, reason))
    _tell(session, after, clock)
    return after


async def share(session: Session, pool_id: str, tenant_id: str) -> asyncpg.Record:
    """The share's row. Raises NotFound."""
    row = await _declared(session, pool_id, tenant_id)
    if row is None:
        raise NotFound(f"tenant {tenant_id} has no share of pool {pool_id}")
    return row


async def standings(session: Session, pool_id: str, clock: Clock) -> Mapping[str, Standing]:
    """How the shares of the pool stand now, by tenant; those that say nothing are left out. `session` sees the whole
    floor."""
    pool = await seen(session, pool_id, clock)
    found = {one.tenant_id: pool.sharing.standing(one.tenant_id) for one in pool.sharing.known}
    return {tenant_id: standing for tenant_id, standing in found.items() if standing is not None}


async def seen(session: Session, pool_id: str, clock: Clock) -> Pool:
    """The pool as it was last saved, without its calls, at this time: to look at, not to decide in."""
    return await states.load_staff(session, pool_id, clock.now())


async def _lock(session: Session, pool_id: str, tenant_id: str) -> None:
    await configuration.lock(session, "share", f"{pool_id}:{tenant_id}")
    if await configuration.pool(session, pool_id, hold=True) is None:
        raise NotFound(f"there is no pool {pool_id}")


async def _declared(session: Session, pool_id: str, tenant_id: str) -> asyncpg.Record | None:
    row = await store.share(session, pool_id, tenant_id)
    return None if row is None or row["rules"] is None else row


def _rules(wanted: ShareDeclaration) -> dict[str, Any]:
    return {
        "usual": msgspec.to_builtins(wanted.usual),
        "burst": None if wanted.burst is None else msgspec.to_builtins(wanted.burst),
        "burst_hours": None if wanted.burst_hours is None else wanted.burst_hours.as_mapping(),
        "release_after_seconds": wanted.release_after_seconds,
    }


def _tell(session: Session, row: asyncpg.Record, clock: Clock) -> None:
    told = inputs.ConfigureShare(
        tenant_id=row["tenant_id"], pool_id=row["pool_id"], occurred_at=clock.now(), share=store.share_of(row)
    )
    outbox.add(session, told)
