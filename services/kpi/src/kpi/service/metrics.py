"""KPI's Prometheus metrics.

Gauges: the state of the whole centre as read from the database every second, so that every replica shows the same
(take `max` over replicas, never `sum`). Counters: what this process has counted (sum over replicas, use `rate`). Every
declared queue has its series from the start, with 0: nothing can be said of the rate of a series that is not there.

    plateau_calls_waiting{tenant,queue}             calls waiting, or ringing at an agent
    plateau_calls_talking{tenant,queue}             calls in conversation
    plateau_longest_wait_seconds{tenant,queue}      wait so far of the call that waits longest; 0 when none waits
    plateau_service_level_ratio{tenant,queue}       last 30 minutes, by the tenant's formula; no sample without calls
    plateau_agents{pool,state}                      agents by state
    plateau_calls_offered_total{tenant,queue}       calls that entered the queue
    plateau_calls_answered_total{tenant,queue}      calls answered
    plateau_calls_abandoned_total{tenant,queue}     calls abandoned, short ones too
    plateau_cases_opened_total{tenant}              cases opened
    plateau_cases_closed_total{tenant}              cases closed
    plateau_charges_total{tenant,currency}          charges recorded
    plateau_charge_reversals_total{tenant,currency} charges reversed
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common import telemetry
from common.clock import Clock
from common.database import TRANSIENT, Database
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from kpi.domain.counts import WHOLE_TENANT
from kpi.domain.increments import Increments
from kpi.service import live
from kpi.service.live import LiveFigures
from kpi.store.live import read_agents_of_pools

REFRESH_SECONDS = 1.0
"""Of real time, however fast the service's clock runs."""

_offered = telemetry.meter.create_counter("plateau_calls_offered")
_answered = telemetry.meter.create_counter("plateau_calls_answered")
_abandoned = telemetry.meter.create_counter("plateau_calls_abandoned")
_cases_opened = telemetry.meter.create_counter("plateau_cases_opened")
_cases_closed = telemetry.meter.create_counter("plateau_cases_closed")
_charges = telemetry.meter.create_counter("plateau_charges")
_reversals = telemetry.meter.create_counter("plateau_charge_reversals")


def begin(tenant: str, queue: str) -> None:
    """Let the counters of the queue, or (WHOLE_TENANT) of its tenant, begin with 0. Idempotent."""
    counters = (_cases_opened, _cases_closed) if queue == WHOLE_TENANT else (_offered, _answered, _abandoned)
    for counter in counters:
        counter.add(0, {"tenant": tenant} if queue == WHOLE_TENANT else {"tenant": tenant, "queue": queue})


def count(increments: Increments) -> None:
    """Add a committed batch to the counters."""
    for (tenant, queue, _), calls in increments.calls.items():
        if queue != WHOLE_TENANT:
            labels = {"tenant": tenant, "queue": queue}
            _offered.add(calls.offered, labels)
            _answered.add(calls.answered, labels)
            _abandoned.add(calls.abandoned, labels)
    for (tenant, _, _), cases in increments.cases.items():
        _cases_opened.add(cases.opened, {"tenant": tenant})
        _cases_closed.add(cases.closed, {"tenant": tenant})
    for (tenant, currency, _), money in increments.charges.items():
        _charges.add(money.charges, {"tenant": tenant, "currency": currency})
        _reversals.add(money.reversals, {"tenant": tenant, "currency": currency})


class Gauges:
    """The gauges. They show what was read last; while the database is away, nothing."""

    def __init__(self, database: Database, clock: Clock, meter: Meter = telemetry.meter) -> None:
        self._database = database
        self._clock = clock
        self._meter = meter
        self.queues: list[LiveFigures] = []
        self.pools: dict[str, dict[str, int]] = {}
        self._begun: set[tuple[str, str]] = set()
        self._gauge("plateau_calls_waiting", lambda queue: queue.waiting)
        self._gauge("plateau_calls_talking", lambda queue: queue.talking)
        self._gauge("plateau_longest_wait_seconds", lambda queue: queue.longest_wait_seconds)
        self._gauge("plateau_service_level_ratio", lambda queue: queue.service_level)
        meter.create_observable_gauge("plateau_agents", callbacks=[self._agents])

    def _gauge(self, name: str, value: Callable[[LiveFigures], float | None]) -> None:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(observed, {"tenant": queue.tenant_id, "queue": queue.queue_id})
                for queue in self.queues
                if (observed := value(queue)) is not None
            ]

        self._meter.create_observable_gauge(name, callbacks=[observe])

    def _agents(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(agents, {"pool": pool, "state": state})
            for pool, states in self.pools.items()
            for state, agents in states.items()
        ]

    async def refresh(self) -> None:
        """Read the present state once, and let the counters of queues begin that are new. Raises what the database
        raises."""
        try:
            async with self._database.transaction() as session:
                figures = await live.look(session, self._clock.now())
                self.pools = await read_agents_of_pools(session)
        except TRANSIENT:
            self.queues, self.pools = [], {}
            raise
        for key in {(one.tenant_id, one.queue_id) for one in figures} - self._begun:
            begin(*key)
            self._begun.add(key)
        self.queues = [queue for queue in figures if queue.queue_id != WHOLE_TENANT]
