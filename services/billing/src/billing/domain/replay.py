"""The replay-from-zero check: what the log of cases says the ledger must hold, beside what it holds.

The ledger grows while the log is read, so it is compared between two bounds: every entry due from the events that
billing has *committed* must be there, and every entry there must be due from the events *published* by the time the
ledger was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from common.errors import InvalidEvent

from billing.domain.closings import Closing, ClosingKey, merge
from billing.domain.rating import Entry, EntryKey, ledger_of
from billing.domain.tariffs import Terms


class CaseLog:
    """The closings that a log of cases tells of, read once from its start.

    An event that contradicts an earlier one is counted in `refused`, as the consumer would have set it aside.
    """

    def __init__(self) -> None:
        self.closings: dict[ClosingKey, Closing] = {}
        self.refused = 0
        self._cases: set[tuple[str, str]] = set()

    def note_case(self, tenant_id: str, case_id: str) -> None:
        """Count a case."""
        self._cases.add((tenant_id, case_id))

    def tell(self, closing: Closing) -> None:
        """Take in what one event says about a closing."""
        known = self.closings.get(closing.key)
        try:
            self.closings[closing.key] = closing if known is None else merge(known, closing)
        except InvalidEvent:
            self.refused += 1

    @property
    def cases(self) -> int:
        return len(self._cases)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry as it stands in the ledger, with the id that was written beside it."""

    entry: Entry
    id: UUID


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry that is not what the log makes it: the fields that differ, as (due, found)."""

    key: EntryKey
    fields: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`missing` are due but not in the ledger, `unexpected` are in the ledger but not due."""

    expected: int
    found: int
    missing: tuple[EntryKey, ...]
    unexpected: tuple[EntryKey, ...]
    different: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        return not (self.missing or self.unexpected or self.different)


def compare(
    committed: Iterable[Closing],
    published: Iterable[Closing],
    terms: Mapping[str, Terms],
    ledger: Mapping[EntryKey, Recorded],
) -> Comparison:
    """Compare the ledger, read between the two, with the closings of the committed and of the published events."""
    due = ledger_of(committed, terms)
    allowed = ledger_of(published, terms)
    different = []
    for key, found in ledger.items():
        expected = allowed.get(key)
        fields = _differing(expected, found) if expected is not None else {}
        if fields:
            different.append(Difference(key, fields))
    return Comparison(
        expected=len(due),
        found=len(ledger),
        missing=tuple(key for key in due if key not in ledger),
        unexpected=tuple(key for key in ledger if key not in allowed),
        different=tuple(different),
    )


def _differing(due: Entry, found: Recorded) -> dict[str, tuple[str, str]]:
    pairs: dict[str, tuple[object, object]] = {
        "charge_id": (due.id, found.id),
        "amount": (due.amount, found.entry.amount),
        "tariff_version": (due.tariff_version, found.entry.tariff_version),
        "occurred_at": (due.occurred_at, found.entry.occurred_at),
        "date": (due.day, found.entry.day),
        "reverses": (due.reverses, found.entry.reverses),
    }
    return {name: (str(one), str(other)) for name, (one, other) in pairs.items() if one != other}
