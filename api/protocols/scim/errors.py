"""Translation of the platform's errors to SCIM errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scim2_models import (
    ConflictException,
    ForbiddenException,
    InvalidValueException,
    NotFoundException,
    PreconditionFailedException,
    SCIMException,
)

from core.errors import HeadwaterError

_BY_STATUS: dict[int, type[SCIMException]] = {
    400: InvalidValueException,
    403: ForbiddenException,
    404: NotFoundException,
    409: ConflictException,
    412: PreconditionFailedException,
    422: InvalidValueException,
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises a SCIM error with the same text for a platform error. Faults of the platform itself are not translated."""
    try:
        yield
    except HeadwaterError as error:
        scim_error = _BY_STATUS.get(error.status)
        if scim_error is None:
            raise
        raise scim_error(detail=error.detail) from error
