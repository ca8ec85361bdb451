"""Asset checks from YAML: each counts the rows that break a rule and shows a few of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from core.errors import UnknownColumn
from core.ids import asset_key, is_asset_id
from resources.delta import Delta

if TYPE_CHECKING:
    import polars as pl

    from lakehouse.tables import Tables

_SAMPLE_ROWS = 5
_RULES = ("unique", "not_null", "range", "references", "holds", "row_count")


class Range(dg.Model):
    """Bounds of a column, both inclusive; missing values pass."""

    column: str
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        return self


def _table_id(text: str) -> str:
    if not is_asset_id(text):
        raise ValueError("must be the id of a table, as flights.silver.planes")
    return text


class Reference(dg.Model):
    """A column whose values exist in a column of another table; missing values pass."""

    column: str
    table: Annotated[str, AfterValidator(_table_id)]
    key: str


class RowCount(dg.Model):
    """Bounds of the number of rows, both inclusive."""

    min: int = 1
    max: int | None = None


class Check(dg.Model):
    """One rule, its name, and what happens when rows break it.

    Exactly one of `unique`, `not_null`, `range`, `references`, `holds` and `row_count` is given.
    """

    unique: list[str] | None = Field(None, min_length=1, description="Columns that together identify a row.")
    not_null: list[str] | None = Field(None, min_length=1, description="Columns without missing values.")
    range: Range | None = None
    references: Reference | None = None
    holds: str | None = Field(None, description="SQL expression over one row; rows where it is false break the rule.")
    row_count: RowCount | None = None
    name: str | None = Field(None, pattern=r"^[a-z][a-z0-9_]*$")
    description: str | None = None
    blocking: bool = Field(False, description="Whether a failure stops assets downstream in the same run.")
    severity: Literal["error", "warn"] = "error"
    tolerance: float = Field(0.0, ge=0, lt=1, description="Fraction of rows that may break the rule.")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        given = [rule for rule in _RULES if getattr(self, rule) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_RULES)}; given: {', '.join(given) or 'none'}")
        if self.blocking and self.severity == "warn":
            raise ValueError("a check that blocks has severity error")
        if self.holds is not None and self.name is None:
            raise ValueError("a `holds` check needs a name")
        return self

    @property
    def check_name(self) -> str:
        """The given name, or one made from the rule and its columns."""
        if self.name:
            return self.name
        if self.unique:
            return f"unique_{'_'.join(self.unique)}"
        if self.not_null:
            return f"not_null_{'_'.join(self.not_null)}"
        if self.range:
            return f"range_{self.range.column}"
        if self.references:
            return f"references_{self.references.column}"
        return "row_count"

    @property
    def sentence(self) -> str:
        """What the check asserts, in words."""
        if self.unique:
            rule = f"No two rows share {', '.join(self.unique)}"
        elif self.not_null:
            rule = f"No value is missing in {', '.join(self.not_null)}"
        elif self.range:
            rule = f"{self.range.column} lies within {_bounds(self.range.min, self.range.max)}"
        elif self.references:
            rule = f"{self.references.column} exists in {self.references.table}.{self.references.key}"
        elif self.row_count:
            rule = f"The number of rows lies within {_bounds(self.row_count.min, self.row_count.max)}"
        else:
            rule = f"Holds for every row: {self.holds}"
        return f"{rule}, up to {self.tolerance:.1%} of the rows excepted." if self.tolerance else f"{rule}."


def _bounds(low: float | None, high: float | None) -> str:
    return f"[{'-∞' if low is None else f'{low:g}'}, {'∞' if high is None else f'{high:g}'}]"


def asset_checks(asset: str, checks: Sequence[Check]) -> list[dg.AssetChecksDefinition]:
    """One step that evaluates all checks of an asset, each selectable on its own; none for no checks.

    Raises:
        ValueError: two checks have the same name.
    """
    by_name = {check.check_name: check for check in checks}
    if len(by_name) < len(checks):
        raise ValueError(f"two checks of {asset} have the same name; name one of them")
    if not checks:
        return []
    key = dg.AssetKey(asset_key(asset))
    specs = [
        dg.AssetCheckSpec(
            name,
            asset=key,
            description=check.description or check.sentence,
            blocking=check.blocking,
            additional_deps=[dg.AssetKey(asset_key(check.references.table))] if check.references else None,
        )
        for name, check in by_name.items()
    ]

    @dg.multi_asset_check(name=f"{asset.replace('.', '__')}__checks", specs=specs, can_subset=True)
    def evaluate_checks(context: dg.AssetCheckExecutionContext, delta: Delta) -> Any:
        tables = delta.tables()
        version = materialized_version(context, key)
        for selected in sorted(context.selected_asset_check_keys, key=lambda selected: selected.name):
            yield evaluate(tables, asset, by_name[selected.name], version=version)

    return [evaluate_checks]


def materialized_version(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> int | None:
    """The version Dagster knows, which a check speaks of: not one that another writer commits meanwhile."""
    event = context.instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    value = materialization.metadata.get("delta/version") if materialization else None
    return value.value if isinstance(value, dg.IntMetadataValue) else None


def evaluate(tables: "Tables", asset: str, check: Check, *, version: int | None = None) -> dg.AssetCheckResult:
    """Evaluates one check on one version of a table, the latest by default.

    Raises:
        UnknownColumn: the rule names a column the table lacks.
    """
    snapshot = tables.snapshot(asset, version=version)
    rows = snapshot.scan()
    if missing := _columns(check) - set(snapshot.schema.names):
        raise UnknownColumn(
            f"Check {check.check_name} names {sorted(missing)[0]!r}, which {asset} lacks; "
            f"it has {', '.join(snapshot.schema.names)}."
        )
    reference = {}
    if check.references:
        other = tables.snapshot(check.references.table)
        reference = {"reference": f"{check.references.table}@{other.version}"}
        failing = _unreferenced(rows, check.references, other.scan())
    elif check.row_count:
        return _count_result(asset, check, snapshot.row_count, snapshot.version)
    else:
        failing = rows.filter(_broken(check))
    count, sample = _count_and_sample(failing)
    fraction = count / snapshot.row_count if snapshot.row_count else 0.0
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(asset_key(asset)),
        check_name=check.check_name,
        passed=fraction <= check.tolerance,
        severity=_severity(check),
        description=f"{count} of {snapshot.row_count} rows break the rule. {check.sentence}",
        metadata={
            "failing_rows": count,
            "failing_fraction": fraction,
            "tolerance": check.tolerance,
            "checked_rows": snapshot.row_count,
            "delta/version": snapshot.version,
            "sample": dg.JsonMetadataValue(sample),
            **reference,
        },
    )


def _severity(check: Check) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.WARN if check.severity == "warn" else dg.AssetCheckSeverity.ERROR


def _count_result(asset: str, check: Check, row_count: int, version: int) -> dg.AssetCheckResult:
    assert check.row_count
    high = check.row_count.max
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(asset_key(asset)),
        check_name=check.check_name,
        passed=check.row_count.min <= row_count and (high is None or row_count <= high),
        severity=_severity(check),
        description=f"The table has {row_count} rows. {check.sentence}",
        metadata={"checked_rows": row_count, "delta/version": version},
    )


def _columns(check: Check) -> set[str]:
    single = [rule.column for rule in (check.range, check.references) if rule]
    return {*(check.unique or ()), *(check.not_null or ()), *single}


def _broken(check: Check) -> "pl.Expr":
    import polars as pl

    if check.unique:
        return pl.struct(check.unique).is_duplicated()
    if check.not_null:
        return pl.any_horizontal(pl.col(column).is_null() for column in check.not_null)
    if check.range:
        column, low, high = pl.col(check.range.column), check.range.min, check.range.max
        return (column < low if low is not None else pl.lit(value=False)) | (
            column > high if high is not None else pl.lit(value=False)
        )
    assert check.holds
    return ~pl.sql_expr(check.holds)


def _unreferenced(rows: "pl.LazyFrame", rule: Reference, other: "pl.LazyFrame") -> "pl.LazyFrame":
    import polars as pl

    return rows.filter(pl.col(rule.column).is_not_null()).join(
        other.select(pl.col(rule.key)), left_on=rule.column, right_on=rule.key, how="anti"
    )


def _count_and_sample(failing: "pl.LazyFrame") -> tuple[int, list[dict[str, Any]]]:
    import polars as pl

    count, sample = pl.collect_all([failing.select(pl.len()), failing.head(_SAMPLE_ROWS)])
    return int(count.item()), [
        {name: value if isinstance(value, int | float | bool | None) else str(value) for name, value in row.items()}
        for row in sample.iter_rows(named=True)
    ]
