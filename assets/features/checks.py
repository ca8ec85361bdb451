"""Blocking checks that no feature of a stored table uses the future."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.features.knowledge import Comparison, compare_without_future
from assets.features.partitions import Day, day_of
from assets.features.view import Duration, FeatureView, duration, evidence_column
from assets.step_checks import ProducedVersion, StepCheck
from core.errors import NotFound
from core.ids import asset_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from lakehouse.lineage import Lineage
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables

EVIDENCE = "no_feature_uses_the_future"
FORGETTING = "features_survive_forgetting"

_EARLIEST, _LATEST = datetime(101, 1, 1, tzinfo=UTC), datetime(9899, 1, 1, tzinfo=UTC)
"""Bounds of the instants that are re-enacted. Tables contain years that Python's `datetime` does not support."""


class PointInTime(dg.Model):
    """Extent of the check of a feature table against its past."""

    instants: int = Field(4, ge=1, le=100, description="Number of instants to re-enact, spread over the table.")
    look_back: Duration = Field("1d", description="Time before each instant whose predictions are compared.")


def point_in_time_checks(asset: str, view: FeatureView, extent: PointInTime) -> list[StepCheck]:
    """Returns two blocking checks of a feature table: of its recorded evidence, and of features without the future."""
    key = dg.AssetKey(asset_key(asset))
    evidence = dg.AssetCheckSpec(
        EVIDENCE,
        asset=key,
        blocking=True,
        description="In every row, the newest instant that each group of features used is not after the prediction.",
    )
    forgetting = dg.AssetCheckSpec(
        FORGETTING,
        asset=key,
        blocking=True,
        description=(
            f"At {extent.instants} instants, features computed without everything that was not known yet equal the "
            f"stored features of the predictions of the preceding {extent.look_back}."
        ),
    )

    def evaluate_forgetting(version: ProducedVersion) -> dg.AssetCheckResult:
        tables, lineage = version.delta.tables(), version.delta.lineage()
        return check_forgetting(view, version.snapshot, tables, lineage, extent, day_of(version.context))

    return [
        StepCheck(evidence, lambda version: check_evidence(view, version.snapshot)),
        StepCheck(forgetting, evaluate_forgetting),
    ]


def check_evidence(view: FeatureView, snapshot: "Snapshot") -> dg.AssetCheckResult:
    """Counts the rows in which a group of features used an instant after the prediction."""
    import polars as pl

    groups = [group.name for group in view.groups if group.kind != "row"]
    slack = {name: pl.col("predicted_at") - pl.col(evidence_column(name)) for name in groups}
    counts, smallest = pl.collect_all(
        [
            snapshot.scan().select((gap < timedelta(0)).sum().alias(name) for name, gap in slack.items()),
            snapshot.scan().select(gap.min().dt.total_seconds().alias(name) for name, gap in slack.items()),
        ]
    )
    violations = {name: int(count) for name, count in counts.row(0, named=True).items() if count}
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(asset_key(snapshot.table)),
        check_name=EVIDENCE,
        passed=not violations,
        description=(
            f"{', '.join(violations)} used the future."
            if violations
            else f"No group of {len(groups)} used the future in {snapshot.row_count} rows."
        ),
        metadata={
            "checked_rows": snapshot.row_count,
            "violations": dg.JsonMetadataValue(violations),
            "smallest_gap_seconds": dg.JsonMetadataValue(smallest.row(0, named=True)),
            "delta/version": snapshot.version,
        },
    )


def check_forgetting(
    view: FeatureView,
    snapshot: "Snapshot",
    tables: "Tables",
    lineage: "Lineage",
    extent: PointInTime,
    day: Day | None = None,
) -> dg.AssetCheckResult:
    """Recomputes features from what was known at a few instants, and compares them with the stored features.

    Args:
        view: the declaration.
        snapshot: the version of the table.
        tables: the lakehouse.
        lineage: the lineage record.
        extent: the extent of the check.
        day: the partition that the version replaced. The others may come from other versions of the sources.

    Raises:
        NotFound: the lineage does not contain the versions of the sources of the table.
    """
    frames = _sources_as_used(view, snapshot, tables, lineage)
    comparisons = _compared(view, frames, snapshot.scan().collect(), extent, day)
    changed = sorted({name for comparison in comparisons for name in comparison.changed})
    compared = sum(comparison.row_count for comparison in comparisons)
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(asset_key(snapshot.table)),
        check_name=FORGETTING,
        passed=not changed,
        description=(
            f"{', '.join(changed)} change when the future is removed."
            if changed
            else f"{compared} rows at {len(comparisons)} instants are the same without the future."
        ),
        metadata={
            "compared_rows": compared,
            "compared_features": len(view.features),
            "moments": dg.JsonMetadataValue([_moment(comparison) for comparison in comparisons]),
            "delta/version": snapshot.version,
        },
    )


def changed_without_future(
    view: FeatureView, frames: "Mapping[str, pl.DataFrame]", rows: "pl.DataFrame", extent: PointInTime, day: Day
) -> list[str]:
    """Returns the features of the rows of a day that change when everything that was not known yet is removed."""
    return sorted({name for one in _compared(view, frames, rows, extent, day) for name in one.changed})


def _compared(
    view: FeatureView, frames: "Mapping[str, pl.DataFrame]", rows: "pl.DataFrame", extent: PointInTime, day: Day | None
) -> list[Comparison]:
    """Compares rows, or those of a day, with what was known at a few instants."""
    import polars as pl

    look_back = duration(extent.look_back)
    if day is not None:
        rows = rows.filter(pl.col("predicted_at").is_between(day.first, day.last))
    return [
        compare_without_future(
            view, frames, rows, instant, look_back=look_back if day is None else min(look_back, instant - day.first)
        )
        for instant in _moments(rows, extent.instants)
    ]


def _moment(comparison: Comparison) -> dict[str, Any]:
    return {
        "instant": comparison.instant.isoformat(),
        "rows": comparison.row_count,
        "changed": comparison.changed,
    }


def _moments(features: "pl.DataFrame", count: int) -> list[datetime]:
    """Returns prediction times spread evenly over the rows, so that predictions are due exactly at each of them."""
    times = features["predicted_at"].sort()
    times = times.filter(times.is_between(_EARLIEST, _LATEST))
    return sorted({times[int((i + 0.5) * len(times) / count)] for i in range(count)}) if len(times) else []


def _sources_as_used(
    view: FeatureView, snapshot: "Snapshot", tables: "Tables", lineage: "Lineage"
) -> dict[str, "pl.DataFrame"]:
    # The sources may have newer versions. The lineage has the versions that this table was computed from.
    used = {edge.in_asset: edge.in_version for edge in lineage.provenance(snapshot.table, snapshot.data_version)}
    frames = {}
    for name, source in view.sources.items():
        if source.table not in used:
            raise NotFound(
                f"The lineage of {snapshot.table} version {snapshot.version} does not contain the version of "
                f"{source.table} that it was computed from. Materialize {snapshot.table} again, then check it."
            )
        version = int(used[source.table].rpartition("@")[2])
        frames[name] = tables.snapshot(source.table, version=version).scan().select(source.read_columns).collect()
    return frames
