"""The proof that no feature uses the future, as blocking asset checks on the stored table."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.datasets.checks import materialized_version
from assets.features.view import FeatureView, duration, evidence_column
from core.errors import NotFound
from core.ids import asset_key
from resources.delta import Delta

if TYPE_CHECKING:
    import polars as pl

    from assets.features.knowledge import Comparison
    from lakehouse.lineage import Lineage
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables

EVIDENCE = "no_feature_uses_the_future"
FORGETTING = "features_survive_forgetting"


class PointInTime(dg.Model):
    """How thoroughly a feature table is checked against its own past."""

    instants: int = Field(4, ge=1, le=100, description="How many moments are re-enacted, spread over the table.")
    look_back: str = Field(
        "1d", pattern=r"^[1-9][0-9]*[mhd]$", description="How long before each moment predictions are compared."
    )


def point_in_time_checks(asset: str, view: FeatureView, extent: PointInTime) -> dg.AssetChecksDefinition:
    """Two blocking checks of a feature table: its recorded evidence, and its re-computation without the future."""
    key = dg.AssetKey(asset_key(asset))
    specs = [
        dg.AssetCheckSpec(
            EVIDENCE,
            asset=key,
            blocking=True,
            description="The newest instant each group of features used is not after the prediction, in every row.",
        ),
        dg.AssetCheckSpec(
            FORGETTING,
            asset=key,
            blocking=True,
            description=(
                f"At {extent.instants} moments, everything not yet known is taken out of the sources; features "
                f"computed from the rest equal the stored ones for predictions of the preceding {extent.look_back}."
            ),
        ),
    ]

    @dg.multi_asset_check(name=f"{asset.replace('.', '__')}__point_in_time", specs=specs, can_subset=True)
    def point_in_time(context: dg.AssetCheckExecutionContext, delta: Delta) -> Any:
        selected = {check.name for check in context.selected_asset_check_keys}
        snapshot = delta.tables().snapshot(asset, version=materialized_version(context, key))
        if EVIDENCE in selected:
            yield check_evidence(view, snapshot)
        if FORGETTING in selected:
            yield check_forgetting(view, snapshot, delta.tables(), delta.lineage(), extent)

    return point_in_time


def check_evidence(view: FeatureView, snapshot: "Snapshot") -> dg.AssetCheckResult:
    """Counts rows in which a group of features used an instant after the prediction."""
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
            else f"{len(groups)} groups of features, {snapshot.row_count} rows: none used the future."
        ),
        metadata={
            "checked_rows": snapshot.row_count,
            "violations": dg.JsonMetadataValue(violations),
            "smallest_gap_seconds": dg.JsonMetadataValue(smallest.row(0, named=True)),
            "delta/version": snapshot.version,
        },
    )


def check_forgetting(
    view: FeatureView, snapshot: "Snapshot", tables: "Tables", lineage: "Lineage", extent: PointInTime
) -> dg.AssetCheckResult:
    """Recomputes features from what was known at a few moments, and compares them with the stored ones.

    Raises:
        NotFound: lineage does not tell which versions of the sources the table was made from.
    """
    from assets.features.knowledge import compare_without_future

    frames = _sources_as_used(view, snapshot, tables, lineage)
    features = snapshot.scan().collect()
    comparisons = [
        compare_without_future(view, frames, features, instant, look_back=duration(extent.look_back))
        for instant in _moments(features, extent.instants)
    ]
    changed = sorted({name for comparison in comparisons for name in comparison.changed})
    compared = sum(comparison.row_count for comparison in comparisons)
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(asset_key(snapshot.table)),
        check_name=FORGETTING,
        passed=not changed,
        description=(
            f"Without the future, {', '.join(changed)} come out otherwise."
            if changed
            else f"{compared} rows at {len(comparisons)} moments come out the same without the future."
        ),
        metadata={
            "compared_rows": compared,
            "compared_features": len(view.features),
            "moments": dg.JsonMetadataValue([_shown(comparison) for comparison in comparisons]),
            "delta/version": snapshot.version,
        },
    )


def _shown(comparison: "Comparison") -> dict[str, Any]:
    return {
        "instant": comparison.instant.isoformat(),
        "rows": comparison.row_count,
        "changed": comparison.changed,
    }


def _moments(features: "pl.DataFrame", count: int) -> list[datetime]:
    """Times of prediction spread evenly over the rows: at such a time, some predictions are due exactly then."""
    times = features["predicted_at"].sort()
    return sorted({times[int((i + 0.5) * len(times) / count)] for i in range(count)}) if len(times) else []


def _sources_as_used(
    view: FeatureView, snapshot: "Snapshot", tables: "Tables", lineage: "Lineage"
) -> dict[str, "pl.DataFrame"]:
    # The sources may have moved on: the record says which versions this very table was made from.
    used = {edge.in_asset: edge.in_version for edge in lineage.provenance(snapshot.table, snapshot.data_version)}
    frames = {}
    for name, source in view.sources.items():
        if source.table not in used:
            raise NotFound(
                f"No lineage tells which version of {source.table} went into {snapshot.table} version "
                f"{snapshot.version}. Materialize {snapshot.table} again, then check it."
            )
        version = int(used[source.table].rpartition("@")[2])
        frames[name] = tables.snapshot(source.table, version=version).scan().select(source.read_columns).collect()
    return frames
