"""Where an ingested table comes from, and reading it as a Polars frame."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sysconfig
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from assets.datasets.download import download
from core.errors import InvalidPayload, NotFound


def _inside(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
        raise ValueError("must be a relative path without `..`")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]


class PackageSource(dg.Model):
    """A CSV file that an installed Python package carries. The package is never imported."""

    kind: Literal["package"]
    package: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    file: Annotated[RelativePath, Field(pattern=r"\.(csv|zip)$")]


class CsvSource(dg.Model):
    """A CSV file, plain or zipped: `path` below the landing folder or beside the YAML file, or an HTTP `url`."""

    kind: Literal["csv"]
    path: RelativePath | None = None
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give exactly one of path and url")
        return self


class LandingSource(dg.Model):
    """Files dropped into the table's own folder below the landing folder, each ingested once."""

    kind: Literal["landing"]
    pattern: Annotated[str, Field(pattern=r"^[^/\\]+$")] = "*.csv"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","


Source = Annotated[PackageSource | CsvSource | LandingSource, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The bytes of a source, unpacked, and what identifies them."""

    address: str
    content: bytes
    version: str = ""

    @property
    def sha256(self) -> str:
        """Digest of the unpacked content."""
        return hashlib.sha256(self.content).hexdigest()


def fetch(source: PackageSource | CsvSource, folders: Sequence[Path], *, private_hosts: bool = False) -> SourceFile:
    """Reads a source's file.

    Args:
        source: which file.
        folders: where a relative path is looked for, in this order; the file must lie inside.
        private_hosts: whether a URL may lead to a private or loopback address.

    Raises:
        NotFound: the package or file does not exist.
        PermissionDenied: the URL leads to where sources may not be read from.
        Unavailable: the URL did not answer.
        InvalidPayload: the archive does not hold exactly one file.
    """
    if isinstance(source, PackageSource):
        found = _find(source.file, _installed(source.package))
        return SourceFile(f"{source.package}/{source.file}", _unpacked(found))
    if source.path is not None:
        return SourceFile(source.path, _unpacked(_find(source.path, folders)))
    assert source.url is not None
    content = download(source.url, private_hosts=private_hosts)
    return SourceFile(source.url, _unzipped(content, source.url) if source.url.endswith(".zip") else content)


def _installed(package: str) -> list[Path]:
    """Folders of an installed package. A folder that merely lies on the import path is none."""
    spec = importlib.util.find_spec(package)
    installed = [Path(sysconfig.get_path(scheme)).resolve() for scheme in ("purelib", "platlib")]
    places = [Path(place).resolve() for place in (spec.submodule_search_locations or ())] if spec else []
    if found := [place for place in places if any(place.is_relative_to(root) for root in installed)]:
        return found
    raise NotFound(f"The Python package {package} is not installed.")


def _find(path: str, folders: Sequence[Path]) -> Path:
    for folder in folders:
        # Resolved on both sides, so that a link cannot lead out of the folder.
        found = (folder / path).resolve()
        if found.is_file() and found.is_relative_to(folder.resolve()):
            return found
    raise NotFound(f"There is no file {path}; looked in {', '.join(map(str, folders)) or 'no folder'}.")


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    return _unzipped(content, path.name) if path.suffix == ".zip" else content


def _unzipped(content: bytes, name: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise InvalidPayload(f"{name} holds {len(members)} files; a zipped source holds exactly one.")
            return archive.read(members[0])
    except zipfile.BadZipFile as error:
        raise InvalidPayload(f"{name} is not a zip archive: {error}.") from error
