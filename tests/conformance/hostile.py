"""Hostile values: what is well-typed by its schema and breaks what was not made for it.

The values go by what a schema says of a field (type, format) and by nothing else, so that an operation of tomorrow
meets them without being named anywhere.
"""

from __future__ import annotations

import base64
import copy
import itertools
import json
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

BEYOND = (2**63, -(2**63) - 1, 10**40)
"""Integers that no column of 64 bits holds."""

INTEGERS = (2**63 - 1, -(2**63), 2**31, 0, -1)
NUMBERS = (1e308, -1e308, 5e-324, 10**400)


def forged(*parts: Any) -> str:
    """Returns a page token that was never issued."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


LONG = ("name == " + "-" * 1490, "!" * 1990 + "a", "(" * 30 + "a" + ".b" * 900, "a" + " + a" * 490)
"""Expressions that take long to parse."""

TIMES = (
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
)
"""The first and the last moments that there are, and some before and after them once they are in UTC."""

URLS = (
    "http://[::1",
    "https://example.org:99999/",
    "https://example.org:port/",
    "https://[v1.x]/",
    f"https://{'a' * 64}.example.org/",
    "https://exa mple.org/",
    "https://\u2488.example.org/",
    "https://[::1%25eth0]:65536/",
)

TOKENS = (
    "x",
    "\u00e9",
    forged(),
    forged("", False, None, 2**70),
    forged("", False, {}, "x"),
    forged("", False, 10**400, "x"),
    forged("", True, None, "x"),
    forged("", True, None, "9" * 5000)[:1900],
    forged("", False, None, "\0"),
    forged("", False, None, "\ud800"),
    *(
        forged(field, down, value, "x")
        for field in ("created_at", "name")
        for down in (False, True)
        for value in ("x", 1)
    ),
    "a@b+" + "9" * 5000,
    "x@1+\u0663",
)

STRINGS = (
    *("", " ", "9" * 5000, "\u0663", "-1", "1e999", "..", "a" * 300, "\U0001f600", "%00", "*"),
    *("'\"`;--", "{}", "\x7f\x1b", URLS[0], URLS[1], TIMES[0]),
)

_TURN = itertools.count()


def some(values: tuple[Any, ...], most: int) -> tuple[Any, ...]:
    """So many of these values, each time the next ones: over all operations each comes up often."""
    return tuple(values[next(_TURN) % len(values)] for _ in range(min(most, len(values))))


def pool(schema: dict[str, Any], name: str) -> tuple[Any, ...]:
    """The hostile values for a field with this schema: a string with a format gets all of them."""
    match schema.get("type"):
        case "integer":
            return (*BEYOND, *some(INTEGERS, 2))
        case "number":
            return (*some(NUMBERS, 2), *BEYOND)
        case "string" if schema.get("format") == "date-time":
            return TIMES
        case "string" if schema.get("format") == "uri" or name.endswith(("url", "uri", "issuer")):
            return URLS
        case "string" if name == "page_token":
            return some(TOKENS, 9)
        case "string" if name in ("filter", "condition"):
            return some(LONG, 2)
        case "string" if "enum" not in schema and "const" not in schema:
            return some(STRINGS, 2)
        case None if not schema.get("anyOf") and "$ref" not in schema:
            return BEYOND  # anything goes
    return ()


def leaves(
    schema: dict[str, Any], document: dict[str, Any], path: Path = (), depth: int = 6
) -> Iterator[tuple[Path, Any]]:
    """Places in what the schema describes, each with the schema of a single value that may stand there."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if depth == 0:
        return
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from leaves(one, document, path, depth - 1)
    for name, field in schema.get("properties", {}).items():
        yield from leaves(field, document, (*path, name), depth - 1)
    match schema.get("type"):
        case "array" if schema.get("items"):
            yield from leaves(schema["items"], document, (*path, 0), depth - 1)
        case "object" if not schema.get("properties"):
            extra = schema.get("additionalProperties", {})
            yield from leaves(extra if isinstance(extra, dict) else {}, document, (*path, "key"), depth - 1)
        case "string" | "integer" | "number" | None if not {"anyOf", "oneOf", "allOf"} & schema.keys():
            yield path, schema


def placed(body: Any, path: Path, value: Any) -> Any:
    """The body with a value at a place, which is made if it is not there."""
    if not path:
        return value
    step, *rest = path
    if isinstance(step, int):
        found = list(body) if isinstance(body, list) else []
        found[:1] = [placed(found[0] if found else None, tuple(rest), value)]
        return found
    known = copy.deepcopy(body) if isinstance(body, dict) else {}
    return known | {step: placed(known.get(step), tuple(rest), value)}
