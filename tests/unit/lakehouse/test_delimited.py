"""Bad CSV, line by line: good rows load, the rest says why, nothing is lost."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidArgument
from lakehouse.delimited import LINE, Column, parse

COLUMNS = [Column("id", "int64", nullable=False, min=0, max=100), Column("name", "string"), Column("at", "timestamp")]
HEADER = b"id,name,at\n"


def outcome(
    body: bytes, columns: list[Column] = COLUMNS, **options: object
) -> tuple[list[tuple[int, ...]], dict[int, str]]:
    """Rows as (line, id) and reasons by line."""
    parsed = parse(body, columns, **options)  # type: ignore[arg-type]
    return list(parsed.rows.select(LINE, columns[0].name).iter_rows()), {r.line: r.reason for r in parsed.rejected}


# One case a line: name, file, lines that become rows, lines that are rejected with a part of the reason.
CORPUS: list[tuple[str, bytes, list[int], dict[int, str]]] = [
    ("sound", HEADER + b"1,a,2013-01-01T00:00:00Z\n2,b,\n", [2, 3], {}),
    ("no newline at the end", HEADER + b"1,a,", [2], {}),
    ("carriage returns", b"id,name,at\r\n1,a,\r\n2,b,\r\n", [2, 3], {}),
    ("byte order mark", b"\xef\xbb\xbf" + HEADER + b"1,a,\n", [2], {}),
    ("UTF-16", "id,name,at\n1,é,\n".encode("utf-16"), [2], {}),
    ("blank lines", HEADER + b"\n1,a,\n   \n\n2,b,\n\n", [3, 6], {}),
    ("columns in another order", b"at,name,id\n,a,1\n", [2], {}),
    ("spaces around header and numbers", b" id , name,at\n 1 ,a,\n", [2], {}),
    ("wrong type", HEADER + b"1,a,\nx,b,\n1.5,c,\n3,d,\n", [2, 5], {3: "id: 'x' is not a valid int64", 4: "'1.5'"}),
    ("too large for the type", HEADER + b"99999999999999999999,a,\n", [], {2: "is not a valid int64"}),
    ("below and above", HEADER + b"-1,a,\n100,b,\n101,c,\n", [3], {2: "-1 is below 0", 4: "101 is above 100"}),
    ("missing value", HEADER + b",a,\n1,b,\n", [3], {2: "id is missing"}),
    (
        "several faults",
        HEADER + b"x,a,yesterday\n",
        [],
        {2: "id: 'x' is not a valid int64; at: 'yesterday' is not a valid timestamp"},
    ),
    ("an instant without a zone", HEADER + b"1,a,2013-01-01T00:00:00\n", [], {2: "is not a valid timestamp"}),
    ("missing columns in a row", HEADER + b"1,a\n2,b,\n", [3], {2: "missing columns: 2 instead of 3"}),
    ("extra columns in a row", HEADER + b"1,a,,9\n2,b,\n", [3], {2: "extra columns: 4 instead of 3"}),
    ("broken encoding", HEADER + b"1,caf\xe9,\n2,caf\xc3\xa9,\n", [3], {2: "not UTF-8: byte 0xe9 at position 6"}),
    ("quotes", HEADER + b'1,"a, ""b""",\n2,c,\n', [2, 3], {}),
    ("a row over three lines", HEADER + b'1,"a\n\nb",\n2,c,\n', [2, 5], {}),
    (
        # The lines that follow may be the text of the field: as rows they would be invented.
        "a quote never closed",
        HEADER + b'1,a,\n1,"a,\n2,b,\n3,c,\n',
        [2],
        {3: "a quote isn't closed", 4: "may be part of line 3", 5: "may be part of line 3"},
    ),
    ("text after a quote", HEADER + b'1,"a"b,\n2,c,\n', [3], {2: "malformed quoting"}),
    ("a quote inside a word", HEADER + b'1,12" pipe,\n2,c,\n', [2, 3], {}),
    ("broken encoding inside quotes", HEADER + b'1,"a\n\xff",\n2,c,\n', [4], {2: "line 3 is not UTF-8"}),
    ("a column is missing", b"id,name\n1,a\n", [], {1: "the header lacks at", 2: "the header lacks at"}),
    ("a column too many", b"id,name,at,x\n1,a,,9\n", [], {1: "undeclared columns 'x'", 2: "undeclared columns 'x'"}),
    ("no header", b"1,a,\n2,b,\n", [], {1: "the header lacks id, name, at", 2: "the header lacks"}),
    ("a column twice", b"id,name,at,id\n1,a,,2\n", [], {1: "names a column twice", 2: "names a column twice"}),
    ("binary", b"PK\x03\x04\xff\xfe\n\x00\x01\n", [], {1: "not UTF-8", 2: "not UTF-8"}),
    ("empty", b"", [], {}),
    ("header alone", HEADER, [], {}),
    ("newlines alone", b"\n\n", [], {}),
]


@pytest.mark.parametrize(("body", "rows", "rejected"), [case[1:] for case in CORPUS], ids=[case[0] for case in CORPUS])
def test_corpus(body: bytes, rows: list[int], rejected: dict[int, str]) -> None:
    stored, reasons = outcome(body)
    assert [line for line, _ in stored] == rows
    assert reasons.keys() == rejected.keys()
    for line, part in rejected.items():
        assert part in reasons[line]


def test_every_type() -> None:
    columns = [
        Column("i", "int32"), Column("f", "float64"), Column("b", "bool"), Column("d", "date"), Column("t", "timestamp")
    ]  # fmt: skip
    body = b"i,f,b,d,t\n7,1e3,TRUE,2013-02-28,2013-01-01T10:00:00+02:00\nNA,,,,\n"
    (first, second) = parse(body, columns, null_values=["NA"]).rows.iter_rows()
    assert first == (7, 1000.0, True, date(2013, 2, 28), datetime(2013, 1, 1, 8, tzinfo=UTC), 2)
    assert second == (None, None, None, None, None, 3)
    faults = outcome(b"i,f,b,d,t\n3000000000,,,,\n,inf,,,\n,,yes,,\n,,,2013-02-30,\n,,,,soon\n", columns)[1]
    assert [reason.partition(":")[0] for reason in faults.values()] == ["i", "f", "b", "d", "t"]


def test_another_delimiter() -> None:
    assert outcome(b"id;name;at\n1;a,b;\n", delimiter=";") == ([(2, 1)], {})


def test_declared_names_must_differ() -> None:
    with pytest.raises(InvalidArgument):
        parse(b"", [Column("a", "string"), Column("a", "string")])


@given(
    st.lists(st.tuples(st.integers(0, 100), st.text(st.characters(exclude_categories=["Cs"])).map(lambda s: s or "x")))
)
def test_what_a_csv_writer_wrote_is_read_back(rows: list[tuple[int, str]]) -> None:
    """Commas, quotes and every line break inside texts included."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([["id", "name", "at"], *([number, text, ""] for number, text in rows)])
    parsed = parse(buffer.getvalue().encode(), COLUMNS)
    assert list(parsed.rows.select("id", "name").iter_rows()) == rows
    assert parsed.rejected == []


PIECES = [
    b"1,a,",
    b'2,"b",',
    b'3,"c',
    b'd",',
    b'"',
    b"4,\xff,",
    b"x,y,",
    b"5,a",
    b"6,a,,",
    b"",
    b"  ",
    b'7,12" p,',
    b"8,z,\r",
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=6).filter(lambda line: b"\n" not in line))))
def test_nothing_is_lost(body: list[bytes]) -> None:
    """Sound and broken lines in any mixture: each one that is not blank is part of exactly one row or rejected row."""
    content = HEADER + b"\n".join(body)
    lines = content.split(b"\n")
    parsed = parse(content, COLUMNS)
    covered = [1]
    for line, name in parsed.rows.select(LINE, "name").iter_rows():
        covered += range(line, line + 1 + (name or "").count("\n"))
    for item in parsed.rejected:
        span = item.raw.count(b"\n") + 1
        assert item.raw == b"\n".join(lines[item.line - 1 : item.line - 1 + span]).removesuffix(b"\r")
        covered += range(item.line, item.line + span)
    assert len(covered) == len(set(covered))
    blank = {number for number, line in enumerate(lines, 1) if not line.strip()}
    assert set(covered) | blank == set(range(1, len(lines) + 1))
