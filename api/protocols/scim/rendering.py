"""What users and groups have in common as SCIM resources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError
from scim2_models import InvalidValueException

from api.kernel.kinds.unit import ORGANIZATION, Unit
from api.kernel.securable import Securable


def organization(unit: Unit) -> Securable:
    """The organization whose directory it is: that of the caller, who need not see the organization itself."""
    id = unit.principal.organization_id
    return Securable(ORGANIZATION, id, id)


def version(number: int, *parts: str) -> str:
    """The weak entity tag of a resource: of its version, and of what belongs to it but is stored elsewhere."""
    more = f"-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:16]}" if parts else ""
    return f'W/"{number}{more}"'


@contextmanager
def refusing_invalid(names: Mapping[str, str]) -> Iterator[None]:
    """Says which attribute has an invalid value. `names` are those that SCIM calls otherwise."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise InvalidValueException(detail=f"{names.get(field, field)}: {first['msg']}") from None
