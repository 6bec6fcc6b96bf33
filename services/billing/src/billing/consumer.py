"""What billing reads: closings of cases."""

from __future__ import annotations

from common.consumer import Subscription
from common.events import CaseClosed, CaseReopened

READS = Subscription(frozenset({CaseClosed, CaseReopened}))
SUBSCRIPTIONS = (READS,)
