"""JSON documents that are generated once and served with gzip and ETags."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.kernel.documents.catalogue import catalogue
from api.kernel.documents.openapi import document
from api.kernel.kinds.registry import PREFIX, Mount, Registry
from api.kernel.platform import Platform
from api.kernel.roles import Role
from core.errors import MethodNotAllowed


class Document:
    """A JSON document as an ASGI application. The first request generates it in a worker thread."""

    def __init__(self, platform: Platform, make: Callable[[], Any]) -> None:
        self._platform = platform
        self._make = make
        self._content: tuple[bytes, bytes, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the document."""
        request = Request(scope, receive)
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("This path supports GET.", metadata={"allow": ["GET"]})
        if self._content is None:
            self._content = await self._platform.workers.compute.run(self._build)
        plain, packed, etag = self._content
        headers = {"etag": etag, "cache-control": "private, no-cache", "vary": "accept-encoding"}
        if request.headers.get("if-none-match") == etag:
            response = Response(status_code=304, headers=headers)
        elif "gzip" in request.headers.get("accept-encoding", ""):
            response = Response(packed, 200, headers | {"content-encoding": "gzip"}, "application/json")
        else:
            response = Response(plain, 200, headers, "application/json")
        await response(scope, receive, send)

    def _build(self) -> tuple[bytes, bytes, str]:
        plain = json.dumps(self._make(), sort_keys=True, separators=(",", ":")).encode()
        packed = gzip.compress(plain, mtime=0)
        return plain, packed, f'"{hashlib.blake2b(plain, digest_size=12).hexdigest()}"'


def document_mounts(registry: Registry, platform: Platform) -> list[Mount]:
    """Returns the mounts of the index, the OpenAPI documents, and the kind catalogs of services, for all principals."""
    index = {
        "services": [
            {
                "name": service.name,
                "title": service.title,
                "operations": len(service.endpoints),
                "openapi": f"{PREFIX}{service.slug}/openapi.json",
                "kinds": f"{PREFIX}{service.slug}/kinds",
            }
            for service in registry.services
        ]
    }
    documents: list[tuple[str, Callable[[], Any]]] = [("/api/openapi", lambda: index)]
    for service in registry.services:
        documents.append(
            (f"{PREFIX}{service.slug}/openapi.json", partial(document, service, platform.settings.path_prefix))
        )
        documents.append((f"{PREFIX}{service.slug}/kinds", partial(catalogue, service)))
    return [Mount(path=path, app=Document(platform, make), role=Role.VIEWER, exact=True) for path, make in documents]
