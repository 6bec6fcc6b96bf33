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
from common.sheets import Columns, ReadAs, Reject, SheetReader, SheetRow, UnreadableFile

from dialer.domain.campaign import Campaign, Tenant
from dialer.domain.errors import RejectedRows, TooLarge
from dialer.domain.hours import next_open
from dialer.domain.lead_file import Checks, Row, check_row, columns
from dialer.store import campaigns, imports

LARGEST_FILE: Final = 64 * 1024 * 1024
"""Bytes: well over a million rows."""
REJECTS_LISTED: Final = 1000
ROWS_AT_ONCE: Final = 250
"""Few, because a portion may keep the event loop waiting as long as it is worked on."""
BYTES_AT_ONCE: Final = 64 * 1024
"""The same, of what is read before there are rows."""
REMEDY: Final = (
    "say with the parameter column which heading is which (column=phone:Mobile), or leave unknown columns out with "
    "unknown_columns=ignore"
)
RECOGNISED: Final = columns({}, "refuse", REMEDY)

OnReject = Literal["abort", "skip"]


@dataclass(slots=True)
class Imported:
    """`rows` = imported + unchanged (on the list already, with the same values) + rejected + removed (left alone:
    somebody has taken the number off the list).

    `rejects` are the first ones by line.
    """

    rows: int = 0
    imported: int = 0
    unchanged: int = 0
    removed: int = 0
    rejected: int = 0
    rejects: list[Reject] = field(default_factory=list)
    read_as: ReadAs | None = None

    def reject(self, count: int, rejects: list[Reject]) -> None:
        """Count rejected rows and list their rejects as far as there is room."""
        self.rejected += count
        self.rejects = sorted(self.rejects + rejects, key=lambda reject: reject.line)[:REJECTS_LISTED]


async def import_leads(
    session: Session,
    campaign_id: str,
    pieces: AsyncIterable[bytes],
    on_reject: OnReject,
    max_bytes: int,
    clock: Clock,
    wanted: Columns = RECOGNISED,
) -> Imported:
    """Put the rows of a CSV file on the campaign's list; the file is never held whole.

    Idempotent: a row that is on the list already is left alone. `abort` raises RejectedRows when any row is rejected,
    and then the transaction must not be committed. Raises NotFound, TooLarge, and RejectedRows whatever `on_reject`
    says when the file cannot be read on, or its quotation marks do not fit.
    """
    found = await campaigns.campaign(session, campaign_id)
    if found is None:
        raise NotFound(f"no campaign {campaign_id}")
    campaign = found[0]
    owner = await campaigns.tenant(session, campaign.tenant_id)
    assert owner is not None
    await imports.begin(session)
    result = Imported()
    reader = SheetReader(wanted)
    try:
        await _take(session, pieces, reader, checks_of(campaign, owner[0], clock), max_bytes, result)
    except UnreadableFile as failure:
        # What comes before has been read, but a file that breaks off is not a list that anybody meant to import.
        result.read_as = reader.read_as
        result.reject(1, [failure.reject])
        raise _rejected(result, f"it cannot be read beyond line {failure.reject.line}") from None
    result.read_as = reader.read_as
    await imports.analyse(session)
    # From here on no other import and no completion of the campaign comes in between.
    await campaigns.campaign(session, campaign_id, lock=True)
    result.reject(*await imports.duplicates(session, REJECTS_LISTED))
    contradicting, rejects = await imports.contradictions(session, campaign_id, REJECTS_LISTED)
    result.reject(contradicting, rejects)
    if not reader.sound:
        raise _rejected(result, "where its cells end is not certain")
    if result.rejected and on_reject == "abort":
        raise _rejected(result)
    result.removed = await imports.removed(session, campaign_id)
    result.imported, numbers = await imports.finish(session, campaign_id, campaign.tenant_id, clock.now())
    result.unchanged = numbers - result.imported - result.removed - contradicting
    return result


async def _take(
    session: Session,
    pieces: AsyncIterable[bytes],
    reader: SheetReader,
    checks: Checks,
    max_bytes: int,
    result: Imported,
) -> None:
    """Read, check and store the rows in portions."""
    async for rows in _rows(pieces, reader, max_bytes):
        for start in range(0, len(rows), ROWS_AT_ONCE):
            portion = rows[start : start + ROWS_AT_ONCE]
            # In a thread, so that hand-overs of this process need not wait for a long file.
            good, rejects, rejected = await asyncio.to_thread(_check, portion, checks)
            result.rows += len(portion)
            if rejected:
                result.reject(rejected, rejects)
            await imports.add(session, good)


def _check(portion: list[SheetRow | Reject], checks: Checks) -> tuple[list[Row], list[Reject], int]:
    rows: list[Row] = []
    rejects: list[Reject] = []
    rejected = 0
    for item in portion:
        checked = [item] if isinstance(item, Reject) else check_row(item, checks)
        if isinstance(checked, Row):
            rows.append(checked)
        else:
            rejects += checked
            rejected += 1
    return rows, rejects, rejected


async def _rows(
    pieces: AsyncIterable[bytes], reader: SheetReader, max_bytes: int
) -> AsyncIterator[list[SheetRow | Reject]]:
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            raise TooLarge(f"a file may have {max_bytes} bytes; send it in parts, each with the header")
        for start in range(0, len(piece), BYTES_AT_ONCE):
            yield await asyncio.to_thread(reader.feed, piece[start : start + BYTES_AT_ONCE])
    yield await asyncio.to_thread(reader.feed, b"", last=True)


def checks_of(campaign: Campaign, owner: Tenant, clock: Clock) -> Checks:
    """What leads of the campaign are checked against."""
    now = clock.now()

    @cache
    def ever_open(zones: tuple[str, ...]) -> bool:
        return next_open(campaign.rules.calling_hours, zones, now) is not None

    return Checks(owner.region, owner.time_zone, ever_open, owner.allow_possible_numbers)


def _rejected(result: Imported, why: str | None = None) -> RejectedRows:
    """`why`: for which reason good rows cannot be imported either."""
    first = result.rejects[0]
    place = f"line {first.line}, column {first.column}" if first.column else f"line {first.line}"
    more = result.rejected - 1
    listed = f"the first {REJECTS_LISTED} are listed" if more >= REJECTS_LISTED else "all are listed"
    others = f"; {more} more rows are wrong, {listed} by line" if more else ""
    because = f", because {why}" if why else ""
    return RejectedRows(
        f"{place}: {first.reason}{others}. Nothing was imported{because}",
        errors=[asdict(reject) for reject in result.rejects],
        rows=result.rows,
        rejected=result.rejected,
        read_as=None if result.read_as is None else asdict(result.read_as),
    )
