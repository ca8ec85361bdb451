"""The check that the features of a table do not drift."""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.step_checks import ProducedVersion, StepCheck
from core.errors import HeadwaterError
from core.ids import asset_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.drift import FeatureDrift
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables

STABILITY = "features_do_not_drift"


class DriftLimits(dg.Model):
    """How much the features may differ from those of another version."""

    psi: float = Field(0.25, gt=0, le=1_000, description="Population stability index from which a feature has drifted.")
    missing: float = Field(
        0.1, gt=0, le=1, description="Change of the share of missing values from which a feature has drifted."
    )
    version: int | None = Field(
        None,
        ge=0,
        le=2**53,
        description="Version of the table to compare with, such as that of a training. By default the one before.",
    )
    blocking: bool = Field(False, description="Whether downstream assets may not use a version that has drifted.")


def drift_check(asset: str, features: "Sequence[str]", limits: DriftLimits) -> StepCheck:
    """Returns the check of a feature table. Its result records the versions and the drift of each feature."""
    spec = dg.AssetCheckSpec(
        STABILITY,
        asset=dg.AssetKey(asset_key(asset)),
        blocking=limits.blocking,
        description=(
            f"No feature has a population stability index of {limits.psi} or more, or another {limits.missing:.0%} of "
            f"missing values, compared with {_reference(limits)}."
        ),
    )

    def evaluate(version: ProducedVersion) -> dg.AssetCheckResult:
        return check_drift(version.delta.tables(), version.snapshot, features, limits)

    return StepCheck(spec, evaluate)


def check_drift(
    tables: "Tables", snapshot: "Snapshot", features: "Sequence[str]", limits: DriftLimits
) -> dg.AssetCheckResult:
    """Compares the features of a version with those of the version before, or of the one that the limits name."""
    from features.drift import Window, drift

    def result(passed: bool, description: str, **metadata: Any) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            asset_key=dg.AssetKey(asset_key(snapshot.table)),
            check_name=STABILITY,
            passed=passed,
            description=description,
            metadata={"delta/version": snapshot.version, **metadata},
        )

    if limits.version is None and snapshot.version == 0:
        return result(True, "There is no version before this one.")
    number = tables.content_version(snapshot.table, snapshot.version - 1) if limits.version is None else limits.version
    try:
        before = tables.snapshot(snapshot.table, version=number)
        known = [name for name in features if name in before.schema.names]
        found = drift(Window(before), Window(snapshot), known)
    except HeadwaterError as error:
        return result(False, f"Version {number} can't be compared: {error.detail}")
    drifted = [one.feature for one in found if _has_drifted(one, limits)]
    return result(
        not drifted,
        f"{', '.join(drifted)} drifted since version {number}."
        if drifted
        else f"None of {len(found)} features drifted since version {number}.",
        compared_with=before.data_version,
        drifted=dg.JsonMetadataValue(drifted),
        drift=dg.TableMetadataValue(records=[_record(one) for one in found], schema=_SCHEMA),
    )


def _has_drifted(one: "FeatureDrift", limits: DriftLimits) -> bool:
    return (one.psi or 0.0) >= limits.psi or abs(one.missing_after - one.missing_before) >= limits.missing


def _reference(limits: DriftLimits) -> str:
    return "the version before" if limits.version is None else f"version {limits.version}"


def _record(one: "FeatureDrift") -> dg.TableRecord:
    return dg.TableRecord({column.name: getattr(one, column.name) for column in _SCHEMA.columns})


_SCHEMA = dg.TableSchema(
    [
        dg.TableColumn("feature"),
        dg.TableColumn("method"),
        *(dg.TableColumn(name, "float") for name in ("psi", "jensen_shannon", "statistic", "p_value")),
        *(dg.TableColumn(name, "float") for name in ("missing_before", "missing_after", "new_share")),
        dg.TableColumn("new_categories", "int"),
    ]
)
