"""Answers that are JSON already: stored documents go out without passing through a model again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from api.kernel.storage.store import Stored
from core.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of an answer, and its entity tag if it has one of its own."""

    content: bytes
    etag: str = ""

    @classmethod
    def of(cls, document: Any) -> Encoded:
        """The JSON form of a document."""
        return cls(msgspec.json.encode(document))


def project(row: Stored, mask: Sequence[str]) -> dict[str, Any]:
    """The named fields of a resource, such as `id` and `status.state`.

    Raises:
        InvalidArgument: a resource has no such field.
    """
    document = row.document()
    kept: dict[str, Any] = {}
    for path in mask:
        head, _, rest = path.partition(".")
        if head not in document:
            raise InvalidArgument(f"fields names {head!r}; a resource has {', '.join(document)}.")
        if not rest:
            kept[head] = document[head]
        else:
            _graft(kept.setdefault(head, {}), msgspec.json.decode(document[head]), rest.split("."))
    return kept


def _graft(target: Any, source: Any, steps: Sequence[str]) -> None:
    step = steps[0]
    if not isinstance(source, dict) or step not in source or not isinstance(target, dict):
        return
    if len(steps) == 1:
        target[step] = source[step]
    else:
        _graft(target.setdefault(step, {}), source[step], steps[1:])
