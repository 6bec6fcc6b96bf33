"""Rating, tariffs, statements and the comparison with the log: pure."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from billing.domain import statements, tariffs
from billing.domain.closings import Closing, closing_of, merge, merge_all
from billing.domain.rating import Entry, Kind, Rated, Unrated, event_of, ledger_of, rate
from billing.domain.replay import CaseLog, Recorded, compare
from billing.domain.tariffs import Tariff, Terms
from common.errors import Conflict, Invalid, InvalidEvent
from common.events import CaseClosed, CaseReopened, ChargeReversed
from common.money import Money
from hypothesis import given
from hypothesis import strategies as st

PARIS = ZoneInfo("Europe/Paris")
CLOSED = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
"""December in Paris, November in UTC."""
PRICE = Money.of("4.20", "EUR")
TERMS = Terms(PARIS, (Tariff(1, date(2026, 1, 1), PRICE),))


def closed(closing: int = 1, closed_at: datetime = CLOSED, case: str = "c-1", tenant: str = "kettle") -> CaseClosed:
    return CaseClosed(
        tenant_id=tenant, case_id=case, contact_id="p-1", queue_id="q", sequence=2, opened_at=closed_at,
        occurred_at=closed_at, calls=1, closing=closing, closed_at=closed_at, disposition="settled",
    )  # fmt: skip


def reopened(event: CaseClosed, after: timedelta = timedelta(hours=2)) -> CaseReopened:
    at = event.closed_at + after
    return CaseReopened(
        tenant_id=event.tenant_id, case_id=event.case_id, contact_id="p-1", queue_id="q", sequence=3,
        opened_at=event.opened_at, occurred_at=at, calls=2, closing=event.closing, closed_at=event.closed_at,
        reopened_at=at,
    )  # fmt: skip


def rated(closing: Closing, terms: Terms = TERMS) -> tuple[Entry, ...]:
    rating = rate(closing, terms)
    assert isinstance(rating, Rated)
    return rating.entries


def test_a_closing_is_one_charge_in_the_month_of_the_tenants_time_zone() -> None:
    (charge,) = rated(closing_of(closed()))
    assert (charge.kind, charge.amount, charge.month, charge.day) == (Kind.CHARGE, PRICE, "2026-12", date(2026, 12, 1))
    assert charge.id == UUID("54fba23d-9e33-5fa2-bdcd-1c5cb5c5fbd6"), "ids are the same in every replay, for ever"


def test_a_reopening_takes_the_charge_back_in_the_month_of_the_reopening() -> None:
    event = closed(closed_at=datetime(2026, 11, 30, 22, 30, tzinfo=UTC))
    charge, reversal = rated(closing_of(reopened(event)))
    assert (charge.month, reversal.month) == ("2026-11", "2026-12")
    assert reversal.amount == Money.of("-4.20", "EUR")
    assert reversal.reverses == charge.id
    assert reversal.tariff_version == charge.tariff_version
    told = event_of(reversal)
    assert isinstance(told, ChargeReversed)
    assert (told.reverses, told.amount) == (str(charge.id), Decimal("-4.20"))


def test_a_reversal_is_at_the_pinned_tariff() -> None:
    dearer = Tariff(2, date(2026, 1, 1), Money.of("9.00", "EUR"))
    rating = rate(closing_of(reopened(closed())), Terms(PARIS, (*TERMS.tariffs, dearer)), pinned=1)
    assert isinstance(rating, Rated)
    assert [entry.amount.amount for entry in rating.entries] == [Decimal("4.20"), Decimal("-4.20")]


def test_without_a_tariff_a_closing_is_unrated_and_says_why() -> None:
    early = closing_of(closed(closed_at=datetime(2025, 6, 1, tzinfo=UTC)))
    assert rate(early, TERMS) == Unrated(early, "no tariff is valid on 2025-06-01")
    assert rate(early, None) == Unrated(early, "billing knows no tenant kettle")


def test_a_free_case_is_charged_nothing_and_taken_back_as_nothing() -> None:
    free = Terms(PARIS, (Tariff(1, date(2026, 1, 1), tariffs.price("0", "EUR")),))
    assert [str(entry.amount) for entry in rated(closing_of(reopened(closed())), free)] == ["0.00 EUR", "0.00 EUR"]


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (closed(closing=0), "closing 0"),
        (closed(closed_at=CLOSED.replace(tzinfo=None)), "no time zone"),
        (closed(closed_at=datetime(1, 1, 1, tzinfo=UTC)), "out of range"),
        (reopened(closed(), timedelta(seconds=-1)), "before it was closed"),
    ],
)
def test_an_event_that_cannot_be_true_is_refused(event: CaseClosed | CaseReopened, cause: str) -> None:
    with pytest.raises(InvalidEvent, match=cause):
        closing_of(event)


def test_contradictions_are_refused() -> None:
    known = closing_of(reopened(closed()))
    with pytest.raises(InvalidEvent, match="closed at"):
        merge(known, replace(known, closed_at=CLOSED + timedelta(seconds=1)))
    with pytest.raises(InvalidEvent, match="reopened at"):
        merge(known, closing_of(reopened(closed(), timedelta(hours=3))))
    assert merge(known, closing_of(closed())) == known


def test_the_tariff_of_a_day() -> None:
    first = Tariff(1, date(2026, 1, 1), PRICE)
    autumn = Tariff(2, date(2026, 9, 1), Money.of("5", "EUR"))
    correction = Tariff(3, date(2026, 9, 1), Money.of("6", "EUR"))
    summer = Tariff(4, date(2026, 6, 1), Money.of("3", "EUR"))
    versions = (first, autumn, correction, summer)
    assert tariffs.tariff_on(versions, date(2025, 12, 31)) is None
    assert tariffs.tariff_on(versions, date(2026, 5, 31)) == first
    assert tariffs.tariff_on(versions, date(2026, 6, 1)) == summer
    assert tariffs.tariff_on(versions, date(2026, 9, 1)) == correction
    assert tariffs.reach((first, autumn), summer) == (date(2026, 6, 1), date(2026, 9, 1))
    assert tariffs.reach((first, autumn), correction) == (date(2026, 9, 1), None)


def test_the_same_price_again_is_no_new_version() -> None:
    assert tariffs.next_tariff(TERMS.tariffs, date(2026, 5, 1), PRICE) is None
    added = tariffs.next_tariff(TERMS.tariffs, date(2026, 5, 1), Money.of("5", "EUR"))
    assert added is not None
    assert added.version == 2
    assert tariffs.next_tariff(TERMS.tariffs, date(2025, 5, 1), PRICE) is not None


def test_what_is_charged_stays_charged() -> None:
    tariffs.refuse_rewriting(TERMS.tariffs[0], 0, None)
    with pytest.raises(Conflict, match=r"change 3 case\(s\) already charged, the last closed on 2026-02-01"):
        tariffs.refuse_rewriting(TERMS.tariffs[0], 3, date(2026, 2, 1))


@pytest.mark.parametrize("text", ["-4.20", "NaN", "Infinity", "4.205", "1e12", "four", ""])
def test_a_wrong_price_is_named_with_its_field(text: str) -> None:
    with pytest.raises(Invalid, match=text or "''") as refused:
        tariffs.price(text, "EUR")
    assert refused.value.field == "price_per_closed_case"


def test_prices_have_the_digits_of_their_currency() -> None:
    assert str(tariffs.price("4.2", "EUR")) == "4.20 EUR"
    assert str(tariffs.price("4.205", "TND")) == "4.205 TND"
    assert str(tariffs.price("420", "JPY")) == "420 JPY"
    with pytest.raises(Invalid, match="JPY has 0 digits"):
        tariffs.price("4.2", "JPY")


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "0000-01", "2026-11-01", "november", "２０２６-11", ""]
)
def test_a_malformed_month_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        statements.read_month(text)
    assert refused.value.field == "month"


def test_the_days_of_a_month() -> None:
    assert statements.days_of(statements.read_month("2028-02")) == (date(2028, 2, 1), date(2028, 2, 29))
    assert statements.days_of(statements.read_month("9999-12")) == (date(9999, 12, 1), date(9999, 12, 31))


def test_csv_quotes_and_never_starts_a_formula() -> None:
    awkward = ['=HYPERLINK("http://x")', "+1", "-2", "@a", 'a,"b"\r\nc', "plain"]
    entries = [rated(closing_of(closed(case=case)))[0] for case in awkward]
    text = statements.csv_header() + statements.csv_lines(entries)
    records = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [record["case_id"] for record in records] == [
        "'=HYPERLINK(\"http://x\")", "'+1", "'-2", "'@a", 'a,"b"\r\nc', "plain",
    ]  # fmt: skip
    assert {record["amount"] for record in records} == {"4.20"}


# given any history of cases …


@st.composite
def histories(draw: st.DrawFn) -> list[CaseClosed | CaseReopened]:
    """Cases of two tenants, closed and reopened some times each, in the order in which it happened per case."""
    events: list[CaseClosed | CaseReopened] = []
    for number in range(draw(st.integers(1, 5))):
        tenant = draw(st.sampled_from(["kettle", "lantern"]))
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=draw(st.integers(0, 600_000)))
        for closing in range(1, draw(st.integers(1, 4)) + 1):
            event = closed(closing, at, f"c-{number}", tenant)
            events.append(event)
            if not draw(st.booleans()):
                break
            pause = timedelta(minutes=draw(st.integers(0, 50_000)))
            events.append(reopened(event, pause))
            at += pause + timedelta(minutes=draw(st.integers(1, 10_000)))
    return events


LANTERN = Terms(
    ZoneInfo("America/Sao_Paulo"),
    (Tariff(1, date(2026, 3, 1), Money.of("1.05", "EUR")), Tariff(2, date(2026, 8, 1), Money.of("1.15", "EUR"))),
)
BOTH = {"kettle": TERMS, "lantern": LANTERN}


@given(histories(), st.data())
def test_any_order_and_repetition_gives_the_same_ledger(
    events: list[CaseClosed | CaseReopened], data: st.DataObject
) -> None:
    ordered = ledger_of(merge_all(map(closing_of, events)).values(), BOTH)
    shuffled = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events)))))
    assert ledger_of(merge_all(map(closing_of, shuffled)).values(), BOTH) == ordered


@given(histories())
def test_the_sum_is_what_stands_closed_times_the_price(events: list[CaseClosed | CaseReopened]) -> None:
    kettle = [event for event in events if event.tenant_id == "kettle"]
    ledger = ledger_of(merge_all(map(closing_of, kettle)).values(), BOTH)
    standing = sum(1 if isinstance(event, CaseClosed) else -1 for event in kettle)
    totals = statements.Totals("EUR")
    for entry in ledger.values():
        totals.add(entry)
    assert totals.net == PRICE * standing
    assert totals.charges + totals.reversals == totals.net


@given(histories(), st.data())
def test_the_comparison_finds_every_planted_difference(
    events: list[CaseClosed | CaseReopened], data: st.DataObject
) -> None:
    log = CaseLog()
    for event in events:
        log.note_case(event.tenant_id, event.case_id)
        log.tell(closing_of(event))
    kept = {key: Recorded(entry, entry.id) for key, entry in ledger_of(log.closings.values(), BOTH).items()}
    assert compare(log.closings.values(), log.closings.values(), BOTH, kept).equal
    if not kept:
        return
    victim = data.draw(st.sampled_from(sorted(kept)))
    fewer = {key: found for key, found in kept.items() if key != victim}
    assert compare(log.closings.values(), log.closings.values(), BOTH, fewer).missing == (victim,)
    extra = victim._replace(case_id="never-closed")
    more = {**kept, extra: kept[victim]}
    assert compare(log.closings.values(), log.closings.values(), BOTH, more).unexpected == (extra,)
    cent = Money(Decimal("0.01"), "EUR")
    wrong = {**kept, victim: replace(kept[victim], entry=replace(kept[victim].entry, amount=cent))}
    (difference,) = compare(log.closings.values(), log.closings.values(), BOTH, wrong).different
    assert (difference.key, set(difference.fields)) == (victim, {"amount"})


def test_a_ledger_between_the_committed_and_the_published_is_equal() -> None:
    first, second = closing_of(closed(case="c-1")), closing_of(closed(case="c-2"))
    ledger = {key: Recorded(entry, entry.id) for key, entry in ledger_of([first, second], BOTH).items()}
    assert compare([first], [first, second], BOTH, ledger).equal
    assert not compare([first, second], [first, second], BOTH, dict(list(ledger.items())[:1])).equal


def test_the_log_keeps_what_came_first() -> None:
    log = CaseLog()
    log.tell(closing_of(closed()))
    log.tell(closing_of(closed(closed_at=CLOSED + timedelta(days=1))))
    assert (log.refused, [closing.closed_at for closing in log.closings.values()]) == (1, [CLOSED])
