"""Tenants and their tariffs: what is charged stays charged, whatever is changed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

from common.clock import Clock
from common.database import Session
from common.errors import Conflict, NotFound

from billing.domain import tariffs as domain
from billing.domain.tariffs import Tariff, Terms
from billing.service.rating import charge_backlog
from billing.store import tariffs as store
from billing.store.tariffs import Tenant


@dataclass(frozen=True, slots=True)
class Outcome:
    """The tariff that now holds; whether it was made just now, and how many waiting cases it charged."""

    tariff: Tariff
    created: bool
    charged: int


async def tenant(session: Session, tenant_id: str) -> Tenant:
    """Raises NotFound when there is none, or when the caller may not see it."""
    found = await store.tenant(session, tenant_id)
    if found is None:
        raise NotFound(f"no tenant {tenant_id}")
    return found


async def put_tenant(
    session: Session,
    wanted: Tenant,
    clock: Clock,
    check_version: Callable[[int | None], None],
) -> tuple[Tenant, bool]:
    """Create or replace a tenant; the second value says whether it is new. `wanted.version` is of no account.

    Raises Invalid for an unknown currency; Conflict for a change of the currency once there is a tariff, or of the
    time zone once something was charged: both would change what was charged. `check_version` gets the version that is
    replaced and may raise.
    """
    domain.currency(wanted.currency)
    await store.lock_exclusive(session)
    known = await store.tenant(session, wanted.tenant_id)
    check_version(None if known is None else known.version)
    if known is None:
        created = replace(wanted, version=1)
        await store.save_tenant(session, created)
        return created, True
    changed = replace(wanted, version=known.version + 1)
    if replace(wanted, version=known.version) == known:
        return known, False
    if wanted.currency != known.currency and await store.has_tariff(session, known.tenant_id):
        raise Conflict(f"{known.tenant_id} has tariffs in {known.currency}: its currency stays", field="currency")
    if wanted.time_zone != known.time_zone and await store.is_charged(session, known.tenant_id):
        raise Conflict(
            f"{known.tenant_id} was charged by days of {known.time_zone}: its time zone stays", field="time_zone"
        )
    await store.save_tenant(session, changed)
    if wanted.time_zone != known.time_zone:
        terms = (await store.terms_of(session, [known.tenant_id]))[known.tenant_id]
        await charge_backlog(session, known.tenant_id, Terms(ZoneInfo(wanted.time_zone), terms.tariffs), clock.now())
    return changed, False


async def put_tariff(
    session: Session, tenant_id: str, price_per_closed_case: str, valid_from: date | None, clock: Clock
) -> Outcome:
    """Let this be the price per closed case from `valid_from` (default: today where the tenant is) on.

    A new version, unless that price holds then anyway. Cases that waited for a tariff are charged in this transaction.
    Raises NotFound; Invalid for the amount; Conflict when a case already charged would get another price.
    """
    await store.lock_exclusive(session)
    owner = await tenant(session, tenant_id)
    terms = (await store.terms_of(session, [tenant_id]))[tenant_id]
    price = domain.price(price_per_closed_case, owner.currency)
    begin = valid_from or domain.day_of(clock.now(), terms.time_zone)
    added = domain.next_tariff(terms.tariffs, begin, price)
    if added is None:
        holds = domain.tariff_on(terms.tariffs, begin)
        assert holds is not None
        return Outcome(holds, created=False, charged=0)
    charged, last_day = await store.charged_within(session, tenant_id, *domain.reach(terms.tariffs, added))
    domain.refuse_rewriting(added, charged, last_day)
    now = clock.now()
    await store.add_tariff(session, tenant_id, added, now)
    count = await charge_backlog(session, tenant_id, Terms(terms.time_zone, (*terms.tariffs, added)), now)
    return Outcome(added, created=True, charged=count)
