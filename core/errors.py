"""Errors that a caller can act on. Each class has one reason and one HTTP status.

Engines raise these; `api.kernel.problems` renders them as RFC 9457 problem+json and the CLI as one line.
Each `detail` says what is wrong and what to do next, and never contains a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class HeadwaterError(Exception):
    """Base class of every error that the platform raises deliberately."""

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
        """Errors of single fields: `{"pointer": "/spec/name", "detail": "..."}`."""
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds

    @property
    def reason(self) -> str:
        """The class name in `UPPER_SNAKE` form; stable for clients."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).upper()


class InvalidArgument(HeadwaterError):
    """The query or path is malformed."""

    status = 400
    title = "Malformed request"


class Unauthenticated(HeadwaterError):
    """The request has no valid credentials."""

    status = 401
    title = "Authentication required"


class OneTimeCodeRequired(Unauthenticated):
    """Name and password are correct, and the login also needs a one-time code."""

    title = "One-time code required"


class PermissionDenied(HeadwaterError):
    """The caller is authenticated but doesn't have the required permission."""

    status = 403
    title = "Permission denied"


class ExceedsRights(PermissionDenied):
    """The change would give, restore, or control a right that the caller doesn't hold."""

    title = "Exceeds your rights"


class PasswordResetRequired(PermissionDenied):
    """The password is correct but must be changed before the login."""

    title = "Password reset required"


class NotFound(HeadwaterError):
    """The resource doesn't exist, or the caller may not know that it exists."""

    status = 404
    title = "Not found"


class UnknownAsset(NotFound):
    """No asset has the requested id."""

    title = "Unknown asset"


class UnknownTable(NotFound):
    """No Delta table has the requested name."""

    title = "Unknown table"


class UnknownVersion(NotFound):
    """The table never had the requested version, or a vacuum removed it."""

    title = "Unknown version"


class UnknownColumn(InvalidArgument):
    """The table doesn't have the requested column."""

    title = "Unknown column"


class MethodNotAllowed(HeadwaterError):
    """The path exists but doesn't support this HTTP method."""

    status = 405
    title = "Method not allowed"


class NotAcceptable(HeadwaterError):
    """The server can't produce any of the media types in the `Accept` header."""

    status = 406
    title = "Not acceptable"


class RequestTimeout(HeadwaterError):
    """The request body didn't arrive in time."""

    status = 408
    title = "Request timeout"


class Conflict(HeadwaterError):
    """The state of the resource forbids the change, or the name is already in use."""

    status = 409
    title = "Conflict"


class AmbiguousName(Conflict):
    """The name belongs to several resources that the caller may see."""

    title = "Ambiguous name"


class StillInUse(Conflict):
    """Something live depends on the resource. The error names the dependents that the caller may see."""

    title = "Still in use"


class UncheckedInput(Conflict):
    """An input version didn't pass its blocking checks."""

    title = "Unchecked input"


class WriteConflict(Conflict):
    """Another writer committed first, and the two commits conflict."""

    title = "Concurrent write"


class UnsupportedTable(Conflict):
    """The table uses a Delta feature, a type or a file layout that the platform doesn't support."""

    title = "Unsupported table"


class PreconditionFailed(HeadwaterError):
    """The etag in `If-Match` or the expected version is out of date."""

    status = 412
    title = "Precondition failed"


class PayloadTooLarge(HeadwaterError):
    """The request body is larger than the limit."""

    status = 413
    title = "Payload too large"


class UnsupportedMediaType(HeadwaterError):
    """The operation doesn't accept the `Content-Type` of the body."""

    status = 415
    title = "Unsupported media type"


class InvalidPayload(HeadwaterError):
    """The request body doesn't match its schema."""

    status = 422
    title = "Invalid payload"


class WrongCode(InvalidPayload):
    """The one-time code is wrong. Wrong codes are counted, and further attempts must wait."""


class IdempotencyKeyReused(InvalidPayload):
    """An earlier, different request used this `Idempotency-Key`."""

    title = "Idempotency key reused"


class SchemaMismatch(InvalidPayload):
    """The data doesn't match the schema of the table."""

    title = "Schema mismatch"


class ConstraintViolated(InvalidPayload):
    """Some rows violate a constraint of the table."""

    title = "Constraint violated"


class TooManyRequests(HeadwaterError):
    """The caller exceeded a rate limit."""

    status = 429
    title = "Too many requests"


class Unavailable(HeadwaterError):
    """A required component doesn't respond. The request can be retried safely."""

    status = 503
    title = "Temporarily unavailable"


class LaunchUnconfirmed(Unavailable):
    """A launch request was sent but never answered, so the run may or may not have started."""

    title = "Launch unconfirmed"


class QuorumLost(Unavailable):
    """Too few clients responded in a federated round. Nothing from the round is stored."""

    title = "Quorum lost"


class DeadlineExceeded(HeadwaterError):
    """The request took longer than the server allows."""

    status = 504
    title = "Deadline exceeded"


class StorageFull(HeadwaterError):
    """The storage has no space left for the write. Nothing was committed."""

    status = 507
    title = "Storage full"


class TableDamaged(HeadwaterError):
    """The Delta log of the table is missing, incomplete or altered. It stays so until it is repaired."""

    status = 409
    title = "Damaged table"


class IndexInconsistent(HeadwaterError):
    """A search index differs from its table after a synchronization. Searches keep using the previous version."""

    status = 500
    title = "Inconsistent index"


class MailRefused(HeadwaterError):
    """The mail server rejected the mail permanently. Sending it again doesn't help."""

    status = 422
    title = "Mail refused"
