"""Checks of users' DuckDB statements: each must be one query over tables that it names by id.

DuckDB parses the statement. The tree is compared with lists of allowed nodes and functions, and DuckDB generates the
SQL that runs from the checked tree. Anything that isn't listed is refused, including constructs of later releases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import HeadwaterError, InvalidArgument, PermissionDenied, UnknownTable
from core.ids import is_asset_id
from lakehouse.sql_functions import FUNCTIONS, TABLE_FUNCTIONS

if TYPE_CHECKING:
    import duckdb

_MAX_LENGTH = 1_000_000

_EXPRESSION_CLASSES = """
    BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA OPERATOR POSITIONAL_REFERENCE
    STAR SUBQUERY TYPE WINDOW
"""
_NODE_TYPES = """
    SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE
    BASE_TABLE EMPTY EXPRESSION_LIST JOIN PIVOT SHOW_REF SUBQUERY TABLE_FUNCTION
    DISTINCT_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER ORDER_MODIFIER
    ASCENDING DESCENDING ORDER_DEFAULT
"""
_EXPRESSIONS = frozenset(_EXPRESSION_CLASSES.split())
_NODES = frozenset(_NODE_TYPES.split())
_DESCRIBE_TYPES = frozenset({"DESCRIBE", "SHOW", "SUMMARY"})
_SHOW_TABLES = frozenset({'"tables"', "__show_tables_expanded"})
_SYSTEM_DATABASES = ("system.", "temp.", "memory.")
_SYSTEM_SCHEMAS = frozenset({"information_schema", "pg_catalog"})


@dataclass(frozen=True, slots=True)
class Statement:
    """A checked statement."""

    text: str
    """SQL to run, generated from the checked tree."""
    tables: list[str]
    """Ids of the tables that it reads, sorted."""
    lists_tables: bool = False
    """Whether the statement is SHOW TABLES. DuckDB doesn't run it, and `text` is empty."""


def check_statement(connection: duckdb.DuckDBPyConnection, statement: str) -> Statement:
    """Checks a statement. Returns the SQL that DuckDB may run for it.

    Args:
        connection: any connection. It parses the statement but doesn't run it.
        statement: a SELECT, WITH, VALUES, FROM, TABLE, DESCRIBE, SUMMARIZE, or SHOW TABLES.

    Raises:
        InvalidArgument: the statement isn't one valid query.
        PermissionDenied: it calls a function that isn't allowed.
        UnknownTable: it names a table other than by its id.
    """
    if len(statement) > _MAX_LENGTH:
        raise InvalidArgument(f"The statement is longer than {_MAX_LENGTH:,} characters.")
    tree = _tree(connection, statement)
    source = tree["statements"][0]["node"].get("from_table") or {}
    if source.get("type") == "SHOW_REF" and source.get("table_name") in _SHOW_TABLES and not source.get("query"):
        return Statement("", [], lists_tables=True)
    tables = _Checker(statement).tables(tree)
    ((text,),) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchall()
    if _Checker(text).tables(_tree(connection, text)) != tables:
        raise InvalidArgument("The statement is ambiguous. Put its expressions in parentheses.")
    return Statement(text, tables)


def _tree(connection: duckdb.DuckDBPyConnection, statement: str) -> dict[str, Any]:
    ((serialized,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement]).fetchall()
    try:
        tree: dict[str, Any] = json.loads(serialized)
    except RecursionError:
        raise InvalidArgument("The statement is nested too deeply.") from None
    if tree.get("error_type") == "not implemented":
        raise InvalidArgument("Only SELECT, WITH, SHOW and DESCRIBE are allowed: queries read, steps write.")
    if tree.get("error"):
        position = _position_text(statement, int(tree["position"])) if str(tree.get("position", "")).isdigit() else ""
        raise InvalidArgument(f"The statement is not valid SQL: {tree.get('error_message')}.{position}")
    if len(tree["statements"]) != 1:
        raise InvalidArgument("Send one statement at a time.")
    return tree


class _Checker:
    def __init__(self, statement: str) -> None:
        self._statement = statement

    def tables(self, tree: dict[str, Any]) -> list[str]:
        """Checks a tree. Returns the ids of the tables that it reads, sorted."""
        tables = set()
        pending: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
        while pending:
            node, ctes = pending.pop()
            if isinstance(node, list):
                pending += [(item, ctes) for item in node]
            elif isinstance(node, dict):
                self._require_listed(node)
                if node.get("type") == "BASE_TABLE" and (table := self._table(node, ctes)):
                    tables.add(table)
                pending += _children(node, ctes)
        return sorted(tables)

    def _require_listed(self, node: dict[str, Any]) -> None:
        expression_class, node_type = node.get("class"), node.get("type")
        if expression_class is not None:
            if expression_class not in _EXPRESSIONS:
                raise self._refused(node, f"{str(expression_class).lower()} can't be used in a query")
            if expression_class in ("FUNCTION", "WINDOW"):
                self._require_function(node, FUNCTIONS)
        elif isinstance(node_type, str):
            if node_type not in _NODES:
                raise self._refused(node, f"{node_type.lower().replace('_', ' ')} can't be used in a query")
            if node_type == "SHOW_REF" and (node.get("show_type") not in _DESCRIBE_TYPES or not node.get("query")):
                raise self._refused(node, "SHOW can only be used as SHOW TABLES")
            if node_type == "TABLE_FUNCTION":
                function = node.get("function") or {}
                if function.get("class") != "FUNCTION":
                    raise self._refused(node, "a table must be named by its id")
                self._require_function(function, TABLE_FUNCTIONS)
        elif not isinstance(node_type, dict | None):
            raise self._refused(node, "an unknown construct can't be used in a query")

    def _require_function(self, node: dict[str, Any], allowed: frozenset[str]) -> None:
        # The last part is the function. A part before it is a schema, or the first argument as in `name.upper()`.
        path = [str(part).lower() for part in node["qualified_name"]["path"]]
        name = path[-1]
        operator = bool(name) and not any(character.isalnum() or character in "_\"' " for character in name)
        listed = name in allowed or name in ("__postfix", "!__postfix") or (operator and allowed is FUNCTIONS)
        if not listed or (len(path) > 1 and allowed is TABLE_FUNCTIONS):
            raise PermissionDenied(
                f"Queries can only read tables: the function {name} is not allowed.{self._position(node)}"
            )

    def _table(self, node: dict[str, Any], ctes: frozenset[str]) -> str | None:
        names = [str(part).lower() for part in node["qualified_name"]["path"]]
        if node.get("at_clause"):
            raise self._refused(node, "AT can't be used in a query; specify versions with `versions`")
        if len(names) == 1 and names[0] in ctes:
            return None
        name = ".".join(names)
        if (
            len(names) != 3
            or not is_asset_id(name)
            or name.startswith(_SYSTEM_DATABASES)
            or names[1] in _SYSTEM_SCHEMAS
        ):
            raise UnknownTable(
                f"Table with name {name} does not exist. Name tables by id: project.schema.table.{self._position(node)}"
            )
        return name

    def _refused(self, node: dict[str, Any], reason: str) -> HeadwaterError:
        return InvalidArgument(f"The statement is not allowed: {reason}.{self._position(node)}")

    def _position(self, node: dict[str, Any]) -> str:
        return _position_text(self._statement, int(node.get("query_location") or 0))


def _children(node: dict[str, Any], ctes: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    """Yields the parts of a node, each with the names of the common table expressions in its scope."""
    skipped: set[str] = set()
    if entries := (node.get("cte_map") or {}).get("map"):
        skipped.add("cte_map")
        for entry in entries:
            yield entry["value"], ctes
            ctes |= {str(entry["key"]).lower()}
    if node.get("type") == "TABLE_FUNCTION":
        # The function of a table function is checked against another list.
        skipped.add("function")
        yield {key: value for key, value in node["function"].items() if key != "class"} | {"type": None}, ctes
    if node.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
        skipped.add("right" if node["type"] == "RECURSIVE_CTE_NODE" else "child")
        inner = ctes | {str(node.get("cte_name", "")).lower()}
        yield from ((node.get(part), inner) for part in skipped - {"cte_map"})
    for part, value in node.items():
        if part not in skipped:
            yield value, ctes


def _position_text(statement: str, position: int) -> str:
    if not 0 < position <= len(statement):
        return ""
    before = statement[:position]
    return f" (line {before.count(chr(10)) + 1}, column {position - before.rfind(chr(10))})"
