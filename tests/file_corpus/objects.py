"""JSON lines and arrays. Ideas from Nicolas Seriot's JSONTestSuite."""

# One case a line, with the characters that it is about.
# ruff: noqa: E501

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from tests.file_corpus.case import Case

AB = "a:int64 b:string"


def lines(name: str, content: bytes | str, *arguments: Any, **options: Any) -> Case:
    body = content.encode() if isinstance(content, str) else content
    return Case(name, body, *arguments, file="f.jsonl", **options)


def array(name: str, content: bytes | str, *arguments: Any, **options: Any) -> Case:
    body = content.encode() if isinstance(content, str) else content
    return Case(name, body, *arguments, file="f.json", **options)


def broken(name: str, value: str, says: str = "") -> Case:
    """A line between two sound ones."""
    return lines(
        f"JSON: {name}", f'{{"a": 1, "b": "x"}}\n{value}\n{{"a": 3, "b": "z"}}\n', [(1, "x"), (3, "z")], AB, {2: says}
    )


CASES = [
    lines("JSON lines", '{"a": 1, "b": "x"}\n{"b": "y", "a": 2}\n', [(1, "x"), (2, "y")], AB),
    lines("JSON lines, CRLF and blank lines", '{"a": 1, "b": "x"}\r\n\r\n  \r\n{"a": 2}', [(1, "x"), (2, None)], AB),
    lines("JSON lines with a mark", b'\xef\xbb\xbf{"a": 1, "b": "x"}\n', [(1, "x")], AB),
    lines("JSON lines in UTF-16", '{"a": 1, "b": "é"}\n'.encode("utf-16"), [(1, "é")], AB),
    lines("missing keys and null", '{"a": 1}\n{"b": null, "a": null}\n{}\n', [(1, None), (None, None), (None, None)], AB),
    lines("escapes", r'{"a": 1, "b": "\u00e9\n\t\"\\\/\ud83d\ude42\u0000"}', [(1, 'é\n\t"\\/🙂\0')], AB),
    lines("empty texts are texts", '{"a": 1, "b": ""}\n{"a": "", "b": "x"}\n', [(1, "")], AB, {2: "is not a valid int64"}),
    lines("words are texts", '{"a": 1, "b": "NA"}\n{"a": 2, "b": "null"}\n', [(1, "NA"), (2, "null")], AB, nulls=["NA"]),
    broken("a key twice", '{"a": 1, "a": 2}', "the key 'a' occurs twice"),
    broken("a key twice, once escaped", r'{"a": 1, "\u0061": 2}', "the key 'a' occurs twice"),
    broken("an undeclared key", '{"a": 1, "c": 2}', "undeclared key 'c'"),
    broken("a key in another case", '{"A": 1}', "undeclared key 'A'"),
    broken("NaN", '{"a": NaN}', "NaN is not a number"),
    broken("Infinity", '{"a": -Infinity}', "is not a number"),
    broken("an integer beyond 64 bits", '{"a": 9223372036854775808}', "does not fit a 64-bit integer"),
    broken("an integer of 10,000 digits", '{"a": ' + "9" * 10_000 + "}", "does not fit a 64-bit integer"),
    broken("a float beyond 64 bits", '{"a": 1e400}', "does not fit a 64-bit float"),
    broken("a float that vanishes", '{"a": 1e-400}', "does not fit a 64-bit float"),
    broken("a float for an integer", '{"a": 1.5}', "is not a valid int64"),
    broken("a text as a number", '{"a": "1"}', "is not a valid int64"),
    broken("a number as a text", '{"b": 1}', "is not a valid string"),
    broken("a truth value as a number", '{"a": true}', "is not a valid int64"),
    broken("an object as a text", '{"b": {"c": 1}}', "is not a valid string"),
    broken("an array as a text", '{"b": ["x"]}', "is not a valid string"),
    broken("half a surrogate pair", r'{"b": "\ud83d"}', "unpaired surrogate"),
    broken("the second half alone", r'{"b": "\udc00x"}', "unpaired surrogate"),
    broken("half a pair in a key", r'{"\ud83d": 1}', ""),
    broken("an array on a line", "[1, 2]", "not an object"),
    broken("a text on a line", '"x"', "not an object"),
    broken("null on a line", "null", "not an object"),
    broken("a comma at the end", '{"a": 1,}', "not valid JSON"),
    broken("two objects on a line", '{"a": 1}{"a": 2}', "not valid JSON"),
    broken("a comma after an object", '{"a": 1},', "not valid JSON"),
    broken("single quotes", "{'a': 1}", "not valid JSON"),
    broken("a comment", '{"a": 1} // one', "not valid JSON"),
    broken("a bare key", "{a: 1}", "not valid JSON"),
    broken("a leading zero", '{"a": 01}', "not valid JSON"),
    broken("a plus sign", '{"a": +1}', "not valid JSON"),
    broken("a hexadecimal number", '{"a": 0x1}', "not valid JSON"),
    broken("a control character in a text", '{"b": "x\ty"}', "not valid JSON"),
    broken("an unknown escape", r'{"b": "\x41"}', "not valid JSON"),
    broken("an open object", '{"a": 1', "not valid JSON"),
    broken("an object over two lines", '{"a":', "not valid JSON"),
    broken("nested 200 deep", '{"b": ' + "[" * 200 + "]" * 200 + "}", "nested too deeply"),
    broken("nested 100,000 deep", '{"b": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    lines("broken encoding on a line", b'{"a": 1, "b": "x"}\n{"b": "\xff"}\n', [(1, "x")], AB, {2: "not UTF-8"}),
    lines("types of JSON", '{"f": 1, "o": true, "d": "2013-01-31", "t": "2013-01-01T00:00:00+02:00"}\n'
          '{"f": 2.5e-3, "o": false, "d": null}\n',
          [(1.0, True, date(2013, 1, 31), datetime(2012, 12, 31, 22, tzinfo=UTC)), (0.0025, False, None, None)],
          "f:float64 o:bool d:date t:timestamp"),
    lines("dates of JSON are as strict", '{"d": "13-01-31"}\n{"d": "2013-02-29"}\n{"d": 1}\n', [], "d:date",
          {1: "is not a valid date", 2: "is not a valid date", 3: "is not a valid date"}),
    lines("an integer that a float rounds", '{"f": 9007199254740993}\n{"f": 9007199254740992}\n', [(9007199254740992.0,)],
          "f:float64", {1: "does not fit a 64-bit float"}),
    lines("numbers ignore the options of CSV", '{"f": 1.5}\n', [(1.5,)], "f:float64",
          options={"decimal": ",", "thousands": "."}),
    lines("a needed value", '{"b": "x"}\n{"a": null}\n{"a": 1}\n', [(1, None)], "a:int64! b:string",
          {1: "a is missing", 2: "a is missing"}),
    lines("JSON lines, untyped", '{"a": 1, "b": "x"}\n{"a": 2.5, "c": true}\n', [(1.0, "x", None), (2.5, None, True)],
          types="double string bool", names="a|b|c"),
    lines("texts that look like numbers, untyped", '{"a": "02134", "b": "2013-01-31"}\n', [("02134", "2013-01-31")],
          types="string string"),
    lines("integers of 64 bits, untyped", '{"a": 9223372036854775807}\n{"a": -9223372036854775808}\n',
          [(2**63 - 1,), (-(2**63),)], types="int64"),
    lines("values of two kinds, untyped", '{"a": 1}\n{"a": "x"}\n', refused="'a' have different types"),
    lines("a truth value among numbers, untyped", '{"a": 1}\n{"a": true}\n', refused="'a' have different types"),
    lines("an integer among floats that they round, untyped", '{"a": 9007199254740993}\n{"a": 0.5}\n',
          refused="'a' have different types"),
    lines("18 digits after the point, untyped", '{"a": 0.123456789012345678}\n', refused="does not fit a 64-bit float"),
    lines("nested values, untyped", '{"a": {"b": [1, 2], "c": "x"}}\n{"a": {"c": null}}\n',
          [({"b": [1, 2], "c": "x"},), ({"b": None, "c": None},)],
          types="struct<b: list<element: int64>, c: string>"),
    lines("nested values of two kinds, untyped", '{"a": [1, "x"]}\n', refused="'a' have different types"),
    lines("a key twice, untyped", '{"a": 1, "a": 2}\n', refused="line 1: the key 'a' occurs twice"),
    lines("keys that differ by case, untyped", '{"a": 1, "A": 2}\n', refused="names the column 'a' twice"),
    lines("an empty key, untyped", '{"": 1}\n', refused="has no name for column 1"),
    lines("a NUL in a key, untyped", '{"a\\u0000": 1}\n', refused="control character in the name"),
    lines("nested keys that differ by case, untyped", '{"a": [{"x": 1, "X": 2}]}\n', refused="'x' twice"),
    lines("an empty object, untyped", '{"a": {}}\n', refused="objects without keys"),
    lines("an empty array, untyped, as a value", '{"a": []}\n', refused="Delta doesn't support"),
    lines("no keys, untyped", "{}\n{}\n", refused="no object with a key"),
    lines("nothing but null, untyped", '{"a": null, "b": 1}\n', [(None, 1)], types="string int64"),
    lines("only blank lines, untyped", "\n\n", refused="no object with a key"),
    array("a JSON array", '[{"a": 1, "b": "x"},\n {"a": 2, "b": "y"}]', [(1, "x"), (2, "y")], AB),
    array("a JSON array, formatted", '[\n  {\n    "a": 1,\n    "b": "x"\n  },\n  {\n    "a": "?"\n  }\n]\n', [(1, "x")], AB,
          {6: "is not a valid int64"}),
    array("a JSON array with a mark", b'\xef\xbb\xbf[{"a": 1}]', [(1, None)], AB),
    array("an empty array", "[]", [], AB),
    array("an empty array, untyped", "[]", refused="no object with a key"),
    array("an array with a broken item", '[{"a": 1}, 2, {"a": NaN}]', [], AB, {1: "not a JSON array"}),
    array("an array with an item that is no object", '[{"a": 1},\n2,\n[]]', [(1, None)], AB, {2: "not an object", 3: "not an object"}),
    array("an array with a comma at the end", '[{"a": 1},]', [], AB, {1: "trailing comma"}),
    array("an open array", '[{"a": 1}', [], AB, {1: "not a JSON array"}),
    array("something after an array", '[{"a": 1}] x', [], AB, {1: "not a JSON array"}),
    array("an object instead of an array", '{"a": 1}', [], AB, {1: "not a JSON array"}),
    array("lines instead of an array", '{"a": 1}\n{"a": 2}\n', [], AB, {1: "not a JSON array"}),
    array("a blank file instead of an array", " \n", [], AB, {1: "the file is empty"}),
    array("a JSON array nested too deeply", "[" * 100_000, [], AB, {1: "not a JSON array"}),
    array("broken encoding in an array", b'[{"b": "\xff"}]', [], AB, {1: "not UTF-8"}),
    array("a JSON array by the option", '[{"a": 1}]', [(1, None)], AB, options={"format": "json"}),
    array("same items after each other", '[{"a":1},{"a":1},\n{"a":"1"}]', [(1, None), (1, None)], AB, {2: "is not a valid int64"}),
]  # fmt: skip
