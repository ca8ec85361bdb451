"""Evaluation of the terms of a contract on a version of a table. Terms are the JSON document of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core import clock
from core.errors import HeadwaterError
from lakehouse.commits import last_row_change
from lakehouse.row_rules import broken_rows

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakehouse.lineage import Lineage
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables


def schema_faults(terms: Mapping[str, Any], schema: pa.Schema) -> list[str]:
    """Returns how a schema breaks the terms: columns that are missing or have another type."""
    faults = []
    for column in terms["columns"]:
        name, kind = column["name"], column["type"]
        if name not in schema.names:
            faults.append(f"The column {name} is missing.")
        elif str(schema.field(name).type) != kind:
            faults.append(f"The column {name} has the type {schema.field(name).type} instead of {kind}.")
    return faults


def faults(terms: Mapping[str, Any], snapshot: Snapshot) -> list[str]:
    """Returns how a version breaks the terms: schema, number of rows, missing values, and quality. See `age_faults`."""
    found = schema_faults(terms, snapshot.schema)
    count, low, high = snapshot.row_count, terms["min_rows"], terms["max_rows"]
    if low is not None and count < low:
        found.append(f"The table has {count} rows and must have at least {low}.")
    if high is not None and count > high:
        found.append(f"The table has {count} rows and must have at most {high}.")
    required = [column["name"] for column in terms["columns"] if not column["nullable"]]
    rules = [{"name": f"{name} is never null", "not_null": [name], "tolerance": 0.0} for name in required]
    rows = snapshot.scan()
    for rule in [*rules, *terms["rules"]]:
        found += _rule_faults(rule, rows, snapshot)
    return found


def age_faults(terms: Mapping[str, Any], tables: Tables, lineage: Lineage, snapshot: Snapshot) -> list[str]:
    """Returns that the rows of a version are too old; nothing if they aren't, or if the terms limit no age.

    A step that finds the same rows again makes them new without another version.
    """
    hours = terms["max_age_hours"]
    if hours is None:
        return []
    entry = last_row_change(tables.storage, snapshot.table, snapshot.version)
    if entry is None:
        return []
    commit = entry.commit(snapshot.table, snapshot.table_id, None)
    steps = lineage.provenance(snapshot.table, commit.data_version)
    newest = max([commit.committed_at, *(edge.at for edge in steps)])
    if clock.now() - newest <= timedelta(hours=hours):
        return []
    return [f"The newest rows are of {newest:%Y-%m-%d %H:%M} UTC, older than {hours} hours."]


def _rule_faults(rule: Mapping[str, Any], rows: pl.LazyFrame, snapshot: Snapshot) -> list[str]:
    import polars as pl

    name, bounds = rule["name"], rule.get("range") or {}
    try:
        condition = broken_rows(
            unique=rule.get("unique"),
            not_null=rule.get("not_null"),
            column=bounds.get("column", ""),
            low=bounds.get("min"),
            high=bounds.get("max"),
            holds=rule.get("holds"),
        )
        count = int(rows.select(condition.sum().alias("broken")).collect()["broken"][0] or 0)
    except (pl.exceptions.PolarsError, HeadwaterError) as error:
        return [f"The rule {name!r} can't be evaluated: {str(error).splitlines()[0]}"]
    allowed = float(rule["tolerance"]) * snapshot.row_count
    return [f"{count} of {snapshot.row_count} rows break the rule {name!r}."] if count > allowed else []
