"""The platform's errors as SCIM writes them."""

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
    """Raises SCIM's error instead of the platform's, with the same text. Faults of the platform itself pass."""
    try:
        yield
    except HeadwaterError as error:
        wanted = _BY_STATUS.get(error.status)
        if wanted is None:
            raise
        raise wanted(detail=error.detail) from error
