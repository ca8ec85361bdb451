"""Replays: the identity of repeated requests, and the check whether the caller may receive the earlier response."""

from __future__ import annotations

from starlette.requests import Request

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.principal import Principal
from api.kernel.storage import idempotency, store
from api.kernel.storage.idempotency import Claim, EarlierResponse
from core.errors import PermissionDenied


def claim_of(request: Request, principal: Principal, body: bytes) -> Claim | None:
    """Returns the claim of a request with an `Idempotency-Key`, or None if it has no such header.

    Raises:
        InvalidArgument: the key is malformed.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    # Names in the request have another meaning if the account moved to another organization.
    texts = (request.method, request.scope["path"], request.headers.get("if-match", ""), principal.organization_id)
    parts = [*(text.encode("utf-8", "surrogatepass") for text in texts), request.scope["query_string"], body]
    return idempotency.claim_of(key, principal.id, principal.access.digest, parts)


async def require_access(ctx: Context, claim: Claim, earlier: EarlierResponse) -> None:
    """Checks that the caller may receive the earlier response.

    The caller may receive it with the same rights as before. With other rights, the caller must hold the permission on
    the securable of the earlier request, which must be known.

    Raises:
        PermissionDenied: the caller lacks the rights.
    """

    def may_receive(unit: Unit) -> bool:
        access, permission = unit.principal.access, ctx.endpoint.permission
        same = earlier.rights == claim.rights and not access.ended_since(earlier.at)
        if same and not access.conditional(permission):
            return True
        if earlier.securable_id is None:
            return False
        row = store.find_any(unit.connection, earlier.securable_id)
        if row is not None:
            return row.deleted_at is None and access.allows(permission, row.securable, row)
        locator = ctx.endpoint.kind.locate
        return locator is not None and access.allows(permission, locator.securable(unit.platform, earlier.securable_id))

    if not await ctx.read(may_receive):
        raise PermissionDenied(
            "This request has already run, with rights that these credentials do not have now, so its response is not "
            "returned again. Read the resource instead of repeating the request."
        )
