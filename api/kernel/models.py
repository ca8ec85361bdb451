"""Base classes of everything that crosses the wire.

A docstring under a field is its description in the OpenAPI document. Every output field is always present, null where
there is nothing to say; an input that is not declared is refused, so that a typing error is never ignored.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

_SHARED = ConfigDict(extra="forbid", use_attribute_docstrings=True, defer_build=True, populate_by_name=True)
_ItemT = TypeVar("_ItemT")


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d")


def _written(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC_3339.match(value)):
        return value
    raise ValueError("Write a time as in 2026-01-31T12:00:00Z")


# Not strict: a validator before it hides from pydantic that the string comes from JSON, which has no times.
Timestamp = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written)]
"""A time in RFC 3339 with its zone. Pydantic alone would take `"332"` for seconds since 1970."""


class Model(BaseModel):
    """What a service answers. NaN and infinity become null, bytes base64."""

    model_config = _SHARED | ConfigDict(ser_json_inf_nan="null", ser_json_bytes="base64")


class Request(BaseModel):
    """The JSON body of a POST or PATCH. Types are strict: `"1"` is no number. Empty as it stands."""

    model_config = _SHARED | ConfigDict(strict=True, allow_inf_nan=False)


class Query(BaseModel):
    """The query string of a GET. Empty as it stands."""

    model_config = _SHARED | ConfigDict(allow_inf_nan=False)


class ListQuery(Query):
    """What every list understands."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Most items on one page."""

    page_token: Annotated[str, Field(max_length=2000)] = ""
    """Where to go on: `next_page_token` of the page before."""

    filter: Annotated[str, Field(max_length=2000)] = ""
    """Which items, in a part of CEL over declared fields: `owner == "ana" && ("pii" in tags || size > 3)`."""

    order_by: Annotated[str, Field(max_length=100)] = ""
    """A declared field, optionally followed by ` desc`."""


M = TypeVar("M", bound=BaseModel)


def generic(model: type[M]) -> type[M]:
    """Marks a generic model: its fields have their descriptions, and pass them on to each of its many variants.

    Read from the source again for every variant, they would cost more than all the rest of the start.
    """
    model.model_config = {**model.model_config, "use_attribute_docstrings": False}
    return model


@generic
class Page(Model, Generic[_ItemT]):
    """One page of a list."""

    items: list[_ItemT]
    """Items in the requested order."""

    next_page_token: str | None
    """Token of the next page; null on the last one."""

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Names the schema after its items: `AssetPage`."""
        return f"{params[0].__name__}Page"
