"""Column lineage of a SQL statement: the table columns that each result column is computed from.

It uses DuckDB's parse tree. A statement with an unsupported construct has no column lineage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Column = tuple[str, str]
"""Table id and column name."""

_Columns = dict[str, frozenset[Column]]


class _Unsupported(Exception):
    """A construct whose source columns can't be determined."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """Relations and columns that a name can refer to in one SELECT."""

    relations: Sequence[tuple[str, _Columns]]
    merged: frozenset[str] = frozenset()
    """Columns of JOIN ... USING, each computed from both relations."""
    ctes: Mapping[str, _Columns] = field(default_factory=dict)
    outer: _Scope | None = None


def column_lineage(statement: str, schemas: Mapping[str, Sequence[str]]) -> list[frozenset[Column]] | None:
    """Returns the source columns of each result column, in the order of the result.

    Args:
        statement: one SELECT, valid against `schemas`.
        schemas: column names of every table that the statement reads, by table id.

    Returns:
        `None` if the statement contains an unsupported construct, such as a table function.
    """
    import duckdb

    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        ((text,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement]).fetchall()
    tree = json.loads(text)
    if tree.get("error") or len(tree["statements"]) != 1:
        return None
    tables = {
        table: {name.lower(): frozenset({(table, name)}) for name in columns} for table, columns in schemas.items()
    }
    try:
        return [sources for _, sources in _results(tree["statements"][0]["node"], tables, {}, None)]
    except _Unsupported:
        return None


def named_sources(
    statement: str, schemas: Mapping[str, Sequence[str]], names: Sequence[str]
) -> dict[str, frozenset[Column]] | None:
    """Returns `column_lineage` by the names of the result columns; `None` if it is unknown."""
    sources = column_lineage(statement, schemas)
    if sources is None or len(sources) != len(names):
        return None
    return dict(zip(names, sources, strict=True))


def _results(
    node: Mapping[str, Any], tables: Mapping[str, _Columns], ctes: Mapping[str, _Columns], outer: _Scope | None
) -> list[tuple[str, frozenset[Column]]]:
    visible_ctes = dict(ctes)
    for entry in (node.get("cte_map") or {}).get("map") or []:
        query = entry["value"]["query_node"] if "query_node" in entry["value"] else entry["value"]["query"]["node"]
        results = _results(query, tables, visible_ctes, outer)
        visible_ctes[entry["key"].lower()] = _named(results, entry["value"].get("aliases"))
    if node["type"] == "SET_OPERATION_NODE":
        if node.get("setop_type") == "UNION_BY_NAME":
            raise _Unsupported
        parts = node.get("children") or [node["left"], node["right"]]
        first, *others = [_results(part, tables, visible_ctes, outer) for part in parts]
        return [
            (name, sources.union(*(other[index][1] for other in others))) for index, (name, sources) in enumerate(first)
        ]
    if node["type"] != "SELECT_NODE":
        raise _Unsupported
    relations, merged = _relations(node["from_table"], tables, visible_ctes, outer)
    scope = _Scope(relations, frozenset(merged), visible_ctes, outer)
    results = []
    for expression in node["select_list"]:
        if expression["class"] == "STAR":
            results += _star(expression, scope)
        else:
            # An expression can use the alias of an earlier one.
            aliases = _Scope([*relations, ("", dict(results))], scope.merged, visible_ctes, outer)
            results.append((_name(expression), _sources(expression, scope, aliases, tables)))
    return results


def _named(results: list[tuple[str, frozenset[Column]]], aliases: Sequence[str] | None) -> _Columns:
    names = [*(aliases or ()), *(name for name, _ in results[len(aliases or ()) :])]
    return {name.lower(): sources for name, (_, sources) in zip(names, results, strict=True)}


def _relations(
    source: Mapping[str, Any], tables: Mapping[str, _Columns], ctes: Mapping[str, _Columns], outer: _Scope | None
) -> tuple[list[tuple[str, _Columns]], set[str]]:
    kind, alias = source["type"], str(source.get("alias") or "").lower()
    if kind == "EMPTY":
        return [], set()
    if kind == "JOIN":
        left, left_merged = _relations(source["left"], tables, ctes, outer)
        right, right_merged = _relations(source["right"], tables, ctes, outer)
        merged = {name.lower() for name in source.get("using_columns") or ()}
        if source.get("ref_type") == "NATURAL":
            raise _Unsupported
        return left + right, merged | left_merged | right_merged
    if kind == "SUBQUERY":
        results = _results(source["subquery"]["node"], tables, ctes, outer)
        return [(alias, _named(results, source.get("column_name_alias")))], set()
    if kind != "BASE_TABLE":
        raise _Unsupported
    name = source["table_name"].lower()
    if source.get("catalog_name"):
        table = ".".join(str(source[part]).lower() for part in ("catalog_name", "schema_name", "table_name"))
        columns = tables.get(table)
    else:
        columns = ctes.get(name)
    if columns is None:
        raise _Unsupported
    return [(alias or name, columns)], set()


def _star(expression: Mapping[str, Any], scope: _Scope) -> list[tuple[str, frozenset[Column]]]:
    if any(expression.get(part) for part in ("replace_list", "rename_list", "columns", "expr")):
        raise _Unsupported
    excluded = {str(name).lower() for name in expression.get("exclude_list") or ()}
    relation = str(expression.get("relation_name") or "").lower()
    results, names = [], set()
    for alias, columns in scope.relations:
        if relation and alias != relation:
            continue
        for name, sources in columns.items():
            if name in excluded or (not relation and name in scope.merged and name in names):
                continue
            names.add(name)
            results.append((name, _resolve([name], scope) if name in scope.merged else sources))
    return results


def _name(expression: Mapping[str, Any]) -> str:
    if alias := expression.get("alias"):
        return str(alias).lower()
    return str(expression["column_names"][-1]).lower() if expression["class"] == "COLUMN_REF" else ""


def _sources(expression: Any, scope: _Scope, aliases: _Scope, tables: Mapping[str, _Columns]) -> frozenset[Column]:
    columns: frozenset[Column] = frozenset()
    for node in _leaves(expression):
        if node["class"] == "SUBQUERY":
            inner = _results(node["subquery"]["node"], tables, scope.ctes, scope)
            columns = columns.union(*(sources for _, sources in inner))
            if node.get("child"):
                columns |= _sources(node["child"], scope, aliases, tables)
        else:
            columns |= _resolve([str(name).lower() for name in node["column_names"]], aliases)
    return columns


def _leaves(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the column references and subqueries of an expression, without those inside subqueries."""
    if isinstance(tree, dict):
        kind = tree.get("class")
        if kind in ("COLUMN_REF", "SUBQUERY"):
            yield tree
            return
        if kind in ("LAMBDA", "STAR"):
            raise _Unsupported
        tree = list(tree.values())
    if isinstance(tree, list):
        for item in tree:
            yield from _leaves(item)


def _resolve(names: Sequence[str], scope: _Scope) -> frozenset[Column]:
    """Returns the source columns of a name, which may be qualified. Names after a column name are struct fields."""
    for size in (2, 1):
        if len(names) < size:
            continue
        relation = names[0] if size == 2 else None
        matches = [
            columns[names[size - 1]]
            for alias, columns in scope.relations
            if names[size - 1] in columns and relation in (None, alias)
        ]
        if matches:
            # As in SQL, a column of a relation has precedence over an alias.
            return frozenset().union(*matches) if names[size - 1] in scope.merged else matches[0]
    if scope.outer is not None:
        return _resolve(names, scope.outer)
    raise _Unsupported
