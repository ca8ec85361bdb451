"""Uploads of large artifacts in parts, as MLflow's client sends them: at the same time, with signed links."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from api.kernel.kinds.unit import Unit
from api.protocols.mlflow.artifacts import placed
from api.protocols.mlflow.call import MlflowCall, validated
from api.services.ai_catalog.kinds.artifact_upload import (
    ARTIFACT_UPLOAD,
    MAX_PARTS,
    CompleteUpload,
    NewUpload,
    complete_artifact_upload,
    create_artifact_upload,
    delete_artifact_upload,
)
from api.services.ai_catalog.logic.file_links import FileLink, FileLinks
from core import clock
from core.errors import InvalidArgument

ROOT = "/api/2.0/mlflow-artifacts/mpu"
_LINK_LIFE = timedelta(hours=12)


async def create(call: MlflowCall, folder: str) -> dict[str, Any]:
    """Begins an upload, and returns a link for each part."""
    run, path = placed(folder, _name(call))
    count = call.number("num_parts", 1)
    if not 1 <= count <= MAX_PARTS:
        raise InvalidArgument(f"A file has between 1 and {MAX_PARTS} parts. Set MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE.")
    request = validated(NewUpload, {"parent": run, "path": path})
    upload = await call.write("create_artifact_upload", lambda unit: create_artifact_upload(unit, request), run)
    expires = int((clock.now() + _LINK_LIFE).timestamp())
    links = call.calls.platform.part(FileLinks)
    base = _base(call)
    return {
        "upload_id": upload.id,
        "credentials": [
            {
                "url": links.url(FileLink(call.principal.token_id, upload.id, number, expires), base),
                "part_number": number,
                "headers": {},
            }
            for number in range(1, count + 1)
        ],
    }


async def complete(call: MlflowCall, folder: str) -> dict[str, Any]:
    """Makes the parts an artifact."""
    placed(folder, _name(call))
    numbers, digests = [], {}
    for part in call.list("parts"):
        if not isinstance(part, dict) or not isinstance(part.get("part_number"), int):
            raise InvalidArgument("Each of the parts must have a part_number.")
        numbers.append(part["part_number"])
        digests[part["part_number"]] = str(part.get("etag") or "").strip('"')
    upload_id = call.text("upload_id")
    request = validated(CompleteUpload, {"parts": numbers})

    def compare(unit: Unit) -> None:
        upload = ARTIFACT_UPLOAD.item(unit, ARTIFACT_UPLOAD.row(unit, upload_id))
        for part in upload.parts:
            if digests.get(part.number) and digests[part.number] != part.digest:
                raise InvalidArgument(f"Part {part.number} has another ETag. Send it again.")

    await call.read("get_artifact_upload", compare)
    await call.act("complete_artifact_upload", lambda ctx: complete_artifact_upload(ctx, upload_id, request), upload_id)
    return {}


async def abort(call: MlflowCall, folder: str) -> dict[str, Any]:
    """Ends an upload, and deletes its parts."""
    placed(folder, _name(call))
    upload_id = call.text("upload_id")

    def remove(unit: Unit) -> None:
        delete_artifact_upload(unit, ARTIFACT_UPLOAD.row(unit, upload_id, "delete"))

    await call.write("delete_artifact_upload", remove, upload_id)
    return {}


def _name(call: MlflowCall) -> str:
    """Returns the name of the file, from its path on the machine of the client."""
    return call.text("path").replace("\\", "/").rpartition("/")[2]


def _base(call: MlflowCall) -> str:
    """Returns the URL of the platform as the client sees it."""
    scope = call.scope
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    base = f"{scope['scheme']}://{host}"
    if urlsplit(base).hostname is None:
        raise InvalidArgument("The request has no Host header.")
    return base


HANDLERS = {"create": create, "complete": complete, "abort": abort}
EXECUTES = tuple(f"ai_catalog_{verb}_artifact_upload" for verb in ("create", "get", "complete", "delete"))
