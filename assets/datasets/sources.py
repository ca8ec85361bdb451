"""Sources of ingested tables, and the content of their files."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import lzma
import sysconfig
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from assets.datasets.download import download
from assets.datasets.reader import ReaderOptions
from assets.datasets.remote import ObjectSource, RelativePath, SqlSource
from core.errors import InvalidPayload, NotFound, PayloadTooLarge
from lakehouse.areas import MAX_FILE_BYTES, Area


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - the attribute validates the port
    except ValueError as error:
        raise ValueError(f"is not a valid URL ({error})") from error
    if not parts.hostname:
        raise ValueError("must be a URL with a host")
    return url


Address = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_address)]
"""A URL in a definition. It is read only by `download`."""


class PackageSource(ReaderOptions):
    """A file of an installed Python package. The package is never imported."""

    kind: Literal["package"]
    package: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    file: Annotated[RelativePath, Field(pattern=r"\.(csv|tsv|txt|jsonl|ndjson|json|parquet|zip)$")]

    @property
    def file_format(self) -> str:
        """Format of the file, as declared or from its name."""
        return self.options(()).format_of(self.file)


class CsvSource(ReaderOptions):
    """A file, plain or zipped: a `path` in the landing area or next to the YAML file, or an HTTP `url`."""

    kind: Literal["csv", "file"]
    path: RelativePath | None = None
    url: Address | None = None

    @model_validator(mode="after")
    def _one_location(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give exactly one of path and url")
        return self

    @property
    def file_format(self) -> str:
        """Format of the file, as declared or from its name."""
        return self.options(()).format_of(self.path or self.url or "")


class LandingSource(ReaderOptions):
    """Files that are delivered to the landing folder of the table, each ingested once."""

    kind: Literal["landing"]
    pattern: Annotated[RelativePath, Field(pattern=r"^[^/\\]+$")] = "*.csv"

    @property
    def file_format(self) -> str:
        """Format of the files, as declared or from the pattern of their names."""
        return self.options(()).format_of(self.pattern)


Source = Annotated[PackageSource | CsvSource | LandingSource | SqlSource | ObjectSource, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """Unpacked content of a source, with its address and version."""

    address: str
    content: bytes
    version: str = ""

    @property
    def sha256(self) -> str:
        """Digest of the unpacked content."""
        return hashlib.sha256(self.content).hexdigest()


def fetch(source: PackageSource | CsvSource, areas: Sequence[Area], *, private_hosts: bool = False) -> SourceFile:
    """Reads the file of a source.

    Args:
        source: the source of the file.
        areas: the areas in which a relative path is resolved, in this order.
        private_hosts: whether private and loopback addresses are allowed in URLs.

    Raises:
        NotFound: the package or file does not exist.
        PermissionDenied: the platform cannot read the file, or the URL has an address that is not allowed.
        PayloadTooLarge: the file, or its unpacked content, is larger than `MAX_FILE_BYTES`.
        Unavailable: the host of the URL did not respond.
        InvalidPayload: the archive does not contain exactly one file.
    """
    if isinstance(source, PackageSource):
        packages = [Area(folder, f"the package {source.package}") for folder in installed(source.package)]
        return SourceFile(f"{source.package}/{source.file}", _read(source.file, packages))
    if source.path is not None:
        return SourceFile(source.path, _read(source.path, areas))
    assert source.url is not None
    content = download(source.url, private_hosts=private_hosts)
    return SourceFile(source.url, _unzipped(content, source.url) if source.url.endswith(".zip") else content)


def installed(package: str) -> list[Path]:
    """Returns the folders of an installed package. Other folders on the import path are not packages in this sense.

    Raises:
        NotFound: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    roots = [Path(sysconfig.get_path(scheme)).resolve() for scheme in ("purelib", "platlib")]
    locations = [Path(location).resolve() for location in (spec.submodule_search_locations or ())] if spec else []
    if folders := [folder for folder in locations if any(folder.is_relative_to(root) for root in roots)]:
        return folders
    raise NotFound(f"The Python package {package} is not installed.")


def _read(path: str, areas: Sequence[Area]) -> bytes:
    """Returns the unpacked content of a file from the first area that has it."""
    faults = []
    for area in areas:
        try:
            content = area.read(path)
        except NotFound as error:
            faults.append(error.detail)
        else:
            return _unzipped(content, path) if path.endswith(".zip") else content
    raise NotFound(" ".join(faults) or f"There is no file {path}, because the definition has no folder.")


def _unzipped(content: bytes, name: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise InvalidPayload(f"{name} contains {len(members)} files; a zipped source contains exactly one.")
            with archive.open(members[0]) as member:
                # The size in the archive may be wrong, so the unpacked bytes are counted.
                unpacked = member.read(MAX_FILE_BYTES + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, lzma.LZMAError) as error:
        raise InvalidPayload(f"{name} is not a zip archive that can be unpacked: {error}.") from error
    if len(unpacked) > MAX_FILE_BYTES:
        raise PayloadTooLarge(f"{name} contains more than {MAX_FILE_BYTES:,} bytes. Split it into several files.")
    return unpacked
