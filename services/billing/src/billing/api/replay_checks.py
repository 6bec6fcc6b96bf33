"""The replay-from-zero check."""

from __future__ import annotations

from common.errors import Forbidden
from common.http import Caller, Router
from fastapi import Request

from billing.api.parameters import Operator
from billing.service.replay_checks import Report, check

router = Router(tags=["replay"])


@router.post("/replay-checks", dependencies=[Operator])
async def check_replay(request: Request, caller: Caller) -> Report:
    """Rate the whole log of cases again and compare the ledger with it. Changes nothing; repeat at will."""
    if caller.tenant_id is not None:
        raise Forbidden("the check reads every tenant: it is for the floor's own operators")
    runtime = request.app.state.runtime
    return await check(runtime.database, runtime.kafka, runtime.name)
