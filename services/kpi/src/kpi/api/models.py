"""What several routes answer with, and what they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Self

from common.auth import Principal, Role
from common.database import Session
from common.errors import Invalid, NotFound
from common.http import Model, require
from fastapi import Query
from pydantic import AwareDatetime, Field

from kpi.domain.counts import CallCounts, CaseCounts, ChargeCounts, DialingCounts
from kpi.domain.figures import ServiceLevelFormula, evaluate
from kpi.domain.steps import Step
from kpi.store import tenants
from kpi.store.series import Window

EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

Reader = require(Role.OPERATOR, Role.SUPERVISOR, Role.TENANT, Role.SERVICE)
"""Who may see figures; a tenant's people see their own."""

From = Annotated[
    AwareDatetime | None,
    Query(alias="from", description="Steps that end after this; 24 hours before `to` when absent"),
]
To = Annotated[AwareDatetime | None, Query(description="Steps that start before this; now when absent")]


def window(
    now: datetime,
    *,
    start: datetime | None,
    end: datetime | None,
    step: Step = "15m",
    tenant_id: str | None = None,
    key: str | None = None,
    totals: bool | None = None,
) -> Window:
    """The window asked for. Raises Invalid naming `from` or `to`."""
    for name, moment in (("from", start), ("to", end)):
        if moment is not None and not EARLIEST <= moment <= LATEST:
            raise Invalid(f"a time between {EARLIEST.year} and {LATEST.year} is needed", field=name)
    until = end or max(now, (start or now) + DAY)
    since = start or until - DAY
    if since >= until:
        raise Invalid("`from` must be before `to`", field="from")
    return Window(step, since.astimezone(UTC), until.astimezone(UTC), tenant_id, key, totals)


async def check_tenant(session: Session, caller: Principal, tenant_id: str | None) -> None:
    """Raises NotFound for a tenant that the caller may not see or that nobody knows; None passes."""
    if tenant_id is not None:
        caller.check_tenant(tenant_id)
        if caller.tenant_id is None and not await tenants.is_known(session, tenant_id):
            raise NotFound(f"no tenant {tenant_id}")


class CallFigures(Model):
    """Counts of calls and the figures made of them (`GET /v1/definitions` says how). Null: nothing to divide by."""

    offered: int = Field(examples=[42])
    answered: int = Field(examples=[39])
    abandoned: int = Field(description="All of them, the short ones too", examples=[3])
    short_abandoned: int = Field(examples=[1])
    overflowed_out: int = Field(description="Left for another queue or a number outside", examples=[0])
    turned_away: int = Field(
        description="Told a message at a closed queue, or by an overflow rule (these are abandoned, too)", examples=[0]
    )
    redirected: int = Field(
        description="Sent to a number outside (those that had entered are overflowed_out, too)", examples=[0]
    )
    not_called_back: int = Field(
        description="Hung up to be called back, and were not reached or cancelled it; not abandoned", examples=[0]
    )
    machines: int = Field(
        description="Dials that an answering machine had taken, withdrawn before an agent spoke; not abandoned",
        examples=[0],
    )
    waiting: int = Field(description="Offered in this step and still in the queue, or to be called back", examples=[0])
    answered_within: int = Field(description="Answered within the queue's threshold", examples=[33])
    abandoned_within: int = Field(examples=[2])
    handled: int = Field(description="Answered, and the wrap-up is done", examples=[39])
    wait_answered_seconds: float = Field(description="Sum of the waits of answered calls", examples=[312.5])
    talk_seconds: float = Field(examples=[7020.0])
    wrap_up_seconds: float = Field(examples=[1170.0])
    offered_less_short: int
    service_level: float | None = Field(examples=[0.805])
    service_level_formula: ServiceLevelFormula
    abandonment_rate: float | None
    asa_seconds: float | None
    aht_seconds: float | None
    wait_p50_seconds: float | None
    wait_p90_seconds: float | None
    wait_p99_seconds: float | None
    longest_wait_seconds: float | None


def call_figures(
    counts: CallCounts, waits: Mapping[int, int], formula: ServiceLevelFormula
) -> dict[str, float | str | None]:
    """The values of CallFigures."""
    return {
        **{
            name: getattr(counts, name)
            for name in (
                "offered",
                "answered",
                "abandoned",
                "short_abandoned",
                "overflowed_out",
                "not_called_back",
                "machines",
                "turned_away",
                "redirected",
                "waiting",
                "answered_within",
                "abandoned_within",
                "handled",
            )
        },
        "wait_answered_seconds": counts.wait_answered_ms / 1000,
        "talk_seconds": counts.talk_ms / 1000,
        "wrap_up_seconds": counts.wrap_up_ms / 1000,
        "service_level_formula": formula,
        **evaluate(counts, waits, formula),
    }


class CaseFigures(Model):
    """What happened to cases."""

    opened: int
    calls_linked: int = Field(description="Later calls attached to an open case, each once wherever it was handed on")
    closed: int = Field(description="Closings; a case closed again after a reopening counts again")
    reopened: int
    calls_per_closed_case: float | None = Field(description="A call that agents handed on counts once")
    seconds_to_close: float | None = Field(description="Average from opening to closing")
    reopened_rate: float | None = Field(description="reopened / closed")

    @classmethod
    def of(cls, counts: CaseCounts) -> Self:
        """The figures of the counts."""
        closed = counts.closed
        return cls(
            opened=counts.opened,
            calls_linked=counts.calls_linked,
            closed=closed,
            reopened=counts.reopened,
            calls_per_closed_case=counts.closed_calls / closed if closed else None,
            seconds_to_close=counts.open_ms / 1000 / closed if closed else None,
            reopened_rate=counts.reopened / closed if closed else None,
        )


class MoneyFigures(Model):
    """Money of one currency; `amount` is charges less reversals."""

    currency: str = Field(examples=["EUR"])
    charges: int
    reversals: int
    amount: Decimal = Field(examples=["163.80"])

    @classmethod
    def of(cls, currency: str, counts: ChargeCounts) -> Self:
        """The figures of the counts."""
        return cls(currency=currency, charges=counts.charges, reversals=counts.reversals, amount=counts.amount)


class DialingFigures(Model):
    """Attempts and how they ended."""

    attempts: int
    answered: int = Field(description="A human answered and spoke with an agent")
    abandoned: int = Field(description="A human answered, and no agent was there within the limit")
    busy: int
    no_answer: int
    failed: int
    machine: int
    refused: int
    ring_seconds: float
    contact_rate: float | None = Field(description="(answered + abandoned) / attempts")
    abandonment_rate: float | None = Field(description="abandoned / (answered + abandoned)")

    @classmethod
    def of(cls, counts: DialingCounts) -> Self:
        """The figures of the counts."""
        humans = counts.answered + counts.abandoned
        return cls(
            attempts=counts.attempts,
            answered=counts.answered,
            abandoned=counts.abandoned,
            busy=counts.busy,
            no_answer=counts.no_answer,
            failed=counts.failed,
            machine=counts.machine,
            refused=counts.refused,
            ring_seconds=counts.ring_ms / 1000,
            contact_rate=humans / counts.attempts if counts.attempts else None,
            abandonment_rate=counts.abandoned / humans if humans else None,
        )
