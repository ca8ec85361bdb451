"""Binding of a training: key, target, inputs, and split conditions against the columns of the feature table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.findings import Findings, empty, lacking, place

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class TrainingColumns:
    """Columns and SQL expressions that a training uses of its feature table, as the definition declares them."""

    features: str
    """Id of the feature table."""
    key: Sequence[str]
    target: str
    inputs: Sequence[str] | None
    """Names of the inputs; `None` for all floating-point columns that are not excluded."""
    exclude: Sequence[str]
    splits: Mapping[str, str]
    """Conditions of the splits `train`, `tune`, and `test`."""
    base_rate: Sequence[str]


def bind(declared: TrainingColumns, findings: Findings) -> None:
    """Checks the declared columns and expressions against the columns of the feature table."""
    from assets.models.data import numeric_columns, require_boolean, require_inputs, require_keys

    schema = findings.schema(declared.features, place("features"))
    if schema is None:
        return

    for name in ("key", "inputs", "exclude"):
        findings.present(getattr(declared, name) or (), schema.names, place(name), owner=declared.features)
    for number, column in enumerate(declared.key):
        if column in schema.names:
            with findings.blaming(place("key", number)):
                require_keys(schema, [column])
    for number, column in enumerate(declared.inputs or ()):
        if column in schema.names:
            with findings.blaming(place("inputs", number)):
                require_inputs(schema, [column])
    if declared.inputs is None:
        with findings.blaming(place("features")):
            require_inputs(schema, numeric_columns(schema, [*declared.exclude, declared.target]))
    if declared.target in schema.names:
        with findings.blaming(place("target")):
            require_boolean(declared.target, schema)
    else:
        findings.wrong(place("target"), lacking(declared.features, declared.target, schema.names))
    _bind_expressions(declared, empty(schema), findings)


def _bind_expressions(declared: TrainingColumns, rows: pl.DataFrame, findings: Findings) -> None:
    from assets.models.data import require_group

    for split, condition in declared.splits.items():
        faults = len(findings.faults)
        findings.condition(condition, rows, place(split))
        if len(findings.faults) == faults:
            _require_columns(condition, split, findings)
    for number, text in enumerate(declared.base_rate):
        with findings.blaming(place("base_rate", number)):
            require_group(text, rows)


def _require_columns(condition: str, split: str, findings: Findings) -> None:
    # A constant condition selects every row or none, and no training can use such a split.
    from lakehouse.expressions import row_expression

    if not row_expression(condition).meta.root_names():
        findings.wrong(place(split), f"{condition!r} uses no column, so it selects every row or none")
