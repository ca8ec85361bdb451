"""A column with any name is read, written, merged, filtered and laid out, or is refused in words where it is declared.

The kind: a name meets a parser (SQL, a path, a pattern) that takes a part of it for something else; then a library's
own error appears, or a table is written that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from core.errors import ConstraintViolated, HeadwaterError, InvalidArgument, SchemaMismatch
from lakehouse.query import Query
from lakehouse.tables import Tables

PLAIN, PARTED = "shop.silver.plain", "shop.silver.parted"
NAMES = [
    *("a`b", "`", "a.b", "a b", "a'b", 'a"b', '"', "ü", "a;b", "a,b", "a=b", "a(b)", "a{b}", "a/b", "a\\b", "a%20b"),
    *("a[0]", "😀", "1a", "select", "a-b", "a$b", "a\u200bb", " a", "a ", "-", "a:b", "a#b", "a?b", "a&b", "a\nb"),
    *("a\tb", "_x", "__x", "A", ".", "..", "%", "a--b", "/*", "$1", "^a", "a$", "NULL", "true"),
]
NO_FOLDER = [" a", "a ", "a:b", "a\nb", "a\tb"]
REFUSED = ["", "*", "^.*$", "^a$", "a\0b", "\x1b"]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def values(tables: Tables, table: str, name: str) -> list[object]:
    """A column by way of Arrow, which is that of Polars and of DuckDB, too."""
    snapshot = tables.snapshot(table)
    found = sorted(snapshot.to_arrow()[name].to_pylist())
    assert sorted(snapshot.scan().collect()[name].to_list()) == found
    sql = Query(tables).sql(f"SELECT {quoted(name)} AS found FROM {table}").table
    assert sorted(sql["found"].to_pylist()) == found
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_door_takes_the_name(tables: Tables, name: str) -> None:
    first = tables.append(PLAIN, pa.table({name: ["x", "y"], "v": [1, 2]}))
    assert values(tables, PLAIN, name) == ["x", "y"]
    tables.merge(PLAIN, pa.table({name: ["y", "z"], "v": [5, 6]}), [name])
    assert (values(tables, PLAIN, name), values(tables, PLAIN, "v")) == (["x", "y", "z"], [1, 5, 6])
    tables.merge(PLAIN, pa.table({name: ["y"], "v": [7]}), ["v"])
    tables.delete(PLAIN, f"{quoted(name)} = 'z'")
    tables.overwrite(PLAIN, pa.table({name: ["y"], "v": [7]}), where=f"{quoted(name)} = 'y'")
    assert (values(tables, PLAIN, name), values(tables, PLAIN, "v")) == (["x", "y"], [1, 7])
    if "." in name:
        with pytest.raises(InvalidArgument, match="dot in a name"):
            tables.optimize(PLAIN, zorder_by=[name])
    else:
        tables.optimize(PLAIN, zorder_by=[name])
    if name == "true":
        with pytest.raises(InvalidArgument, match="Rename the column"):
            tables.add_constraint(PLAIN, "good", f"{quoted(name)} <> 'bad'")
    else:
        tables.add_constraint(PLAIN, "good", f"{quoted(name)} <> 'bad'")
        with pytest.raises(ConstraintViolated, match="good"):
            tables.append(PLAIN, pa.table({name: ["bad"], "v": [9]}))
    tables.add_columns(PLAIN, [pa.field(f"{name}2", pa.int64())])
    compared = tables.diff(PLAIN, first.version, tables.snapshot(PLAIN).version, key=[name])
    assert (compared.added_count, compared.removed_count, compared.changed_count) == (0, 0, 1)
    assert tables.verify(PLAIN) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_partition_by_it_is_read_back_or_refused(tables: Tables, name: str) -> None:
    rows = pa.table({name: ["x", "y"], "v": [1, 2]})
    if name in NO_FOLDER:
        with pytest.raises(SchemaMismatch, match="can't be partitioned"):
            tables.create_with(PARTED, rows, partition_by=[name])
        assert not tables.exists(PARTED)
        return
    tables.create_with(PARTED, rows, partition_by=[name])
    tables.append(PARTED, rows)
    tables.merge(PARTED, pa.table({name: ["q"], "v": [3]}), [name])
    tables.delete(PARTED, f"{quoted(name)} = 'q'")
    tables.optimize(PARTED)
    assert values(tables, PARTED, name) == ["x", "x", "y", "y"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_means_something_else_is_refused(tables: Tables, name: str) -> None:
    rows = pa.table({name: ["x"], "v": [1]})
    tables.append(PLAIN, pa.table({"v": [1]}))
    for write in (
        lambda: tables.append("shop.silver.other", rows),
        lambda: tables.create("shop.silver.other", rows.schema),
        lambda: tables.append(PLAIN, rows, evolve_schema=True),
        lambda: tables.overwrite(PLAIN, rows, evolve_schema=True),
        lambda: tables.add_columns(PLAIN, [pa.field(name, pa.int64())]),
    ):
        with pytest.raises(HeadwaterError):
            write()
    assert not tables.exists("shop.silver.other")


V = pa.schema([("v", pa.int64())])
DOORS: dict[str, Callable[[Tables, str], object]] = {
    "merge key": lambda tables, name: tables.merge(PLAIN, pa.table({"v": [1]}), [name]),
    "partition column": lambda tables, name: tables.create(
        "shop.gold.x", pa.schema([("v", pa.int64())]), partition_by=[name]
    ),
    "z-order": lambda tables, name: tables.optimize(PLAIN, zorder_by=[name]),
    "key of a comparison": lambda tables, name: tables.diff(PLAIN, 0, 0, key=[name]),
    "predicate": lambda tables, name: tables.delete(PLAIN, f"{quoted(name)} = 1"),
    "constraint": lambda tables, name: tables.add_constraint(PLAIN, "c", f"{quoted(name)} = 1"),
}


@pytest.mark.parametrize("name", ["nope", *NAMES[:6], *REFUSED[:3]])
@pytest.mark.parametrize("door", DOORS)
def test_a_name_that_is_no_column_is_refused_at_every_door(tables: Tables, door: str, name: str) -> None:
    tables.append(PLAIN, pa.table({"v": [1]}))
    with pytest.raises((InvalidArgument, SchemaMismatch)):
        DOORS[door](tables, name)
