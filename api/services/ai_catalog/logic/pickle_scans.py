"""Scans of files for code that runs when they are unpickled. Nothing is unpickled: the scanner reads the opcodes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from api.kernel.models import Model
from api.services.ai_catalog.logic.model_signatures import content
from core.errors import HeadwaterError

if TYPE_CHECKING:
    from lakehouse.blobs import Blobs

_MAX_FILE_BYTES = 100_000_000
_MAX_UNPACKED_BYTES = 500_000_000
_MAX_IMPORTS = 200


class ScanVerdict(StrEnum):
    """What a scan found in a file. A file that is not CLEAN can run code when it is loaded, or wasn't examined."""

    CLEAN = "CLEAN"
    SUSPICIOUS = "SUSPICIOUS"
    DANGEROUS = "DANGEROUS"
    UNREADABLE = "UNREADABLE"
    TOO_LARGE = "TOO_LARGE"


class ScannedImport(Model):
    """A name that a file imports when it is unpickled."""

    module: str
    """Module."""

    name: str
    """Name in the module."""

    verdict: ScanVerdict
    """CLEAN, SUSPICIOUS, or DANGEROUS."""


class ScannedFile(Model):
    """A file and what the scan found in it."""

    path: str
    """Path of the file."""

    digest: str
    """SHA-256 of its content."""

    verdict: ScanVerdict
    """What the scan found."""

    imports: list[ScannedImport]
    """Names that it imports when it is unpickled. At most 200."""


def scan(blobs: Blobs, project: str, files: Sequence[tuple[str, str]]) -> list[ScannedFile]:
    """Scans files, by path and digest. Runs in a worker thread."""
    return [_scanned(blobs, project, path, digest) for path, digest in files]


def _scanned(blobs: Blobs, project: str, path: str, digest: str) -> ScannedFile:
    try:
        data = content(blobs, project, digest, _MAX_FILE_BYTES)
    except HeadwaterError:
        return ScannedFile(path=path, digest=digest, verdict=ScanVerdict.UNREADABLE, imports=[])
    if data is None or _unpacked(data) > _MAX_UNPACKED_BYTES:
        return ScannedFile(path=path, digest=digest, verdict=ScanVerdict.TOO_LARGE, imports=[])
    verdict, imports = _examined(data, PurePosixPath(path).suffix.lower())
    return ScannedFile(path=path, digest=digest, verdict=verdict, imports=imports)


def _unpacked(data: bytes) -> int:
    """Returns the size of the content of a ZIP archive, 0 for another file."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return sum(info.file_size for info in file.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return 0


def _examined(data: bytes, suffix: str) -> tuple[ScanVerdict, list[ScannedImport]]:
    from picklescan.scanner import scan_bytes

    try:
        result = scan_bytes(io.BytesIO(data), "file", suffix)
    except Exception:  # noqa: BLE001 - the scanner has no class of its errors, and any of them means the same
        return ScanVerdict.UNREADABLE, []
    names = {"innocuous": ScanVerdict.CLEAN, "suspicious": ScanVerdict.SUSPICIOUS, "dangerous": ScanVerdict.DANGEROUS}
    imports = [
        ScannedImport(module=_text(one.module), name=_text(one.name), verdict=names[one.safety.value])
        for one in result.globals
    ]
    found = {one.verdict for one in imports}
    worst = next((one for one in (ScanVerdict.DANGEROUS, ScanVerdict.SUSPICIOUS) if one in found), ScanVerdict.CLEAN)
    if result.scan_err and worst is not ScanVerdict.DANGEROUS:
        worst = ScanVerdict.UNREADABLE
    imports.sort(key=lambda one: (one.verdict is ScanVerdict.CLEAN, one.module, one.name))
    return worst, imports[:_MAX_IMPORTS]


def _text(value: Any) -> str:
    return str(value).replace("\0", "").encode(errors="replace").decode()[:200]
