"""Cuts documents into chunks that keep their heading path, their place in the source and a stable identity.

A chunk's id depends on the document, the heading path, the text, the chunker and the embedder, and on nothing else:
editing one section leaves the ids of all others alone, so only what changed is embedded again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from core.errors import InvalidArgument

HEADING_SEPARATOR = " > "

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_LABEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Document:
    """One text to be found again.

    Args:
        uri: its stable address: a path in the repository, or `<asset id>/<key>` for what a table holds.
        title: what a reader calls it.
        text: Markdown or plain text.
        metadata: labels a search can filter by, name to value.
    """

    uri: str
    title: str
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    def labels(self) -> list[str]:
        """The metadata as sorted `name=value` strings, the form that is indexed.

        Raises:
            InvalidArgument: a name is not lower-case snake_case.
        """
        for name in self.metadata:
            if not _LABEL_NAME.fullmatch(name):
                raise InvalidArgument(f"Metadata name {name!r} of {self.uri} is not lower-case snake_case. Rename it.")
        return sorted(f"{name}={value}" for name, value in self.metadata.items())


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document. `text == document.text[start:end]`; offsets count characters."""

    id: str
    document: str
    title: str
    heading: str
    position: int
    text: str
    start: int
    end: int
    digest: str
    labels: tuple[str, ...]

    @property
    def content(self) -> str:
        """What is embedded and full-text indexed: see `passage`."""
        return passage(self.title, self.heading, self.text)


def passage(title: str, heading: str, text: str) -> str:
    """The text preceded by where it stands, without which a short passage says too little to be found."""
    return place(title, heading) + text


def place(title: str, heading: str) -> str:
    """Where a passage stands: title and heading path, then a blank line."""
    if not heading:
        return f"{title}\n\n"
    return f"{heading}\n\n" if heading.split(HEADING_SEPARATOR, 1)[0] == title else f"{title}: {heading}\n\n"


@dataclass(frozen=True)
class Chunker:
    """Cuts at headings first, then long sections at paragraphs, lines and words.

    Args:
        size: most characters of a chunk's text.
        embedder: digest of the embedder the chunks are meant for; part of every id.
    """

    size: int = 900
    embedder: str = ""

    @property
    def version(self) -> str:
        """Changes when the same text would be cut differently."""
        return f"markdown-1/{self.size}"

    def split(self, document: Document) -> list[Chunk]:
        """Cuts one document; headings without text below them yield nothing."""
        labels = tuple(document.labels())
        seen: dict[tuple[str, str], int] = {}
        chunks: list[Chunk] = []
        for heading, start, end in self._passages(document.text):
            text = document.text[start:end]
            digest = _digest(self.embedder, passage(document.title, heading, text))
            occurrence = seen[heading, digest] = seen.get((heading, digest), -1) + 1
            chunks.append(
                Chunk(
                    id=_digest(document.uri, heading, digest, self.version, str(occurrence)),
                    document=document.uri,
                    title=document.title,
                    heading=heading,
                    position=len(chunks),
                    text=text,
                    start=start,
                    end=end,
                    digest=digest,
                    labels=labels,
                )
            )
        return chunks

    def _passages(self, text: str) -> Iterator[tuple[str, int, int]]:
        for heading, start, end in sections(text):
            body = text[start:end]
            if len(body.strip()) <= self.size:
                yield from _trimmed(heading, text, start, end)
                continue
            cursor = start
            for piece in self._splitter.split_text(body):
                cursor = text.index(piece, cursor)
                yield from _trimmed(heading, text, cursor, cursor + len(piece))
                cursor += len(piece)

    @cached_property
    def _splitter(self) -> Any:
        from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

        return RecursiveCharacterTextSplitter.from_language(
            Language.MARKDOWN, chunk_size=self.size, chunk_overlap=0, strip_whitespace=True
        )


def sections(text: str) -> Iterator[tuple[str, int, int]]:
    """Yields (heading path, start, end) of every stretch between headings; the headings' own lines are left out.

    Follows CommonMark, so a `#` inside a code block is no heading.
    """
    from markdown_it import MarkdownIt

    front = _FRONT_MATTER.match(text)
    # Blanked rather than cut off: offsets must keep pointing into the original.
    source = re.sub(r"[^\n]", " ", front.group()) + text[front.end() :] if front else text
    lines = _line_offsets(text)
    path: list[tuple[int, str]] = []
    start = front.end() if front else 0
    tokens = MarkdownIt("commonmark").parse(source)
    for token, inline in pairwise(tokens):
        if token.type != "heading_open" or token.map is None or token.level != 0:
            continue
        first, last = token.map
        yield _path(path), start, lines[first]
        level = int(token.tag[1])
        path = [(depth, name) for depth, name in path if depth < level]
        path.append((level, re.sub(r"\s+", " ", inline.content.replace("`", "")).strip()))
        start = lines[last]
    yield _path(path), start, len(text)


def first_heading(text: str) -> str | None:
    """The document's first heading, which serves as its title; None if it has none."""
    return next((heading.split(HEADING_SEPARATOR)[0] for heading, _, _ in sections(text) if heading), None)


def _path(path: list[tuple[int, str]]) -> str:
    return HEADING_SEPARATOR.join(name for _, name in path if name)


def _line_offsets(text: str) -> list[int]:
    # markdown-it counts \n, \r\n and \r as line ends.
    return [0, *(match.end() for match in re.finditer(r"\r\n|\n|\r", text)), len(text)]


def _trimmed(heading: str, text: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    body = text[start:end]
    if stripped := body.strip():
        first = start + body.index(stripped)
        yield heading, first, first + len(stripped)


def _digest(*parts: str) -> str:
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little") + data)  # the length keeps ("ab", "c") apart from ("a", "bc")
    return state.hexdigest()
