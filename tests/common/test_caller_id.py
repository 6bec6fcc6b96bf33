"""What a network shows of a caller."""

from __future__ import annotations

from typing import Any

import phonenumbers
import pytest
from common.caller_id import LONGEST_SHOWN, WITHHELD, CallerId, caller_id
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        " ",
        "-",
        "+",
        "anonymous",
        "Anonymous",
        "ANONYMOUS",
        "Restricted",
        "unknown",
        "unavailable",
        "Private Number",
        "blocked",
        "withheld",
        "No Caller ID",
        "Out of Area",
        "P",
        "O",
        "Numéro masqué",
        "Unbekannt",
        "+266696687",
        "266696687",
        "+86282452253",
        "+7378742833",
        "+2562533",
        "+8656696",
        "+10000000000",
        "0000000000",
        "0",
        "anonymous@anonymous.invalid",
        "sip:anonymous@anonymous.invalid",
        "sip:unavailable@unknown.invalid",
        "sips:Anonymous@carrier.example;user=phone",
        '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=8',
        "Anonymous <sip:c8oqz84zk7z@privacy.invalid>",
    ],
)
@pytest.mark.parametrize("region", ["FR", "US", None])
def test_what_carriers_say_for_a_withheld_number_is_withheld(shown: str | None, region: str | None) -> None:
    assert caller_id(shown, region) == WITHHELD


def test_no_numbering_plan_has_the_spelt_words() -> None:
    for number in ("+266696687", "+86282452253", "+7378742833", "+2562533", "+8656696", "+10000000000"):
        assert not phonenumbers.is_valid_number(phonenumbers.parse(number))


@pytest.mark.parametrize(
    "shown",
    [
        "112",
        "3631",
        "1000",
        "sip:alice@example.com",
        "sip:+33639980001@carrier.example;user=phone",
        '"Axel" <sip:0639980001@pbx.example>',
        "tel:0639980001;phone-context=pbx.example",
        "tel:+33639980001;ext=12",
        "0639980001 0639980002",
        "06399800",
        "+33639123456",
        "063998dgfs",
        "1-800-FLOWERS",
        "<script>",
    ],
)
def test_what_is_no_number_is_kept_as_shown(shown: str) -> None:
    assert caller_id(shown, "FR") == CallerId(shown=shown)


@pytest.mark.parametrize(
    ("shown", "region", "phone"),
    [
        ("+33639980001", None, "+33639980001"),
        ("+33639980001", "DE", "+33639980001"),
        ("0639980001", "FR", "+33639980001"),
        ("33639980001", "FR", "+33639980001"),
        ("0033639980001", "FR", "+33639980001"),
        (33639980001, "FR", "+33639980001"),
        ("(212) 555-0100", "US", "+12125550100"),
        ("0692123456", "FR", "+262692123456"),
        ("tel:+33-6-39-98-00-01", "DE", "+33639980001"),
        ("tel:0639980001;phone-context=+33", "DE", "+33639980001"),
        ("<tel:+33639980001>", "DE", "+33639980001"),
        ("0639980001\x00", "FR", "+33639980001"),
    ],
)
def test_a_number_is_known_however_it_is_written(shown: Any, region: str | None, phone: str) -> None:
    assert caller_id(shown, region) == CallerId(phone=phone)


def test_a_tenant_may_know_callers_of_new_ranges() -> None:
    assert caller_id("+33639123456", "FR", possible=True) == CallerId(phone="+33639123456")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(anything, st.sampled_from(["FR", "US", None]))
def test_whatever_is_shown_is_bounded_and_can_be_stored(shown: Any, region: str | None) -> None:
    party = caller_id(shown, region)
    assert not (party.phone and party.shown is not None)
    if party.shown is not None:
        assert 0 < len(party.shown) <= LONGEST_SHOWN
        assert "\x00" not in party.shown
        party.shown.encode("utf-8")


def test_half_a_pair_of_surrogates_and_long_texts_are_cut() -> None:
    assert caller_id("\ud800bob" * 1000, "FR").shown == ("bob" * 100)[: LONGEST_SHOWN - 1] + "…"
