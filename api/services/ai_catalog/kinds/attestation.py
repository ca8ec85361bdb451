"""Attestations: signed statements about what a version contains and what produced it."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel import lookup
from api.kernel.credentials import signing_keys
from api.kernel.credentials.signing_keys import SigningKeys
from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Shape
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.graph import asset_securable
from api.kernel.references import ORGANIZATION, PROJECT
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.services.ai_catalog.attestation_tables import ATTESTATION as TABLE
from api.services.ai_catalog.attestation_tables import ATTESTED_ASSET
from api.services.ai_catalog.logic import statement
from api.services.ai_catalog.logic.content_digests import ALGORITHM
from api.services.ai_catalog.logic.readable_tables import readable_names, reads_everything, require_readable
from api.services.ai_catalog.logic.signed_envelope import PAYLOAD_TYPE, encoded
from api.services.ai_catalog.logic.visible_names import one_of
from core.errors import Conflict


class Attestation(Model):
    """A signed statement about a version of an asset: its content digest and its provenance."""

    id: str
    """Id of the attestation."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version that the statement is about."""

    digest: str
    """Digest of the rows of the version (`headwater-rows-1`)."""

    key_id: str
    """Id of the key that signed it."""

    created_at: datetime
    """Time of the signature."""

    created_by: str
    """Principal that requested it. `former-organization` if the project belonged to another organization then."""


class NewAttestation(Request):
    """The version to attest."""

    asset: AssetId
    """Id of the asset."""

    version: Version | None = None
    """Version to attest: a table version or a data version. By default the newest recorded one."""


class EnvelopeSignature(Model):
    """A signature of an envelope."""

    keyid: str
    """Id of the key: the `kid` in `attestations:keys`."""

    sig: str
    """Base64 of the RS256 signature (RSASSA-PKCS1-v1_5 with SHA-256) of the PAE of DSSE 1.0."""


class Envelope(Model):
    """A DSSE envelope with an in-toto statement."""

    payload_type: str = Field(serialization_alias="payloadType")
    """`application/vnd.in-toto+json`."""

    payload: str
    """Base64 of the statement."""

    signatures: list[EnvelopeSignature]
    """The signature."""


class AttestationKeys(Model):
    """A JSON Web Key set."""

    keys: list[dict[str, Any]]
    """Public keys that sign or signed attestations, without revoked ones."""


class AttestationKind(TableKind[Attestation]):
    """Attestations, visible to those who can read the rows of all assets that the statement names."""

    def visible(self, unit: Unit) -> sa.ColumnElement[bool]:
        """Returns the condition for the rows that the caller can see."""
        granted = super().visible(unit)
        access = unit.principal.access
        if reads_everything(access):
            return granted
        named = unit.connection.execute(sa.select(ATTESTED_ASSET.c.asset).distinct()).scalars()
        names = readable_names(unit.platform, access, named)
        readable = one_of(ATTESTED_ASSET.c.asset, names, unit.connection.dialect.name)
        hidden = sa.exists().where(ATTESTED_ASSET.c.attestation_id == TABLE.c.id, ~readable)
        return sa.and_(granted, ~hidden)


ATTESTATION = AttestationKind(Attestation, TABLE, plural="attestations", prefix="att", filter_by=("asset", "version"))


@ATTESTATION.create(request=NewAttestation, result=Attestation)
async def create_attestation(ctx: Context, request: NewAttestation) -> Attestation:
    """Signs a statement about a version: the digest of its rows, its provenance, and the digests of its inputs.

    The caller must be able to read the rows of the asset, and of each input that they can see. The statement contains
    only these inputs. It can be read by everyone who can read the rows of all of them.
    """
    lookup.asset(ctx.view(), request.asset)
    place = asset_securable(ctx.platform, request.asset)
    scope = (
        Securable(PROJECT, place.project_id, place.organization_id, place.project_id)
        if place.project_id
        else Securable(ORGANIZATION, place.organization_id or "", place.organization_id)
    )
    ctx.require(ATTESTATION.permission("create"), scope)
    await ctx.compute(require_readable, ctx, request.asset)
    if place.organization_id is None:
        raise Conflict(f"{request.asset} belongs to no organization, so it can't be attested.")
    built = await ctx.compute(statement.build, ctx, request.asset, request.version)
    return await ctx.write(lambda unit: _store(unit, place, built))


@ATTESTATION.view("envelope", query=Query, result=Envelope)
def get_attestation_envelope(unit: Unit, attestation: Row, query: Query) -> Envelope:
    """Returns the signed statement as a DSSE envelope, which anyone can verify offline with a public key."""
    return Envelope(
        payload_type=PAYLOAD_TYPE,
        payload=base64.b64encode(attestation.statement.encode()).decode(),
        signatures=[EnvelopeSignature(keyid=attestation.key_id, sig=attestation.signature)],
    )


@ATTESTATION.register(Shape.COLLECTION_READ, "keys", query=Query, result=AttestationKeys, role=Role.VIEWER, public=True)
async def attestation_keys(ctx: Context, query: Query) -> AttestationKeys:
    """Returns the public keys that sign or signed attestations as a JSON Web Key set. Revoked keys are not in it.

    Store the set together with your copies of envelopes. You then verify them without the platform.
    """
    return AttestationKeys(keys=await ctx.query(signing_keys.trusted))


def _store(unit: Unit, place: Securable, built: dict[str, Any]) -> Attestation:
    keys = unit.platform.part(SigningKeys)
    unit.events += keys.advance(unit.connection)
    text = json.dumps(built, separators=(",", ":"), sort_keys=True)
    key_id, signature = keys.sign_bytes(unit.connection, encoded(text.encode()))
    (subject,) = built["subject"]
    stored = ATTESTATION.add(
        unit,
        organization_id=place.organization_id,
        project_id=place.project_id,
        asset=subject["name"],
        version=built["predicate"]["version"],
        digest=subject["digest"][ALGORITHM],
        statement=text,
        key_id=key_id,
        signature=base64.b64encode(signature).decode(),
        created_at=unit.now,
        created_by=unit.principal.name,
    )
    rows = [{"attestation_id": stored.id, "asset": asset} for asset in statement.assets_of(built)]
    unit.connection.execute(ATTESTED_ASSET.insert(), rows)
    return stored
