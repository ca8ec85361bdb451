"""The dialect in which Spark SQL is parsed from statements of users and generated for an engine.

The parser keeps every function call unchanged: the functions of sqlglot exist to translate between engines, and a
translation could change a result. The generator writes unambiguous text: literals contain neither quotes nor
backslashes, every name is in backticks, and there are no comments.
"""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.generator import Generator
from sqlglot.generators.spark import SparkGenerator
from sqlglot.parsers.spark import SparkParser
from sqlglot.tokenizer_core import TokenType

from assets.datasets.spark_functions import UNITS

# sqlglot logs a warning for every statement that it does not fully parse; these statements are refused.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_CALLS_WITH_WORDS = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "SUBSTR", "OVERLAY", "POSITION")
"""Calls whose arguments may be separated by words instead of commas."""

_TRANSLATING = (exp.Select, exp.Table, exp.With, exp.ILike, exp.If, exp.Cast, exp.TryCast, exp.Values)
"""Nodes that sqlglot's generator for Spark rewrites for older engines. This dialect writes them as they were parsed."""

_LITERAL_TYPES = (
    *(exp.DType.DATE, exp.DType.TIME, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ),
    *(exp.DType.TIMESTAMPNTZ, exp.DType.TIMESTAMPLTZ),
)

_UNIT_FIRST = frozenset({"dateadd", "date_add", "datediff", "date_diff", "timestampadd", "timestampdiff"})
"""Functions whose first of three arguments is a unit of time, not a column."""


class TypedLiteral(exp.Expression):
    """A literal such as `DATE '2013-01-01'`. Unlike a cast of the text it is never null."""

    arg_types = {"this": True, "to": True}


def _typed(parser: Any, text: exp.Expr, kind: exp.DataType) -> exp.Expr:
    return TypedLiteral(this=text, to=kind)


class CheckedSpark(Spark):
    """The dialect of Spark without translation."""

    class Tokenizer(Spark.Tokenizer):
        """A tokenizer that reads a doubled quote as one quote, as Spark does since release 4."""

        STRING_ESCAPES: ClassVar[list[str]] = ["\\", "'", '"']

    class Parser(SparkParser):
        """A parser that keeps every call unchanged, except calls with a special syntax."""

        STRICT_CAST = True
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        ARRAY_CONSTRUCTORS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS = {name: SparkParser.FUNCTION_PARSERS[name] for name in _CALLS_WITH_WORDS}
        NO_PAREN_FUNCTION_PARSERS = {"CASE": SparkParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}
        TYPE_LITERAL_PARSERS = dict.fromkeys(_LITERAL_TYPES, _typed)

        def parse(self, raw_tokens: list[Any], sql: str) -> list[exp.Expr | None]:
            """Parses tokens, and treats `window` before a parenthesis as a function, not as the WINDOW clause."""
            for token, following in pairwise(raw_tokens):
                if token.token_type is TokenType.WINDOW and following.token_type is TokenType.L_PAREN:
                    token.token_type = TokenType.VAR
            trees: list[exp.Expr | None] = super().parse(raw_tokens, sql)
            return trees

        def _parse_types(self, check_func: bool = False, *args: Any, **kwargs: Any) -> exp.Expr | None:
            # In an expression, a type name before a parenthesis is a call. Trying both takes exponential time.
            if check_func and self._next and self._next.token_type is TokenType.L_PAREN:
                return None
            return super()._parse_types(check_func, *args, **kwargs)

    class Generator(SparkGenerator):
        """A generator of unambiguous text."""

        TRANSFORMS = {
            **{node: write for node, write in SparkGenerator.TRANSFORMS.items() if node not in _TRANSLATING},
            TypedLiteral: lambda self, node: f"{self.sql(node, 'to')} {self.sql(node, 'this')}",
        }
        TYPE_MAPPING = {**SparkGenerator.TYPE_MAPPING, exp.DType.TIME: "TIME"}

        def literal_sql(self, expression: exp.Literal) -> str:
            """Returns a number as it was parsed, or a text in which all special characters are escaped."""
            if not expression.is_string:
                return str(expression.this)
            return "'" + "".join(map(_escaped, str(expression.this))) + "'"

        def cast_sql(self, expression: exp.Cast, safe_prefix: str | None = None) -> str:
            """Returns CAST as it was parsed."""
            return Generator.cast_sql(self, expression, safe_prefix=safe_prefix)

        def trycast_sql(self, expression: exp.TryCast) -> str:
            """Returns TRY_CAST as it was parsed."""
            return Generator.cast_sql(self, expression, safe_prefix="TRY_")

        def lateral_sql(self, expression: exp.Lateral) -> str:
            """Returns LATERAL VIEW with its alias in backticks, which sqlglot does not quote."""
            if not expression.args.get("view"):
                return super().lateral_sql(expression)
            alias = expression.args.get("alias")
            table = f" {self.sql(alias, 'this')}" if alias and alias.this else ""
            columns = self.expressions(alias, key="columns", flat=True) if alias else ""
            outer = " OUTER" if expression.args.get("outer") else ""
            return f" LATERAL VIEW{outer} {self.sql(expression, 'this')}{table}{f' AS {columns}' if columns else ''}"


def normalized(tree: exp.Expr) -> exp.Expr:
    """Returns the tree in canonical form: plain texts, quoted names, no hints, and units of time without quotes."""
    tree = tree.transform(_normalized)
    for node in tree.walk():
        if isinstance(node, exp.Identifier):
            node.set("quoted", True)
        elif isinstance(node, exp.Select):
            node.set("hint", None)
        elif isinstance(node, exp.WindowSpec) and not node.args.get("end"):
            node.set("end", "CURRENT ROW")  # ROWS 2 PRECEDING
        elif _is_interval_sum(node) and isinstance(node.parent, exp.Binary) and not _is_interval(node.parent):
            # INTERVAL 1 DAY 2 HOURS is parsed as a sum, which has a lower precedence than its parent.
            node.replace(exp.Paren(this=node.copy()))
    return tree


def _normalized(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.RawString):
        return exp.Literal.string(node.this)
    if isinstance(node, exp.Concat) and all(isinstance(part, exp.Literal | exp.RawString) for part in node.expressions):
        return exp.Literal.string("".join(str(part.this) for part in node.expressions))  # 'a' 'b'
    if isinstance(node, exp.CurrentDate | exp.CurrentTimestamp):
        return exp.Anonymous(this="current_date" if isinstance(node, exp.CurrentDate) else "current_timestamp")
    if isinstance(node, exp.StrPosition):
        arguments = [node.args.get("substr"), node.this, node.args.get("position")]
        return exp.Anonymous(this="locate", expressions=[argument for argument in arguments if argument is not None])
    if isinstance(node, exp.Anonymous):
        if isinstance(node.this, exp.Identifier):
            node.set("this", node.name)
        first = node.expressions[0] if len(node.expressions) == 3 else None
        if node.name.lower() in _UNIT_FIRST and isinstance(first, exp.Column) and _is_unit(first):
            first.replace(exp.Var(this=first.name.upper()))
    return node


def _is_unit(column: exp.Column) -> bool:
    return len(column.parts) == 1 and column.name.lower() in UNITS


def _is_interval_sum(node: exp.Expr) -> bool:
    return isinstance(node, exp.Add) and _is_interval(node)


def _is_interval(node: exp.Expr) -> bool:
    if isinstance(node, exp.Add):
        return _is_interval(node.this) and _is_interval(node.expression)
    return isinstance(node, exp.Interval)


def _escaped(character: str) -> str:
    if character in "'\"\\`" or not character.isprintable():
        code = ord(character)
        return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
    return character
