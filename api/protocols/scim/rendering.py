"""Common parts of users and groups as SCIM resources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError
from scim2_models import InvalidValueException

from api.kernel.kinds.unit import Unit
from api.kernel.references import ORGANIZATION
from api.kernel.securable import Securable


def organization(unit: Unit) -> Securable:
    """Returns the caller's organization, whose directory it is. The caller need not see the organization itself."""
    id = unit.principal.organization_id
    return Securable(ORGANIZATION, id, id)


def version(number: int, *parts: str) -> str:
    """Returns the weak entity tag of a resource, from its version and from related values that are stored elsewhere."""
    suffix = f"-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:16]}" if parts else ""
    return f'W/"{number}{suffix}"'


@contextmanager
def refusing_invalid(names: Mapping[str, str]) -> Iterator[None]:
    """Raises a SCIM error that names the attribute with an invalid value. `names` maps fields to SCIM attributes."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise InvalidValueException(detail=f"{names.get(field, field)}: {first['msg']}") from None
