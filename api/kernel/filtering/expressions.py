"""SQL expressions that SQLite and PostgreSQL write differently: order by code point, positions, and JSON access."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class Bytewise(FunctionElement[str]):
    """A string ordered by code point, independent of the collation of the database."""

    type = sa.String()
    inherit_cache = True


class Position(FunctionElement[int]):
    """The position of a string in another one, from 1, or 0 if it is not in it. Case-sensitive."""

    type = sa.Integer()
    inherit_cache = True


class Entry(FunctionElement[str]):
    """The string value of a key of a JSON object, or NULL."""

    type = sa.String()
    inherit_cache = True


class Holds(FunctionElement[bool]):
    """Whether a JSON array contains a string."""

    type = sa.Boolean()
    inherit_cache = True


class Lacks(FunctionElement[bool]):
    """Whether a JSON object lacks a key. A key whose value is null is present."""

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, document: sa.ColumnElement[Any], key: str) -> None:
        super().__init__(document, sa.literal(key, sa.Text()))


@compiles(Bytewise)
def _bytewise(element: Bytewise, compiler: Any, **options: Any) -> str:
    (text,) = element.clauses
    collation = ' COLLATE "C"' if compiler.dialect.name == "postgresql" else ""
    return f"({compiler.process(text, **options)}){collation}"


@compiles(Position)
def _position(element: Position, compiler: Any, **options: Any) -> str:
    name = "strpos" if compiler.dialect.name == "postgresql" else "instr"
    return f"{name}({compiler.process(element.clauses, **options)})"


@compiles(Entry)
def _entry(element: Entry, compiler: Any, **options: Any) -> str:
    document, key = element.clauses
    if compiler.dialect.name == "postgresql":
        return f"({compiler.process(sa.cast(document, JSONB), **options)} ->> {compiler.process(key, **options)})"
    source = f"json_each({compiler.process(document, **options)}) AS entry"
    test = f"entry.key = {compiler.process(key, **options)} AND entry.type = 'text'"
    return f"(SELECT entry.value FROM {source} WHERE {test})"  # noqa: S608 - parts are compiled, values bound


@compiles(Holds)
def _holds(element: Holds, compiler: Any, **options: Any) -> str:
    document, string = element.clauses
    if compiler.dialect.name == "postgresql":
        array = f"jsonb_build_array({compiler.process(string, **options)})"
        return f"({compiler.process(sa.cast(document, JSONB), **options)} @> {array})"
    source = f"json_each({compiler.process(document, **options)}) AS entry"
    # Only the keys of arrays are integers.
    test = (
        f"entry.value = {compiler.process(string, **options)} AND entry.type = 'text' AND typeof(entry.key) = 'integer'"
    )
    return f"EXISTS (SELECT 1 FROM {source} WHERE {test})"  # noqa: S608 - parts are compiled, values bound


@compiles(Lacks)
def _lacks(element: Lacks, compiler: Any, **options: Any) -> str:
    document, key = (compiler.process(clause, **options) for clause in element.clauses)
    if compiler.dialect.name == "postgresql":
        return f"({document} -> {key}) IS NULL"
    return f"json_type({document}, '$.' || json_quote({key})) IS NULL"
