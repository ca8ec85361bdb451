"""Every file of the corpus through the readers alone, and what writers of any dialect wrote.

The kind: a file whose values are changed, dropped or invented without a word.
"""

from __future__ import annotations

import contextlib
import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import HeadwaterError, InvalidArgument, SchemaMismatch
from lakehouse.delimited import LINE, Column, parse
from lakehouse.files.dialect import Dialect
from lakehouse.files.options import FileOptions
from lakehouse.files.reading import read_rows, read_table
from lakehouse.files.text import newline_of
from lakehouse.schemas import plain, storable
from tests.file_corpus import objects, parquet, structure, values
from tests.file_corpus.case import Case, same, types_of

CASES = [*structure.CASES, *values.CASES, *objects.CASES, *parquet.CASES]


def options(case: Case) -> FileOptions:
    return FileOptions(null_values=tuple(case.nulls), **case.options)


def test_the_corpus_is_large_enough() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 150


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_whole_file_has_its_rows_or_is_refused(case: Case) -> None:
    def read() -> Any:
        table = storable(read_table(case.content, case.file, case.declared, options(case)), "t")
        return plain(table)

    if case.refused or case.rejected:
        with pytest.raises(SchemaMismatch) as caught:
            read()
        message = str(caught.value)
        assert case.refused in message
        assert all(part in message for line, part in list(case.rejected.items())[:3])
        assert all(f"line {line}: " in message for line in list(case.rejected)[:3])
    else:
        table = read()
        assert same([tuple(row.values()) for row in table.to_pylist()], case.rows)
        assert case.types in ("", types_of(table.schema))


@pytest.mark.parametrize("case", [case for case in CASES if case.columns], ids=str)
def test_a_landed_file_keeps_what_fits_and_says_why_the_rest_does_not(case: Case) -> None:
    parsed = read_rows(case.content, case.file, case.declared, options(case))
    assert same(list(parsed.rows.drop(LINE).iter_rows()), case.rows)
    assert [item.line for item in parsed.rejected] == sorted(case.rejected)
    assert all(case.rejected[item.line] in item.reason for item in parsed.rejected)


MARKS = ",;|\t :~^!/\x1f"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text("a1,;|\t\"'\\\n\r #", max_size=8)


@st.composite
def dialects(draw: st.DrawFn) -> dict[str, Any]:
    """Options of a source, and what Python's writer calls them."""
    quote = draw(st.sampled_from("\"'`"))
    escape = draw(st.sampled_from([None, "\\", "$"]))
    return {
        "delimiter": draw(st.sampled_from(MARKS)),
        "quote": quote,
        "escape": escape,
        "double_quote": escape is None or draw(st.booleans()),
        "header": draw(st.booleans()),
    }


@settings(deadline=None, max_examples=200)
@given(
    dialects(),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"]),
    st.lists(st.tuples(TEXTS, st.integers(-(2**63), 2**63 - 1), TEXTS), max_size=8),
)
def test_what_a_writer_of_any_dialect_wrote_is_read_back(
    dialect: dict[str, Any], newline: str, encoding: str, rows: list[tuple[str, int, str]]
) -> None:
    """Each field comes back as it was, whatever it holds: delimiters, quotes, line ends, escapes."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(
        buffer, delimiter=dialect["delimiter"], quotechar=dialect["quote"], escapechar=dialect["escape"],
        doublequote=dialect["double_quote"], lineterminator=newline, quoting=csv.QUOTE_NONNUMERIC,
    )  # fmt: skip
    if dialect["header"]:
        writer.writerow(["s", "n", "t"])
    writer.writerows(rows)
    columns = [Column("s", "string"), Column("n", "int64"), Column("t", "string")]
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    found = parse(buffer.getvalue().encode(encoding), columns, options=FileOptions(encoding=declared, **dialect))
    assert [item.reason for item in found.rejected] == []
    assert list(found.rows.drop(LINE).iter_rows()) == rows


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "a", " ", "1", "\\", "#", "é"]), max_size=40))
def test_two_readers_agree_on_every_text(pieces: list[str]) -> None:
    """Any text of special characters: the rows are those that Python's strict reader finds, line by line."""
    text = "".join(pieces)
    parsed = parse(text.encode(), [Column("x", "string"), Column("y", "string")], options=FileOptions(header=False))
    rejected = {item.line for item in parsed.rejected}
    assert all("two readers" not in item.reason for item in parsed.rejected)
    for line, *fields in parsed.rows.select(LINE, "x", "y").iter_rows():
        newline = newline_of(text.encode(), Dialect()).decode()
        rest = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline=newline).readlines()[line - 1 :]
        expected = next(csv.reader(rest, strict=True))
        assert [field or "" for field in fields] == expected
        assert line not in rejected


@given(
    st.lists(
        st.one_of(
            st.integers(-(10**20), 10**20).map(str),
            st.floats(allow_nan=True).map(str),
            st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
            st.dates().map(str),
            st.sampled_from(
                ["true", "false", "True", "01", "+1", "-0", "1e5", "1.0", "1", "", "NA", "0.10", "13-01-31"]
            ),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_an_undeclared_type_can_be_written_as_the_same_text(texts: list[str]) -> None:
    """Whatever type is found, the texts can be made from the values again, each by the one form of its column."""
    content = "v,w\n" + "".join(f"{text},x\n" for text in texts)
    column = read_table(content.encode(), "f.csv", [], FileOptions()).column("v")
    forms: list[Any] = [
        str,
        lambda v: str(v).lower(),
        lambda v: format(v, "f").rstrip("0").rstrip("."),
        lambda v: f"{v:.15g}",
    ]
    for form in forms:
        if [("" if value is None else form(value)) for value in column.to_pylist()] == texts:
            return
    # Fractions too small or too long for one form are compared as the numbers they are.
    from decimal import Decimal

    assert [Decimal(text) for text in texts if text] == [Decimal(repr(v)) for v in column.to_pylist() if v is not None]
    assert not any(
        text.startswith(("0", "-0")) and text[:2] not in ("0", "0.", "-0") for text in texts if "." not in text
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"delimiter": "ab"}, "one ASCII character"),
        ({"delimiter": "\n"}, "one ASCII character"),
        ({"delimiter": "§"}, "one ASCII character"),
        ({"delimiter": "a"}, "one ASCII character"),
        ({"delimiter": '"'}, "different characters"),
        ({"escape": ","}, None),
        ({"escape": '"'}, "different characters"),
        ({"thousands": "."}, "different characters"),
        ({"comment": ""}, "comment"),
        ({"comment": '"'}, "comment"),
        ({"date_format": "%d.%m.%y"}, "four digits"),
        ({"date_format": "%d.%m."}, "four digits"),
        ({"date_format": "%Y-%m"}, "contains a complete date"),
        ({"date_format": "%Y-%m-%Q"}, "contains a complete date"),
        ({"date_format": "%Y-%m-%d %H:%M"}, "contains a complete date"),
        ({"timestamp_format": "%Y-%m %H:%M", "time_zone": "UTC"}, "contains a complete date"),
        ({"timestamp_format": "%Y-%m-%d %I:%M", "time_zone": "UTC"}, "contains a complete date"),
        ({"timestamp_format": "%d.%m.%Y %H:%M"}, "time_zone"),
        ({"timestamp_format": "%d.%m.%Y %H:%M %z", "time_zone": "UTC"}, "time_zone"),
        ({"timestamp_format": "%F %T", "time_zone": "Mars/Olympus"}, "no time zone"),
        ({"time_zone": "UTC"}, "time_zone"),
        ({"skip_lines": -1}, "skip_lines"),
    ],
)  # fmt: skip
def test_options_that_contradict_each_other_are_refused(wrong: dict[str, Any], says: str | None) -> None:
    if says is None:
        wrong, says = wrong | {"delimiter": ","}, "different characters"
    with pytest.raises(InvalidArgument, match=says):
        FileOptions(**wrong)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf", b"a,b\n1,x\n"])
def test_a_whole_file_without_a_header_never_empties_a_table(content: bytes) -> None:
    """Also where columns are declared, and where the options pass over every line."""
    with pytest.raises(SchemaMismatch, match=r"no header|is empty"):
        read_table(content, "f.csv", [Column("a", "int64"), Column("b", "string")], FileOptions(skip_lines=2))


def test_nothing_but_refusals_comes_out_of_any_bytes() -> None:
    """Truncated and shifted files of the corpus: rows or a refusal, never another error."""
    for case in CASES:
        for content in (case.content[: len(case.content) // 2], case.content[3:], case.content[::-1]):
            if len(content) > 100_000:
                continue
            for columns in (case.declared, []):
                with contextlib.suppress(HeadwaterError):
                    read_table(content, case.file, columns, options(case))
