"""The shape of stored documents: which fields the classes of a kind have, and how their text is written.

A row says in which shape it was written, so that one of another release is known without being parsed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


def shape_of(*models: type[BaseModel]) -> str:
    """A short digest of the names of all fields, those of inner models too; docstrings and defaults do not count."""
    return hashlib.sha256(json.dumps([_fields(model, ()) for model in models]).encode()).hexdigest()[:16]


def _fields(annotation: Any, within: tuple[type, ...]) -> Any:
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return [found for part in get_args(annotation) if (found := _fields(part, within))]
    if annotation in within:
        return annotation.__name__
    if not annotation.__pydantic_fields_complete__:
        annotation.model_rebuild()
    names = {field.serialization_alias or name: field.annotation for name, field in annotation.model_fields.items()}
    return {name: _fields(names[name], (*within, annotation)) for name in sorted(names)}


def read(model: type[M], text: str | bytes) -> M:
    """A stored document. Fields it lacks get their defaults; those that a newer release wrote are kept aside.

    Raises:
        ValidationError: it is none of this model.
    """
    return model.model_validate_json(text, extra="allow")


def written(model: BaseModel) -> str:
    """The text of a document, with what `read` kept aside."""
    text = model.model_dump_json(by_alias=True)
    if not _keeps(model):
        return text
    document = json.loads(text)
    _put_back(model, document)
    return json.dumps(document)


def _keeps(value: Any) -> bool:
    if isinstance(value, BaseModel):
        return bool(value.__pydantic_extra__) or any(_keeps(part) for part in value.__dict__.values())
    if isinstance(value, Mapping):
        return any(_keeps(part) for part in value.values())
    return isinstance(value, Sequence) and not isinstance(value, str | bytes) and any(_keeps(part) for part in value)


def _put_back(value: Any, document: Any) -> None:
    if isinstance(value, BaseModel):
        document |= value.__pydantic_extra__ or {}
        for name, field in type(value).model_fields.items():
            _put_back(getattr(value, name), document.get(field.serialization_alias or name))
    elif isinstance(value, Mapping):
        for part, place in zip(value.values(), document.values(), strict=True):
            _put_back(part, place)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for part, place in zip(value, document, strict=True):
            _put_back(part, place)
