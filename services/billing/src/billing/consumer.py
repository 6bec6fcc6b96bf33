"""What billing reads: closings of cases."""

from __future__ import annotations

from common.events import CaseClosed, CaseReopened

from billing.service.rating import take_deliveries

TOPICS = ("cases",)
HANDLES = (CaseClosed, CaseReopened)
HANDLER = take_deliveries
