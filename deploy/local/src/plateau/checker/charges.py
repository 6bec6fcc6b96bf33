"""Charges: one per closing, one reversal per reopening, never edited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from common.events import CaseClosed, CaseReopened, ChargeRecorded, ChargeReversed
from common.events.billing import ChargeEvent
from common.events.crm import CaseEvent

CASE_CODE = "case"

Key = tuple[str, str, int]
"""Tenant, case, closing."""


def check_charges(cases: Iterable[CaseEvent], charges: Iterable[ChargeEvent], *, complete: bool) -> list[str]:
    """Violations between the closings of cases and the charges for them."""
    closed: dict[Key, CaseClosed] = {}
    reopened: dict[Key, CaseReopened] = {}
    for event in cases:
        if isinstance(event, CaseClosed):
            closed[event.tenant_id, event.case_id, event.closing] = event
        elif isinstance(event, CaseReopened):
            reopened[event.tenant_id, event.case_id, event.closing] = event
    recorded: dict[tuple[str, str, str, int], list[ChargeRecorded]] = defaultdict(list)
    reversed_: dict[tuple[str, str, str, int], list[ChargeReversed]] = defaultdict(list)
    ids: dict[str, ChargeEvent] = {}
    found: list[str] = []
    for charge in charges:
        key = (charge.tenant_id, charge.case_id, charge.charge_code, charge.version)
        if isinstance(charge, ChargeRecorded):
            recorded[key].append(charge)
        elif isinstance(charge, ChargeReversed):
            reversed_[key].append(charge)
        if charge.charge_id in ids:
            found.append(f"charge {charge.charge_id}: recorded under one id twice")
        ids[charge.charge_id] = charge

    for (tenant_id, case_id, code, version), same in recorded.items():
        name = f"case {case_id} of {tenant_id}, closing {version}"
        if len(same) > 1:
            listed = ", ".join(charge.charge_id for charge in same)
            found.append(f"{name}: charged {len(same)} times for {code}: {listed}")
        if code == CASE_CODE and (tenant_id, case_id, version) not in closed:
            found.append(f"{name}: charged ({same[0].charge_id}) but never closed")
        if any(charge.amount < 0 for charge in same):
            found.append(f"{name}: charged a negative amount")
    for (tenant_id, case_id, code, version), back in reversed_.items():
        name = f"case {case_id} of {tenant_id}, closing {version}"
        if len(back) > 1:
            found.append(f"{name}: reversed {len(back)} times for {code}")
        if code == CASE_CODE and (tenant_id, case_id, version) not in reopened:
            found.append(f"{name}: reversed ({back[0].charge_id}) but never reopened")
        charged = recorded.get((tenant_id, case_id, code, version))
        if not charged:
            found.append(f"{name}: reversed ({back[0].charge_id}) but never charged")
            continue
        for one in back:
            original = charged[0]
            if one.reverses != original.charge_id:
                found.append(f"{name}: reversal {one.charge_id} names charge {one.reverses}, not {original.charge_id}")
            if (one.amount, one.currency, one.tariff_version) != (
                -original.amount,
                original.currency,
                original.tariff_version,
            ):
                found.append(
                    f"{name}: charged {original.amount} {original.currency} but reversed {one.amount} {one.currency}"
                )
    if complete:
        found += [
            f"case {case_id} of {tenant_id}, closing {closing}: never charged"
            for tenant_id, case_id, closing in closed
            if (tenant_id, case_id, CASE_CODE, closing) not in recorded
        ]
        found += [
            f"case {case_id} of {tenant_id}, closing {closing}: reopened but not reversed"
            for tenant_id, case_id, closing in reopened
            if (tenant_id, case_id, CASE_CODE, closing) not in reversed_
        ]
    return found
