"""Restriction of the Spark SQL of a component to one query that reads only its inputs.

Spark would also read files by path, run scripts, and call Java methods. Therefore a statement is parsed in Spark's
dialect, its tree is checked against lists of allowed nodes, and the engine runs SQL that is generated from the checked
tree. The text of the user never reaches the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn

from core.errors import InvalidPayload

if TYPE_CHECKING:
    from sqlglot import exp

_MAX_LENGTH = 100_000


def view_names(inputs: Sequence[str]) -> dict[str, str]:
    """Returns the name of the temporary view of each input: the table name, with the schema if it is ambiguous."""
    short = [asset.split(".")[2] for asset in inputs]
    return {
        asset: name if short.count(name) == 1 else "_".join(asset.split(".")[1:])
        for asset, name in zip(inputs, short, strict=True)
    }


def prepared(statement: str, views: Mapping[str, str]) -> str:
    """Returns the SQL that an engine may run for a statement: the same query, generated from its checked tree.

    Asset ids become the names of their views. Comments and hints are removed.

    Args:
        statement: one query in Spark's dialect that names tables by asset id or by view.
        views: view name by asset id, see `view_names`.

    Raises:
        InvalidPayload: the statement is not a single query, or reads or calls something that is not allowed. The detail
            contains the position.
    """
    if len(statement) > _MAX_LENGTH:
        raise InvalidPayload(f"sql: is longer than {_MAX_LENGTH:,} characters.")
    # A separate thread has a separate stack, so the allowed depth of nesting does not depend on the caller.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_prepared, statement, views).result()


def _prepared(statement: str, views: Mapping[str, str]) -> str:
    try:
        tree = _parsed(statement)
        _require_allowed(tree, views)
        text = _written(tree)
        if _parsed(text) != tree:
            raise InvalidPayload("sql: is ambiguous. Put expressions in parentheses.")
    except RecursionError:
        raise InvalidPayload("sql: is nested too deeply.") from None
    return text


def _written(tree: exp.Expr) -> str:
    from assets.datasets.spark_dialect import CheckedSpark

    text: str = tree.sql(dialect=CheckedSpark, comments=False, identify=True, normalize_functions=False)
    return text


def _parsed(statement: str) -> exp.Expr:
    import sqlglot
    from sqlglot.errors import ParseError, SqlglotError

    from assets.datasets.spark_dialect import CheckedSpark, normalized

    try:
        trees = [tree for tree in sqlglot.parse(statement, dialect=CheckedSpark) if tree is not None]
    except ParseError as error:
        fault = error.errors[0] if error.errors else {}
        raise InvalidPayload(
            f"sql: is not valid Spark SQL near {fault.get('highlight') or 'its end'!r}, line {fault.get('line', 1)}, "
            f"column {fault.get('col', 1)}: {fault.get('description', 'it cannot be parsed')}"
        ) from error
    except SqlglotError as error:
        raise InvalidPayload(f"sql: is not valid Spark SQL: {str(error).splitlines()[0]}") from error
    if len(trees) != 1:
        raise InvalidPayload("sql: must be one query, such as one SELECT, optionally after a WITH clause.")
    return normalized(trees[0])


def _require_allowed(tree: exp.Expr, views: Mapping[str, str]) -> None:
    from assets.datasets.spark_tree import Refused, require_query

    try:
        require_query(tree, views)
    except Refused as error:
        _refuse(error.node, error.reason)


def _refuse(node: exp.Expr, reason: str) -> NoReturn:
    meta = next((part.meta for part in node.walk() if "line" in part.meta), {})
    place = f" (line {meta['line']}, column {meta['col']})" if meta else ""
    raise InvalidPayload(f"sql: {reason}{place}")
