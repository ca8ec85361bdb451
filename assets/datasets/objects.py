"""Assets with the rows of the objects of a store that a connection leads to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.datasets.columns import described
from assets.datasets.connected import opened
from assets.datasets.loads import loaded
from assets.datasets.remote import ObjectSource
from assets.datasets.streams import Arriving
from assets.step_checks import StepCheck, checked_asset
from core.connection_sources import connection_source
from core.errors import NotFound, SchemaMismatch
from lakehouse.areas import MAX_FILE_BYTES
from lakehouse.delimited import Column
from lakehouse.evolution import filled
from lakehouse.files.options import FileOptions
from lakehouse.files.reading import read_table
from lakehouse.landing_tables import declared_schema
from lakehouse.schemas import plain
from lakehouse.stored_types import fits
from resources.delta import Delta, materialized

if TYPE_CHECKING:
    import pyarrow as pa

    from connectors.objects import Objects
    from lakehouse.commits import Commit
    from lakehouse.step import Step

OBJECT, TAG = "_object", "_etag"
"""Columns with the path and the ETag of the object that a row is from."""


def with_origin(schema: "pa.Schema") -> "pa.Schema":
    """Returns the columns of the rows of objects."""
    import pyarrow as pa

    return pa.schema([*schema, (OBJECT, pa.string()), (TAG, pa.string())])


def object_asset(
    spec: dg.AssetSpec,
    source: ObjectSource,
    columns: Sequence[Column],
    descriptions: Mapping[str, str],
    null_values: Sequence[str],
    checks: Sequence[StepCheck],
) -> dg.AssetsDefinition:
    """Returns an asset with the rows of objects. Arguments as of `ingested_asset`."""
    options = source.options(null_values)

    @checked_asset(specs=[spec], checks=checks, name="__".join(spec.key.path))
    def read(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
        from connectors.objects import Objects

        connection = opened(delta, spec, source)
        origin = {"connection": connection.id, "path": source.path, "columns": [str(column) for column in columns]}
        step = delta.step(context, params=origin | asdict(options))
        load = _Load(step, source, columns, descriptions, options)
        place = connection.connector, connection.config, connection.egress
        with Objects(*place, source.path or "", load.known, MAX_FILE_BYTES) as objects:
            step.use(connection_source(spec.key.path[0], connection.id, source.part), objects.version)
            commit = load.write(objects)
        read_count = len(load.due(objects))
        return materialized(
            context,
            commit,
            metadata={
                "source/connection": connection.name,
                "source/version": objects.version,
                "source/objects": len(objects.versions),
                "source/objects_read": read_count,
            },
        )

    return read


class _Load:
    """A load of objects. The rows of the table say which objects it has, so a load that is repeated changes nothing."""

    def __init__(
        self,
        step: "Step",
        source: ObjectSource,
        columns: Sequence[Column],
        descriptions: Mapping[str, str],
        options: FileOptions,
    ) -> None:
        self._step = step
        self._source = source
        self._columns = columns
        self._descriptions = descriptions
        self._options = options
        self._current = loaded(step)
        self.known: dict[str, str] = {}
        """ETags by path of the objects whose rows the table has."""
        if self._current is not None:
            pairs = self._current.scan().select(OBJECT, TAG).unique().collect()
            self.known = dict(pairs.iter_rows())

    def due(self, objects: "Objects") -> list[str]:
        """Returns the paths of the objects that are new or have changed."""
        return [path for path, tag in objects.versions.items() if self.known.get(path) != tag]

    def write(self, objects: "Objects") -> "Commit":
        """Writes the rows of the objects that are new or have changed."""
        tables = self._tables(objects)
        if self._current is None:
            first = next(tables, None)
            schema = first.schema if first is not None else self._declared(objects)
            parts = (part for table in _begun(first, tables) for part in _like(table, schema).to_batches())
            arriving = Arriving(schema, parts)
            with arriving.written():
                return self._step.overwrite(described(arriving.data(), self._descriptions), evolve_schema=True)
        schema, version = self._current.schema, self._current.version
        gone = [path for path in self.known if path not in objects.versions] if self._source.deletes == "detect" else []
        arriving = Arriving(schema, (part for table in tables for part in _like(table, schema).to_batches()))
        with arriving.written():
            if not gone and not any(path in self.known for path in self.due(objects)):
                return self._step.append(arriving.data(), if_version=version)
            texts = ", ".join("'" + path.replace("'", "''") + "'" for path in [*self.due(objects), *gone])
            return self._step.overwrite(arriving.data(), where=f'"{OBJECT}" IN ({texts})', if_version=version)

    def _tables(self, objects: "Objects") -> "Iterator[pa.Table]":
        import pyarrow as pa

        for path, content in objects.contents():
            rows = plain(read_table(content, path, self._columns, self._options))
            if reserved := {OBJECT, TAG}.intersection(rows.schema.names):
                raise SchemaMismatch(f"{path} has the column {min(reserved)}, whose name is reserved.")
            for name, text in ((OBJECT, path), (TAG, objects.versions[path])):
                rows = rows.append_column(name, pa.repeat(pa.scalar(text), len(rows)))
            yield rows

    def _declared(self, objects: "Objects") -> "pa.Schema":
        if not self._columns:
            raise NotFound(
                f"There is no object at {self._source.path or 'the connection'}, so the columns are not known. Put one "
                "there, or declare the columns with their types."
            )
        return with_origin(declared_schema(self._columns, {}))


def _begun(first: "pa.Table | None", rest: "Iterator[pa.Table]") -> "Iterator[pa.Table]":
    if first is not None:
        yield first
    yield from rest


def _like(rows: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """Returns the rows with the columns of the table. A column that an object lacks is null.

    Raises:
        SchemaMismatch: an object has another column, or one of another type.
    """
    path = rows.column(OBJECT)[0] if len(rows) else "An object"
    for field in rows.schema:
        if field.name not in schema.names:
            raise SchemaMismatch(
                f"{path} has the column {field.name}, which other objects don't have. Declare all columns with their "
                "types, and the table is loaded again."
            )
        if not fits(field.type, schema.field(field.name).type):
            raise SchemaMismatch(
                f"{field.name} is {field.type} in {path} and {schema.field(field.name).type} in other objects. Declare "
                "all columns with their types, and the table is loaded again."
            )
    return filled(rows, schema)
