"""Sheets that people save: every encoding, separator and line end reads the same; every fault is told with its line."""

from __future__ import annotations

import csv
import io
import itertools

import pytest
from common.sheets import Columns, ReadAs, Reject, SheetReader, SheetRow, UnreadableFile
from common.sheets.headings import HEADINGS, fold
from common.sheets.lines import SAMPLE
from hypothesis import given, settings
from hypothesis import strategies as st

KNOWN = ("phone", "name", "first_name", "external_id")
COLUMNS = Columns(KNOWN, "phone", remedy="map them")
ENCODINGS = {
    "utf-8": ("utf-8", b""),
    "utf-8 with its mark": ("utf-8", b"\xef\xbb\xbf"),
    "utf-16le with its mark": ("utf-16-le", b"\xff\xfe"),
    "utf-16be with its mark": ("utf-16-be", b"\xfe\xff"),
    "utf-16le": ("utf-16-le", b""),
    "utf-16be": ("utf-16-be", b""),
    "utf-32le with its mark": ("utf-32-le", b"\xff\xfe\0\0"),
    "windows-1252": ("cp1252", b""),
    "macintosh": ("mac_roman", b""),
    "ibm850": ("cp850", b""),
}
FRENCH = [
    ["Téléphone", "Nom", "Prénom"],
    ["0639980001", "Lefèvre", "Zoé"],
    ["+33639980002", "Noël; Fils, et | Cie", 'dit "Bébé"'],
    ["06 39 98 00 03", "Rue de l'Été\nBâtiment B", "François"],
    ["0639980004", "", "Gaëlle"],
]


def read(data: bytes, columns: Columns = COLUMNS, size: int = 1 << 20) -> tuple[list[SheetRow | Reject], ReadAs | None]:
    """What a reader says of a file that comes in pieces of `size`."""
    reader = SheetReader(columns)
    found = [item for start in range(0, len(data), size) for item in reader.feed(data[start : start + size])]
    found += reader.feed(b"", last=True)
    return found, reader.read_as


def values(data: bytes | str, columns: Columns = COLUMNS, size: int = 1 << 20) -> list[tuple[str, ...]]:
    """The values of all rows, none of them rejected."""
    found, _ = read(data.encode() if isinstance(data, str) else data, columns, size)
    assert not [item for item in found if isinstance(item, Reject)], found
    return [tuple(item.values.values()) for item in found if isinstance(item, SheetRow)]


def written(rows: list[list[str]], separator: str, end: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n" if end == "\r" else end).writerows(rows)
    return out.getvalue().replace("\n", "\r") if end == "\r" else out.getvalue()


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("named", [False, True], ids=["", "sep="])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("separator", [";", ",", "\t", "|"], ids=["semicolon", "comma", "tab", "bar"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_list_reads_the_same_however_it_was_saved(
    encoding: str, separator: str, end: str, named: bool, size: int
) -> None:
    codec, mark = ENCODINGS[encoding]
    text = (f"sep={separator}{end}" if named else "") + written(FRENCH, separator, end)
    found, read_as = read(mark + text.encode(codec), size=size)
    assert [tuple(item.values.values()) for item in found if isinstance(item, SheetRow)] == [
        tuple(row) for row in FRENCH[1:]
    ]
    first = 3 if named else 2
    assert [item.line for item in found] == [first, first + 1, first + 2, first + 4]
    name = encoding.removesuffix(" with its mark")
    assert read_as == ReadAs(name, separator, {"phone": "Téléphone", "name": "Nom", "first_name": "Prénom"}, ())


cells = st.text(st.characters(codec="cp1252", exclude_categories=["Cc"], exclude_characters="="), max_size=12).map(
    str.strip
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.just("x"), cells, cells), min_size=1, max_size=8),
    separator=st.sampled_from(";,\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    size=st.integers(1, 40),
)
def test_any_cells_come_back(
    rows: list[tuple[str, str, str]], separator: str, end: str, encoding: str, size: int
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("phone", "name", "external_id"), *rows])
    assert values(out.getvalue().encode(encoding), size=size) == rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("phone;name\n1;Blanc\n;\n ; \n\n2;Noir\n;;;;\n", [("1", "Blanc"), ("2", "Noir")]),
        ("\n;;\nphone;name;;\n1;Blanc;;\n2;Noir\n3;Vert;;;;\n", [("1", "Blanc"), ("2", "Noir"), ("3", "Vert")]),
        ('phone,name\n1, "Blanc, Odile"\n', [("1", "Blanc, Odile")]),
        ("phone;name\n1;Blanc, Odile\n2;Noir, Luc\n", [("1", "Blanc, Odile"), ("2", "Noir, Luc")]),
        ("Téléphone;Nom, prénom\n1;Blanc, Odile\n", [("1", "Blanc, Odile")]),
        ('phone;name\n"=""0639980001""";="Blanc"\n', [("0639980001", "Blanc")]),
        ("phone\n1\n2\n", [("1",), ("2",)]),
        ("phone\n1, 2\n", [("1, 2",)]),
        ('"sep=;"\nphone;name\n1;Blanc\n', [("1", "Blanc")]),
        ("SEP=,\r\nphone,name\r\n1,Blanc\r\n", [("1", "Blanc")]),
        ('"Numéro\nde téléphone";nom\n1;Blanc\n', [("1", "Blanc")]),
        ('phone;name\n1;O"Neil\n', [("1", 'O"Neil')]),
        ('phone;name\n1;"a\n\nb"\n', [("1", "a\n\nb")]),
        ('phone;name;id\n1;"a\nb";12" pipe\n2;"a\n"";""\nb";c\n', [("1", "a\nb", '12" pipe'), ("2", 'a\n";"\nb', "c")]),
        ("phone;;name\n1;;Blanc\n", [("1", "Blanc")]),
        ("name;phone\n" + "Blanc;1\n" * 3, [("1", "Blanc")] * 3),
    ],
)
def test_what_spreadsheets_add_is_left_out(text: str, expected: list[tuple[str, ...]]) -> None:
    found, _ = read(text.encode())
    assert [
        tuple(item.values[column] for column in KNOWN if column in item.values)
        for item in found
        if isinstance(item, SheetRow)
    ] == expected
    assert all(isinstance(item, SheetRow) for item in found)


def test_every_known_heading_is_its_column_however_it_is_written() -> None:
    every = Columns(tuple(HEADINGS), "phone")
    for column, headings in HEADINGS.items():
        for heading in headings:
            for form in (heading, heading.upper(), f" {heading.title()}. ", heading.replace(" ", "_"), fold(heading)):
                assert every.column(form) == column, form
    folded = [fold(heading) for headings in HEADINGS.values() for heading in headings]
    assert len({*folded}) == len([*itertools.chain(*(dict.fromkeys(map(fold, one)) for one in HEADINGS.values()))])


def test_unknown_columns_are_kept_out_by_a_mapping_or_when_told_so() -> None:
    text = "Mobile;Fixe;Client;Remarques\n1;2;Blanc;bonjour\n"
    for columns, reason in (
        (COLUMNS, "Mobile and Fixe are both the column phone: map them"),
        (Columns(KNOWN, "phone", {"phone": "Portable"}, remedy="map them"), "no heading 'Portable'"),
    ):
        with pytest.raises(UnreadableFile, match=reason):
            read(text.encode(), columns)
    assert values(text, Columns(KNOWN, "phone", {"phone": "mobile", "name": "CLIENT"})) == [("1", "Blanc")]
    other = "Mobile;Client;Remarques\n1;Blanc;bonjour\n"
    with pytest.raises(
        UnreadableFile,
        match="line 1: unknown column Client, Remarques; the headings are Mobile, Client, Remarques: map them",
    ):
        read(other.encode())
    found, read_as = read(other.encode(), Columns(KNOWN, "phone", ignore_unknown=True))
    assert found == [SheetRow(2, {"phone": "1"})]
    assert read_as == ReadAs("utf-8", ";", {"phone": "Mobile"}, ("Client", "Remarques"))


def test_a_list_without_headings_shows_no_whole_number() -> None:
    with pytest.raises(UnreadableFile) as refused:
        read(b"0639980001;Blanc\n0639980002;Noir\n")
    assert "the headings are 063••••001, Blanc" in str(refused.value)
    assert "0639980001" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('phone;name\n\n1;"x\ny"\n2\n', 5, "1 cells instead of 2"),
        ("phone;name\n1;Blanc;Odile\n", 2, "3 cells instead of 2"),
        ('phone;name\n1;"Jean "Jo" Dupont"\n2;Noir\n', 2, "text follows the closing quotation mark"),
        ("phone;;name\n1;2;Blanc\n", 2, "cell 2 has a value, and the column no heading"),
        ("phone;name\n0639980001 ou\n0639980002;Blanc\n", 2, "1 cells instead of 2"),
    ],
)
def test_a_row_that_does_not_fit_is_rejected_whole(text: str, line: int, reason: str) -> None:
    found, _ = read(text.encode())
    (reject,) = [item for item in found if isinstance(item, Reject)]
    assert (reject.line, reject.reason[: len(reason)]) == (line, reason)


def test_a_file_whose_quotation_marks_do_not_fit_is_not_sound() -> None:
    reader = SheetReader(COLUMNS)
    reader.feed(b'phone;name\n1;"Jean "Jo" Dupont"\n')
    reader.feed(b"", last=True)
    assert not reader.sound


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 1, "the file is empty"),
        (b"\n;;\n", 1, "the file is empty"),
        (b"sep=:\nphone:name\n", 1, "cells cannot be separated by ':'"),
        (b"PK\x03\x04\x14\0\x06\0", 1, "the file is an Excel or OpenDocument workbook, not CSV: open it and save it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 1, "the file is an old Excel workbook (.xls), not CSV: open it"),
        (b"\n <!DOCTYPE html><html><table>", 2, "the file is a web page or XML, not CSV: open it"),
        ("<table><tr>".encode("utf-16"), 1, "the file is a web page or XML, not CSV: open it"),
        (b"phone\0\0\0\x01\x02name", 1, "the file is no text"),
        (b'phone;name\n1;Blanc\n2;"Noir\n3;Vert\n', 3, "a quotation mark opens a cell in this row"),
        (b'phone;name\r1;Blanc\r2;"Noir\r3;Vert"x\r', 3, "a quotation mark opens a cell in this row"),
        (b'"phone;name\n1;Blanc\n', 1, "a quotation mark opens a cell in this row"),
        (b'phone;name\n1;"' + b"a\n" * 6000 + b'"\n', 2, "a quotation mark opens a cell in this row"),
        (b"phone\n1\n" + b"9" * 10_001, 3, "longer than 10000 characters"),
        ("phone\r\né\r\né\r\n".encode() + b"\xe9\r\n", 4, "a character is not utf-8"),
        ("phone\nNoël\n".encode("utf-16") + b"\x41", 3, "the file breaks off inside a character of utf-16-le"),
        (("phone\n" + "é" * 20).encode()[:-1], 2, "the file breaks off inside a character of utf-8"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_what_to_do(data: bytes, line: int, reason: str) -> None:
    for size in (1, 1 << 20):
        with pytest.raises(UnreadableFile) as refused:
            read(data, size=size)
        reject = refused.value.reject
        assert (reject.line, reject.reason[: len(reason)]) == (line, reason)


def test_the_encoding_is_chosen_by_the_first_characters_that_tell_it_however_late() -> None:
    plain = b"phone;name\n" + b"0639980001;Blanc\n" * 3000
    for encoding, name in (("utf-8", "utf-8"), ("cp1252", "windows-1252"), ("mac_roman", "macintosh")):
        found, read_as = read(plain + "0639980002;Hélène Noël à Besançon\n".encode(encoding), size=1000)
        assert isinstance(found[-1], SheetRow)
        assert (found[-1].line, found[-1].values["name"]) == (3002, "Hélène Noël à Besançon")
        assert read_as is not None
        assert read_as.encoding == name


def test_no_more_is_held_than_a_sample_and_a_row() -> None:
    reader = SheetReader(COLUMNS)
    reader.feed(b"phone;name\n")
    for _ in range(200):
        reader.feed("0639980001;Hélène\n".encode("cp1252") * 500)
        assert len(reader._lines._held) <= SAMPLE
        assert len(reader._lines._rest) <= 10_000
        assert not reader._waiting
