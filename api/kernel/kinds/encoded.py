"""Responses that are JSON already: stored documents are returned without a conversion to a model and back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from api.kernel.storage.store import Stored
from core.errors import InvalidArgument


def etag_of(content: bytes) -> str:
    """Returns the ETag of a response without a version."""
    return f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of a response, and its ETag if it has one."""

    content: bytes
    etag: str = ""

    @classmethod
    def of(cls, document: Any) -> Encoded:
        """Returns the JSON form of a document."""
        return cls(msgspec.json.encode(document))


def project(row: Stored, mask: Sequence[str]) -> dict[str, Any]:
    """Returns the named fields of a resource, such as `id` and `status.state`.

    Raises:
        InvalidArgument: a resource has no such field.
    """
    document = row.document()
    selected: dict[str, Any] = {}
    for path in mask:
        head, _, rest = path.partition(".")
        if head not in document:
            raise InvalidArgument(f"fields names {head!r}; a resource has {', '.join(document)}.")
        if not rest:
            selected[head] = document[head]
        else:
            _copy(selected.setdefault(head, {}), msgspec.json.decode(document[head]), rest.split("."))
    return selected


def _copy(target: Any, source: Any, steps: Sequence[str]) -> None:
    step = steps[0]
    if not isinstance(source, dict) or step not in source or not isinstance(target, dict):
        return
    if len(steps) == 1:
        target[step] = source[step]
    else:
        _copy(target.setdefault(step, {}), source[step], steps[1:])
