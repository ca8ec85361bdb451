"""The component for feature tables."""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.datasets.checks import asset_checks, step_checks
from assets.declaration import TableComponent
from assets.features.binding import bind
from assets.features.checks import PointInTime, changed_without_future, point_in_time_checks
from assets.features.drift import DriftLimits, drift_check
from assets.features.partitions import DailyPartitions, Day, day_of
from assets.features.point_in_time import build
from assets.features.view import FeatureView, evidence_column
from assets.step_checks import checked_asset
from core.errors import SchemaMismatch
from resources.delta import Delta, materialized

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl
    import pyarrow as pa

    from assets.findings import Findings
    from lakehouse.step import Step


class FeatureViewComponent(TableComponent, FeatureView):
    """A table of features, each computed only from what was known when its prediction was due.

    Two blocking checks verify every materialized version: no feature used an instant after its prediction, and no
    feature changes when everything after that prediction is removed.
    """

    point_in_time: PointInTime = PointInTime()
    drift: DriftLimits | None = None
    partitions: DailyPartitions | None = Field(
        None,
        description="Days by which the table is computed. By default, each run computes the whole table.",
    )

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Binds sources, entity, and groups to the columns of the tables."""
        return bind(self.asset, self, findings)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the asset with its point-in-time checks and its declared checks."""
        return dg.Definitions(assets=[self._asset()], asset_checks=asset_checks(self.asset, self.checks))

    def _asset(self) -> dg.AssetsDefinition:
        @checked_asset(
            name=self.op_name,
            specs=[
                self.spec(
                    kinds=["polars"],
                    deps=dict.fromkeys(source.table for source in self.sources.values()),
                    metadata={"features": len(self.features)},
                )
            ],
            checks=[
                *point_in_time_checks(self.asset, self, self.point_in_time),
                *([drift_check(self.asset, self.features, self.drift)] if self.drift else []),
                *step_checks(self.asset, self.checks),
            ],
            partitions_def=self.partitions.definition(self.time_zone) if self.partitions else None,
        )
        def feature_table(context: dg.AssetExecutionContext, delta: Delta) -> Any:

            step, day = delta.step(context, engine="polars"), day_of(context)
            frames = read_sources(self, step)
            rows = _rows(self, frames, day)
            where = None if day is None else day.condition
            if day is not None:
                self._require_past(day, frames, rows)
            commit = step.overwrite(_described(self, rows), where=where, evolve_schema=True)
            labels = {name: dtype for name, dtype in rows.schema.items() if dtype.is_(_boolean())}
            return materialized(
                context,
                commit,
                metadata={
                    "features": len(self.features),
                    **_extent(rows["predicted_at"]),
                    "missing": dg.JsonMetadataValue(_missing(rows.select(self.features))),
                    **{f"{name}_share": float(rows[name].mean() or 0) for name in labels},  # type: ignore[arg-type]
                },
            )

        return feature_table

    def _require_past(self, day: Day, frames: "Mapping[str, pl.DataFrame]", rows: "pl.DataFrame") -> None:
        """Refuses rows that use the future, before they are written.

        The blocking checks examine the newest version. They would find nothing once another day was written.
        """
        if changed := changed_without_future(self, frames, rows, self.point_in_time, day):
            raise SchemaMismatch(
                f"{', '.join(changed)} of {self.asset} use the future, so the rows of {day.first:%Y-%m-%d} were not "
                "written. Correct `facts` or `known_at` of their sources."
            )


def _rows(view: FeatureView, frames: "Mapping[str, pl.DataFrame]", day: Day | None) -> "pl.DataFrame":
    """Returns the rows of a day, or all rows."""
    if day is None:
        return build(view, frames)
    return build(view, frames, predicted_from=day.first, predicted_until=day.last)


def read_sources(view: FeatureView, step: "Step") -> dict[str, "pl.DataFrame"]:
    """Reads the columns that the view uses of every source, at the version that `step` pins."""
    return {
        name: step.read(source.table, columns=source.read_columns).scan().select(source.read_columns).collect()
        for name, source in view.sources.items()
    }


def _extent(instants: "pl.Series") -> dict[str, str]:
    """Returns the first and the last instant as text, because Python's `datetime` does not support all years."""
    import polars as pl

    first, last = (
        instants.to_frame()
        .select(
            pl.col(instants.name).min().cast(pl.String).alias("first"),
            pl.col(instants.name).max().cast(pl.String).alias("last"),
        )
        .row(0)
    )
    return {"predicted_from": str(first), "predicted_until": str(last)}


def _boolean() -> Any:
    import polars as pl

    return pl.Boolean


def _missing(features: "pl.DataFrame") -> dict[str, float]:
    """Returns the share of rows without a value, for each feature that lacks values."""
    counts = features.null_count().row(0, named=True)
    return {name: round(count / features.height, 4) for name, count in counts.items() if count}


def _described(view: FeatureView, rows: "pl.DataFrame") -> "pa.Table":
    """Returns the rows as Arrow, each column with its definition as comment."""
    import pyarrow as pa

    comments = dict(view.entity.columns) | {"predicted_at": "When the prediction was due."}
    for group in view.groups:
        comments[evidence_column(group.name)] = f"Newest instant that the features of {group.name} used."
        if group.kind == "backlog":
            comments[group.count] = (
                f"Opened today ({group.opened}) and not closed yet ({group.closed}), by {', '.join(group.by)}."
            )
            comments[group.age_minutes] = "Mean age of the open ones in minutes."
        elif group.kind == "window":
            span = {None: "ever", "day": "today"}.get(group.span, f"the last {group.span}")
            over = f"over {span} until {group.until}, by {', '.join(group.by)}, as known at {group.at or 'known_at'}"
            comments |= {name: f"{text} {over}." for name, text in group.features.items()}
        else:
            comments |= {name: f"{text} ({group.name})." for name, text in group.features.items()}
    table = pa.table(rows)
    fields = [field.with_metadata({"comment": comments[field.name]}) for field in table.schema]
    return table.cast(pa.schema(fields))
