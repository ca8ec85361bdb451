"""Binding of a feature view: columns, instants, and expressions against the columns of its sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from assets.features.point_in_time import build, computed, known_entities
from assets.features.view import AsOfGroup, BacklogGroup, FeatureView, Group, Source, WindowGroup
from assets.findings import Findings, empty, place

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


def bind(asset: str, view: FeatureView, findings: Findings) -> pa.Schema | None:
    """Returns the columns of the feature table, or `None` if a source is unknown or does not fit."""
    frames = {name: rows for name in view.sources if (rows := _source(view, name, findings)) is not None}
    entity = view.entity
    if entity.source not in frames:
        findings.unknown(place("entity"), "The columns of its source are not known.")
        findings.unknown(place("groups"), "The columns of the entity's source are not known.")
        return None
    rows = frames[entity.source]
    if not _instant(rows, entity.timestamp, place("entity", "timestamp"), findings):
        return None
    faults = len(findings.faults)
    for name, expression in entity.columns.items():
        with findings.blaming(place("entity", "columns", name)):
            known_entities(_with(view, columns={name: expression}), rows)
    known, _ = known_entities(_with(view, columns={}), rows)
    for number, group in enumerate(view.groups):
        if group.kind != "row" and group.source not in frames:
            findings.unknown(place("groups", number), "The columns of its source are not known.")
        else:
            _group(view, group, place("groups", number), known, frames, findings)
    if len(findings.faults) > faults or len(frames) < len(view.sources):
        return None
    with findings.blaming(place("groups")):
        result: pa.Schema = build(view, frames).to_arrow().schema
        return findings.storable(result, asset, place("entity", "columns"))
    return None


def _with(view: FeatureView, *, columns: dict[str, str]) -> FeatureView:
    """Returns the view with other columns of its entity."""
    return view.model_copy(update={"entity": view.entity.model_copy(update={"columns": columns})})


def _source(view: FeatureView, name: str, findings: Findings) -> pl.DataFrame | None:
    """Returns an empty frame with the columns that the view reads, or `None` if they are unknown or do not fit."""
    source = view.sources[name]
    schema = findings.schema(source.table, place("sources", name, "table"))
    if schema is None:
        return None
    valid = findings.present(source.columns, schema.names, place("sources", name, "columns"), owner=source.table)
    for at, revealed in source.facts.items():
        pointer = place("sources", name, "facts", at)
        valid &= findings.present(revealed, schema.names, pointer, owner=source.table)
        if at not in schema.names:
            findings.wrong(pointer, f"{source.table} has no column {at}; it has {', '.join(schema.names)}")
            valid = False
    if not valid:
        return None
    rows = empty(schema).select(source.read_columns)
    instants = [_instant(rows, at, place("sources", name, "facts", at), findings) for at in source.facts]
    return rows if all(instants) and _known_at(source, rows, place("sources", name, "known_at"), findings) else None


def _known_at(source: Source, rows: pl.DataFrame, pointer: str, findings: Findings) -> bool:
    if source.known_at is None:
        return True
    from lakehouse.expressions import type_of

    faults = len(findings.faults)
    with findings.blaming(pointer):
        if not _is_instant(kind := type_of(source.known_at, rows)):
            findings.wrong(pointer, f"is of type {kind}; a timestamp with time zone is needed")
    return len(findings.faults) == faults


def _instant(rows: pl.DataFrame, column: str, pointer: str, findings: Findings) -> bool:
    if _is_instant(kind := rows.schema[column]):
        return True
    findings.wrong(pointer, f"{column} is of type {kind}; a timestamp with time zone is needed")
    return False


def _is_instant(kind: pl.DataType) -> bool:
    import polars as pl

    return isinstance(kind, pl.Datetime) and kind.time_zone is not None


def _group(
    view: FeatureView,
    group: Group,
    pointer: str,
    known: pl.DataFrame,
    frames: Mapping[str, pl.DataFrame],
    findings: Findings,
) -> None:

    if group.kind != "row" and not _joined(group, pointer, known, frames[group.source], findings):
        return
    if isinstance(group, BacklogGroup):
        with findings.blaming(pointer):
            computed(view, group, known, frames)
        return
    for name, expression in group.features.items():
        with findings.blaming(f"{pointer}/features/{name}"):
            computed(view, group.model_copy(update={"features": {name: expression}}), known, frames)


def _joined(
    group: AsOfGroup | WindowGroup | BacklogGroup,
    pointer: str,
    known: pl.DataFrame,
    rows: pl.DataFrame,
    findings: Findings,
) -> bool:
    """Returns whether the columns that join a group to its events fit."""
    valid = True
    for number, column in enumerate(group.by):
        if known.schema[column] != rows.schema[column]:
            detail = f"{column} is {rows.schema[column]} in the source and {known.schema[column]} in the entity's"
            findings.wrong(f"{pointer}/by/{number}", detail)
            valid = False
    instants = {}
    if isinstance(group, WindowGroup) and group.at:
        instants = {"at": group.at}
    elif isinstance(group, BacklogGroup):
        instants = {"opened": group.opened, "closed": group.closed}
    for attribute, column in instants.items():
        valid &= _instant(rows, column, f"{pointer}/{attribute}", findings)
    return valid
