"""The tags of columns: stated ones, and those inherited along the recorded lineage unless they are overruled.

They are computed when they are read, in the transaction of the reader, so that a column has the tags of its sources as
soon as its run is recorded. Nothing follows the lineage, so nothing can lag behind it or has to be built again.

A column inherits from every column that it was computed from in any recorded version of its asset, because earlier
versions can still be read. If the sources of a column are unknown, it inherits every tag of every input.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import RESOURCE
from api.services.ai_catalog.logic.lineage_rows import chunks
from api.services.ai_catalog.tag_tables import TAG_ASSIGNMENT as TABLE

EVERY_COLUMN = ""
"""The entry for columns that neither lineage nor a stated tag names. No column has an empty name."""


class Origin(StrEnum):
    """Where a tag comes from. An OVERRULED one isn't inherited, as a principal stated."""

    STATED = "STATED"
    PROPAGATED = "PROPAGATED"
    OVERRULED = "OVERRULED"


@dataclass(frozen=True, slots=True)
class StatedTag:
    """A tag where it was stated."""

    tag_id: str
    tag: str
    value: str
    asset: str
    column: str
    propagates: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a policy refers to the tag: `pii`, and with a value also `pii:email`."""
        return (self.tag, f"{self.tag}:{self.value}") if self.value else (self.tag,)


ColumnTags = dict[str, frozenset[StatedTag]]
"""Tags by column. The entry of `EVERY_COLUMN` holds for all columns without an entry."""


def column_tags(
    connection: Connection, organization_id: str, asset: str, columns: Iterable[str] = ()
) -> dict[str, frozenset[str]]:
    """Returns the effective tags of the columns of an asset, such as `pii` and `pii:email`.

    Each of the `columns` has an entry. Any other column without an entry has the tags of `EVERY_COLUMN`.
    """
    effective = effective_tags(connection, organization_id, asset, columns)
    return {column: frozenset(name for tag in tags for name in tag.names) for column, tags in effective[asset].items()}


def effective_tags(
    connection: Connection, organization_id: str, asset: str, columns: Iterable[str] = ()
) -> dict[str, ColumnTags]:
    """Returns the effective tags of an asset and of everything that it was produced from, where each was stated."""
    organization = TABLE.c.organization_id == organization_id, TABLE.c.ended_at.is_(None)
    if connection.execute(sa.select(TABLE.c.id).where(*organization).limit(1)).first() is None:
        return {asset: {column: frozenset() for column in (EVERY_COLUMN, *columns)}}
    sources = _sources(connection, asset)
    for stated, overruled in _statements(connection, organization, sources):
        if overruled:
            sources[stated.asset].overruled.setdefault(stated.column, set()).add(stated.tag_id)
        else:
            sources[stated.asset].stated.setdefault(stated.column, set()).add(stated)
    sources[asset].named.update(columns)
    tags: dict[str, ColumnTags] = {id: {EVERY_COLUMN: frozenset()} for id in sources}
    changed = True
    while changed:  # until nothing is added, because versions of two assets can be produced from one another
        changed = False
        for id, source in sources.items():
            found = source.tags(tags, sources)
            changed |= found != tags[id]
            tags[id] = found
    return tags


@dataclass(slots=True)
class _Asset:
    """What is recorded and stated of an asset."""

    inputs: set[str] = field(default_factory=set)
    unknown_inputs: set[str] = field(default_factory=set)
    """Inputs of steps that did not record the sources of their columns."""
    columns: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    stated: dict[str, set[StatedTag]] = field(default_factory=dict)
    overruled: dict[str, set[str]] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)

    def tags(self, known: Mapping[str, ColumnTags], sources: Mapping[str, _Asset]) -> ColumnTags:
        """Returns the tags of the columns, given those of the inputs."""

        def everything(inputs: Collection[str]) -> set[StatedTag]:
            return {tag for id in inputs for column in sources[id].own_columns for tag in known[id].get(column, ())}

        unknown, of_all = everything(self.unknown_inputs), everything(self.inputs)
        whole = self.stated.get(EVERY_COLUMN, set())
        found = {}
        for column in {EVERY_COLUMN, *self.columns, *self.stated, *self.overruled, *self.named}:
            inherited = set(of_all)
            if column in self.columns:
                inherited = set(unknown)
                for id, name in self.columns[column]:
                    inherited |= known[id].get(name, known[id][EVERY_COLUMN])
            ended = self.overruled.get(column, set()) | self.overruled.get(EVERY_COLUMN, set())
            inheriting = {tag for tag in inherited if tag.propagates and tag.tag_id not in ended}
            found[column] = frozenset(inheriting | whole | self.stated.get(column, set()))
        return found

    @property
    def own_columns(self) -> set[str]:
        """The columns that are known to be in the table. If none or not all are, also `EVERY_COLUMN`."""
        complete = bool(self.columns) and not self.unknown_inputs
        named = {column for column in self.stated if column}
        return {*self.columns, *named} if complete else {EVERY_COLUMN, *self.columns, *named}


def _sources(connection: Connection, asset: str) -> dict[str, _Asset]:
    """Returns what is recorded of an asset and of everything that it was produced from, directly and indirectly."""
    found: dict[str, _Asset] = {}
    level = {asset}
    while level:
        found |= {id: _Asset() for id in level}
        for some in chunks(sorted(level)):
            _read(connection, some, found)
        level = {input for id in level for input in found[id].inputs} - found.keys()
    return found


def _read(connection: Connection, assets: list[str], found: Mapping[str, _Asset]) -> None:
    from lakehouse.column_sources import COLUMN_SOURCES, parsed
    from lakehouse.lineage import LINEAGE_EDGE

    edge, recorded = LINEAGE_EDGE.c, COLUMN_SOURCES.c
    same_step = sa.and_(*(edge[name] == recorded[name] for name in ("out_asset", "out_version", "run", "step")))
    unknown = recorded.out_asset.is_(None)
    edges = (
        sa.select(edge.out_asset, edge.in_asset, unknown)
        .join_from(LINEAGE_EDGE, COLUMN_SOURCES, same_step, isouter=True)
        .where(edge.out_asset.in_(assets), edge.in_asset != "", edge.in_asset != edge.out_asset)
        .distinct()
    )
    for out, source, is_unknown in connection.execute(edges):
        found[out].inputs.add(source)
        if is_unknown:
            found[out].unknown_inputs.add(source)
    # PostgreSQL compares no JSON values.
    text = sa.cast(recorded.sources, sa.Text).label("sources")
    documents = sa.select(recorded.out_asset, text).where(recorded.out_asset.in_(assets)).distinct()
    for out, document in connection.execute(documents):
        for column, used in parsed(json.loads(document)).items():
            found[out].columns.setdefault(column, set()).update(used)
            found[out].inputs.update(source for source, _ in used if source != out)


def _statements(
    connection: Connection, conditions: tuple[sa.ColumnElement[bool], ...], assets: Collection[str]
) -> Iterator[tuple[StatedTag, bool]]:
    """Yields what is stated of these assets, and whether it ends an inheritance."""
    # A tag of the former organization of a project that moved is no resource any more. It still propagates.
    propagates = sa.func.coalesce(RESOURCE.c.spec["propagates"].as_boolean(), sa.true())
    select = (
        sa.select(TABLE.c.tag_id, TABLE.c.tag, TABLE.c.value, TABLE.c.target, TABLE.c.column_name, propagates)
        .add_columns(TABLE.c.origin)
        .join_from(
            TABLE,
            RESOURCE,
            sa.and_(RESOURCE.c.id == TABLE.c.tag_id, RESOURCE.c.organization_id == TABLE.c.organization_id),
            isouter=True,
        )
    )
    for some in chunks(sorted(assets)):
        for *values, origin in connection.execute(select.where(*conditions, TABLE.c.target.in_(some))):
            yield StatedTag(*values), origin == Origin.OVERRULED
