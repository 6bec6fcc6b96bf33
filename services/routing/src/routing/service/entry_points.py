"""Declaring entry points: numbers and flow are checked as a whole, then stored in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from common.clock import Clock
from common.database import Session
from common.errors import Conflict, Invalid

from routing.domain.declarations import Faults, check_unmoved
from routing.domain.flow_faults import faults as flow_faults
from routing.domain.flows import Flow, queue_ids_of
from routing.service.configuration import CheckVersion, make_known
from routing.store import configuration
from routing.store import entry_points as store


async def put_entry_point(
    session: Session,
    entry_point_id: str,
    faults: Faults,
    tenant_id: str,
    pool_id: str,
    numbers: Sequence[str],
    flow: Flow,
    clock: Clock,
    check: CheckVersion,
) -> tuple[asyncpg.Record, bool]:
    """Create or replace; beside the row, whether it was created. Calls in their flow keep the one they came with.

    `faults`: what was found wrong with it so far. Raises Invalid with these, an unknown tenant or pool and every fault
    of the flow; Conflict for a number of another entry point, another tenant or pool.
    """
    await configuration.lock(session, "overflows", tenant_id)
    await configuration.lock(session, "entry point", entry_point_id)
    before = await store.entry_point(session, entry_point_id)
    with faults.collect():
        if await configuration.tenant(session, tenant_id) is None:
            raise Invalid(f"there is no tenant {tenant_id}", field="tenant_id")
    pool = await configuration.pool(session, pool_id, hold=True)
    with faults.collect():
        if pool is None:
            raise Invalid(f"there is no pool {pool_id}", field="pool_id")
    queues = await store.voice_queues(session, tenant_id)
    calling_back = [queue_id for queue_id, calls_back in queues.items() if calls_back]
    with faults.collect():
        check_flow(flow, list(queues), None if pool is None else pool["skills"], calling_back)
    faults.check()
    if before:
        check_unmoved("entry point", entry_point_id, "tenant_id", before["tenant_id"], tenant_id)
        check_unmoved("entry point", entry_point_id, "pool_id", before["pool_id"], pool_id)
    check(before["version"] if before else None)
    wanted = sorted(set(numbers))
    if before and (before["numbers"], store.flow_of(before)) == (wanted, flow):
        return before, False
    await make_known(session, queue_ids_of(flow), pool_id, clock.now())
    await store.save_entry_point(session, entry_point_id, tenant_id, pool_id, wanted, flow)
    owners = await store.owners_of(session, wanted)
    for position, number in enumerate(numbers):
        if owners.get(number) != entry_point_id:
            # Whose it is stays unsaid: it may be another tenant's.
            raise Conflict(f"{number} leads to another entry point already", field=f"numbers.{position}")
    after = await store.entry_point(session, entry_point_id)
    assert after is not None
    return after, before is None


def check_flow(flow: Flow, queue_ids: Sequence[str], skills: Sequence[str] | None, calling_back: Sequence[str]) -> None:
    """Raises Invalid with every fault of the flow, each by its place in the body."""
    found = flow_faults(flow, queue_ids, skills, calling_back)
    errors = [{"field": f"flow.{fault.field}", "reason": fault.reason} for fault in found]
    if errors:
        told = f"{errors[0]['field']} {errors[0]['reason']}"
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise Invalid(f"the flow cannot work: {told}{more}", field=errors[0]["field"], errors=errors)
