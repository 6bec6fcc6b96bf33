"""What is played: callers at their times, agents logged in as the file's servers were, one tenant with its queues.

* A queue per service type; callers to whom the file gives priority 2 wait in a second queue of that type, ahead of
  the others by 90 seconds of waiting, as the publishers describe it. Priorities 0 and 1 are alike.
* An agent per server, with a skill for each service type that the server answered in what is played.
* Shifts: a server is logged in from the first service to the last; a gap of more than 30 minutes between two services
  is a break, one of more than 4 hours the end of a shift.
* The file knows nothing of wrap-up times, dispositions or matters. Agents finish at the end of the call; a call that is
  drawn as settled (70 %) gets the closing disposition, so that cases close, and reopen when the same customer calls
  again. A caller whom the file does not know is a person of their own.

So the agents of a replay are always free between two calls, where those of the file wrote something down, or rested for
less than half an hour: a replay answers more calls, and sooner, than was done then. It shows what routing does with the
same callers, not what that centre could have done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Final, Literal

from plateau.floor import Floor
from plateau.floor.model import Agent, Pool, Queue, Tariff, Tenant
from plateau.replay.calls import PastCall
from plateau.replay.patience import estimates, patience_of
from plateau.simulator.people import FICTION

TENANT: Final = "replayed"
POOL: Final = "replayed"
PRIVILEGED: Final = 2
HEAD_START_SECONDS: Final = 90
BREAK: Final = timedelta(minutes=30)
SHIFT_END: Final = timedelta(hours=4)
SETTLED: Final = "settled"
UNSETTLED: Final = "to-follow"
SETTLED_SHARE: Final = 0.7
SERVICE_LEVEL_SECONDS: Final = 20
SHORT_ABANDON_SECONDS: Final = 5
SLACK_REAL_SECONDS: Final = 3.0
"""Agents answer and finish at once, but at a high speed "at once" is many simulated seconds: the limits of offers and
wrap-ups leave this many real ones, so that they are never meant to be reached."""

AgentChange = Literal["logged_in", "break", "available", "logged_out"]


@dataclass(frozen=True, slots=True)
class Caller:
    """One call to be played. `number` is its row in the file."""

    number: int
    day: date
    service_type: str
    queue_id: str
    arrival: datetime
    phone: str
    patience_seconds: float
    service_seconds: float
    disposition: str


@dataclass(frozen=True, slots=True)
class Shift:
    """What an agent does by the clock, whatever calls come."""

    at: datetime
    agent_id: str
    state: AgentChange


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to be played, and what the file says about the same rows."""

    floor: Floor
    callers: Sequence[Caller]
    shifts: Sequence[Shift]
    past: Sequence[PastCall]
    """The rows of the callers, offered ones only."""
    in_menu: int
    """Rows left out: the caller hung up inside the voice menu."""
    phantoms: int
    queue_types: Mapping[str, str]
    """Service type by queue id."""

    @property
    def start(self) -> datetime:
        return min([*(caller.arrival for caller in self.callers), *(shift.at for shift in self.shifts)])

    @property
    def end(self) -> datetime:
        """When the last thing known beforehand happens."""
        return max([*(caller.arrival for caller in self.callers), *(shift.at for shift in self.shifts)])

    @property
    def days(self) -> list[date]:
        return sorted({caller.day for caller in self.callers})


class NothingToPlay(Exception):
    """The file has no call of that day."""


def plan(
    rows: Iterable[PastCall],
    *,
    time_zone: str,
    seed: str = "replay",
    day: date | None = None,
    limit: int | None = None,
    speed: float = 1.0,
) -> Plan:
    """The plan for one day of the file (None: all of it), of its first `limit` rows at most. Raises NothingToPlay.

    Patience is estimated from the whole file. Deterministic: the same rows, seed and choice give the same plan.
    """
    everything = list(rows)
    survival = estimates(everything)
    chosen = list(islice((row for row in everything if day in (None, row.day)), limit))
    offered = sorted((row for row in chosen if row.offered), key=lambda row: (row.arrival, row.number))
    if not offered:
        raise NothingToPlay(f"no call of {day}" if day else "no call at all")
    phones = _phones(everything)
    callers = [
        Caller(
            number=row.number,
            day=row.day,
            service_type=row.service_type,
            queue_id=queue_id_of(row),
            arrival=row.arrival,
            phone=phones[row.customer or row.number],
            patience_seconds=patience_of(row, survival, seed),
            service_seconds=max(1.0, row.service_seconds),
            disposition=SETTLED if Random(f"{seed}/settled/{row.number}").random() < SETTLED_SHARE else UNSETTLED,
        )
        for row in offered
    ]
    return Plan(
        floor=_floor(offered, time_zone, speed),
        callers=callers,
        shifts=_shifts(offered),
        past=offered,
        in_menu=sum(row.outcome == "HANG" and not row.queued for row in chosen),
        phantoms=sum(row.outcome == "PHANTOM" for row in chosen),
        queue_types={queue_id_of(row): row.service_type for row in offered},
    )


def queue_id_of(row: PastCall) -> str:
    """The queue that its caller waits in."""
    return row.service_type.lower() + ("-privileged" if row.priority == PRIVILEGED else "")


def _agent_id(server: str) -> str:
    return server.lower()


def _phones(rows: Iterable[PastCall]) -> dict[str | int, str]:
    """An invented number for each customer, and for each call of an unknown one."""
    phones: dict[str | int, str] = {}
    prefixes = FICTION["FR"]
    for row in rows:
        place = len(phones)
        phones.setdefault(
            row.customer or row.number, f"{prefixes[place // 10_000 % len(prefixes)]}{place % 10_000:04d}"
        )
    return phones


def _floor(rows: Sequence[PastCall], time_zone: str, speed: float) -> Floor:
    slack = min(3600, max(60, round(SLACK_REAL_SECONDS * speed)))
    types = sorted({row.service_type for row in rows})
    skills: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.server is not None:
            skills[row.server].add(row.service_type.lower())
    first_day = min(row.day for row in rows)
    return Floor(
        tenants=(
            Tenant(
                id=TENANT,
                name="A day played again",
                time_zone=time_zone,
                closing_dispositions=(SETTLED,),
                tariff=Tariff(price_per_closed_case=Decimal("4.20"), valid_from=first_day.replace(day=1)),
            ),
        ),
        pools=(Pool(id=POOL, name="Servers of the file", skills=tuple(one.lower() for one in types)),),
        agents=tuple(
            Agent(id=_agent_id(server), name=server.title(), pool_id=POOL, skills=dict.fromkeys(sorted(held), 5))
            for server, held in sorted(skills.items())
        ),
        queues=tuple(
            Queue(
                id=queue_id,
                tenant_id=TENANT,
                pool_id=POOL,
                required_skills=(service_type.lower(),),
                priority=1 if privileged else 0,
                ageing_seconds_per_priority=HEAD_START_SECONDS,
                service_level_seconds=SERVICE_LEVEL_SECONDS,
                short_abandon_seconds=SHORT_ABANDON_SECONDS,
                offer_timeout_seconds=slack,
                wrap_up_seconds=slack,
            )
            for queue_id, service_type, privileged in sorted(
                {(queue_id_of(row), row.service_type, row.priority == PRIVILEGED) for row in rows}
            )
        ),
    )


def _shifts(rows: Sequence[PastCall]) -> list[Shift]:
    served: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for row in rows:
        if row.server is not None and row.service_start is not None and row.service_end is not None:
            served[row.server].append((row.service_start, row.service_end))
    shifts: list[Shift] = []
    for server, spans in served.items():
        agent_id = _agent_id(server)
        spans.sort()
        shifts.append(Shift(spans[0][0], agent_id, "logged_in"))
        until = spans[0][1]
        for start, end in spans[1:]:
            if start - until > BREAK:
                leave, come = ("logged_out", "logged_in") if start - until > SHIFT_END else ("break", "available")
                shifts += [Shift(until, agent_id, leave), Shift(start, agent_id, come)]  # type: ignore[arg-type]
            until = max(until, end)
        shifts.append(Shift(until, agent_id, "logged_out"))
    return sorted(shifts, key=lambda shift: (shift.at, shift.agent_id))
