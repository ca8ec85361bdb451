"""Data sets as Croissant documents, which hubs and loaders of training data read, with their rows as a file."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.lake import versions
from api.kernel.lake.versions import Version
from api.kernel.models import Query
from api.kernel.permissions.graph import visible_assets
from api.kernel.platform import Platform, open_lineage, open_tables
from api.services.ai_catalog.kinds.dataset import DATASET, Dataset
from api.services.ai_catalog.logic.column_tags import EVERY_COLUMN, column_tags
from api.services.ai_catalog.logic.croissant import CroissantFacts, CroissantFile, document
from api.services.ai_catalog.logic.readable_tables import may_read, require_readable
from core.errors import PayloadTooLarge

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.snapshot import Snapshot

_MAX_ROWS = 1_000_000
_ROWS_PER_CHUNK = 5_000
_MAX_DIGESTS = 1000


class DatasetVersionQuery(Query):
    """The version to return."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""


class Digests:
    """SHA-256 and size of the rows that were read last, by data version, whose content never changes."""

    def __init__(self, platform: Platform) -> None:
        self._found: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, snapshot: Snapshot) -> tuple[str, int]:
        """Returns the digest and the size of the file that `lines` returns."""
        found = self._found.get(snapshot.data_version)
        if found is None:
            digest, size = hashlib.sha256(), 0
            for chunk in lines(snapshot.to_arrow()):
                digest.update(chunk)
                size += len(chunk)
            found = digest.hexdigest(), size
            with self._lock:
                self._found[snapshot.data_version] = found
                while len(self._found) > _MAX_DIGESTS:
                    self._found.popitem(last=False)
        return found


@DATASET.lines("croissant", query=DatasetVersionQuery)
async def get_dataset_croissant(ctx: Context, dataset: str, query: DatasetVersionQuery) -> AsyncGenerator[bytes, None]:
    """Returns a version of a data set as a Croissant 1.0 document (JSON-LD): one line.

    It contains the license, the version, the versions that it was produced from, and the tags of columns. Callers that
    can read the rows also get the fields, and the file `data` of this version with its SHA-256, if it has up to
    1,000,000 rows.
    """
    described = await _described(ctx, dataset, "croissant")
    snapshot = await ctx.compute(versions.snapshot, ctx.platform.part(open_tables), described.asset, query.version)
    file = await ctx.compute(_file, ctx, described, snapshot)
    tags = await ctx.read(lambda unit: _tags(unit, described, snapshot.schema.names))
    sources = await ctx.compute(_sources, ctx, described.asset, snapshot)
    address = _address(ctx.platform, described)
    facts = CroissantFacts(
        name=described.title,
        description=described.description,
        url=address,
        license=described.license,
        contact=described.contact,
        citation=described.citation,
        links=[link.url for link in described.links],
        version=snapshot.version,
        data_version=snapshot.data_version,
        created_at=described.created_at,
        changed_at=described.updated_at,
        sensitivity=described.effective_sensitivity.value,
        tags=tags,
        sources=sources,
        file=file,
    )

    async def whole() -> AsyncGenerator[bytes, None]:
        yield json.dumps(document(facts), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"

    return whole()


@DATASET.lines("data", query=DatasetVersionQuery)
async def get_dataset_data(ctx: Context, dataset: str, query: DatasetVersionQuery) -> AsyncGenerator[bytes, None]:
    """Streams all rows of a version as JSON lines: the file that the Croissant document of the version describes.

    The caller must be able to read the rows of the asset. At most 1,000,000 rows.
    """
    described = await _described(ctx, dataset, "data")
    snapshot = await ctx.compute(versions.snapshot, ctx.platform.part(open_tables), described.asset, query.version)
    await ctx.compute(require_readable, ctx, described.asset, snapshot.data_version)
    if snapshot.row_count > _MAX_ROWS:
        raise PayloadTooLarge(
            f"{described.asset} has {snapshot.row_count:,} rows; a file has at most {_MAX_ROWS:,}. Read it with an "
            "engine or with Delta Sharing."
        )
    ctx.headers.append(("x-data-version", snapshot.data_version))
    chunks = lines(await ctx.compute(snapshot.to_arrow))

    async def streamed() -> AsyncGenerator[bytes, None]:
        while (chunk := await ctx.compute(next, chunks, None)) is not None:
            yield chunk

    return streamed()


def lines(table: pa.Table) -> Iterator[bytes]:
    """Yields rows as JSON lines, always the same for the same rows. NaN and infinity are null, bytes are text."""
    from pydantic_core import to_json

    from lakehouse.bytes_as_text import bytes_as_text
    from lakehouse.python_rows import python_rows

    for start in range(0, table.num_rows, _ROWS_PER_CHUNK):
        rows = python_rows(bytes_as_text(table.slice(start, _ROWS_PER_CHUNK)))
        yield b"".join(to_json(row, inf_nan_mode="null") + b"\n" for row in rows)


async def _described(ctx: Context, id: str, verb: str) -> Dataset:
    return await ctx.read(lambda unit: DATASET.item(unit, DATASET.row(unit, id, verb)))


def _file(ctx: Context, described: Dataset, snapshot: Snapshot) -> CroissantFile | None:
    """Returns the file of the rows, or None if the caller can't read them or if there are too many."""
    access = ctx.principal.access
    if snapshot.row_count > _MAX_ROWS or not may_read(ctx.platform, access, described.asset, snapshot.data_version):
        return None
    digest, size = ctx.platform.part(Digests).of(snapshot)
    url = f"{_address(ctx.platform, described)}/data?version={snapshot.data_version}"
    return CroissantFile(url, digest, size, snapshot.schema)


def _tags(unit: Unit, described: Dataset, columns: list[str]) -> dict[str, list[str]]:
    found = column_tags(unit.connection, described.organization_id, described.asset, columns)
    return {column: sorted(found[column]) for column in columns if column != EVERY_COLUMN}


def _sources(ctx: Context, asset: str, snapshot: Snapshot) -> list[str]:
    lineage = ctx.platform.part(open_lineage)
    version = lineage.recorded_version(asset, snapshot.data_version)
    is_visible = visible_assets(ctx.platform, ctx.principal.access)
    edges = lineage.provenance(asset, version)
    return sorted({f"{one.in_asset}@{one.in_version}" for one in edges if one.in_asset and is_visible(one.in_asset)})


def _address(platform: Platform, described: Dataset) -> str:
    settings: Any = platform.settings
    own = f"{'https' if settings.tls_certfile else 'http'}://{settings.host}:{settings.port}"
    return f"{settings.url.rstrip('/') or own}/api/v1/ai-catalog/datasets/{described.id}"
