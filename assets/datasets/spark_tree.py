"""Allowed syntax trees of Spark SQL: lists of nodes and their parts, types, tables, and functions.

Everything else is refused, so that a construct that a later release of the parser supports is refused until it has been
reviewed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp

from assets.datasets.spark_dialect import TypedLiteral
from assets.datasets.spark_functions import FUNCTIONS, GENERATORS, TABLE_FUNCTIONS, UNITS

_BINARY = "this expression"
_QUERY = "with_ order limit offset sort distribute cluster"

NODES: dict[type[exp.Expr], str] = {
    # queries
    exp.Select: f"{_QUERY} expressions distinct from_ joins laterals where group having qualify windows",
    exp.Union: f"{_QUERY} this expression distinct",
    exp.Except: f"{_QUERY} this expression distinct",
    exp.Intersect: f"{_QUERY} this expression distinct",
    exp.Subquery: f"{_QUERY} this alias joins pivots sample laterals",
    exp.Values: "expressions alias",
    exp.With: "expressions recursive",
    exp.CTE: "this alias",
    exp.From: "this",
    exp.Join: "this side kind method on using",
    exp.Table: "this db catalog alias joins pivots sample laterals",
    exp.TableAlias: "this columns",
    exp.Lateral: "this view outer alias",
    exp.Pivot: "expressions fields columns unpivot include_nulls alias group pivot_column_naming",
    exp.PivotAlias: "this alias",
    exp.TableSample: "percent rows size bucket_numerator bucket_denominator seed",
    # clauses
    exp.Where: "this",
    exp.Having: "this",
    exp.Qualify: "this",
    exp.Group: "expressions all grouping_sets cube rollup",
    exp.GroupingSets: "expressions",
    exp.Cube: "expressions",
    exp.Rollup: "expressions",
    exp.Order: "expressions",
    exp.Sort: "expressions",
    exp.Distribute: "expressions",
    exp.Cluster: "expressions",
    exp.Ordered: "this desc nulls_first",
    exp.Limit: "expression",
    exp.Offset: "expression",
    exp.Distinct: "expressions",
    exp.Window: "this partition_by order spec over alias",
    exp.WindowSpec: "kind start start_side end end_side",
    exp.Filter: "this expression",
    exp.WithinGroup: "this expression",
    exp.IgnoreNulls: "this",
    exp.RespectNulls: "this",
    # expressions
    exp.Alias: "this alias",
    exp.Aliases: "this expressions",
    exp.Column: "this table db catalog",
    exp.Dot: "this expression",
    exp.Identifier: "this quoted",
    exp.Star: "except_",
    exp.Literal: "this is_string",
    exp.HexString: "this",
    exp.Null: "",
    exp.Boolean: "this",
    exp.Interval: "this unit",
    exp.IntervalSpan: "this expression",
    exp.Var: "this",
    exp.Paren: "this",
    exp.Tuple: "expressions",
    exp.Anonymous: "this expressions",
    exp.Lambda: "this expressions",
    exp.Cast: "this to",
    exp.TryCast: "this to safe",
    TypedLiteral: "this to",
    exp.DataType: "this expressions nested",
    exp.DataTypeParam: "this",
    exp.ColumnDef: "this kind",
    exp.Case: "this ifs default",
    exp.If: "this true",
    exp.Extract: "this expression",
    exp.Substring: "this start length",
    exp.Overlay: "this expression from_ for_",
    exp.Trim: "this expression position",
    exp.Bracket: "this expressions",
    exp.In: "this expressions query",
    exp.Exists: "this",
    exp.Any: "this",
    exp.All: "this",
    exp.Between: "this low high",
    exp.Is: _BINARY,
    exp.Not: "this",
    exp.Neg: "this",
    exp.BitwiseNot: "this",
    exp.Escape: _BINARY,
    exp.Collate: _BINARY,
    exp.Div: f"{_BINARY} typed safe",
    exp.DPipe: f"{_BINARY} safe",
    **dict.fromkeys(
        (
            *(exp.And, exp.Or, exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.IntDiv),
            *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ),
            *(exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseLeftShift, exp.BitwiseRightShift),
            *(exp.Like, exp.ILike, exp.RegexpLike),
        ),
        _BINARY,
    ),
}
"""Allowed nodes, with the parts that they may have."""

TYPES = frozenset(
    {
        *(exp.DType.BOOLEAN, exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT, exp.DType.FLOAT),
        *(exp.DType.DOUBLE, exp.DType.DECIMAL, exp.DType.TEXT, exp.DType.CHAR, exp.DType.VARCHAR, exp.DType.BINARY),
        *(exp.DType.DATE, exp.DType.TIME, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPNTZ),
        *(exp.DType.TIMESTAMPLTZ, exp.DType.INTERVAL, exp.DType.ARRAY, exp.DType.MAP, exp.DType.STRUCT),
        *(exp.DType.VARIANT, exp.DType.NULL),
    }
)

_QUERIES = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)
_WORDS = re.compile(r"[A-Za-z_]+( [A-Za-z_]+)*")
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNIT = re.compile("|".join((*UNITS, "all")), re.IGNORECASE)
_COLLATION = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_HEX = re.compile(r"([0-9A-Fa-f]{2})*")


class Refused(Exception):
    """A node that is not allowed, and the reason."""

    def __init__(self, node: exp.Expr, reason: str) -> None:
        super().__init__(reason)
        self.node, self.reason = node, reason


def require_query(tree: exp.Expr, views: Mapping[str, str]) -> None:
    """Checks that a tree is a query over the given views, and replaces its asset ids with the names of the views.

    Raises:
        Refused: a node is not allowed.
    """
    if not isinstance(tree, _QUERIES):
        raise Refused(tree, "must be one SELECT, optionally after a WITH clause.")
    _Walk(views).visit(tree, frozenset())


class _Walk:
    def __init__(self, views: Mapping[str, str]) -> None:
        self._views = views
        self._names = {name.lower() for name in views.values()}

    def visit(self, node: exp.Expr, ctes: frozenset[str]) -> None:
        """Checks a node and its descendants. `ctes` are the common table expressions in scope, in lower case."""
        self._require_listed(node)
        if isinstance(node, exp.Table):
            self._table(node, ctes)
        elif isinstance(node, exp.Column):
            self._column(node)
        elif isinstance(node, exp.Anonymous):
            _require_function(node)
        elif isinstance(node, exp.Dot) and not isinstance(node.expression, exp.Identifier | exp.Star):
            raise Refused(node, f"{node.sql()} calls a function of a catalog, which is not allowed.")
        elif isinstance(node, exp.Lateral) and not isinstance(node.this, exp.Anonymous | exp.Subquery):
            raise Refused(node, "LATERAL takes a subquery or a function such as explode.")
        with_ = node.args.get("with_")
        if isinstance(with_, exp.With):
            self._require_listed(with_)
            ctes = self._with(with_, ctes)
        for part, value in node.args.items():
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, exp.Expr) and part != "with_":
                    self.visit(child, ctes)

    def _require_listed(self, node: exp.Expr) -> None:
        parts = NODES.get(type(node))
        if parts is None:
            raise Refused(node, f"{_named(node)} is not allowed in a query over the inputs.")
        for part, value in node.args.items():
            if value not in (None, False, []) and part not in parts.split():
                raise Refused(node, f"{_named(node)} cannot have {part.strip('_').replace('_', ' ')}.")
            for item in value if isinstance(value, list) else [value]:
                _require_plain(node, part, item)

    def _with(self, with_: exp.With, ctes: frozenset[str]) -> frozenset[str]:
        for cte in with_.expressions:
            self._require_listed(cte)
            name = cte.alias.lower()
            self.visit(cte.args["alias"], ctes)
            self.visit(cte.this, ctes | {name} if with_.args.get("recursive") else ctes)
            ctes |= {name}
        return ctes

    def _table(self, node: exp.Table, ctes: frozenset[str]) -> None:
        if isinstance(node.this, exp.Anonymous):
            name = node.this.name.lower()
            if node.args.get("db") or node.args.get("catalog") or name not in TABLE_FUNCTIONS:
                raise Refused(node, f"reads {name}(), which is not allowed. Read the inputs: {self._inputs()}.")
            return
        if any(not isinstance(part, exp.Identifier) for part in node.parts):
            raise Refused(node, "a table must be an identifier.")
        names = [part.name.lower() for part in node.parts]
        view = self._views.get(".".join(names)) if len(names) == 3 else None
        if view is not None:
            node.set("this", exp.to_identifier(view, quoted=True))
            node.set("db", None)
            node.set("catalog", None)
        elif len(names) != 1 or names[0] not in ctes | self._names:
            raise Refused(
                node,
                f"reads {'.'.join(part.name for part in node.parts)}, which is not an input. Files cannot be read by "
                f"path. The inputs are {self._inputs()}.",
            )

    def _column(self, node: exp.Column) -> None:
        qualifier = ".".join(node.text(part).lower() for part in ("catalog", "db", "table"))
        if view := self._views.get(qualifier):
            node.set("table", exp.to_identifier(view, quoted=True))
            node.set("db", None)
            node.set("catalog", None)
            _take_fields(node)

    def _inputs(self) -> str:
        return ", ".join(f"{asset} (also {view})" for asset, view in self._views.items())


def _take_fields(column: exp.Column) -> None:
    """Makes fields of a struct parts of the column, as the parser does, because the column now has fewer parts."""
    names = column.parts
    outermost: exp.Expr = column
    while len(names) < 4 and isinstance(dot := outermost.parent, exp.Dot) and outermost is dot.this:
        names.append(dot.expression)
        outermost = dot
    if outermost is not column:
        parts = ("this", "table", "db", "catalog")
        outermost.replace(exp.Column(**dict(zip(parts, reversed(names), strict=False))))


def _require_function(node: exp.Anonymous) -> None:
    name = node.name.lower()
    if not _FUNCTION.fullmatch(name) or name not in FUNCTIONS | GENERATORS:
        if isinstance(node.parent, exp.Table) and name in TABLE_FUNCTIONS:
            return
        raise Refused(node, f"the function {node.name} is not allowed.")


def _require_plain(node: exp.Expr, part: str, value: object) -> None:
    """Checks that a value that is written unchanged, which is neither node nor flag, is a word, number, or name."""
    if isinstance(node, exp.Literal):
        if part == "this" and not node.is_string and not _NUMBER.fullmatch(str(value)):
            raise Refused(node, f"{value} is not a number.")
    elif isinstance(node, exp.Identifier):
        if part == "this" and ("`" in str(value) or not str(value).isprintable() or not value):
            raise Refused(node, "a name contains a backtick or a non-printable character.")
    elif isinstance(node, exp.HexString):
        if part == "this" and not _HEX.fullmatch(str(value)):
            raise Refused(node, f"X'{value}' is not a binary value.")
    elif isinstance(node, exp.Anonymous):
        pass  # see `_require_function`
    elif type(node) is exp.DataType and part == "this":
        if not isinstance(value, exp.Interval) and value not in TYPES:
            raise Refused(node, f"the type {node.sql()} is not allowed.")
    elif isinstance(node, exp.Var):
        words = _COLLATION if isinstance(node.parent, exp.Collate) else _UNIT
        if part == "this" and not words.fullmatch(str(value)):
            raise Refused(node, f"{value} is not a unit of time.")
    elif isinstance(value, str) and not _WORDS.fullmatch(value):
        raise Refused(node, f"{_named(node)} contains {value!r}.")
    elif not isinstance(value, exp.Expr | str | bool | None):
        raise Refused(node, f"{_named(node)} contains an unknown value.")


def _named(node: exp.Expr) -> str:
    if isinstance(node, exp.Parameter | exp.Placeholder):
        return "a parameter"
    return "a command" if isinstance(node, exp.Command) else type(node).__name__.upper()
