"""The component for online features: an asset that follows a feature table into the online store."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from pydantic import Field, model_validator

from assets.datasets.checks import asset_checks, step_checks
from assets.declaration import AssetId, Automation, TableComponent
from assets.features.view import Duration, duration
from assets.findings import place
from assets.step_checks import checked_asset
from core import clock
from features.online import Served, open_store, serving
from features.rows import ViewColumns, microseconds, read_rows, require_instant, require_types
from resources.delta import Delta, materialized

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from assets.findings import Findings
    from lakehouse.step import Step


class OnlineFeaturesComponent(TableComponent):
    """Online rows of a feature table: of each entity the newest row, and those whose event time is still to come.

    Each run writes the version of the feature table that it reads into the online store. The version replaces the one
    before all at once. The table of the asset is the record of the versions that were served, one row for each.
    """

    table: AssetId = Field(description="Feature table that the asset follows.")
    keys: list[str] = Field(
        min_length=1,
        max_length=10,
        description="Columns that identify the entity: integers, texts, booleans, or dates.",
    )
    timestamp: str = Field(
        "predicted_at", description="Column with the event time, from which on the row is the newest of its entity."
    )
    features: list[str] = Field(
        default_factory=list, description="Columns to serve. By default all except the keys and the event time."
    )
    max_age: Duration | None = Field(
        None,
        description="Age from which on rows are deleted from the online store, within an hour. By default they stay.",
    )
    automation: Automation = Field(
        "eager",
        description="When the asset is materialized automatically: `eager` for every version of the feature table, or "
        "a cron line (UTC).",
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for attribute, names in (("keys", self.keys), ("features", self.features)):
            if len(set(names)) < len(names):
                raise ValueError(f"{attribute}: a column is named twice")
        if self.timestamp in self.keys:
            raise ValueError("timestamp: is a key as well")
        if both := [name for name in self.keys if name in self.features]:
            raise ValueError(f"keys: {both[0]} is a feature as well")
        if self.timestamp in self.features:
            raise ValueError(f"features: {self.timestamp} is the event time")
        if self.table == self.asset:
            raise ValueError("table: is the asset itself")
        return self

    def appended(self) -> "Mapping[str, pa.Schema]":
        """Returns the schema of the record of served versions, to which each run appends a row."""
        # Every record has the first column, so a table that lacks it is not a record of served versions.
        schema = record_schema()
        return {self.asset: schema.set(0, schema.field(0).with_nullable(False))}

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Binds keys, event time, and features to the columns of the feature table."""
        schema = findings.schema(self.table, place("table"))
        if schema is None:
            return record_schema()
        valid = findings.present(self.keys, schema.names, place("keys"), owner=self.table)
        valid &= findings.present(self.features, schema.names, place("features"), owner=self.table)
        if self.timestamp not in schema.names:
            findings.wrong(place("timestamp"), f"{self.table} has no column {self.timestamp}")
            return record_schema()
        typed = False
        with findings.blaming(place("timestamp")):
            require_instant(schema, self.timestamp, self.table)
            typed = True
        if valid and typed:
            for attribute, columns in (
                ("keys", ViewColumns(tuple(self.keys), self.timestamp, ())),
                ("features", ViewColumns((), self.timestamp, self.served_features(schema.names))),
            ):
                with findings.blaming(place(attribute)):
                    require_types(schema, columns, self.table)
        return record_schema()

    def served_features(self, names: list[str]) -> tuple[str, ...]:
        """Returns the columns to serve of a table with these columns."""
        return tuple(self.features or [name for name in names if name not in (*self.keys, self.timestamp)])

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the asset with its declared checks."""

        @checked_asset(
            name=self.op_name,
            specs=[self.spec(kinds=["online"], deps=[self.table], metadata={"keys": ", ".join(self.keys)})],
            checks=step_checks(self.asset, self.checks),
        )
        def online_features(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
            return self._materialize(context, delta)

        return dg.Definitions(assets=[online_features], asset_checks=asset_checks(self.asset, self.checks))

    def _materialize(self, context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
        step = delta.step(context, engine="polars")
        now = clock.now()
        schema = step.tables.snapshot(self.table).schema
        features = self.served_features(schema.names)
        columns = ViewColumns(tuple(self.keys), self.timestamp, features)
        snapshot = step.read(self.table, columns=[*self.keys, self.timestamp, *features])
        made = serving(
            read_rows(snapshot, columns),
            table=self.table,
            table_id=snapshot.table_id,
            table_version=snapshot.version,
            as_of=microseconds(now),
            max_age=None if self.max_age is None else duration(self.max_age) // timedelta(microseconds=1),
        )
        store = open_store(delta.settings())
        try:
            before = store.served(self.asset)
            written = not _same(before, made.served) and store.write(self.asset, made.served, made.batches)
            served = store.served(self.asset) or made.served
        finally:
            store.close()
        row = _record(served, _committed_at(step, self.table, served), now)
        commit = step.append(row if written or not _recorded(step, served) else row.slice(0, 0))
        lag = row["lag_seconds"][0].as_py()
        context.log.info("%s serves %s with %d rows", self.asset, served.data_version, served.rows)
        return materialized(
            context,
            commit,
            metadata={
                "online/data_version": served.data_version,
                "online/rows": served.rows,
                "online/entities": served.entities,
                "online/written": written,
                **({} if lag is None else {"online/lag_seconds": lag}),
            },
        )


def record_schema() -> "pa.Schema":
    """Returns the columns of the record of served versions."""
    import pyarrow as pa

    instant = pa.timestamp("us", "UTC")
    fields = {
        "data_version": (pa.string(), "Data version of the feature table whose rows are served."),
        "table_version": (pa.int64(), "Version of the feature table."),
        "served_at": (instant, "When the rows were written."),
        "as_of": (instant, "Moment from which on the rows are complete."),
        "rows": (pa.int64(), "Number of rows in the online store."),
        "entities": (pa.int64(), "Number of entities."),
        "lag_seconds": (pa.float64(), "Time from the commit of the version until it was served."),
    }
    return pa.schema([pa.field(name, kind, metadata={"comment": text}) for name, (kind, text) in fields.items()])


def _same(before: Served | None, now: Served) -> bool:
    """Returns whether the rows that are served are already those of the version, with the same columns."""
    if before is None:
        return False
    compared = ("table", "table_id", "table_version", "keys", "timestamp", "schema", "max_age")
    return all(getattr(before, name) == getattr(now, name) for name in compared)


def _recorded(step: "Step", served: Served) -> bool:
    """Returns whether the newest row of the record is this version. A run may have ended before it was recorded."""
    if not step.tables.exists(step.asset):
        return False
    rows = step.tables.snapshot(step.asset).to_arrow(columns=["data_version", "served_at"]).sort_by("served_at")
    return bool(rows.num_rows) and rows["data_version"][-1].as_py() == served.data_version


def _committed_at(step: "Step", table: str, served: Served) -> datetime | None:
    return next(
        (one.committed_at for one in step.tables.history(table) if one.data_version == served.data_version), None
    )


def _record(served: Served, committed_at: datetime | None, now: datetime) -> "pa.Table":
    import pyarrow as pa

    row = {
        "data_version": served.data_version,
        "table_version": served.table_version,
        "served_at": clock.now(),
        "as_of": served.as_of,
        "rows": served.rows,
        "entities": served.entities,
        "lag_seconds": None if committed_at is None else max((now - committed_at).total_seconds(), 0.0),
    }
    schema = record_schema()
    return pa.table({name: pa.array([row[name]], schema.field(name).type) for name in schema.names}, schema)
