"""SQL expressions over one row, for checks, features, splits, and rounds.

Polars also accepts a subquery in an expression, and opens the files that it names during parsing. Therefore an
expression is parsed, its tree is compared with a list of allowed nodes, and Polars gets SQL that is generated from the
checked tree. Functions need no list, because all functions of Polars only compute, and it refuses unknown ones.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.generators.postgres import PostgresGenerator
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import TokenType

from core.errors import InvalidArgument, SchemaMismatch
from lakehouse.schemas import require_columns

if TYPE_CHECKING:
    import polars as pl

_MAX_LENGTH = 10_000
_REWRITTEN_NODES = (exp.ILike, exp.If, exp.Cast, exp.TryCast)
_FUNCTIONS_WITH_SYNTAX = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]*")
_HEX = re.compile(r"[0-9A-Fa-f]*")
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

_ALLOWED = (
    *(exp.Column, exp.Identifier, exp.Dot, exp.Literal, exp.HexString, exp.Boolean, exp.Null, exp.Star, exp.Var),
    *(exp.Paren, exp.Array, exp.Bracket, exp.Tuple, exp.Interval, exp.IntervalSpan, exp.Anonymous, exp.Distinct),
    *(exp.And, exp.Or, exp.Not, exp.Xor, exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.RegexpLike),
    *(exp.RegexpILike, exp.StartsWith, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ),
    *(exp.NullSafeNEQ, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Pow, exp.Neg, exp.DPipe),
    *(exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.Case, exp.If, exp.Cast, exp.TryCast, exp.DataType),
    *(exp.DataTypeParam, exp.Extract, exp.Trim, exp.Substring, exp.StrPosition, exp.AtTimeZone, exp.Filter, exp.Where),
    *(exp.Window, exp.Order, exp.Ordered, exp.CurrentDate, exp.CurrentTimestamp),
)


class RowExpression(Postgres):
    """The SQL dialect of Polars, which is similar to PostgreSQL's. Function calls aren't translated."""

    class Tokenizer(Postgres.Tokenizer):
        """Accepts names in backticks."""

        IDENTIFIERS: ClassVar[list[Any]] = ['"', "`"]
        KEYWORDS = {**Postgres.Tokenizer.KEYWORDS, "//": TokenType.DIV}

    class Parser(PostgresParser):
        """Keeps function calls as they are, except functions with a special syntax."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS = {
            name: PostgresParser.FUNCTION_PARSERS[name]
            for name in _FUNCTIONS_WITH_SYNTAX
            if name in PostgresParser.FUNCTION_PARSERS
        }
        NO_PAREN_FUNCTION_PARSERS = {"CASE": PostgresParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}

    class Generator(PostgresGenerator):
        """Generates SQL for Polars."""

        TRANSFORMS = {
            **{
                node: transform
                for node, transform in PostgresGenerator.TRANSFORMS.items()
                if node not in _REWRITTEN_NODES
            },
            # Polars parses IS NOT DISTINCT FROM with another precedence.
            exp.NullSafeEQ: lambda self, node: self.binary(node, "<=>"),
            exp.IntDiv: lambda self, node: self.binary(node, "//"),
        }
        TYPE_MAPPING = {**PostgresGenerator.TYPE_MAPPING, exp.DType.TINYINT: "TINYINT"}


def row_expression(text: str) -> pl.Expr:
    """Compiles a SQL expression over the columns of one row.

    Raises:
        InvalidArgument: the text isn't a single expression, or contains a subquery.
    """
    import polars as pl

    try:
        return pl.sql_expr(checked_expression(text))
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise InvalidArgument(f"{text!r} is not a SQL expression over one row: {error}") from error


def type_of(text: str, rows: pl.DataFrame) -> pl.DataType:
    """Returns the type of an expression over the columns of a frame. No row is read.

    Raises:
        InvalidArgument: as for `row_expression`.
        UnknownColumn: the expression uses a column that the frame doesn't have.
        SchemaMismatch: the expression doesn't match the types of the columns.
    """
    import polars as pl

    expression = row_expression(text)
    for name in expression.meta.root_names():
        require_columns("the table", rows.columns, [name])
    try:
        return rows.clear().select(expression.alias("value")).schema["value"]
    except pl.exceptions.PolarsError as error:
        raise SchemaMismatch(f"{text!r} can't be computed: {str(error).splitlines()[0]}") from error


def require_condition(text: str, rows: pl.DataFrame) -> None:
    """Checks that an expression over the columns of a frame is a condition.

    Raises:
        InvalidArgument, UnknownColumn: as for `type_of`.
        SchemaMismatch: as for `type_of`, or the expression has another type than Boolean.
    """
    import polars as pl

    if (kind := type_of(text, rows)) not in (pl.Boolean, pl.Null):
        raise SchemaMismatch(f"{text!r} has the type {kind}. A condition must be true or false.")


@lru_cache(maxsize=2048)
def checked_expression(text: str) -> str:
    """Returns the SQL for Polars, generated from the checked tree of an expression.

    Raises:
        InvalidArgument: as for `row_expression`.
    """
    if len(text) > _MAX_LENGTH:
        raise InvalidArgument(f"An expression can have at most {_MAX_LENGTH:,} characters.")
    try:
        tree = _parse(text)
        _require_allowed(tree, text)
        sql: str = tree.sql(dialect=RowExpression, identify=True, comments=False, normalize_functions=False)
        _require_allowed(_parse(sql), text)
    except (SqlglotError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidArgument(f"{text!r} is not a SQL expression over one row: {reason}") from error
    return sql


def _parse(text: str) -> exp.Expr:
    trees = sqlglot.parse(f"SELECT {text}", dialect=RowExpression)
    select = trees[0] if len(trees) == 1 else None
    if not isinstance(select, exp.Select) or len(select.expressions) != 1:
        raise InvalidArgument(f"{text!r} is not a single SQL expression over one row.")
    if any(value for part, value in select.args.items() if part != "expressions"):
        raise InvalidArgument(f"{text!r} is not a SQL expression over one row: it contains other clauses.")
    expression: exp.Expr = select.expressions[0]
    return expression


def _require_allowed(tree: exp.Expr, text: str) -> None:
    for node in tree.walk():
        if type(node) not in _ALLOWED:
            construct = "a subquery" if isinstance(node, exp.Query | exp.Exists) else type(node).__name__.upper()
            raise InvalidArgument(f"{text!r} is not a SQL expression over one row: {construct} is not allowed.")
        value = node.args.get("this")
        valid = True
        if isinstance(node, exp.Identifier):
            valid = str(value).isprintable() and not set(str(value)) & set('"`')
        elif isinstance(node, exp.Literal):
            valid = node.is_string or bool(_NUMBER.fullmatch(str(value)))
        elif isinstance(node, exp.HexString):
            valid = bool(_HEX.fullmatch(str(value)))
        elif isinstance(value, str):
            valid = bool(_WORD.fullmatch(value))
        if not valid:
            raise InvalidArgument(f"{text!r} is not a SQL expression over one row: {value} is not a name or number.")
