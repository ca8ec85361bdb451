"""Fields of specs and statuses in filters."""

from __future__ import annotations

from types import NoneType
from typing import Any, get_args, get_origin

import sqlalchemy as sa
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from api.kernel.filtering.expressions import Lacks
from api.kernel.filtering.filters import Field, FieldType
from api.kernel.kinds.resource import Resource
from api.kernel.tables import RESOURCE


def filter_field(resource: type[Resource[Any, Any]], path: str) -> Field:
    """Returns the filter field of `spec.<name>` or `status.<name>`. Rows without it match its default.

    Raises:
        KeyError: there is no such field.
    """
    document, _, name = path.partition(".")
    model: type[BaseModel] = resource.spec_type() if document == "spec" else resource.status_type()
    field = model.model_fields[name]
    types = [part for part in (get_args(field.annotation) or (field.annotation,)) if part is not NoneType]
    element = RESOURCE.c[document][name]
    type, column = FieldType.STRING, element.as_string()
    if get_origin(field.annotation) is list:
        type, column = FieldType.STRINGS, element
    elif types == [bool]:
        type, column = FieldType.BOOLEAN, element.as_boolean()
    elif types == [int]:
        type, column = FieldType.INTEGER, sa.cast(element.as_string(), sa.BigInteger)
    elif types == [float]:
        type, column = FieldType.NUMBER, element.as_float()
    default = None if field.is_required() else to_jsonable_python(field.get_default(call_default_factory=True))
    if default is not None:
        column = sa.case((Lacks(RESOURCE.c[document], name), sa.literal(default, column.type)), else_=column)
    return Field(type, column, lambda item: getattr(getattr(item, document), name))
