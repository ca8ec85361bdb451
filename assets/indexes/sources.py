"""Where the documents of an index come from: files, rows of a table, and what tables and columns mean."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import dagster as dg
from pydantic import Field, model_validator

from assets.datasets.sources import RelativePath
from assets.declaration import AssetId
from core.errors import InvalidPayload, NotFound
from rag.chunking import Document, first_heading

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot

_SUFFIXES = (".md", ".markdown", ".txt", ".rst")
_LARGEST_FILE_BYTES = 5_000_000
_MOST_ROWS = 100_000
_BLANK = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

Labels = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], str],
    Field(description="Labels of every document, to filter searches by."),
]


class FilesSource(dg.Model):
    """Markdown and text files below a folder: of the project for YAML, of the landing folder for what is published.

    Hidden files and folders are never read, nor is anything outside the folder.
    """

    kind: Literal["files"]
    root: RelativePath = "."
    glob: Annotated[list[RelativePath], Field(min_length=1)]
    exclude: list[str] = Field(default_factory=list, description="Patterns of paths that are left out.")
    labels: Labels = Field(default_factory=dict)


class DictionarySource(dg.Model):
    """The data dictionary: what each table is and what its columns mean, one document per table."""

    kind: Literal["dictionary"]
    assets: Annotated[list[AssetId], Field(min_length=1)]
    labels: Labels = Field(default_factory=dict)


class TableSource(dg.Model):
    """One document per row of a table; `{column}` in the templates stands for the row's value."""

    kind: Literal["table"]
    asset: AssetId
    key: Annotated[list[str], Field(min_length=1, description="Columns that together identify a row.")]
    title: str
    text: str
    labels: Labels = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_columns(self) -> Self:
        if not self.columns:
            raise ValueError("text: names no column; write {column} where its value shall stand")
        return self

    @property
    def columns(self) -> list[str]:
        """The columns the templates need besides the key."""
        return sorted(set(_BLANK.findall(self.text)) | set(_BLANK.findall(self.title)))


Source = Annotated[FilesSource | DictionarySource | TableSource, Field(discriminator="kind")]


def upstream(sources: Sequence[Source]) -> list[str]:
    """Assets the sources read, each once."""
    named: list[str] = []
    for source in sources:
        if isinstance(source, DictionarySource):
            named += source.assets
        elif isinstance(source, TableSource):
            named.append(source.asset)
    return list(dict.fromkeys(named))


@dataclass(slots=True)
class Gathered:
    """What the sources held: documents, the digest of each file, and files that could not be used, with the reason."""

    documents: list[Document] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Places:
    """What gathering needs from outside.

    Args:
        folder: where relative paths start.
        forbidden: a folder below it that is never read: the platform's own, when paths start at the project.
        read: a table, and the columns wanted, to its snapshot.
        describe: an asset id to its description, empty if there is none.
    """

    folder: Path
    forbidden: Path | None
    read: Callable[[str, Sequence[str] | None], "Snapshot"]
    describe: Callable[[str], str]


def gather(sources: Sequence[Source], places: Places) -> Gathered:
    """Reads all sources. A document that two of them hold is taken from the first.

    Raises:
        NotFound: a folder does not exist, or no file in it matches.
        InvalidPayload: a table has too many rows, or its key is not unique.
        UnknownTable, UnknownColumn: see the names.
    """
    gathered = Gathered()
    for source in sources:
        if isinstance(source, FilesSource):
            found = _files(source, places, gathered)
        elif isinstance(source, DictionarySource):
            found = (_described(source, asset, places) for asset in source.assets)
        else:
            found = _rows(source, places)
        known = {document.uri for document in gathered.documents}
        gathered.documents += [document for document in found if document.uri not in known]
    return gathered


def _files(source: FilesSource, places: Places, gathered: Gathered) -> Iterator[Document]:
    base = places.folder.resolve()
    root = (base / source.root).resolve()
    if not root.is_dir() or not root.is_relative_to(base):
        raise NotFound(f"There is no folder {source.root} in {base}.")
    matching = sorted({path for pattern in source.glob for path in root.glob(pattern) if path.is_file()})
    taken = [path for path in matching if _readable(path, root, places.forbidden) and not _excluded(source, path, root)]
    if not taken:
        raise NotFound(f"No text file in {root} matches {', '.join(source.glob)}.")
    for path in taken:
        address = path.relative_to(root).as_posix()
        content = path.read_bytes()
        gathered.files[address] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if len(content) > _LARGEST_FILE_BYTES:
            gathered.refused[address] = f"is larger than {_LARGEST_FILE_BYTES} bytes"
            continue
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            gathered.refused[address] = f"is not UTF-8 (byte {error.start})"
            continue
        folder = path.parent.relative_to(root).as_posix()
        labels = {"source": "files", "folder": "" if folder == "." else folder} | source.labels
        yield Document(address, first_heading(text) or path.stem, text, labels)


def _readable(path: Path, root: Path, forbidden: Path | None) -> bool:
    # Resolved, so that a link leads neither out of the folder nor to the platform's own keys.
    real = path.resolve()
    if not real.is_relative_to(root) or (forbidden and real.is_relative_to(forbidden.resolve())):
        return False
    hidden = any(part.startswith(".") for part in (*path.relative_to(root).parts, *real.relative_to(root).parts))
    return not hidden and real.suffix.lower() in _SUFFIXES


def _excluded(source: FilesSource, path: Path, root: Path) -> bool:
    return any(path.relative_to(root).match(pattern) for pattern in source.exclude)


def _described(source: DictionarySource, asset: str, places: Places) -> Document:
    snapshot = places.read(asset, None)
    about = places.describe(asset) or snapshot.description or "A table without a description."
    fields = [
        (item.name, str(item.type), (item.metadata or {}).get(b"comment", b"").decode()) for item in snapshot.schema
    ]
    overview = ", ".join(name for name, _, _ in fields)
    parts = [f"# {asset}", about, f"Columns of the table {asset}: {overview}."]
    for name, kind, meaning in fields:
        parts += [f"## {name}", f"{meaning or 'Not described.'} Column `{name}` of {asset}, type {kind}."]
    labels = {"source": "dictionary", "layer": asset.split(".")[1]} | source.labels
    return Document(asset, asset, "\n\n".join(parts) + "\n", labels)


def _rows(source: TableSource, places: Places) -> Iterator[Document]:
    columns = sorted({*source.key, *source.columns})
    snapshot = places.read(source.asset, columns)
    if snapshot.row_count > _MOST_ROWS:
        raise InvalidPayload(
            f"{source.asset} has {snapshot.row_count} rows; at most {_MOST_ROWS} can become documents. "
            "Index a smaller table."
        )
    labels = {"source": "table", "table": source.asset} | source.labels
    seen: set[str] = set()
    for row in snapshot.to_arrow(columns=columns).to_pylist():
        uri = "/".join([source.asset, *(str(row[name]) for name in source.key)])
        if uri in seen:
            raise InvalidPayload(f"Two rows of {source.asset} have the key {uri!r}. Name columns that identify a row.")
        seen.add(uri)
        yield Document(uri, _filled(source.title, row), _filled(source.text, row), labels)


def _filled(template: str, row: Mapping[str, object]) -> str:
    # Names only, unlike str.format, whose templates can reach into the values.
    return _BLANK.sub(lambda match: "" if row[match[1]] is None else str(row[match[1]]), template)
