"""Published definitions as rows, and the Dagster assets built from them.

A fault of a row does not affect other rows: the row becomes an asset that cannot run and that shows the reason. A
retired row keeps its assets, but no run can materialize them.
"""

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import dagster as dg

from assets.components import component
from assets.datasets.connected import CONNECTION_METADATA
from core import audit
from core.definitions import DEFINITION_REVISION_KEY, ERROR_TAG, RETIRED_TAG, PublishedDefinition
from core.errors import HeadwaterError, InvalidPayload
from core.ids import asset_id, asset_key

_MAX_TAG_LENGTH = 63
_LOG = logging.getLogger("headwater.published")


@dataclass(frozen=True)
class Row:
    """A published definition, and its fault if it cannot be an asset.

    `reason` is the kind of fault in upper case. `faults` are the faults of attributes, as in `HeadwaterError.errors`.
    `assets` are the ids that a `retired` definition keeps. `revision` is the published one; 0 if it isn't known.
    """

    asset_id: str
    component: str
    attributes: Mapping[str, Any]
    published_by: str = ""
    published_at: str = ""
    error: str = ""
    reason: str = ""
    faults: tuple[Mapping[str, Any], ...] = ()
    retired: bool = False
    assets: tuple[str, ...] = ()
    revision: int = 0

    @classmethod
    def of(cls, definition: PublishedDefinition) -> Self:
        """Returns the row of a live or retired definition."""
        return cls(
            definition.asset_id,
            definition.component,
            definition.attributes,
            definition.published_by,
            definition.published_at.isoformat(),
            definition.blocked,
            "BLOCKED" if definition.blocked else "",
            retired=definition.retired,
            assets=definition.assets if definition.retired else (),
            revision=definition.revision,
        )

    def broken(self, error: Exception) -> Self:
        """Returns the row with a fault."""
        reason: str = "BUILD_FAILED"
        faults: tuple[Mapping[str, Any], ...] = ()
        if isinstance(error, HeadwaterError):
            reason, faults = error.reason, tuple(error.errors)
        return dataclasses.replace(self, error=str(error) or type(error).__name__, reason=reason, faults=faults)

    def to_json(self) -> dict[str, Any]:
        """Returns the row as JSON values. `Row(**values)` restores it."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def definitions_of(rows: Iterable[Row]) -> dg.Definitions:
    """Builds every row. A row that fails, or that claims an asset of an earlier row, becomes an inert asset."""
    definitions: list[dg.Definitions] = []
    taken: dict[str, str] = {}
    for row in rows:
        try:
            built = build(row)
            claim(row, built, taken)
        except Exception as error:  # noqa: BLE001 - an exception of a component affects its row only
            built = inert(row.broken(error))
        definitions.append(built)
    return dg.Definitions.merge(*definitions)


def build(row: Row) -> dg.Definitions:
    """Builds the assets of one row. They are inert if the row has a fault.

    Raises:
        InvalidPayload: the attributes are not valid, or the component defines more than assets and checks.
    """
    if row.retired:
        return retired(row)
    if row.error:
        return inert(row)
    built = _built(row)
    if any((built.schedules, built.sensors, built.jobs, built.resources)):
        raise InvalidPayload(f"{row.component} defines more than assets and checks. Published definitions cannot.")
    if hidden := sorted(name for name in reads_of(built) if audit.is_audit_table(name)):
        raise InvalidPayload(
            f"{hidden[0]} contains data of all organizations, so published definitions cannot read it."
        )
    published: dict[str, Any] = {
        "headwater/published_by": row.published_by,
        "headwater/published_at": row.published_at,
        **({DEFINITION_REVISION_KEY: row.revision} if row.revision else {}),
    }
    return built.map_asset_specs(func=lambda spec: spec.merge_attributes(metadata=published))


def retired(row: Row) -> dg.Definitions:
    """Returns the assets of a retired row: described, but without runs, checks, and automation. Never raises."""
    specs: dict[str, dg.AssetSpec] = {}
    try:
        specs = {asset_id(spec.key.path): spec for spec in _specs(_built(row))}
    except Exception as error:  # noqa: BLE001 - the history of the assets survives the removal of a component
        _LOG.warning(
            "The retired definition %s cannot be built; its assets have no description: %s", row.asset_id, error
        )
    return dg.Definitions(assets=[_retired(id, specs.get(id)) for id in row.assets or (row.asset_id,)])


def _retired(id: str, spec: dg.AssetSpec | None) -> dg.AssetSpec:
    spec = spec or dg.AssetSpec(asset_key(id), group_name=asset_key(id)[1])
    return spec.replace_attributes(
        deps=[], automation_condition=None, freshness_policy=None, tags={**spec.tags, RETIRED_TAG: "true"}
    )


def _built(row: Row) -> dg.Definitions:
    return dg.build_defs_for_component(component(row.component, row.attributes, asset=row.asset_id))


def inert(row: Row) -> dg.Definitions:
    """Returns an asset that cannot be materialized and that shows the fault of its definition."""
    spec = dg.AssetSpec(
        asset_key(row.asset_id),
        description=f"This asset cannot run: {row.error}",
        group_name=asset_key(row.asset_id)[1],
        tags={ERROR_TAG: row.reason[:_MAX_TAG_LENGTH]},
        metadata={ERROR_TAG: row.error},
    )
    return dg.Definitions(assets=[spec])


def claim(row: Row, built: dg.Definitions, taken: dict[str, str]) -> None:
    """Records in `taken` the assets and steps that a row defines.

    Raises:
        InvalidPayload: an earlier row defines one of them.
    """
    names = [*(f"asset {name}" for name in assets_of(built)), *(f"step {name}" for name in _steps_of(built))]
    for name in names:
        if name in taken:
            raise InvalidPayload(f"The definition of {taken[name]} already has the {name}.")
    taken.update(dict.fromkeys(names, row.asset_id))


def assets_of(built: dg.Definitions) -> list[str]:
    """Returns the ids of the assets in definitions."""
    return [asset_id(spec.key.path) for spec in _specs(built)]


def code_versions_of(built: dg.Definitions) -> dict[str, str]:
    """Returns the code version of each asset in definitions."""
    return {asset_id(spec.key.path): spec.code_version or "" for spec in _specs(built)}


def inputs_of(built: dg.Definitions) -> set[str]:
    """Returns the ids of the input assets of definitions."""
    return {asset_id(dep.asset_key.path) for spec in _specs(built) for dep in spec.deps}


def reads_of(built: dg.Definitions) -> set[str]:
    """Returns the ids of the assets that the assets or checks of definitions read, and the names of connections."""
    checks = [
        spec
        for check in built.asset_checks or ()
        if isinstance(check, dg.AssetsDefinition)
        for spec in check.check_specs
    ]
    compared = {asset_id(dep.asset_key.path) for spec in checks for dep in spec.additional_deps}
    return inputs_of(built) | compared | connections_of(built)


def connections_of(built: dg.Definitions) -> set[str]:
    """Returns the names of the connections through which definitions read."""
    return {spec.metadata[CONNECTION_METADATA] for spec in _specs(built) if CONNECTION_METADATA in spec.metadata}


def _specs(built: dg.Definitions) -> Iterable[dg.AssetSpec]:
    for asset in built.assets or ():
        if isinstance(asset, dg.AssetsDefinition):
            yield from asset.specs
        elif isinstance(asset, dg.AssetSpec):
            yield asset


def _steps_of(built: dg.Definitions) -> list[str]:
    steps = [*(built.assets or ()), *(built.asset_checks or ())]
    return [step.node_def.name for step in steps if isinstance(step, dg.AssetsDefinition) and step.is_executable]
