"""What a model is trained, tuned and judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument, SchemaMismatch
from serving.signature import Feature

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from lakehouse.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Splits:
    """SQL conditions over a row of the feature table."""

    train: str
    tune: str
    """The part of the training rows that decides when to stop and where the threshold lies."""
    test: str


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one split with a known target."""

    inputs: NDArray[Any]
    """float32, columns as in `Data.features`; not-a-number is missing."""
    target: NDArray[Any]
    """bool"""
    groups: pl.Series
    """Which base rate each row belongs to."""

    def __len__(self) -> int:
        return len(self.target)

    def where(self, chosen: NDArray[Any]) -> Part:
        """The rows for which `chosen` is true."""
        return Part(self.inputs[chosen], self.target[chosen], self.groups.filter(chosen))


@dataclass(frozen=True, slots=True)
class Data:
    """The rows of a training, and what its inputs are."""

    features: list[Feature]
    train: Part
    tuning: NDArray[Any]
    """bool, one per training row: whether it belongs to the tuning part."""
    test: Part


def columns_used(inputs: Sequence[str], target: str, splits: Splits, groups: Sequence[str]) -> list[str]:
    """Columns of the feature table that a training reads, in a stable order.

    Raises:
        InvalidArgument: an expression is no SQL.
    """
    roots = [
        name
        for text in (splits.train, splits.tune, splits.test, *groups)
        for name in _expression(text).meta.root_names()
    ]
    return list(dict.fromkeys([*inputs, target, *roots]))


def numeric_columns(snapshot: Snapshot, exclude: Sequence[str]) -> list[str]:
    """Floating point columns of a feature table: its features, as keys and labels have other types."""
    import pyarrow as pa

    return [
        field.name for field in snapshot.schema if pa.types.is_floating(field.type) and field.name not in set(exclude)
    ]


def prepare(rows: pl.DataFrame, inputs: Sequence[str], target: str, splits: Splits, groups: Sequence[str]) -> Data:
    """Splits the rows whose target is known.

    Args:
        rows: the columns of `columns_used`.
        inputs: numeric columns the model takes.
        target: boolean column it predicts.
        splits: which rows it is trained, tuned and judged on.
        groups: SQL expressions whose values together name the base rate that a row belongs to.

    Raises:
        InvalidArgument: a split is empty or knows only one outcome, tuning rows are no training rows, or rows are both
            trained on and judged by.
        SchemaMismatch: the target is not boolean or an expression does not fit the table.
    """
    import polars as pl

    if rows.schema[target] != pl.Boolean:
        raise SchemaMismatch(f"The target {target} is {rows.schema[target]}; a boolean column is needed.")
    rows = rows.drop_nulls(target)
    marks = _marks(rows, splits, groups)
    train, tune, test = (marks[name].to_numpy() for name in ("train", "tune", "test"))
    whole = Part(
        rows.select(pl.col(list(inputs)).cast(pl.Float32).fill_null(float("nan"))).to_numpy(order="c"),
        rows[target].to_numpy(),
        marks["group"],
    )
    _require_sound(whole.target, target, train, tune, test)
    return Data(
        features=[_described(rows.filter(train)[name]) for name in inputs],
        train=whole.where(train),
        tuning=tune[train],
        test=whole.where(test),
    )


def _marks(rows: pl.DataFrame, splits: Splits, groups: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    group = [_expression(text).cast(pl.String).fill_null("?") for text in groups] or [pl.lit("all")]
    try:
        return rows.select(
            train=_expression(splits.train).fill_null(value=False),
            tune=_expression(splits.tune).fill_null(value=False),
            test=_expression(splits.test).fill_null(value=False),
            group=pl.concat_str(group, separator="|"),
        )
    except pl.exceptions.PolarsError as error:
        raise SchemaMismatch(f"A split or base rate cannot be computed: {error}") from error


def _require_sound(
    outcome: NDArray[Any], target: str, train: NDArray[Any], tune: NDArray[Any], test: NDArray[Any]
) -> None:
    if shared := int((train & test).sum()):
        raise InvalidArgument(f"{shared} rows are both trained on and judged by: `train` and `test` overlap.")
    if outside := int((tune & ~train).sum()):
        raise InvalidArgument(f"{outside} rows of `tune` are no training rows.")
    for name, chosen in {"train less tune": train & ~tune, "tune": tune, "test": test}.items():
        if not 0 < outcome[chosen].sum() < chosen.sum():
            raise InvalidArgument(
                f"The {name} rows ({int(chosen.sum())}) do not hold both outcomes of {target}. Widen that split."
            )


def _expression(text: str) -> pl.Expr:
    import polars as pl

    try:
        return pl.sql_expr(text)
    except pl.exceptions.PolarsError as error:
        raise InvalidArgument(f"{text!r} is no SQL expression over one row: {error}") from error


def _described(column: pl.Series) -> Feature:
    import polars as pl

    values = column.cast(pl.Float32).drop_nulls().drop_nans()
    known = len(values) > 0
    return Feature(
        name=column.name,
        minimum=float(values.min()) if known else None,  # type: ignore[arg-type]
        maximum=float(values.max()) if known else None,  # type: ignore[arg-type]
        median=float(values.median()) if known else None,  # type: ignore[arg-type]
        missing_share=round(1 - len(values) / max(len(column), 1), 6),
    )
