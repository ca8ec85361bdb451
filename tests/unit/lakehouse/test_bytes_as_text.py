"""Bytes in JSON: every value can be read, and made bytes again, without guessing.

The kind of fault: a column of bytes is written as base64 without a word, or as the text of a Python literal, so that
the original value cannot be determined.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.cli.tables import _show
from lakehouse.bytes_as_text import bytes_as_text

KINDS = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(4)]


def bytes_of(row: dict[str, Any], name: str = "b") -> bytes | None:
    text, encoding = row[name], row[f"{name}_encoding"]
    if encoding is None:
        assert text is None
        return None
    return {"utf-8": str.encode, "base64url": base64.urlsafe_b64decode}[encoding](text)


@settings(deadline=None)
@given(st.lists(st.none() | st.binary(max_size=20) | st.text(max_size=9).map(str.encode), max_size=6))
def test_every_value_comes_back(values: list[bytes | None]) -> None:
    displayed = json.loads(json.dumps(bytes_as_text(pa.table({"b": pa.array(values, pa.binary())})).to_pylist()))
    assert [bytes_of(row) for row in displayed] == values


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_layout_of_bytes(kind: pa.DataType) -> None:
    rows = pa.table({"a": [1, 2, 3], "b": pa.array([b"text", b"\xff\x00\x01\x02", None], kind), "z": ["x", "y", None]})
    assert bytes_as_text(rows).to_pylist() == [
        {"a": 1, "b": "text", "b_encoding": "utf-8", "z": "x"},
        {"a": 2, "b": "_wABAg==", "b_encoding": "base64url", "z": "y"},
        {"a": 3, "b": None, "b_encoding": None, "z": None},
    ]


def test_a_column_of_that_name_keeps_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    rows = pa.table({"b": [b"x"], "B_encoding": ["mine"]})
    assert bytes_as_text(rows).to_pylist() == [{"b": "x", "_b_encoding": "utf-8", "B_encoding": "mine"}]


def test_rows_without_bytes_are_as_they_were() -> None:
    rows = pa.table({"a": [1], "s": ["x"]})
    assert bytes_as_text(rows) is rows


def test_the_command_line_spells_them_so(capsys: pytest.CaptureFixture[str]) -> None:
    rows = pa.table({"b": [b"2,caf\xe9", "2,caf\u00e9".encode()]})
    _show(rows, "json")
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == bytes_as_text(rows).to_pylist()
    assert printed[1] == {"b": "2,caf\u00e9", "b_encoding": "utf-8"}
