"""Phone numbers as people type them."""

from __future__ import annotations

import phonenumbers
import pytest
from common.phone import COUNTRIES_IN_PARTS, InvalidPhone, normalise, regions_of
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

INVISIBLE = "\u202f\u2009\ufe0d\u200e\u00a0\u200b\u200d\u2060\ufeff\u00ad\u2003\u3000"
EXAMPLES = [
    (region, kind, number)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    for kind in PhoneNumberType.values()
    if (number := phonenumbers.example_number_for_type(region, kind)) is not None
]


def written(number: phonenumbers.PhoneNumber, form: int) -> str:
    return phonenumbers.format_number(number, form)


@pytest.mark.parametrize("form", [PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL])
def test_every_example_number_of_every_region_is_read_in_international_form(form: int) -> None:
    assert len(EXAMPLES) > 1000
    for region, kind, number in EXAMPLES:
        for read_in in (None, region, "FR", "US"):
            assert normalise(written(number, form), read_in) == written(number, PhoneNumberFormat.E164), (region, kind)


def test_every_example_number_of_every_region_is_read_as_it_is_written_there() -> None:
    assert {region for region, _, _ in EXAMPLES} == set(phonenumbers.SUPPORTED_REGIONS)
    for region, kind, number in EXAMPLES:
        national = written(number, PhoneNumberFormat.NATIONAL)
        assert normalise(national, region) == written(number, PhoneNumberFormat.E164), (region, kind, national)


@pytest.mark.parametrize(
    ("region", "text", "fault"),
    [
        ("FR", "063998dgfs", "letter at character 7"),
        ("FR", "3.36123456E10", "shortened by a spreadsheet"),
        ("FR", "3,36E+10", "shortened by a spreadsheet"),
        ("FR", "33639980001,00", "decimal"),
        ("FR", "3.3639980001", "decimal"),
        ("DE", "015112345678.0", "decimal"),
        ("DE", "491711234567.0", "decimal"),
        ("DE", "030 123456 privat", "letter"),
        ("DE", "0171 1234567 (Axel)", "letter"),
        ("DE", "0171 1234567 (2)", "ends in brackets"),
        ("DE", "0301234567/68", "two numbers"),
        ("DE", "030/1234567/68", "two numbers"),
        ("FR", "0639980001/0639980002", "two numbers"),
        ("FR", "0639980001;0639980002", "';'"),
        ("FR", "0639980001\n0639980002", "line break"),
        ("FR", "0639980001+33639980002", "a \\+ after its beginning"),
        ("FR", "0639980001 x12", "extension"),
        ("FR", "0639980001 ext. 12", "extension"),
        ("FR", "01 99 00 12 34 poste 12", "extension"),
        ("FR", "+33 1 99 00 12 34#12", "extension"),
        ("US", "1-800-FLOWERS", "letter"),
        ("US", "555-0100", "without its area code"),
        ("US", "212 555 01", "too short"),
        ("FR", "063998000123456789", "too long"),
        ("FR", "0639123456", "not in the numbering plan of \\+33"),
        ("FR", "+999123456", "no country's code"),
        ("FR", "-33639980001", "begins with '-'"),
        ("FR", "½639980001", "'½'"),
        ("FR", "(0639980001", "bracket"),
        ("FR", "", "is empty"),
        ("FR", " \u200b ", "is empty"),
        ("FR", "+", "no digits"),
        ("FR", "0" * 65, "longer than a phone number"),
        ("IT", "669812345", "lost its leading zero"),
        ("IT", "+39 669812345", "not in the numbering plan of \\+39"),
        ("DE", "33639980001", "a number of \\+33 without its \\+"),
        ("GB", "33639980001", "a number of \\+33 without its \\+"),
        ("US", "33639980001", "a number of \\+33 without its \\+"),
        ("FR", "4915112345678", "a number of \\+49 without its \\+"),
        ("FR", "751234", "several parts"),
        (None, "0639980001", "not in international form"),
    ],
)
def test_what_is_not_one_number_is_refused_in_words(region: str | None, text: str, fault: str) -> None:
    with pytest.raises(InvalidPhone, match=fault) as refused:
        normalise(text, region)
    assert ": " in str(refused.value), "the remedy follows"
    assert len(text) < 6 or text not in str(refused.value)


@pytest.mark.parametrize(
    ("region", "text", "phone"),
    [
        ("FR", "0692123456", "+262692123456"),
        ("FR", "0696201234", "+596696201234"),
        ("FR", "06 90 12 34 56", "+590690123456"),
        ("FR", "0594201234", "+594594201234"),
        ("FR", "0596301234", "+596596301234"),
        ("FR", "596301234", "+596596301234"),
        ("FR", "0263123456", "+262263123456"),
        ("FR", "0269601234", "+262269601234"),
        ("FR", "0800012345", "+33800012345"),
        ("RE", "0801234567", "+262801234567"),
        ("RE", "0596301234", "+596596301234"),
        ("FR", "0639012345", "+262639012345"),
        ("FR", "40 41 23 45", "+68940412345"),
        ("RE", "0612345678", "+33612345678"),
        ("RE", "0639980001", "+33639980001"),
        ("FR", "0639980001", "+33639980001"),
        ("FR", "639980001", "+33639980001"),
        ("FR", "33639980001", "+33639980001"),
        ("FR", "0033639980001", "+33639980001"),
        ("FR", "06.39.98.00.01", "+33639980001"),
        ("FR", "(0)6-39-98-00-01", "+33639980001"),
        ("DE", "+33 (0)6 39 98 00 01", "+33639980001"),
        ("DE", "(+33) 6 39 98 00 01", "+33639980001"),
        ("DE", "030/123456", "+4930123456"),
        ("DE", "0171.1234567", "+491711234567"),
        ("DE", "491711234567", "+491711234567"),
        ("DE", "[030] 123456", "+4930123456"),
        ("IT", "06 6981 2345", "+390669812345"),
        ("IT", "393 998 0001", "+393939980001"),
        ("US", "(212) 555-0100", "+12125550100"),
        ("US", "787 555 0100", "+17875550100"),
        ("GB", "07700 900123", "+447700900123"),
        ("GB", "01632 960123", "+441632960123"),
        ("GB", "01534 456789", "+441534456789"),
        (None, "+39 06 6981 2345", "+390669812345"),
        ("FR", "０６３９９８０００１", "+33639980001"),
        ("FR", "＋３３（０）６３９９８０００１", "+33639980001"),
        ("FR", "٠٦٣٩٩٨٠٠٠١", "+33639980001"),
    ],
)
def test_a_number_is_read_as_it_is_written_in_its_region(region: str | None, text: str, phone: str) -> None:
    assert normalise(text, region) == phone


@given(st.lists(st.sampled_from([*INVISIBLE, ""]), min_size=11, max_size=11))
def test_blanks_and_invisible_characters_change_nothing(between: list[str]) -> None:
    text = "".join(mark + digit for mark, digit in zip(between, "0639980001\u200e", strict=True))
    assert normalise(text, "FR") == "+33639980001"


@given(st.sampled_from(EXAMPLES), st.text(st.characters(categories=["L"]), min_size=1, max_size=3), st.integers(0, 20))
def test_a_letter_anywhere_is_refused(
    example: tuple[str, int, phonenumbers.PhoneNumber], letters: str, place: int
) -> None:
    text = written(example[2], PhoneNumberFormat.INTERNATIONAL)
    with pytest.raises(InvalidPhone):
        normalise(text[:place] + letters + text[place:] + "x", example[0])


@given(st.text(max_size=30), st.sampled_from([None, *sorted(phonenumbers.SUPPORTED_REGIONS)]))
def test_any_text_is_a_number_that_stays_itself_or_is_refused(text: str, region: str | None) -> None:
    try:
        phone = normalise(text, region)
    except InvalidPhone:
        return
    assert normalise(phone) == phone


def test_a_number_of_a_new_range_is_taken_where_the_tenant_says_so() -> None:
    for text in ("0639123456", "+33639123456"):
        with pytest.raises(InvalidPhone, match="allow_possible_numbers"):
            normalise(text, "FR")
        assert normalise(text, "FR", possible=True) == "+33639123456"
    for text in ("555-0100", "+331", "063998dgfs", "0171 1234567.0"):
        with pytest.raises(InvalidPhone):
            normalise(text, "US", possible=True)
    with pytest.raises(InvalidPhone, match="without its \\+"):
        normalise("33639980001", "DE", possible=True)


def test_example_numbers_of_overseas_parts_are_theirs_in_lists_of_the_mainland() -> None:
    """Their free and shared-cost numbers begin as the mainland's; a mobile number of Saint Barthélemy is Guadeloupe's
    too, which is the same in E.164; numbers of New Caledonia and of Wallis have six digits, and nothing tells them
    apart."""
    subscribers = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
    read = set()
    for region, kind, number in EXAMPLES:
        if region not in COUNTRIES_IN_PARTS[0][1:] or kind not in subscribers:
            continue
        national = written(number, PhoneNumberFormat.NATIONAL)
        if region in ("NC", "WF"):
            with pytest.raises(InvalidPhone, match="several parts"):
                normalise(national, "FR")
        else:
            assert normalise(national, "FR") == written(number, PhoneNumberFormat.E164), (region, kind)
            read.add(region)
    assert read == {"BL", "GF", "GP", "MF", "MQ", "PF", "PM", "RE", "YT"}


def test_a_shared_country_code_tells_its_region_where_the_number_does() -> None:
    assert regions_of("+262692123456") == ("RE",)
    assert regions_of("+262269601234") == ("YT",)
    assert regions_of("+33639980001") == ()
