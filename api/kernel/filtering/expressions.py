"""SQL that SQLite and PostgreSQL write differently: order by code point, positions, entries of JSON documents."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class Bytewise(FunctionElement[str]):
    """A string that is ordered by code point, whatever the collation of the database."""

    type = sa.String()
    inherit_cache = True


class Position(FunctionElement[int]):
    """Where a string is in another, from 1; 0 if it is not, and case matters."""

    type = sa.Integer()
    inherit_cache = True


class Entry(FunctionElement[str]):
    """The text of a key of a JSON object; NULL if it has none."""

    type = sa.String()
    inherit_cache = True


class Holds(FunctionElement[bool]):
    """Whether a JSON array holds a string."""

    type = sa.Boolean()
    inherit_cache = True


class Lacks(FunctionElement[bool]):
    """Whether a JSON object has no such key; one that is null it has."""

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, document: sa.ColumnElement[Any], key: str) -> None:
        super().__init__(document, sa.literal(key, sa.Text()))


@compiles(Bytewise)
def _bytewise(element: Bytewise, compiler: Any, **how: Any) -> str:
    (text,) = element.clauses
    collation = ' COLLATE "C"' if compiler.dialect.name == "postgresql" else ""
    return f"({compiler.process(text, **how)}){collation}"


@compiles(Position)
def _position(element: Position, compiler: Any, **how: Any) -> str:
    name = "strpos" if compiler.dialect.name == "postgresql" else "instr"
    return f"{name}({compiler.process(element.clauses, **how)})"


@compiles(Entry)
def _entry(element: Entry, compiler: Any, **how: Any) -> str:
    document, key = element.clauses
    if compiler.dialect.name == "postgresql":
        return f"({compiler.process(sa.cast(document, JSONB), **how)} ->> {compiler.process(key, **how)})"
    source = f"json_each({compiler.process(document, **how)}) AS entry"
    return (
        f"(SELECT entry.value FROM {source} WHERE entry.key = {compiler.process(key, **how)} AND entry.type = 'text')"  # noqa: S608 - parts are compiled, values bound
    )


@compiles(Holds)
def _holds(element: Holds, compiler: Any, **how: Any) -> str:
    document, string = element.clauses
    if compiler.dialect.name == "postgresql":
        wanted = f"jsonb_build_array({compiler.process(string, **how)})"
        return f"({compiler.process(sa.cast(document, JSONB), **how)} @> {wanted})"
    source = f"json_each({compiler.process(document, **how)}) AS entry"
    # An array's keys are its indexes; those of an object or a single value are not.
    test = f"entry.value = {compiler.process(string, **how)} AND entry.type = 'text' AND typeof(entry.key) = 'integer'"
    return f"EXISTS (SELECT 1 FROM {source} WHERE {test})"  # noqa: S608 - parts are compiled, values bound


@compiles(Lacks)
def _lacks(element: Lacks, compiler: Any, **how: Any) -> str:
    document, key = (compiler.process(clause, **how) for clause in element.clauses)
    if compiler.dialect.name == "postgresql":
        return f"({document} -> {key}) IS NULL"
    return f"json_type({document}, '$.' || json_quote({key})) IS NULL"
