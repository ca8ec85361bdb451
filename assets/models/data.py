"""The rows on which a model is trained, tuned, and evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument, SchemaMismatch
from lakehouse.expressions import require_condition, row_expression, type_of
from serving.signature import Feature

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Splits:
    """SQL conditions over a row of the feature table that select the splits."""

    train: str
    tune: str
    """Condition of the training rows that determine the number of trees and the threshold."""
    test: str


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one split with a known target."""

    inputs: NDArray[Any]
    """`[n, features]`, float32, with the columns of `Data.features`. NaN is a missing value."""
    target: NDArray[Any]
    """`[n]`, bool."""
    groups: pl.Series
    """`[n]`, name of the base rate of each row."""

    def __len__(self) -> int:
        return len(self.target)

    def where(self, mask: NDArray[Any]) -> Part:
        """Returns the rows for which `mask` is true."""
        return Part(self.inputs[mask], self.target[mask], self.groups.filter(mask))


@dataclass(frozen=True, slots=True)
class Data:
    """The rows of a training and its inputs."""

    features: list[Feature]
    train: Part
    tuning: NDArray[Any]
    """`[training rows]`, bool: whether the row belongs to the tuning part."""
    test: Part


def columns_used(inputs: Sequence[str], target: str, splits: Splits, groups: Sequence[str]) -> list[str]:
    """Returns the columns of the feature table that a training reads, in a stable order.

    Raises:
        InvalidArgument: an expression is not valid SQL.
    """
    roots = [
        name
        for text in (splits.train, splits.tune, splits.test, *groups)
        for name in row_expression(text).meta.root_names()
    ]
    return list(dict.fromkeys([*inputs, target, *roots]))


def numeric_columns(schema: pa.Schema, exclude: Sequence[str]) -> list[str]:
    """Returns the floating-point columns of a feature table. Keys and labels have other types."""
    import pyarrow as pa

    return [field.name for field in schema if pa.types.is_floating(field.type) and field.name not in set(exclude)]


def require_inputs(schema: pa.Schema, names: Sequence[str]) -> None:
    """Checks that there are inputs, and that each is numeric or boolean.

    Raises:
        SchemaMismatch: there are no inputs, or an input has another type.
    """
    import pyarrow as pa

    if not names:
        raise SchemaMismatch("The feature table has no floating-point column to use as input. Set `inputs`.")
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    for name in names:
        if not any(fits(schema.field(name).type) for fits in numbers):
            raise SchemaMismatch(f"The input {name} is of type {schema.field(name).type}; a number is needed.")


def require_keys(schema: pa.Schema, names: Sequence[str]) -> None:
    """Checks that rows can be found by the text of their values in key columns.

    Raises:
        SchemaMismatch: a column has a binary or nested type.
    """
    import pyarrow as pa

    for name in names:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
            raise SchemaMismatch(f"The key {name} is of type {kind}; a text, a number, a date or an instant is needed.")


def require_boolean(target: str, schema: pa.Schema) -> None:
    """Checks that a target is boolean.

    Raises:
        SchemaMismatch: the target has another type.
    """
    import pyarrow as pa

    if not pa.types.is_boolean(kind := schema.field(target).type):
        raise SchemaMismatch(f"The target {target} is of type {kind}; a boolean column is needed.")


def require_group(text: str, rows: pl.DataFrame) -> None:
    """Checks that the values of an expression can name a group.

    Raises:
        InvalidArgument: the expression is not valid SQL.
        UnknownColumn: the expression names a column that does not exist.
        SchemaMismatch: the expression cannot be computed, or has a binary or nested type.
    """
    import polars as pl

    if (kind := type_of(text, rows)).is_nested() or kind == pl.Binary:
        raise SchemaMismatch(f"The base rate {text!r} is of type {kind}, which cannot name a group.")


def prepare(rows: pl.DataFrame, inputs: Sequence[str], target: str, splits: Splits, groups: Sequence[str]) -> Data:
    """Splits the rows whose target is known.

    Args:
        rows: the columns of `columns_used`.
        inputs: numeric columns that are the inputs of the model.
        target: boolean column to predict.
        splits: conditions of the rows for training, tuning, and evaluation.
        groups: SQL expressions whose values together name the base rate of a row.

    Raises:
        InvalidArgument: a split is empty or has only one outcome, tuning rows are not training rows, or training and
            test rows overlap.
        SchemaMismatch: the target is not boolean, or an expression does not fit the table.
    """
    import polars as pl

    schema = rows.clear().to_arrow().schema
    require_boolean(target, schema)
    require_inputs(schema, inputs)
    rows = rows.drop_nulls(target)
    marks = _marks(rows, splits, groups)
    train, tune, test = (marks[name].to_numpy() for name in ("train", "tune", "test"))
    labeled = Part(
        rows.select(pl.col(list(inputs)).cast(pl.Float32).fill_null(float("nan"))).to_numpy(order="c"),
        rows[target].to_numpy(),
        marks["group"],
    )
    _require_valid(labeled.target, target, train, tune, test)
    return Data(
        features=[_described(rows.filter(train)[name]) for name in inputs],
        train=labeled.where(train),
        tuning=tune[train],
        test=labeled.where(test),
    )


def _marks(rows: pl.DataFrame, splits: Splits, groups: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    for text in (splits.train, splits.tune, splits.test):
        require_condition(text, rows)
    for text in groups:
        require_group(text, rows)
    group = [row_expression(text).cast(pl.String).fill_null("?") for text in groups] or [pl.lit("all")]
    try:
        marks = rows.with_columns(
            train=row_expression(splits.train).fill_null(value=False),
            tune=row_expression(splits.tune).fill_null(value=False),
            test=row_expression(splits.test).fill_null(value=False),
            group=pl.concat_str(group, separator="|"),
        )
        return marks.select("train", "tune", "test", "group")
    except pl.exceptions.PolarsError as error:
        raise SchemaMismatch(f"A split or base rate cannot be computed: {error}") from error


def _require_valid(
    outcome: NDArray[Any], target: str, train: NDArray[Any], tune: NDArray[Any], test: NDArray[Any]
) -> None:
    if shared := int((train & test).sum()):
        raise InvalidArgument(f"`train` and `test` overlap: both select {shared} rows.")
    if outside := int((tune & ~train).sum()):
        raise InvalidArgument(f"{outside} rows of `tune` are not rows of `train`.")
    for name, mask in {"train without tune": train & ~tune, "tune": tune, "test": test}.items():
        if not 0 < outcome[mask].sum() < mask.sum():
            raise InvalidArgument(
                f"The rows of {name} ({int(mask.sum())}) do not contain both outcomes of {target}. Widen that split."
            )


def _described(column: pl.Series) -> Feature:
    import polars as pl

    values = column.cast(pl.Float32).drop_nulls().drop_nans()
    present = len(values) > 0
    return Feature(
        name=column.name,
        minimum=float(values.min()) if present else None,  # type: ignore[arg-type]
        maximum=float(values.max()) if present else None,  # type: ignore[arg-type]
        median=float(values.median()) if present else None,  # type: ignore[arg-type]
        missing_share=round(1 - len(values) / max(len(column), 1), 6),
    )
