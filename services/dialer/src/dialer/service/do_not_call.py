"""Each tenant's do-not-call list."""

from __future__ import annotations

from collections.abc import Sequence

from common.clock import Clock
from common.database import Session

from dialer.domain.attempt import Patience
from dialer.service.attempts import stop_refused
from dialer.store import do_not_call


async def add(
    session: Session,
    tenant_id: str,
    phones: Sequence[str],
    reason: str | None,
    actor: str,
    clock: Clock,
    patience: Patience,
) -> int:
    """Put numbers (E.164) on the list and give up dials to them; returns how many were not on it before.

    A dial that starts at this very moment is given up by the next tick of pacing.
    """
    added = await do_not_call.add(session, tenant_id, phones, reason, actor, clock.now())
    if added:
        await stop_refused(session, clock, patience)
    return len(added)
