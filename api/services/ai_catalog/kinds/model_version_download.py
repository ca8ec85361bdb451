"""Downloads of versions of models as one archive."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Query
from api.services.ai_catalog.artifact_tables import ARTIFACT
from api.services.ai_catalog.kinds.artifact import open_blobs
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION, files_of
from api.services.ai_catalog.logic.archives import archive
from api.services.ai_catalog.logic.readable_files import require_readable_files
from core.errors import Conflict, NotFound

_MAX_FILES = 10_000
_MAX_BYTES = 20_000_000_000


@MODEL_VERSION.binary("download", query=Query)
async def get_model_version_download(ctx: Context, model_version: str, query: Query) -> AsyncGenerator[bytes, None]:
    """Streams the files of a version as one ZIP archive. The same version makes the same archive.

    The caller must be able to read the tables that the model was made from, unless their owners released it.

    A version of more than 10,000 files or 20 GB is refused. Download its artifacts one by one.
    """
    row, files = await ctx.read(lambda unit: _files(unit, model_version))
    place = row.project_id, row.parent_id
    await ctx.compute(require_readable_files, ctx.platform, ctx.principal.access, *place)
    chunks = archive(open_blobs(ctx.platform), row.project_id, files)

    async def content() -> AsyncGenerator[bytes, None]:
        try:
            while chunk := await ctx.compute(next, chunks, b""):
                yield chunk
        finally:
            chunks.close()  # type: ignore[attr-defined]

    return content()


def _files(unit: Unit, id: str) -> tuple[Row, list[tuple[str, str]]]:
    row = MODEL_VERSION.row(unit, id, "download")
    files = files_of(unit, row.parent_id, row.path)
    sizes = sa.select(ARTIFACT.c.path, ARTIFACT.c.size).where(ARTIFACT.c.parent_id == row.parent_id)
    of_path = {one.path: one.size for one in unit.connection.execute(sizes)}
    size = sum(of_path[path] for path, _ in files)
    if not files:
        raise NotFound(f"The files of version {row.version} were removed.")
    if len(files) > _MAX_FILES or size > _MAX_BYTES:
        raise Conflict("The version has more than 10,000 files or 20 GB. Download its artifacts one by one.")
    return row, files
