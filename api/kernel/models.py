"""Base classes of request and response models.

The docstring under a field is its description in the OpenAPI document. Responses always contain all fields; a field
without a value is null. Requests with undeclared fields are refused, so that typing errors are noticed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from core.addresses import parse_address

_SHARED = ConfigDict(extra="forbid", use_attribute_docstrings=True, defer_build=True, populate_by_name=True)
_ItemT = TypeVar("_ItemT")


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d")


def _require_rfc_3339(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC_3339.match(value)):
        return value
    raise ValueError("Write a time as in 2026-01-31T12:00:00Z")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the year 1 or after the year 9999 in UTC") from None


# Not strict: behind a validator, pydantic no longer knows that the string comes from JSON, which has no times.
Timestamp = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_require_rfc_3339), AfterValidator(_in_utc)]
"""A time in RFC 3339 with its zone, converted to UTC. Pydantic alone would read `"332"` as seconds since 1970."""


def _address(value: str) -> str:
    parse_address(value)
    return value


Url = Annotated[str, Field(max_length=2000, json_schema_extra={"format": "uri"}), AfterValidator(_address)]
"""An absolute URL with a host that can be parsed and connected to."""


class Model(BaseModel):
    """A response body. NaN and infinity are written as null, bytes as base64."""

    model_config = _SHARED | ConfigDict(ser_json_inf_nan="null", ser_json_bytes="base64")


class Request(BaseModel):
    """The JSON body of a POST or PATCH. Types are strict: `"1"` is not a number. This class has no fields."""

    model_config = _SHARED | ConfigDict(strict=True, allow_inf_nan=False)


Filter = Annotated[str, Field(max_length=2000)]
"""A filter in a subset of CEL. See `api.kernel.filtering.filters`."""

Name = Annotated[str, Field(max_length=128)]
"""The name of a resource, or its id. Each kind has its own pattern for names."""

KindName = Annotated[str, Field(max_length=64)]
"""The full name of a kind, such as `admin.project`."""


class Query(BaseModel):
    """The query string of a GET. This class has no parameters."""

    model_config = _SHARED | ConfigDict(allow_inf_nan=False)


class ListQuery(Query):
    """The parameters of every list."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Maximum number of items on the page."""

    page_token: Annotated[str, Field(max_length=2000)] = ""
    """`next_page_token` of the previous page. Leave it out for the first page."""

    filter: Filter = ""
    """Filter in a subset of CEL over the declared fields: `owner == "ana" && ("pii" in tags || size > 3)`."""

    order_by: Annotated[str, Field(max_length=100)] = ""
    """Field to order by, optionally followed by ` desc`."""


M = TypeVar("M", bound=BaseModel)


def generic(model: type[M]) -> type[M]:
    """Marks a generic model whose variants take the descriptions of fields from it.

    Parsing the source again for every variant would dominate the time that the API takes to start.
    """
    model.model_config = {**model.model_config, "use_attribute_docstrings": False}
    return model


@generic
class Page(Model, Generic[_ItemT]):
    """One page of a list."""

    items: list[_ItemT]
    """Items of the page in the requested order."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Names the schema after its items: `AssetPage`."""
        return f"{params[0].__name__}Page"
