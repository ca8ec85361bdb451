"""Evaluation of declared checks: each counts the rows that break a rule and samples a few of them."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.datasets.rules import Check, Reference
from assets.findings import lacking
from assets.step_checks import ProducedVersion, StepCheck
from core.errors import HeadwaterError, UnknownColumn
from core.ids import asset_key
from resources.delta import Delta
from resources.gates import DATA_VERSION

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakehouse.tables import Tables

_SAMPLE_ROWS = 5


def step_checks(asset: str, checks: Sequence[Check]) -> list[StepCheck]:
    """Returns the checks that are evaluated in the step of their asset: all except those of `asset_checks`.

    Raises:
        ValueError: two checks have the same name.
    """
    return [
        StepCheck(_spec(asset, name, check), partial(_evaluate_produced, asset, check))
        for name, check in _by_name(asset, checks).items()
        if not _is_separate(check)
    ]


def asset_checks(asset: str, checks: Sequence[Check]) -> list[dg.AssetChecksDefinition]:
    """Returns one step with the non-blocking checks that read another table, if there are any.

    In the step of the asset, these checks would make the asset wait for the other table. They run after both tables,
    and a launch can select or omit each of them. The health of the asset then reports omitted checks as not evaluated.

    Raises:
        ValueError: two checks have the same name.
    """
    by_name = {name: check for name, check in _by_name(asset, checks).items() if _is_separate(check)}
    if not by_name:
        return []
    key = dg.AssetKey(asset_key(asset))
    specs = [_spec(asset, name, check) for name, check in by_name.items()]

    @dg.multi_asset_check(name=f"{asset.replace('.', '__')}__checks", specs=specs, can_subset=True)
    def evaluate_checks(context: dg.AssetCheckExecutionContext, delta: Delta) -> Any:
        tables = delta.tables()
        version = materialized_version(context, key)
        for selected in sorted(context.selected_asset_check_keys, key=lambda selected: selected.name):
            result = evaluate(tables, asset, by_name[selected.name], version=version)
            data_version = tables.snapshot(asset, version=version).data_version
            yield result.with_metadata({**result.metadata, DATA_VERSION: data_version})

    return [evaluate_checks]


def _by_name(asset: str, checks: Sequence[Check]) -> dict[str, Check]:
    by_name = {check.check_name: check for check in checks}
    if len(by_name) < len(checks):
        raise ValueError(f"two checks of {asset} have the same name; set `name` on one of them")
    return by_name


def _is_separate(check: Check) -> bool:
    return check.references is not None and not check.blocking


def _spec(asset: str, name: str, check: Check) -> dg.AssetCheckSpec:
    read = [check.references.table] if check.references and check.references.table != asset else []
    return dg.AssetCheckSpec(
        name,
        asset=dg.AssetKey(asset_key(asset)),
        description=check.description or check.sentence,
        blocking=check.blocking,
        additional_deps=[dg.AssetKey(asset_key(table)) for table in read] or None,
    )


def _evaluate_produced(asset: str, check: Check, version: ProducedVersion) -> dg.AssetCheckResult:
    return evaluate(version.delta.tables(), asset, check, version=version.snapshot.version)


def materialized_version(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> int | None:
    """Returns the table version of the newest materialization, not one that another writer commits meanwhile."""
    event = context.instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    value = materialization.metadata.get("delta/version") if materialization else None
    return value.value if isinstance(value, dg.IntMetadataValue) else None


def evaluate(tables: "Tables", asset: str, check: Check, *, version: int | None = None) -> dg.AssetCheckResult:
    """Evaluates one check on one version of a table, by default the latest.

    Raises:
        UnknownColumn: the rule names a column that the table lacks.
    """
    snapshot = tables.snapshot(asset, version=version)
    rows = snapshot.scan()
    if missing := _columns(check) - set(snapshot.schema.names):
        raise UnknownColumn(
            f"Check {check.check_name} names the column {sorted(missing)[0]!r}, but {asset} has "
            f"{', '.join(snapshot.schema.names)}."
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


def fault_of(check: Check, schema: "pa.Schema | None", other: "pa.Schema | None") -> str | None:
    """Returns why a check cannot be evaluated, by evaluating it on an empty table; `None` if no fault is known.

    Args:
        check: the rule.
        schema: columns of its table; `None` if they are not known.
        other: columns of the table that it references; `None` if there is none, or they are not known.
    """
    import polars as pl
    import pyarrow as pa

    from lakehouse.expressions import row_expression

    reference = check.references
    if reference and other is not None and reference.key not in other.names:
        return lacking(reference.table, reference.key, other.names)
    try:
        if check.holds is not None:
            row_expression(check.holds)
        if schema is None or check.row_count:
            return None
        if missing := sorted(_columns(check) - set(schema.names)):
            return lacking("the table", missing[0], schema.names)
        if check.range and pa.types.is_temporal(kind := schema.field(check.range.column).type):
            return f"{check.range.column} is of type {kind}, but a range has numeric bounds; use `holds`"
        rows = pl.DataFrame(schema.empty_table()).lazy()
        if reference is None:
            rows.filter(_broken(check)).collect()
        elif other is not None:
            _unreferenced(rows, reference, pl.DataFrame(other.empty_table()).lazy()).collect()
    except (pl.exceptions.PolarsError, HeadwaterError) as error:
        return f"cannot be evaluated: {str(error).splitlines()[0]}"
    return None


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
    from lakehouse.row_rules import broken_rows

    bounds = {"column": check.range.column, "low": check.range.min, "high": check.range.max} if check.range else {}
    return broken_rows(unique=check.unique, not_null=check.not_null, holds=check.holds, **bounds)  # type: ignore[arg-type]


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
