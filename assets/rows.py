"""Published definitions as rows, and the Dagster assets built from them.

What is wrong with one row stays with that row: it becomes an asset that cannot run and says why.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import dagster as dg

from assets.components import component
from core import audit
from core.definitions import PublishedDefinition
from core.errors import HeadwaterError, InvalidPayload
from core.ids import asset_id, asset_key

ERROR_TAG = "headwater/error"
"""Tag and metadata of an asset whose definition is broken: the tag names the kind of fault, the metadata the fault."""

_LONGEST_TAG = 63


@dataclass(frozen=True)
class Row:
    """One published definition, and why it cannot be an asset if it cannot.

    `reason` is the kind of fault, upper case; `faults` are those of single attributes, as `HeadwaterError.errors`.
    """

    asset_id: str
    component: str
    attributes: Mapping[str, Any]
    published_by: str = ""
    published_at: str = ""
    error: str = ""
    reason: str = ""
    faults: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, definition: PublishedDefinition) -> Self:
        """The row of a live definition."""
        return cls(
            definition.asset_id,
            definition.component,
            definition.attributes,
            definition.published_by,
            definition.published_at.isoformat(),
            definition.blocked,
            "BLOCKED" if definition.blocked else "",
        )

    def broken(self, error: Exception) -> Self:
        """The same row with its fault."""
        reason: str = "BUILD_FAILED"
        faults: tuple[Mapping[str, Any], ...] = ()
        if isinstance(error, HeadwaterError):
            reason, faults = error.reason, tuple(error.errors)
        return dataclasses.replace(self, error=str(error) or type(error).__name__, reason=reason, faults=faults)

    def to_json(self) -> dict[str, Any]:
        """The row as plain values; `Row(**values)` is the row again."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}


def definitions_of(rows: Iterable[Row]) -> dg.Definitions:
    """Builds every row; a row that fails, or claims what an earlier row has, becomes an inert asset."""
    made: list[dg.Definitions] = []
    taken: dict[str, str] = {}
    for row in rows:
        try:
            built = build(row)
            claim(row, built, taken)
        except Exception as error:  # noqa: BLE001 - whatever a component raises concerns this row alone
            built = inert(row.broken(error))
        made.append(built)
    return dg.Definitions.merge(*made)


def build(row: Row) -> dg.Definitions:
    """Builds the assets of one row; inert ones if it is known to be broken.

    Raises:
        InvalidPayload: the attributes are not valid, or the component makes more than assets and checks.
    """
    if row.error:
        return inert(row)
    built = dg.build_defs_for_component(component(row.component, row.attributes, asset=row.asset_id))
    if any((built.schedules, built.sensors, built.jobs, built.resources)):
        raise InvalidPayload(f"{row.component} makes more than assets and checks, which no published definition may.")
    if hidden := sorted(name for name in reads_of(built) if audit.is_audit(name)):
        raise InvalidPayload(f"{hidden[0]} tells of all organizations, so no published definition may read it.")
    published = {"headwater/published_by": row.published_by, "headwater/published_at": row.published_at}
    return built.map_asset_specs(func=lambda spec: spec.merge_attributes(metadata=published))


def inert(row: Row) -> dg.Definitions:
    """An asset that cannot be materialized and says what is wrong with its definition."""
    spec = dg.AssetSpec(
        asset_key(row.asset_id),
        description=f"This asset cannot run: {row.error}",
        group_name=asset_key(row.asset_id)[1],
        tags={ERROR_TAG: row.reason[:_LONGEST_TAG]},
        metadata={ERROR_TAG: row.error},
    )
    return dg.Definitions(assets=[spec])


def claim(row: Row, built: dg.Definitions, taken: dict[str, str]) -> None:
    """Notes in `taken` which assets and steps a row makes.

    Raises:
        InvalidPayload: an earlier row makes one of them.
    """
    names = [*(f"asset {name}" for name in assets_of(built)), *(f"step {name}" for name in _steps_of(built))]
    for name in names:
        if name in taken:
            raise InvalidPayload(f"The {name} is made by the definition of {taken[name]} already.")
    taken.update(dict.fromkeys(names, row.asset_id))


def assets_of(built: dg.Definitions) -> list[str]:
    """Ids of the assets that definitions make."""
    return [asset_id(spec.key.path) for spec in _specs(built)]


def inputs_of(built: dg.Definitions) -> set[str]:
    """Ids of the assets that they are made from."""
    return {asset_id(dep.asset_key.path) for spec in _specs(built) for dep in spec.deps}


def reads_of(built: dg.Definitions) -> set[str]:
    """Ids of the assets that they or their checks read, beside those they make."""
    checks = [
        spec for made in built.asset_checks or () if isinstance(made, dg.AssetsDefinition) for spec in made.check_specs
    ]
    return inputs_of(built) | {asset_id(dep.asset_key.path) for spec in checks for dep in spec.additional_deps}


def _specs(built: dg.Definitions) -> Iterable[dg.AssetSpec]:
    for asset in built.assets or ():
        if isinstance(asset, dg.AssetsDefinition):
            yield from asset.specs
        elif isinstance(asset, dg.AssetSpec):
            yield asset


def _steps_of(built: dg.Definitions) -> list[str]:
    makers = [*(built.assets or ()), *(built.asset_checks or ())]
    return [maker.node_def.name for maker in makers if isinstance(maker, dg.AssetsDefinition) and maker.is_executable]
