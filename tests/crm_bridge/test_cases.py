"""The life of a case, decided in memory."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest
from common.events import CaseCallLinked, CaseClosed, CaseOpened, CaseReopened
from common.events.crm import CaseEvent
from common.ids import derived_id
from crm_bridge.domain import cases
from crm_bridge.domain.book import CallName, CaseBook
from crm_bridge.domain.cases import Case, Closed, Open
from crm_bridge.domain.contacts import ContactKey, of_call
from crm_bridge.domain.settings import TenantSettings
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from .calls import PHONE, Told, answered, at, handled, interleaved, wrapped_up

WINDOW_DAYS = 2
KETTLE = TenantSettings(reopen_window=timedelta(days=WINDOW_DAYS), closing_dispositions=frozenset({"resolved"}))
DAY = 24 * 60


class Store:
    """What the database keeps between batches."""

    def __init__(self) -> None:
        self.cases: dict[UUID, Case] = {}
        self.links: dict[CallName, UUID] = {}
        self.parts: set[tuple[UUID, str]] = set()
        self.events: list[CaseEvent] = []

    def follow(self, calls: Sequence[Told]) -> list[str]:
        """One batch; the types of what it publishes."""
        contact_ids = {(c.tenant_id, c.call_id): derived_id(c.tenant_id, c.contact_phone) for c in calls}
        latest: dict[UUID, Case] = {}
        for case in self.cases.values():
            present = latest.get(case.contact_id)
            if (
                present is None
                or isinstance(case, Open)
                or (isinstance(present, Closed) and case.closed_at > present.closed_at)
            ):
                latest[case.contact_id] = case
        book = CaseBook(
            settings={"kettle": KETTLE},
            contact_ids=contact_ids,
            links=self.links,
            current=latest.values(),
            others=[case for case in self.cases.values() if case not in latest.values()],
            parts=self.parts,
        )
        events = [event for call in calls for event in book.follow(call) if isinstance(event, CaseEvent)]
        self.cases.update(book.changed)
        self.links.update({name: call.case_id for name, call in book.calls.items()})
        self.parts |= {(call.case_id, call.call_id) for call in book.calls.values()}
        self.parts |= {(case_id, first) for _, first, case_id in book.handed_on}
        self.events += events
        return [event.TYPE.split(".")[1] for event in events]


def test_the_first_answered_call_opens_later_ones_join_and_a_code_closes() -> None:
    store = Store()
    assert store.follow([answered("a")]) == ["opened"]
    assert store.follow([wrapped_up("a", 0, "to follow up")]) == []
    assert store.follow(handled("b", 60, None)) == ["call_linked"]
    assert store.follow(handled("c", 2 * DAY)) == ["call_linked", "closed"]
    (case,) = store.cases.values()
    assert isinstance(case, Closed)
    assert (case.calls, case.closings, case.sequence, case.closed_at) == (3, 1, 4, at(2 * DAY + 5))
    closing = store.events[-1]
    assert isinstance(closing, CaseClosed)
    assert (closing.closing, closing.occurred_at, closing.call_id, closing.disposition) == (
        1, at(2 * DAY + 5), "c", "resolved",
    )  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(range(4))))
@pytest.mark.parametrize("together", [True, False])
def test_calls_by_which_a_caller_was_handed_on_are_told_apart_from_new_ones(
    order: tuple[int, ...], together: bool
) -> None:
    """Given a caller handed on twice, who calls again, in whatever order and batches the calls come."""
    store = Store()
    onward = [[replace(event, first_call_id="a") for event in handled(name, 5, None)] for name in ("b", "c")]
    calls = [handled("a", 0, None), *onward, handled("d", 60, None)]
    for batch in [[event for one in order for event in calls[one]]] if together else [calls[one] for one in order]:
        store.follow(batch)
        store.follow(batch)
    (case,) = store.cases.values()
    assert (case.calls, case.handed_on) == (4, 2)
    parts = [event.another_part for event in store.events if isinstance(event, CaseCallLinked)]
    assert sorted(parts) == [False, True, True]


def test_a_case_of_which_only_a_later_part_is_known_counts_that_part() -> None:
    """Given that the first part closed its case long before the second was answered."""
    store = Store()
    store.follow(handled("a", 0))
    store.follow([replace(event, first_call_id="a") for event in handled("b", 400 * DAY)])
    assert [(case.calls, case.handed_on) for case in store.cases.values()] == [(1, 0), (1, 0)]


def test_a_call_within_the_window_reopens_and_a_later_one_opens_anew() -> None:
    store = Store()
    store.follow(handled("a"))
    last_moment = 5 + WINDOW_DAYS * DAY
    assert store.follow([answered("b", last_moment)]) == ["reopened", "call_linked"]
    reopening, link = store.events[-2:]
    assert isinstance(reopening, CaseReopened)
    assert (reopening.closing, reopening.closed_at, reopening.reopened_at) == (1, at(5), at(last_moment))
    assert (reopening.calls, link.calls) == (1, 2)
    assert store.follow([wrapped_up("b", last_moment)]) == ["closed"]
    assert store.follow([answered("c", last_moment + 5 + WINDOW_DAYS * DAY + 0.1)]) == ["opened"]
    assert len(store.cases) == 2


def test_a_repeat_changes_nothing() -> None:
    store = Store()
    a, b = answered("a"), wrapped_up("a")
    assert store.follow([a, a, b, b, a]) == ["opened", "closed"]
    assert store.follow([b, a]) == []


def test_a_wrap_up_without_its_answer_links_first() -> None:
    store = Store()
    assert store.follow([wrapped_up("a")]) == ["opened", "closed"]
    assert store.follow([answered("a")]) == []


def test_of_two_calls_at_once_the_first_code_closes() -> None:
    store = Store()
    a, b = wrapped_up("a", 0, talk=10), wrapped_up("b", 5, talk=15)
    assert store.follow([answered("a", 0), answered("b", 5)]) == ["opened", "call_linked"]
    assert store.follow([a]) == ["closed"]
    assert store.follow([b]) == []
    # The same when the second call's answer is read late: it was live before the closing, so it reopens nothing.
    late = Store()
    assert late.follow([answered("a", 0), a]) == ["opened", "closed"]
    assert late.follow([answered("b", 5), b]) == ["call_linked"]


def test_a_closing_that_a_later_call_has_overtaken_closes_nothing() -> None:
    store = Store()
    assert store.follow([answered("a", 0), answered("b", 60)]) == ["opened", "call_linked"]
    assert store.follow([wrapped_up("a", 0)]) == []
    assert store.follow([wrapped_up("b", 60)]) == ["closed"]


def test_a_person_closes_and_reopens() -> None:
    store = Store()
    store.follow([answered("a")])
    (case,) = store.cases.values()
    assert isinstance(case, Open)
    closed = cases.close(case, at(-60), "settled")
    assert isinstance(closed.case, Closed)
    assert closed.case.closed_at == at(0), "never before its latest activity"
    reopened = cases.reopen(closed.case, at(-90))
    assert [event.sequence for event in (*closed.events, *reopened.events)] == [2, 3]
    assert isinstance(reopened.case, Open)
    assert reopened.case.active_at == at(0)
    assert reopened.events[0].call_id is None


def test_clocks_that_disagree_do_not_lose_the_closing() -> None:
    store = Store()
    assert store.follow([answered("a", 5), wrapped_up("a", 5, talk=-1)]) == ["opened", "closed"]


@pytest.mark.parametrize(
    ("phone", "key"),
    [
        (PHONE, ContactKey(PHONE, PHONE)),
        ("06 39 98 00 01", ContactKey(PHONE, PHONE)),
        ("06.39.98.00.01", ContactKey(PHONE, PHONE)),
        ("０６３９９８０００１", ContactKey(PHONE, PHONE)),
        ("tel:+33-6-39-98-00-01", ContactKey(PHONE, PHONE)),
        ("+33639123456", ContactKey("+33639123456", "+33639123456")),
        ("", ContactKey("call:c-1", None)),
        ("+266696687", ContactKey("call:c-1", None)),
        ("sip:alice@example.com", ContactKey("call:c-1", None)),
        ("anonymous", ContactKey("call:c-1", None)),
        ("+0", ContactKey("call:c-1", None)),
    ],
)
def test_who_a_call_is_with(phone: str, key: ContactKey) -> None:
    assert of_call(phone, "c-1", "FR") == key


Plan = tuple[str, int, int, str | None, bool]
PLANS: st.SearchStrategy[Plan] = st.tuples(
    st.sampled_from(["+33639980001", "+33639980002"]),
    st.integers(0, 8 * DAY),
    st.integers(1, 120),
    st.sampled_from(["resolved", "resolved", "follow-up", None]),
    st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(plans=st.lists(PLANS, max_size=12), generator=st.randoms(use_true_random=False))
def test_any_order_that_kafka_allows_keeps_every_promise(plans: list[Plan], generator: random.Random) -> None:
    calls: list[list[Told]] = []
    for number, (phone, minutes, talk, disposition, redriven) in enumerate(plans):
        first = answered(f"c{number}", minutes, phone=phone)
        last = wrapped_up(f"c{number}", minutes, disposition, talk=talk, phone=phone)
        # Repeats come after the first time; a redriven answer comes after its wrap-up.
        events: list[Told] = [last, first] if redriven else [first, last]
        calls.append(events + generator.sample(events, generator.randint(0, 2)))
    order = interleaved(generator, calls)

    store = Store()
    while order:
        size = generator.randint(1, 5)
        store.follow(order[:size])
        order = order[size:]
        open_cases = [case.contact_id for case in store.cases.values() if isinstance(case, Open)]
        assert len(open_cases) == len(set(open_cases)), "a contact has two open cases"

    by_case: defaultdict[str, list[CaseEvent]] = defaultdict(list)
    for event in store.events:
        by_case[event.case_id].append(event)
    for events_of_case in by_case.values():
        check_history(events_of_case)
    linked = [event.call_id for event in store.events if isinstance(event, CaseOpened | CaseCallLinked)]
    assert sorted(map(str, linked)) == sorted(f"c{number}" for number in range(len(plans))), "one case for each call"
    check_ends(store, plans)


def check_history(events: Sequence[CaseEvent]) -> None:
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[0], CaseOpened)
    assert not any(isinstance(event, CaseOpened) for event in events[1:])
    turns = [event for event in events if isinstance(event, CaseClosed | CaseReopened)]
    for number, turn in enumerate(turns):
        assert isinstance(turn, CaseReopened if number % 2 else CaseClosed), "closings and reopenings alternate"
        assert turn.closing == number // 2 + 1
        if number:
            assert turn.occurred_at >= turns[number - 1].occurred_at
    joined = [event for event in events if isinstance(event, CaseOpened | CaseCallLinked)]
    assert [event.calls for event in joined] == list(range(1, len(joined) + 1))


def check_ends(store: Store, plans: Sequence[Plan]) -> None:
    """Whatever the order, the contact's last case ends closed just if a closing code came after the last answer."""
    for phone in {plan[0] for plan in plans}:
        latest = max(minutes for other, minutes, *_ in plans if other == phone)
        number = next(n for n, plan in enumerate(plans) if plan[:2] == (phone, latest))
        settled = any(
            disposition == "resolved" and minutes + talk >= latest
            for other, minutes, talk, disposition, _ in plans
            if other == phone
        )
        last = store.cases[store.links["kettle", f"c{number}"]]
        assert isinstance(last, Closed) == settled
