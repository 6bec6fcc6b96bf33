"""Events of billing: `billing` (key: tenant)."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from common.events.base import Event, Moment


class ChargeEvent(Event, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "billing"

    charge_id: str
    case_id: str
    charge_code: str
    """What is charged: `case` for a closed case."""
    version: int
    """The case's closing number: with tenant, case and code it is unique for ever."""
    amount: Decimal
    """Signed: a reversal is negative."""
    currency: str
    """ISO 4217."""
    tariff_version: int
    month: str
    """Billing month in the tenant's time zone, `2026-11`."""
    occurred_at: Moment

    @property
    def subject(self) -> str:
        return self.charge_id

    @property
    def key(self) -> str:
        return self.tenant_id


class ChargeRecorded(ChargeEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "charge.recorded.v1"


class ChargeReversed(ChargeEvent, frozen=True, kw_only=True):
    """Takes back the charge `reverses` whole."""

    TYPE: ClassVar[str] = "charge.reversed.v1"

    reverses: str
