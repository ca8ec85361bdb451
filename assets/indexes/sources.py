"""Sources of the documents of an index: files, rows of a table, and descriptions of tables and columns."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from assets.datasets.remote import RelativePath
from assets.declaration import AssetId
from core.errors import InvalidPayload, NotFound, PermissionDenied, SchemaMismatch
from lakehouse.areas import Area
from lakehouse.file_names import printable
from rag.chunking import Document, first_heading

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.tables import Snapshot

_SUFFIXES = (".md", ".markdown", ".txt", ".rst")
_MAX_FILE_BYTES = 5_000_000
_MAX_ROWS = 100_000
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _pattern(text: str) -> str:
    if any("**" in part and part != "**" for part in text.split("/")):
        raise ValueError("must use `**` only as a full path segment, such as docs/**/*.md")
    return text


Pattern = Annotated[RelativePath, AfterValidator(_pattern)]

Labels = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], str],
    Field(description="Labels of every document, to filter searches by."),
]


class FilesSource(dg.Model):
    """Markdown and text files below a folder.

    The folder is in the repository for definitions in YAML, and in the landing area of the project for published
    definitions. Hidden files and folders, and files outside the folder, are never read.
    """

    kind: Literal["files"]
    root: RelativePath = "."
    glob: Annotated[list[Pattern], Field(min_length=1, description="Patterns below `root`; `**` matches any folders.")]
    exclude: list[Pattern] = Field(default_factory=list, description="Patterns of excluded paths.")
    labels: Labels = Field(default_factory=dict)


class DictionarySource(dg.Model):
    """The data dictionary: one document per table, with the descriptions of the table and its columns."""

    kind: Literal["dictionary"]
    assets: Annotated[list[AssetId], Field(min_length=1)]
    labels: Labels = Field(default_factory=dict)


class TableSource(dg.Model):
    """One document per row of a table. `{column}` in the templates is replaced with the value of the row."""

    kind: Literal["table"]
    asset: AssetId
    key: Annotated[list[str], Field(min_length=1, description="Columns that together identify a row.")]
    title: str
    text: str
    labels: Labels = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_columns(self) -> Self:
        if not self.columns:
            raise ValueError("text: contains no placeholder; write {column} for the value of a column")
        return self

    @property
    def columns(self) -> list[str]:
        """Columns that the templates use."""
        return sorted({column for columns in self.placeholders().values() for column in columns})

    def placeholders(self) -> dict[str, list[str]]:
        """Returns the columns that each template uses."""
        templates = {"title": self.title, "text": self.text}
        return {name: list(dict.fromkeys(_PLACEHOLDER.findall(template))) for name, template in templates.items()}


Source = Annotated[FilesSource | DictionarySource | TableSource, Field(discriminator="kind")]


def require_text(table: str, field: "pa.Field") -> None:
    """Checks that the values of a column can be converted to text.

    Raises:
        SchemaMismatch: the column has a binary or nested type.
    """
    import pyarrow as pa

    if pa.types.is_nested(field.type) or field.type in (pa.binary(), pa.large_binary(), pa.binary_view()):
        raise SchemaMismatch(f"{table}.{field.name} is of type {field.type}, which cannot be converted to text.")


def upstream(sources: Sequence[Source]) -> list[str]:
    """Returns the ids of the assets that the sources read, each once."""
    assets: list[str] = []
    for source in sources:
        if isinstance(source, DictionarySource):
            assets += source.assets
        elif isinstance(source, TableSource):
            assets.append(source.asset)
    return list(dict.fromkeys(assets))


@dataclass(slots=True)
class Gathered:
    """Documents of the sources, the digest of each file, and the reasons for which files were refused."""

    documents: list[Document] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Access:
    """Access to the files and tables that sources read.

    Args:
        area: the area that contains all relative paths.
        read: returns the snapshot of a table, given the columns that are read.
        describe: returns the description of an asset, or an empty text.
    """

    area: Area
    read: Callable[[str, Sequence[str] | None], "Snapshot"]
    describe: Callable[[str], str]


def gather(sources: Sequence[Source], access: Access) -> Gathered:
    """Reads all sources. If two sources contain the same document, the first one is used.

    Raises:
        NotFound: a folder does not exist, or no file in it matches.
        InvalidPayload: a table has too many rows, or its key is not unique.
        UnknownTable: a table does not exist.
        UnknownColumn: a table lacks a column.
    """
    gathered = Gathered()
    for source in sources:
        if isinstance(source, FilesSource):
            documents = _files(source, access, gathered)
        elif isinstance(source, DictionarySource):
            documents = (_described(source, asset, access) for asset in source.assets)
        else:
            documents = _rows(source, access)
        existing = {document.uri for document in gathered.documents}
        gathered.documents += [document for document in documents if document.uri not in existing]
    return gathered


def _files(source: FilesSource, access: Access, gathered: Gathered) -> Iterator[Document]:
    root = access.area.below(source.root)
    if not root.exists():
        raise NotFound(f"There is no folder {source.root} in {access.area.name}, {access.area.folder}.")
    paths = sorted(path for path in root.walk() if _is_selected(source, PurePosixPath(path)))
    read = 0
    for path in paths:
        address = printable(path)
        try:
            with root.open(path) as opened:
                # `parts` has no links: a link must not disclose a hidden file or a file of another type.
                if not _is_visible_text(PurePosixPath(*opened.parts)):
                    continue
                content = opened.file.read(_MAX_FILE_BYTES + 1)
        except NotFound:
            continue
        except PermissionDenied as error:
            gathered.refused[address] = f"cannot be read: {error.detail}"
            continue
        read += 1
        gathered.files[address] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if len(content) > _MAX_FILE_BYTES:
            gathered.refused[address] = f"is larger than {_MAX_FILE_BYTES} bytes"
            continue
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            gathered.refused[address] = f"is not UTF-8 (byte {error.start})"
            continue
        folder, _, name = address.rpartition("/")
        labels = {"source": "files", "folder": folder} | source.labels
        yield Document(address, first_heading(text) or PurePosixPath(name).stem, text, labels)
    if not read:
        raise NotFound(f"No text file in {root.folder} matches {', '.join(source.glob)}.")


def _is_selected(source: FilesSource, path: PurePosixPath) -> bool:
    return (
        _is_visible_text(path)
        and any(_matches(path.parts, PurePosixPath(pattern).parts) for pattern in source.glob)
        and not any(path.match(pattern) for pattern in source.exclude)
    )


def _is_visible_text(path: PurePosixPath) -> bool:
    return path.suffix.lower() in _SUFFIXES and not any(part.startswith(".") for part in path.parts)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Returns whether a path matches a pattern segment by segment; `**` matches any number of folders."""
    reached = {0}  # numbers of path segments that the pattern can match so far
    for item in pattern:
        if item == "**":
            reached = set(range(min(reached, default=len(parts) + 1), len(parts) + 1))
        else:
            reached = {n + 1 for n in reached if n < len(parts) and fnmatchcase(parts[n], item)}
    return len(parts) in reached


def _described(source: DictionarySource, asset: str, access: Access) -> Document:
    snapshot = access.read(asset, None)
    about = access.describe(asset) or snapshot.description or "A table without a description."
    fields = [
        (item.name, str(item.type), (item.metadata or {}).get(b"comment", b"").decode()) for item in snapshot.schema
    ]
    overview = ", ".join(name for name, _, _ in fields)
    parts = [f"# {asset}", about, f"Columns of the table {asset}: {overview}."]
    for name, kind, meaning in fields:
        parts += [f"## {name}", f"{meaning or 'Not described.'} Column `{name}` of {asset}, type {kind}."]
    labels = {"source": "dictionary", "layer": asset.split(".")[1]} | source.labels
    return Document(asset, asset, "\n\n".join(parts) + "\n", labels)


def _rows(source: TableSource, access: Access) -> Iterator[Document]:
    columns = sorted({*source.key, *source.columns})
    snapshot = access.read(source.asset, columns)
    for name in columns:
        require_text(source.asset, snapshot.schema.field(name))
    if snapshot.row_count > _MAX_ROWS:
        raise InvalidPayload(
            f"{source.asset} has {snapshot.row_count} rows, but an index reads at most {_MAX_ROWS}. "
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
    # Names only: templates of `str.format` can access attributes of the values.
    return _PLACEHOLDER.sub(lambda match: "" if row[match[1]] is None else str(row[match[1]]), template)
