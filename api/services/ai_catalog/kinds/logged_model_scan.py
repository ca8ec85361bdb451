"""Scans of logged models for files that run code when they are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.ai_catalog.kinds.artifact import open_blobs
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL
from api.services.ai_catalog.kinds.model_version import files_of
from api.services.ai_catalog.logic.pickle_scans import ScannedFile, ScanVerdict, scan
from core.errors import Conflict

_MAX_FILES = 1000


class ModelScan(Model):
    """The result of a scan."""

    scanner: str
    """Name and version of the scanner."""

    verdict: ScanVerdict
    """The worst verdict of a file."""

    files: list[ScannedFile]
    """All files, by path."""


@LOGGED_MODEL.action("scan", request=Request, result=ModelScan, reads=True)
async def scan_logged_model(ctx: Context, logged_model: str, request: Request) -> ModelScan:
    """Scans the files of a logged model for code that runs when they are unpickled. They are read, never unpickled."""

    def read(unit: Unit) -> tuple[Row, Sequence[tuple[str, str]]]:
        row = LOGGED_MODEL.row(unit, logged_model, "scan")
        return row, files_of(unit, row.id, "")

    row, files = await ctx.read(read)
    if len(files) > _MAX_FILES:
        raise Conflict(f"The model has {len(files):,} files. A scan takes at most {_MAX_FILES:,}.")
    found = await ctx.compute(scan, open_blobs(ctx.platform), row.project_id, files)
    return ModelScan(scanner=f"picklescan {version('picklescan')}", verdict=_worst(found), files=found)


def _worst(files: Sequence[ScannedFile]) -> ScanVerdict:
    found = {file.verdict for file in files}
    worst_first = (
        ScanVerdict.DANGEROUS,
        ScanVerdict.SUSPICIOUS,
        ScanVerdict.UNREADABLE,
        ScanVerdict.TOO_LARGE,
    )
    return next((one for one in worst_first if one in found), ScanVerdict.CLEAN)
