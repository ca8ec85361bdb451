"""Verification of an attestation: its signature, and the present content of the versions that it names."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from api.kernel.credentials import signing_keys
from api.kernel.credentials.signing_keys import KeyState
from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.lake import versions
from api.kernel.models import Model, Request
from api.kernel.platform import open_tables
from api.services.ai_catalog.kinds.attestation import ATTESTATION
from api.services.ai_catalog.logic.content_digests import ALGORITHM, content_digest
from api.services.ai_catalog.logic.signed_envelope import is_valid
from core.errors import HeadwaterError, NotFound


class SignatureState(StrEnum):
    """Result of the check of the signature. KEY_REVOKED: the key may be stolen, so its signatures prove nothing."""

    VALID = "VALID"
    INVALID = "INVALID"
    KEY_REVOKED = "KEY_REVOKED"


class ContentState(StrEnum):
    """Whether a version still has the attested content.

    UNREADABLE: the version can't be read now. NOT_ATTESTED: the statement has no digest of it.
    """

    UNCHANGED = "UNCHANGED"
    CHANGED = "CHANGED"
    UNREADABLE = "UNREADABLE"
    NOT_ATTESTED = "NOT_ATTESTED"


class ContentVerification(Model):
    """Comparison of a version with the statement."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version."""

    state: ContentState
    """Result of the comparison."""

    attested: str | None
    """Digest in the statement."""

    actual: str | None
    """Digest of the rows now."""

    problem: str | None
    """Why there is no digest now. Null if there is one."""


class Verification(Model):
    """Result of a verification."""

    valid: bool
    """Whether the signature is valid, and the attested version has the attested content."""

    signature: SignatureState
    """Result of the check of the signature."""

    subject: ContentVerification
    """The attested version."""

    dependencies: list[ContentVerification]
    """The inputs that the statement names."""

    newest: bool
    """Whether the newest version of the table still has the rows of the attested version."""


@ATTESTATION.action("verify", request=Request, result=Verification, reads=True)
async def verify_attestation(ctx: Context, attestation: str, request: Request) -> Verification:
    """Verifies the signature, and compares the attested digests with the rows that the tables have now.

    A version whose files were changed or damaged is CHANGED or UNREADABLE.
    """

    def read(unit: Unit) -> tuple[Row, SignatureState]:
        row = ATTESTATION.row(unit, attestation, "verify")
        return row, _signature(unit, row)

    row, signature = await ctx.read(read)
    return await ctx.compute(_verify, ctx, row, signature)


def _signature(unit: Unit, row: Row) -> SignatureState:
    try:
        key = signing_keys.find(unit.connection, row.key_id)
    except NotFound:
        return SignatureState.INVALID
    if not is_valid(row.statement.encode(), row.signature, key.public):
        return SignatureState.INVALID
    return SignatureState.KEY_REVOKED if key.state == KeyState.REVOKED.value else SignatureState.VALID


def _verify(ctx: Context, row: Row, signature: SignatureState) -> Verification:
    signed: dict[str, Any] = json.loads(row.statement)
    (part,) = signed["subject"]
    subject = _content(ctx, part["name"], signed["predicate"]["version"], part)
    if (subject.asset, subject.version, subject.attested) != (row.asset, row.version, row.digest):
        signature = SignatureState.INVALID  # the row is about another version than its statement
    dependencies = [
        _content(ctx, used["name"], used["annotations"]["version"], used)
        for used in signed["predicate"]["resolvedDependencies"]
    ]
    return Verification(
        valid=signature is SignatureState.VALID and subject.state is ContentState.UNCHANGED,
        signature=signature,
        subject=subject,
        dependencies=dependencies,
        newest=_is_newest(ctx, subject),
    )


def _content(ctx: Context, asset: str, version: str, part: dict[str, Any]) -> ContentVerification:
    attested = part.get("digest", {}).get(ALGORITHM)
    if attested is None:
        return ContentVerification(
            asset=asset, version=version, state=ContentState.NOT_ATTESTED, attested=None, actual=None, problem=None
        )
    found = content_digest(ctx, asset, version)
    state = ContentState.UNCHANGED if found.digest == attested else ContentState.CHANGED
    return ContentVerification(
        asset=asset,
        version=version,
        state=state if found.digest else ContentState.UNREADABLE,
        attested=attested,
        actual=found.digest,
        problem=found.problem or None,
    )


def _is_newest(ctx: Context, subject: ContentVerification) -> bool:
    tables = ctx.platform.part(open_tables)
    try:
        newest = tables.snapshot(subject.asset)
        same_table = subject.version.rpartition("@")[0] == newest.table_id
        return same_table and tables.content_version(subject.asset, newest.version) <= versions.number(subject.version)
    except HeadwaterError:
        return False
