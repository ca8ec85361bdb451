"""Content digests of versions, within limits of size. See `lakehouse.content`."""

from __future__ import annotations

from dataclasses import dataclass

from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.platform import open_tables
from core.errors import HeadwaterError

ALGORITHM = "headwater-rows-1"
"""Name of the digest: BLAKE2b of the rows and their schema, in a form that doesn't depend on order and files."""

MAX_STORED_BYTES = 100_000_000
"""Size of the data files of a version up to which a request digests it."""

MAX_CELLS = 20_000_000
"""Rows times columns up to which a request digests a version. Files can be much smaller than their rows."""


@dataclass(frozen=True, slots=True)
class ContentDigest:
    """The digest of a version, or the reason why there is none."""

    digest: str | None
    problem: str = ""


def content_digest(ctx: Context, asset: str, version: str) -> ContentDigest:
    """Returns the digest of the rows of a version as they are now. Runs in a worker thread."""
    from lakehouse.content import digest

    try:
        snapshot = versions.snapshot(ctx.platform.part(open_tables), asset, version)
        if snapshot.size_bytes > MAX_STORED_BYTES or snapshot.row_count * len(snapshot.schema) > MAX_CELLS:
            limits = f"{MAX_STORED_BYTES // 1_000_000} MB in files and {MAX_CELLS:,} values"
            return ContentDigest(None, f"The version is too large to digest in a request. The limits are {limits}.")
        found = digest(snapshot.to_arrow())
    except HeadwaterError as error:
        return ContentDigest(None, str(error))
    return ContentDigest(found, "" if found else "The version is too large, or has columns of a type without order.")
