"""Files of shared tables, served with ranges. Each request checks that the file is still shared.

Files of object stores are passed on, because a link that the store itself signs can't be revoked.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse

from api.kernel.platform import Platform
from api.protocols.delta_sharing.callers import Link
from api.protocols.delta_sharing.masking import open_restricted_files
from api.protocols.delta_sharing.opening import SharedTable, translated
from api.protocols.delta_sharing.reading import change_files, content_files, paths_of
from api.services.ai_catalog.logic.sharing import Served
from core.errors import NotFound

if TYPE_CHECKING:
    from pyarrow import NativeFile

    from lakehouse.snapshot import Snapshot

_CHUNK_BYTES = 1_048_576
_MAX_LISTS = 256
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class SharedFiles:
    """Lists of the files that links may open. The lists of a version never change, so they are kept."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lists: OrderedDict[tuple[Any, ...], frozenset[str]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, served: Served, link: Link) -> NativeFile:
        """Opens the file of a link.

        Raises:
            NotFound: the file isn't part of what is shared now, or a vacuum deleted it.
        """
        table, shared = SharedTable(self._platform, served), served.row
        with translated(shared):
            if shared.version is not None and shared.version != link.version:
                raise _not_shared()
            if shared.history_from is not None and link.version < shared.history_from:
                raise _not_shared()
            snapshot = table.tables.snapshot(shared.asset, version=link.version)
            if snapshot.table_id != shared.table_id or (link.changes and shared.history_from is None):
                raise _not_shared()
            if link.restricted or table.masking.restriction(snapshot) is not None:
                return self._restricted(table, link, snapshot)
            if link.changes:
                table.masking.require_unrestricted()
            key = (shared.asset, shared.table_id, link.version, link.changes, shared.partition_filter)
            paths = self._lists.get(key)
            if paths is None:
                paths = self._keep(key, self._paths(table, link, snapshot))
            if link.path not in paths:
                raise _not_shared()
            return table.tables.open_file(snapshot, link.path)

    def _restricted(self, table: SharedTable, link: Link, snapshot: Snapshot) -> NativeFile:
        """Opens a file of what policies leave. The files are written again if they were deleted meanwhile."""
        found = table.masking.restriction(snapshot)
        files = self._platform.part(open_restricted_files)
        if link.changes or found is None:
            raise _not_shared()
        if link.restricted != files.digest(snapshot, found, table.shared.partition_filter):
            raise _not_shared()
        files.of(snapshot, found, table.shared.partition_filter)
        return files.open(link.restricted, link.path)

    def _paths(self, table: SharedTable, link: Link, snapshot: Any) -> frozenset[str]:
        if not link.changes:
            return paths_of(content_files(table, snapshot))
        versions = range(link.version, link.version + 1)
        paths: frozenset[str] = frozenset()
        for feed in (True, False):
            for commit in table.tables.changed_files(table.shared.asset, versions, feed=feed):
                paths |= paths_of(change_files(table, snapshot, commit.files))
        return paths

    def _keep(self, key: tuple[Any, ...], paths: frozenset[str]) -> frozenset[str]:
        with self._lock:
            self._lists[key] = paths
            while len(self._lists) > _MAX_LISTS:
                self._lists.popitem(last=False)
        return paths


async def send(platform: Platform, http: HttpRequest, file: NativeFile) -> Response:
    """Returns a file, or a range of it."""
    size = int(await platform.workers.compute.run(file.size))
    bounds = _range(http.headers.get("range", ""), size)
    headers = {"accept-ranges": "bytes", "cache-control": "private, no-store"}
    if bounds is None:
        file.close()
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    start, end, partial = bounds
    if partial:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    media_type = "application/octet-stream"
    if http.method == "HEAD":
        file.close()
        return Response(status_code=206 if partial else 200, headers=headers, media_type=media_type)
    content = _chunks(platform, file, start, end)
    return StreamingResponse(content, 206 if partial else 200, headers=headers, media_type=media_type)


async def _chunks(platform: Platform, file: NativeFile, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        await platform.workers.compute.run(file.seek, start)
        while start < end:
            chunk = await platform.workers.compute.run(file.read, min(_CHUNK_BYTES, end - start))
            if not chunk:
                return
            start += len(chunk)
            yield chunk
    finally:
        with suppress(OSError):
            file.close()


def _range(header: str, size: int) -> tuple[int, int, bool] | None:
    """Returns start and end of the bytes to send, and whether it's a part. None if the range is outside of the file."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or not any(match.groups()):
        return 0, size, False
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end, True) if start < end else None


def _not_shared() -> NotFound:
    return NotFound("The file is not part of what is shared with you. Query the table again.")
