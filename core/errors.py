"""Errors a caller can act on: one class, one reason, one HTTP status.

Engines raise these; `api.kernel.problems` renders them as RFC 9457 problem+json and the CLI as one line.
Each `detail` says what happened and what to do next, and never holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class HeadwaterError(Exception):
    """Base of every error the platform raises on purpose."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        metadata: Mapping[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = [dict(error) for error in errors]
        """Faults of single fields: `{"pointer": "/spec/name", "detail": "..."}`."""
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds

    @property
    def reason(self) -> str:
        """`UPPER_SNAKE` form of the class name, stable for clients."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).upper()


class InvalidArgument(HeadwaterError):
    """The query or path is malformed."""

    status = 400
    title = "Malformed request"


class Unauthenticated(HeadwaterError):
    """No valid credentials came with the request."""

    status = 401
    title = "Authentication required"


class PermissionDenied(HeadwaterError):
    """The caller is known but may not do this."""

    status = 403
    title = "Permission denied"


class NotFound(HeadwaterError):
    """The thing does not exist, or the caller may not know that it exists."""

    status = 404
    title = "Not found"


class UnknownAsset(NotFound):
    """No asset has this id."""

    title = "Unknown asset"


class UnknownTable(NotFound):
    """No Delta table has this name."""

    title = "Unknown table"


class UnknownVersion(NotFound):
    """The table never had this version, or it was vacuumed."""

    title = "Unknown version"


class UnknownColumn(InvalidArgument):
    """The table has no such column."""

    title = "Unknown column"


class MethodNotAllowed(HeadwaterError):
    """The path exists, but not with this method."""

    status = 405
    title = "Method not allowed"


class NotAcceptable(HeadwaterError):
    """None of the media types in `Accept` is offered here."""

    status = 406
    title = "Not acceptable"


class RequestTimeout(HeadwaterError):
    """The body did not arrive in time."""

    status = 408
    title = "Request timeout"


class Conflict(HeadwaterError):
    """The thing is in a state that forbids this, or the name is taken."""

    status = 409
    title = "Conflict"


class WriteConflict(Conflict):
    """Another writer committed first and the two commits cannot both stand."""

    title = "Concurrent write"


class PreconditionFailed(HeadwaterError):
    """The `If-Match` etag or expected version is stale."""

    status = 412
    title = "Precondition failed"


class PayloadTooLarge(HeadwaterError):
    """The request body exceeds the limit."""

    status = 413
    title = "Payload too large"


class UnsupportedMediaType(HeadwaterError):
    """The body's `Content-Type` is not one this operation reads."""

    status = 415
    title = "Unsupported media type"


class InvalidPayload(HeadwaterError):
    """The body does not have the declared shape."""

    status = 422
    title = "Invalid payload"


class IdempotencyKeyReused(InvalidPayload):
    """This `Idempotency-Key` came before with another request."""

    title = "Idempotency key reused"


class SchemaMismatch(InvalidPayload):
    """Data does not fit the table's schema."""

    title = "Schema mismatch"


class ConstraintViolated(InvalidPayload):
    """Rows break a declared table constraint."""

    title = "Constraint violated"


class TooManyRequests(HeadwaterError):
    """The caller exceeded a rate limit."""

    status = 429
    title = "Too many requests"


class Unavailable(HeadwaterError):
    """A part the platform needs does not answer; safe to retry."""

    status = 503
    title = "Temporarily unavailable"


class LaunchUnconfirmed(Unavailable):
    """A launch was sent, but its answer never came: it may or may not have happened."""

    title = "Launch unconfirmed"


class QuorumLost(Unavailable):
    """Too few clients answered a federated round; nothing of that round was kept."""

    title = "Quorum lost"


class DeadlineExceeded(HeadwaterError):
    """The request took longer than the platform waits."""

    status = 504
    title = "Deadline exceeded"


class StorageFull(HeadwaterError):
    """The store has no room for the write; nothing was committed."""

    status = 507
    title = "Storage full"


class TableDamaged(HeadwaterError):
    """The Delta log is missing, torn or altered."""

    status = 500
    title = "Damaged table"


class IndexInconsistent(HeadwaterError):
    """A search index differs from its table after synchronisation; searches keep answering from the version before."""

    status = 500
    title = "Inconsistent index"


class MailRefused(HeadwaterError):
    """The mail cannot be delivered, and will not be if it is sent again."""

    status = 422
    title = "Mail refused"
