"""Slots: the places in a request that contain a reference, which a caller writes as an id or a name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from api.kernel.filtering import named
from api.kernel.problems import escaped
from api.kernel.references import FILTER_FIELDS, PROJECT, RefersTo
from api.kernel.securable import PLATFORM
from core.ids import is_asset_id, is_generated_id

FilterReferences = Mapping[str, tuple[str, ...]]
"""Fields of filters that contain references, with the kinds that each can refer to. None of them for any kind."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One reference in a request."""

    text: str
    """What the caller wrote."""
    kinds: tuple[str, ...]
    """Kinds that the reference can be to. Empty for any kind."""
    pointer: str = ""
    """JSON pointer of the field, for errors."""
    put: Callable[[str], None] = lambda id: None
    """Replaces the text in the request."""

    @property
    def may_be_name(self) -> bool:
        """Whether the text does not have the form of an id."""
        other = not self.kinds and (self.text == PLATFORM or is_asset_id(self.text))
        return bool(self.text) and not other and not is_generated_id(self.text)


def names(model: BaseModel, pointer: str = "") -> list[Slot]:
    """Returns the references of a request that may be names."""
    return [slot for slot in slots(model, pointer) if slot.may_be_name]


def slots(model: BaseModel, pointer: str = "") -> Iterator[Slot]:
    """Yields every reference of a request."""
    for name in referring(type(model)):
        field = type(model).model_fields[name]

        def put(id: str, name: str = name) -> None:
            setattr(model, name, id)

        field_pointer = f"{pointer}/{field.alias or name}"
        yield from _slots(getattr(model, name), field.annotation, tuple(field.metadata), field_pointer, put, model)


@cache
def referring(model: type[BaseModel]) -> tuple[str, ...]:
    """Returns the fields of a model that contain references, directly or in nested models."""
    return tuple(
        name
        for name, field in model.model_fields.items()
        if _refers(field.annotation, tuple(field.metadata), frozenset((model,)))
    )


def filter_references(fields: Collection[str], nouns: Mapping[str, str] = MappingProxyType({})) -> FilterReferences:
    """Returns the fields of filters that contain references, with the kinds that each refers to.

    Args:
        fields: fields of filters. `project` contains the name of a project.
        nouns: full names of the stored kinds of the service, by name. `<name>_id` refers to one of them.
    """
    known = {f"{name}_id": (kind,) for name, kind in nouns.items()} | FILTER_FIELDS | {"project": (PROJECT,)}
    names = {field: field.rpartition(".")[2] for field in fields if not field.startswith("status.")}
    return {field: known[name] for field, name in names.items() if name in known}


def filter_names(text: str, references: FilterReferences) -> list[named.ComparedString]:
    """Returns the strings of a filter that may be names where an id is expected, or for `project`, that may be ids."""
    return [
        compared
        for compared in named.compared(text, references)
        if compared.value and is_generated_id(compared.value) is (compared.field == "project")
    ]


def _slots(
    value: Any, type_: Any, metadata: tuple[Any, ...], pointer: str, put: Callable[[str], None], owner: BaseModel
) -> Iterator[Slot]:
    type_, marker = _marked(type_, metadata)
    if isinstance(value, BaseModel):
        yield from slots(value, pointer)
    elif marker is not None and isinstance(value, str):
        kind = getattr(owner, marker.kind_in, "") if marker.kind_in else ""
        yield Slot(value, (kind,) if kind else marker.kinds, pointer, put)
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from _slots(item, _argument(type_, 0), (), f"{pointer}/{n}", _putter(value, n), owner)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _slots(item, _argument(type_, -1), (), f"{pointer}/{escaped(key)}", _putter(value, key), owner)


def _putter(into: Any, key: Any) -> Callable[[str], None]:
    return lambda id: into.__setitem__(key, id)


def _argument(type_: Any, index: int) -> Any:
    arguments = get_args(type_)
    return arguments[index] if arguments else None


def _marked(type_: Any, metadata: tuple[Any, ...]) -> tuple[Any, RefersTo | None]:
    """Returns a type without `Annotated` and `None`, and the marker among its metadata."""
    marker = next((mark for mark in metadata if isinstance(mark, RefersTo)), None)
    if get_origin(type_) is Annotated:
        inner, *metadata_of_inner = get_args(type_)
        plain, inner_marker = _marked(inner, tuple(metadata_of_inner))
        return plain, marker or inner_marker
    if get_origin(type_) in (Union, UnionType):
        options = [_marked(part, ()) for part in get_args(type_) if part is not type(None)]
        plain, inner_marker = next((option for option in options if option[1]), options[0])
        return plain, marker or inner_marker
    return type_, marker


def _refers(type_: Any, metadata: tuple[Any, ...], above: frozenset[type]) -> bool:
    type_, marker = _marked(type_, metadata)
    if marker is not None:
        return True
    if isinstance(type_, type) and issubclass(type_, BaseModel):
        fields = () if type_ in above else type_.model_fields.values()
        return any(_refers(field.annotation, tuple(field.metadata), above | {type_}) for field in fields)
    return any(_refers(part, (), above) for part in get_args(type_))
