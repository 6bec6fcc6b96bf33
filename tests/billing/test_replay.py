"""The replay-from-zero check: equal when all is well, and it finds what was planted."""

from __future__ import annotations

import os
import random
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from billing.domain.closings import closing_of, merge_all
from billing.domain.rating import ledger_of
from billing.store.tariffs import terms_of
from common.database import Session
from common.events import CaseClosed, CaseReopened, Event
from common.testing import eventually

from .conftest import Billing
from .events import closed, history, publish


async def filled(billing: Billing, events: list[Event]) -> int:
    """A ledger of these events, delivered twice; returns how many entries it has."""
    for tenant, zone in (("kettle", "Europe/Paris"), ("lantern", "Asia/Tokyo")):
        await billing.tenant(tenant, time_zone=zone)
        await billing.tariff("4.20", "2026-02-01", tenant)
        await billing.tariff("4.75", "2026-07-01", tenant)
    await publish(billing.stack.kafka, [*events, *events])
    async with billing.running.runtime.database.transaction() as session:
        terms = await terms_of(session)
    closings = merge_all(closing_of(event) for event in events if isinstance(event, CaseClosed | CaseReopened))
    due = len(ledger_of(closings.values(), terms))
    await billing.charged(due)

    async def committed() -> bool:
        return int((await check(billing))["charges_expected"]) == due

    await eventually(committed)
    return due


async def check(billing: Billing) -> dict[str, Any]:
    answer = await billing.operator.post("/v1/replay-checks")
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


@asynccontextmanager
async def tampering(billing: Billing) -> AsyncIterator[Session]:
    """What nobody can do without the table owner's rights: change the ledger."""
    async with billing.running.runtime.database.transaction() as session:
        await session.execute("ALTER TABLE ledger DISABLE TRIGGER ledger_only_grows")
        await session.execute("ALTER TABLE ledger DROP CONSTRAINT ledger_reverses_fkey")
        yield session


async def cli(billing: Billing) -> tuple[int, dict[str, Any]]:
    """`python -m billing.replay` in a process of its own."""
    environment = {
        **os.environ,
        "DATABASE_URL": billing.settings.database_url.get_secret_value(),
        "KAFKA_BOOTSTRAP_SERVERS": billing.stack.bootstrap_servers,
        "JWKS_URL": billing.settings.jwks_url,
        "JWT_ISSUER": billing.settings.jwt_issuer,
    }
    process = await create_subprocess_exec(sys.executable, "-m", "billing.replay", env=environment, stdout=PIPE)
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, msgspec.json.decode(output)


async def test_the_ledger_equals_the_log(billing: Billing) -> None:
    events = history(random.Random(7), 300, ["kettle", "lantern", "never-told-of"])
    due = await filled(billing, events)
    report = await check(billing)
    assert report["equal"] is True
    assert (report["events"], report["repeated"], report["cases"]) == (len(events), len(events), 300)
    assert (report["charges_expected"], report["charges_found"]) == (due, due)
    assert (report["missing"], report["unexpected"], report["different"], report["unreadable"]) == ([], [], [], 0)
    code, printed = await cli(billing)
    assert (code, printed) == (0, report)


async def test_planted_faults_are_found(billing: Billing) -> None:
    due = await filled(billing, list(history(random.Random(3), 60, ["kettle"])))
    async with tampering(billing) as session:
        rows = await session.fetch(
            "SELECT * FROM ledger WHERE kind = 'charge' AND reverses IS NULL ORDER BY occurred_at LIMIT 2"
        )
        gone, changed = rows
        await session.execute("DELETE FROM ledger WHERE id = $1", gone["id"])
        await session.execute("UPDATE ledger SET amount = amount + 0.01 WHERE id = $1", changed["id"])
        await session.execute(
            """
            INSERT INTO ledger SELECT gen_random_uuid(), tenant_id, 'never-closed', charge_code, version, kind, amount,
                currency, tariff_version, day, occurred_at, reverses, recorded_at FROM ledger WHERE id = $1
            """,
            changed["id"],
        )
    report = await check(billing)
    assert report["equal"] is False
    assert (report["charges_expected"], report["charges_found"]) == (due, due)
    assert [key["case_id"] for key in report["missing"]] == [gone["case_id"]]
    assert [key["case_id"] for key in report["unexpected"]] == ["never-closed"]
    (different,) = report["different"]
    assert different["case_id"] == changed["case_id"]
    assert different["fields"] == {
        "amount": {"due": f"{changed['amount']} EUR", "found": f"{float(changed['amount']) + 0.01:.2f} EUR"}
    }
    code, printed = await cli(billing)
    assert (code, printed["missing_count"], printed["unexpected_count"]) == (1, 1, 1)


async def test_what_cannot_be_read_is_counted_and_charged_to_nobody(billing: Billing) -> None:
    await filled(billing, [closed("c-1")])
    await publish(billing.stack.kafka, [closed("c-2", closing=0)])
    report = await check(billing)
    assert (report["equal"], report["unreadable"], report["charges_found"]) == (True, 1, 1)
