"""Splits documents into chunks that record their headings, their position in the source and a stable id.

The id of a chunk depends only on the document, the headings, the text, the chunker and the embedder. Editing a section
doesn't change the ids of other sections, so only changed text is embedded again.
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
    """A text to index.

    Args:
        uri: stable address: a path in the repository, or `<asset id>/<key>` for a table row.
        title: title for readers.
        text: Markdown or plain text.
        metadata: labels that searches can filter by, as name to value.
    """

    uri: str
    title: str
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    def labels(self) -> list[str]:
        """Returns the metadata as sorted `name=value` strings, the form that is indexed.

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
        """The text that is embedded and full-text indexed; see `text_with_headings`."""
        return text_with_headings(self.title, self.heading, self.text)


def text_with_headings(title: str, heading: str, text: str) -> str:
    """Returns the text after its title and headings: a short passage alone has too little context to be found."""
    return headings_prefix(title, heading) + text


def headings_prefix(title: str, heading: str) -> str:
    """Returns the title and the heading path of a passage, followed by a blank line."""
    if not heading:
        return f"{title}\n\n"
    return f"{heading}\n\n" if heading.split(HEADING_SEPARATOR, 1)[0] == title else f"{title}: {heading}\n\n"


@dataclass(frozen=True)
class Chunker:
    """Splits documents at headings first, then splits long sections at paragraphs, lines and words.

    Args:
        size: largest number of characters in the text of a chunk.
        embedder: digest of the embedder that embeds the chunks; part of every chunk id.
    """

    size: int = 900
    embedder: str = ""

    @property
    def version(self) -> str:
        """Version of the splitting rules. It changes when the same text would be split differently."""
        return f"markdown-1/{self.size}"

    def split(self, document: Document) -> list[Chunk]:
        """Splits a document. Headings without text below them produce no chunks."""
        labels = tuple(document.labels())
        seen: dict[tuple[str, str], int] = {}
        chunks: list[Chunk] = []
        for heading, start, end in self._passages(document.text):
            text = document.text[start:end]
            digest = _digest(self.embedder, text_with_headings(document.title, heading, text))
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
    """Yields (heading path, start, end) for the text between two headings. The heading lines aren't included.

    Follows CommonMark: a `#` inside a code block isn't a heading.
    """
    from markdown_it import MarkdownIt

    front = _FRONT_MATTER.match(text)
    # Replaced by spaces rather than removed, so that offsets still refer to the original text.
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
    """Returns the first heading of a document, which serves as its title; None if there is no heading."""
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
        state.update(
            len(data).to_bytes(8, "little") + data
        )  # the length prefix distinguishes ("ab", "c") and ("a", "bc")
    return state.hexdigest()
