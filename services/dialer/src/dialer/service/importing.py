"""The import of a file of leads: streamed, checked row by row, all or (if asked for) what is good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Final, Literal

from common.clock import Clock
from common.database import Session
from common.errors import NotFound

from dialer.domain.campaign import Campaign, Tenant
from dialer.domain.errors import RejectedRows, TooLarge
from dialer.domain.hours import next_open
from dialer.domain.lead_file import Checks, Header, LineReader, Reject, Row, UnreadableFile, check_row
from dialer.store import campaigns, imports

LARGEST_FILE: Final = 64 * 1024 * 1024
"""Bytes: well over a million rows."""
REJECTS_LISTED: Final = 1000
ROWS_AT_ONCE: Final = 250
"""Few, because a portion may keep the event loop waiting as long as it is worked on."""

OnReject = Literal["abort", "skip"]


@dataclass(slots=True)
class Imported:
    """`rows` = imported + unchanged (on the list already, with the same values) + rejected.

    `rejects` are the first ones by line.
    """

    rows: int = 0
    imported: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejects: list[Reject] = field(default_factory=list)

    def reject(self, count: int, rejects: list[Reject]) -> None:
        """Count rejected rows and list their rejects as far as there is room."""
        self.rejected += count
        self.rejects = sorted(self.rejects + rejects, key=lambda reject: reject.line)[:REJECTS_LISTED]


async def import_leads(
    session: Session, campaign_id: str, pieces: AsyncIterable[bytes], on_reject: OnReject, max_bytes: int, clock: Clock
) -> Imported:
    """Put the rows of a CSV file on the campaign's list; the file is never held whole.

    Idempotent: a row that is on the list already is left alone. `abort` raises RejectedRows when any row is rejected,
    and then the transaction must not be committed. Raises NotFound, TooLarge, and RejectedRows whatever `on_reject`
    says when the file cannot be read on.
    """
    found = await campaigns.campaign(session, campaign_id)
    if found is None:
        raise NotFound(f"no campaign {campaign_id}")
    campaign = found[0]
    owner = await campaigns.tenant(session, campaign.tenant_id)
    assert owner is not None
    await imports.begin(session)
    result = Imported()
    try:
        await _take(session, pieces, _checks(campaign, owner[0], clock), max_bytes, result)
    except UnreadableFile as failure:
        # What comes before has been read, but a file that breaks off is not a list that anybody meant to import.
        result.reject(1, [failure.reject])
        raise _rejected(result) from None
    await imports.analyse(session)
    # From here on no other import and no completion of the campaign comes in between.
    await campaigns.campaign(session, campaign_id, lock=True)
    result.reject(*await imports.duplicates(session, REJECTS_LISTED))
    contradicting, rejects = await imports.contradictions(session, campaign_id, REJECTS_LISTED)
    result.reject(contradicting, rejects)
    if result.rejected and on_reject == "abort":
        raise _rejected(result)
    result.imported, numbers = await imports.finish(session, campaign_id, campaign.tenant_id, clock.now())
    result.unchanged = numbers - result.imported - contradicting
    return result


async def _take(
    session: Session, pieces: AsyncIterable[bytes], checks: Checks, max_bytes: int, result: Imported
) -> None:
    """Read, check and store the rows in portions."""
    header: Header | None = None
    portion: list[tuple[int, str]] = []
    async for lines in _lines(pieces, max_bytes):
        for number, line in lines:
            if not line.strip():
                continue
            if header is None:
                header = Header.parse(number, line)
                continue
            portion.append((number, line))
            if len(portion) == ROWS_AT_ONCE:
                await _store(session, portion, header, checks, result)
                portion = []
    if header is None:
        raise UnreadableFile(1, "the file is empty; its first line names the columns", column="phone")
    if portion:
        await _store(session, portion, header, checks, result)


async def _store(
    session: Session, portion: list[tuple[int, str]], header: Header, checks: Checks, result: Imported
) -> None:
    # In a thread, so that hand-overs of this process need not wait for a long file.
    rows, rejects, rejected = await asyncio.to_thread(_check, portion, header, checks)
    result.rows += len(portion)
    if rejected:
        result.reject(rejected, rejects)
    await imports.add(session, rows)


def _check(portion: list[tuple[int, str]], header: Header, checks: Checks) -> tuple[list[Row], list[Reject], int]:
    rows: list[Row] = []
    rejects: list[Reject] = []
    rejected = 0
    for number, line in portion:
        checked = check_row(number, line, header, checks)
        if isinstance(checked, Row):
            rows.append(checked)
        else:
            rejects += checked
            rejected += 1
    return rows, rejects, rejected


async def _lines(pieces: AsyncIterable[bytes], max_bytes: int) -> AsyncIterator[list[tuple[int, str]]]:
    reader = LineReader()
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            raise TooLarge(f"a file may have {max_bytes} bytes; send it in parts, each with the header")
        yield reader.feed(piece)
    yield reader.feed(b"", last=True)


def _checks(campaign: Campaign, owner: Tenant, clock: Clock) -> Checks:
    now = clock.now()

    @cache
    def ever_open(zones: tuple[str, ...]) -> bool:
        return next_open(campaign.rules.calling_hours, zones, now) is not None

    return Checks(owner.region, owner.time_zone, ever_open, owner.allow_possible_numbers)


def _rejected(result: Imported) -> RejectedRows:
    more = f" (the first {REJECTS_LISTED} are listed)" if result.rejected > REJECTS_LISTED else ""
    return RejectedRows(
        f"{result.rejected} of {max(result.rows, result.rejected)} rows are wrong{more}; nothing was imported",
        errors=[asdict(reject) for reject in result.rejects],
        rows=result.rows,
        rejected=result.rejected,
    )
