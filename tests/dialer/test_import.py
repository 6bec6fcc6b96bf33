"""The import of lists: every wrong value with its line, all or nothing, and nothing twice."""

from __future__ import annotations

import pytest
from common.errors import NotFound
from common.sheets import ReadAs, Reject, SheetRow
from dialer.domain.errors import RejectedRows, TooLarge
from dialer.domain.lead_file import Checks, Row, check_row

from .conftest import Floor, numbers

WRONG = """phone,name,time_zone,external_id
+33639980000,Odile,Europe/Paris,A1
0639980001,Basile,,A2
12,Short,,A3
+33639980002,Nowhere,Europe/Pariss,A4
+33639980000,Again,,A5
,Empty,,A6
+33639980003,too,many,fields,here
+33639980005,Bell\x07here,,A9
"""


async def test_wrong_rows_are_named_by_line_and_value_and_nothing_is_imported(floor: Floor) -> None:
    await floor.campaign()
    with pytest.raises(RejectedRows) as refused:
        await floor.load(WRONG)
    document = refused.value.document()
    assert document["status"] == 422
    assert (document["rows"], document["rejected"]) == (8, 6)
    assert [(reject["line"], reject["column"], reject["value"]) for reject in document["errors"]] == [
        (4, "phone", "12"),
        (5, "time_zone", "Europe/Pariss"),
        (6, "phone", "+33639980000"),
        (7, "phone", ""),
        (8, "", "+33639980003,too,many,fields,here"),
        (9, "name", "Bell\x07here"),
    ]
    assert document["detail"] == (
        "line 4, column phone: '••' is not a phone number: it is too short for +33: check its digits; 5 more rows are "
        "wrong, all are listed by line. Nothing was imported"
    )
    assert document["read_as"] == {
        "encoding": "utf-8",
        "separator": ",",
        "columns": {"phone": "phone", "name": "name", "time_zone": "time_zone", "external_id": "external_id"},
        "left_out": (),
    }
    assert document["errors"][2]["reason"] == "duplicate of line 2"
    assert document["errors"][1]["reason"] == "no time zone of a place: name a city, such as Europe/Paris"
    assert await floor.leads() == []


async def test_skip_imports_the_good_rows(floor: Floor) -> None:
    await floor.campaign()
    result = await floor.load(WRONG, on_reject="skip")
    assert (result.rows, result.imported, result.unchanged, result.rejected) == (8, 2, 0, 6)
    leads = await floor.leads()
    assert [(lead["phone"], lead["name"], lead["zones"], lead["external_id"]) for lead in leads] == [
        ("+33639980000", "Odile", "Europe/Paris", "A1"),
        ("+33639980001", "Basile", "Europe/Paris", "A2"),
    ]


async def test_the_same_file_again_changes_nothing(floor: Floor) -> None:
    await floor.campaign()
    text = "phone;name\n" + "\n".join(f"{number};Person {number}" for number in numbers(50))
    assert (await floor.load(text)).imported == 50
    before = await floor.leads()
    again = await floor.load(text)
    assert (again.rows, again.imported, again.unchanged, again.rejected) == (50, 0, 50, 0)
    assert await floor.leads() == before
    more = await floor.load(text + "\n+33639980900;New")
    assert (more.imported, more.unchanged) == (1, 50)


async def test_a_number_on_the_list_with_other_values_is_a_reject(floor: Floor) -> None:
    await floor.campaign()
    await floor.load("phone,name\n+33639980000,Odile\n")
    result = await floor.load("name,phone\nOdette,+33639980000\nBasile,+33639980001\n", on_reject="skip")
    assert (result.imported, result.rejected) == (1, 1)
    assert result.rejects == [Reject(2, "phone", "+33639980000", "already on the list with another name")]


async def test_the_same_number_may_be_on_two_lists(floor: Floor) -> None:
    await floor.campaign("one", leads=numbers(2))
    await floor.campaign("two", leads=numbers(2))
    assert len(await floor.leads("one")) == len(await floor.leads("two")) == 2


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, "phone", "the file is empty; its first line names the columns"),
        ("name,external_id\n", 1, "phone", "no heading is known as phone; the headings are name, external_id: "),
        ("phone,Ville\n", 1, "Ville", "unknown column Ville; the headings are phone, Ville: say with the parameter "),
        ('"phone\n', 1, "", "a quotation mark opens a cell in this row"),
        ('phone,name\n+33639980000,A\n+33639980001,"Open\n+33639980002,B\n', 3, "", "a quotation mark opens a cell"),
        ('phone,name\n+33639980000,"Jo" A\n', 2, "", "text follows the closing quotation mark of a cell"),
        ("phone,phone\n", 1, "phone", "phone and phone are both the column phone"),
        (b"phone\n+33639980000\n" + "Noël\n".encode() * 2 + b"\xe9\n", 5, "", "a character is not utf-8"),
        (b"PK\x03\x04\x14\0\x06\0", 1, "", "the file is an Excel or OpenDocument workbook, not CSV"),
        ("phone\n+33639980000\n" + "9" * 10_001, 3, "", "longer than 10000 characters"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_whole(
    floor: Floor, text: str | bytes, line: int, column: str, reason: str
) -> None:
    await floor.campaign()
    with pytest.raises(RejectedRows) as refused:
        await floor.load(text, on_reject="skip")
    assert refused.value.errors is not None
    last = refused.value.errors[-1]
    assert (last["line"], last["column"], last["reason"][: len(reason)]) == (line, column, reason)
    assert f"line {refused.value.errors[0]['line']}" in refused.value.detail
    assert await floor.leads() == []


async def test_a_list_of_a_french_spreadsheet_is_imported_with_what_was_assumed_of_it(floor: Floor) -> None:
    await floor.campaign()
    text = (
        "sep=;\r\nTél.;Nom;Prénom;N° client;;\r\n"
        '06 39 98 00 00;Noël;"Zoé\nMarie";A1;;\r\n;;;;;\r\n"0639980001";Été;Gaël;A2;;\r\n'
    )
    result = await floor.load(text.encode("cp1252"), size=10)
    assert (result.rows, result.imported, result.rejected) == (2, 2, 0)
    assert result.read_as == ReadAs(
        "windows-1252",
        ";",
        {"phone": "Tél.", "name": "Nom", "first_name": "Prénom", "external_id": "N° client"},
        (),
    )
    assert [(lead["phone"], lead["name"], lead["external_id"]) for lead in await floor.leads()] == [
        ("+33639980000", "Zoé Marie Noël", "A1"),
        ("+33639980001", "Gaël Été", "A2"),
    ]


async def test_hours_that_never_fit_the_number_are_named_at_the_import(floor: Floor) -> None:
    await floor.campaign()
    with pytest.raises(RejectedRows) as refused:
        await floor.load("phone\n+18005551234\n")
    assert refused.value.errors is not None
    assert "possible time zones at once" in refused.value.errors[0]["reason"]
    assert (await floor.load("phone,time_zone\n+18005551234,America/New_York\n")).imported == 1


async def test_a_file_past_the_limit_is_refused(floor: Floor) -> None:
    await floor.campaign()
    with pytest.raises(TooLarge):
        await floor.load(b"phone\n" + b"+33639980000\n" * 16_000)


async def test_only_the_first_thousand_rejects_are_listed(floor: Floor) -> None:
    await floor.campaign()
    good, bad = numbers(200), ["1"] * 1500
    with pytest.raises(RejectedRows) as refused:
        await floor.load("phone\n" + "\n".join(good + bad + good))
    document = refused.value.document()
    assert (document["rows"], document["rejected"], len(document["errors"])) == (1900, 1700, 1000)
    assert [error["line"] for error in document["errors"]] == list(range(202, 1202))


async def test_there_must_be_a_campaign(floor: Floor) -> None:
    with pytest.raises(NotFound):
        await floor.load("phone\n", "unknown")


@pytest.mark.parametrize(
    ("region", "phone", "fault"),
    [
        ("FR", "063998dgfs", "letter"),
        ("FR", "3.36123456E10", "spreadsheet"),
        ("DE", "015112345678.0", "decimal"),
        ("DE", "030 123456 privat", "letter"),
        ("DE", "0171 1234567 (Axel)", "letter"),
        ("DE", "33639980001", "without its +"),
        ("FR", "0639123456", "allow_possible_numbers"),
        ("FR", "", "is empty"),
    ],
)
def test_a_wrong_number_is_told_with_its_fault_and_the_remedy(region: str, phone: str, fault: str) -> None:
    checks = Checks(region, "Europe/Paris", lambda _: True)
    rejects = check_row(SheetRow(2, {"phone": phone, "name": "Somebody"}), checks)
    assert isinstance(rejects, list)
    ((column, reason),) = [(reject.column, reject.reason) for reject in rejects]
    assert (column, fault in reason) == ("phone", True), reason


def test_a_number_overseas_has_its_own_code_and_zone() -> None:
    checks = Checks("FR", "Europe/Paris", lambda _: True, allow_possible_numbers=True)
    phones = ("0692123456", "0696201234", "0639123456")
    rows = [check_row(SheetRow(2, {"phone": phone}), checks) for phone in phones]
    assert [(row.phone, row.zones) for row in rows if isinstance(row, Row)] == [
        ("+262692123456", ("Indian/Reunion",)),
        ("+596696201234", ("America/Martinique",)),
        ("+33639123456", ("Europe/Paris",)),
    ]
