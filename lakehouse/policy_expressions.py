"""SQL expressions of policies: conditions for rows, and values of masked columns, each over the columns of one row.

DuckDB parses an expression. The tree is compared with lists of allowed nodes and functions, and DuckDB generates the
SQL that runs from the checked tree, as for the statements of users.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument
from lakehouse.sql_functions import SESSION_KEYWORDS

if TYPE_CHECKING:
    import duckdb

MAX_LENGTH = 2000

_CLASS_NAMES = "BETWEEN CASE CAST COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION OPERATOR TYPE"
_CLASSES = frozenset(_CLASS_NAMES.split())

_FUNCTION_NAMES = """
    abs age ascii ceil ceiling century char_length chr coalesce concat concat_ws contains date_add date_diff date_part
    date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear decade ends_with
    epoch even exp floor fmod greatest hour if ifnull instr isfinite isinf isnan jaccard last_day lcase least left len
    length ln log log10 log2 lower ltrim make_date md5 minute mod month monthname now nullif position pow power prefix
    quarter replace reverse right round rtrim second sha256 sign split_part sqrt starts_with strftime strip_accents
    strlen strpos strptime substr substring suffix today trim trunc try_strptime ucase unicode upper week weekday
    weekofyear year
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
"""Functions that compute one value from few others, and need little time and memory for any argument."""

# DuckDB evaluates them as functions where no column has their name. `today()` and `now()` are functions always.
_KEYWORDS = frozenset(
    {*SESSION_KEYWORDS, "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
)
_PRINCIPAL, _MEMBER = "principal_id", "is_member"


@dataclass(frozen=True, slots=True)
class PolicyExpression:
    """A checked expression."""

    tree: str
    """The checked tree, as JSON."""
    columns: frozenset[str]
    """Names of the columns that it uses, in lower case, because DuckDB doesn't distinguish cases."""
    groups: frozenset[str]
    """Arguments of `is_member`."""

    def sql(self, principal_id: str, is_member: Callable[[str], bool]) -> str:
        """Returns the SQL for one principal: its id and its groups are constants."""

        def replaced(node: Any) -> Any:
            if isinstance(node, list):
                return [replaced(item) for item in node]
            if not isinstance(node, dict):
                return node
            if node.get("class") == "FUNCTION" and (name := _function(node)) in (_PRINCIPAL, _MEMBER):
                return _constant(principal_id if name == _PRINCIPAL else is_member(_member(node)))
            return {part: replaced(value) for part, value in node.items()}

        with _connection() as connection:
            return _generated(connection, replaced(json.loads(self.tree)))


@lru_cache(maxsize=1024)
def policy_expression(text: str) -> PolicyExpression:
    """Checks an expression in DuckDB's dialect.

    Raises:
        InvalidArgument: the text isn't one expression over the columns of a row, or calls a function that isn't
            allowed.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidArgument(f"An expression of a policy can have at most {MAX_LENGTH:,} characters.")
    with _connection() as connection:
        tree = _parsed(connection, text, text)
        columns, groups = _checked(tree, text)
        again = _parsed(connection, _generated(connection, tree), text)
        if _checked(again, text) != (columns, groups):
            raise InvalidArgument(f"{text!r} is ambiguous. Put its parts in parentheses.")
    return PolicyExpression(json.dumps(tree), columns, groups)


def _connection() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False})


def _parsed(connection: duckdb.DuckDBPyConnection, expression: str, text: str) -> dict[str, Any]:
    """Returns the tree of a statement that selects one expression and does nothing else."""
    tree = _tree(connection, f"SELECT {expression}")
    if tree.get("error"):
        raise InvalidArgument(f"{text!r} is not a SQL expression over one row: {tree.get('error_message')}")
    nodes = [statement["node"] for statement in tree["statements"]]
    if len(nodes) != 1 or len(nodes[0].get("select_list", [])) != 1:
        raise InvalidArgument(f"{text!r} is not a single SQL expression over one row.")
    nothing_else = _tree(connection, "SELECT 1")["statements"][0]["node"] | {"select_list": nodes[0]["select_list"]}
    if nodes[0] != nothing_else or nodes[0]["select_list"][0].get("alias"):
        raise InvalidArgument(f"{text!r} is not a SQL expression over one row: it contains other clauses.")
    return tree


def _tree(connection: duckdb.DuckDBPyConnection, statement: str) -> dict[str, Any]:
    ((serialized,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement]).fetchall()
    try:
        tree: dict[str, Any] = json.loads(serialized)
    except RecursionError:
        raise InvalidArgument("The expression is nested too deeply.") from None
    return tree


def _generated(connection: duckdb.DuckDBPyConnection, tree: dict[str, Any]) -> str:
    ((sql,),) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchall()
    return str(sql).removeprefix("SELECT ")


def _checked(tree: dict[str, Any], text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the columns and groups of a tree.

    Raises:
        InvalidArgument: it contains anything else than expressions over one row.
    """
    columns, groups = set(), set()
    for node in _expressions(tree["statements"][0]["node"]["select_list"]):
        kind = node["class"]
        if kind not in _CLASSES:
            raise InvalidArgument(f"{text!r} is not a SQL expression over one row: {kind.lower()} is not allowed.")
        if kind == "COLUMN_REF":
            if len(node["column_names"]) != 1:
                raise InvalidArgument(f"{text!r} must name columns without a table or a field.")
            column = str(node["column_names"][0]).lower()
            if column in _KEYWORDS:
                raise InvalidArgument(f"{text!r} uses {column}, which expressions of policies can't use.")
            columns.add(column)
        elif kind == "FUNCTION":
            name = _function(node)
            operator = bool(name) and not any(character.isalnum() or character in "_\"' " for character in name)
            if name == _MEMBER:
                groups.add(_member(node))
            elif name == _PRINCIPAL and node["arguments"]:
                raise InvalidArgument("principal_id() has no argument.")
            elif not operator and name not in {*_FUNCTIONS, _PRINCIPAL}:
                raise InvalidArgument(f"{text!r} calls {name}, which expressions of policies can't use.")
            if node.get("distinct") or node.get("filter") or (node.get("order_bys") or {}).get("orders"):
                raise InvalidArgument(f"{text!r} is not a SQL expression over one row: it aggregates.")
    return frozenset(columns), frozenset(groups)


def _expressions(node: Any) -> Iterator[dict[str, Any]]:
    """Yields the expressions in a tree. What has no class is a part of the expression around it."""
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += one
        elif isinstance(one, dict):
            if isinstance(one.get("class"), str):
                yield one
            pending += one.values()


def _function(node: dict[str, Any]) -> str:
    path = [str(part).lower() for part in node["qualified_name"]["path"]]
    return path[0] if len(path) == 1 else ".".join(path)


def _member(node: dict[str, Any]) -> str:
    """Returns the group that a call of `is_member` names."""
    arguments = [one.get("expression") or {} for one in node["arguments"]]
    literal = arguments[0].get("literal") or {} if len(arguments) == 1 else {}
    if literal.get("kind") != "STRING":
        raise InvalidArgument("is_member() needs the id of a group as text, such as is_member('grp_...').")
    return str(literal["text"])


@lru_cache(maxsize=4096)
def _constant(value: str | bool) -> dict[str, Any]:
    text = str(value).upper() if isinstance(value, bool) else "'" + value.replace("'", "''") + "'"
    with _connection() as connection:
        node: dict[str, Any] = _tree(connection, f"SELECT {text}")["statements"][0]["node"]["select_list"][0]
    return node
