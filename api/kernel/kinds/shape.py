"""The shape of stored documents: the fields that the classes of a kind have, and the text format of a document.

Each row records the shape it was written in, so that rows of another release are recognized without parsing them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


def shape_of(*models: type[BaseModel]) -> str:
    """Returns a short digest of the names of all fields, also of nested models, without docstrings and defaults."""
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
    """Returns a stored document. Missing fields get their defaults. Fields of a newer release become extra fields.

    Raises:
        ValidationError: the text is no document of this model.
    """
    return model.model_validate_json(text, extra="allow")


def written(model: BaseModel) -> str:
    """Returns the text of a document, with the extra fields that `read` kept."""
    text = model.model_dump_json(by_alias=True)
    if not _has_extra(model):
        return text
    document = json.loads(text)
    _restore_extra(model, document)
    return json.dumps(document)


def _has_extra(value: Any) -> bool:
    if isinstance(value, BaseModel):
        return bool(value.__pydantic_extra__) or any(_has_extra(part) for part in value.__dict__.values())
    if isinstance(value, Mapping):
        return any(_has_extra(part) for part in value.values())
    return (
        isinstance(value, Sequence) and not isinstance(value, str | bytes) and any(_has_extra(part) for part in value)
    )


def _restore_extra(value: Any, document: Any) -> None:
    if isinstance(value, BaseModel):
        document |= value.__pydantic_extra__ or {}
        for name, field in type(value).model_fields.items():
            _restore_extra(getattr(value, name), document.get(field.serialization_alias or name))
    elif isinstance(value, Mapping):
        for part, place in zip(value.values(), document.values(), strict=True):
            _restore_extra(part, place)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for part, place in zip(value, document, strict=True):
            _restore_extra(part, place)
