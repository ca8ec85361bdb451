"""External locations with the values of the secrets of their credentials, for the time of one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.services.connections.kinds.external_location import EXTERNAL_LOCATION, ExternalLocation
from api.services.connections.kinds.storage_credential import STORAGE_CREDENTIAL, StorageCredential
from api.services.connections.logic.opened import UsedSecret, note_use, used_secrets
from api.services.connections.logic.storage_urls import parts
from connectors.connector import Config
from connectors.egress import Egress
from connectors.egress_policies import egress_of
from connectors.registry import S3_CREDENTIAL, S3_LOCATION
from core.errors import Conflict


@dataclass(frozen=True, slots=True)
class OpenedLocation:
    """A location that is about to be used. It is never stored, logged, or returned."""

    location: ExternalLocation
    credential: StorageCredential
    config: Config
    egress: Egress


@dataclass(frozen=True, slots=True)
class OpenedCredential:
    """A storage credential that is about to be used. It is never stored, logged, or returned."""

    credential: StorageCredential
    config: Config
    egress: Egress


async def opened_location(ctx: Context, id: str, verb: str) -> OpenedLocation:
    """Returns a location that the caller may use, and records the use of its secrets before it happens.

    Raises:
        NotFound: there is no such location that the caller can see.
        PermissionDenied: the caller lacks the permission of the verb on it.
        Conflict: its credential was deleted, or a secret has no value.
        Unavailable: a secret can't be decrypted.
    """

    def read(unit: Unit) -> tuple[OpenedLocation, list[UsedSecret]]:
        location = EXTERNAL_LOCATION.item(unit, EXTERNAL_LOCATION.row(unit, id, verb))
        # The right to the location is enough, as the right to a connection is: it limits what its credential opens.
        stored = unit.find(STORAGE_CREDENTIAL, location.storage_credential_id)
        if stored is None or stored.deleted_at is not None:
            raise Conflict(f"The storage credential of {location.name} was deleted. Set another one.")
        credential = STORAGE_CREDENTIAL.resource(stored)
        used = used_secrets(unit, credential.spec.secrets)
        bucket, prefix = parts(location.url)
        place = {"bucket": bucket, "prefix": prefix, "read_only": location.read_only}
        config = S3_LOCATION.config.completed(credential.spec.config | place, values(used))
        rules = egress_of(unit.connection, unit.platform.settings, location.organization_id, location.project_id)
        return OpenedLocation(location, credential, config, rules), used

    found, used = await ctx.read(read)
    await note_use(ctx, used, found.credential.id, verb)
    return found


async def opened_credential(ctx: Context, id: str, verb: str) -> OpenedCredential:
    """Returns a storage credential that the caller may use. Raises as `opened_location`."""

    def read(unit: Unit) -> tuple[OpenedCredential, list[UsedSecret]]:
        row = unit.row(STORAGE_CREDENTIAL, id, permission=STORAGE_CREDENTIAL.permission(verb))
        unit.subject(row)
        credential = STORAGE_CREDENTIAL.resource(row)
        used = used_secrets(unit, credential.spec.secrets)
        config = S3_CREDENTIAL.config.completed(credential.spec.config, values(used))
        place = str(credential.organization_id), str(credential.project_id)
        rules = egress_of(unit.connection, unit.platform.settings, *place)
        return OpenedCredential(credential, config, rules), used

    found, used = await ctx.read(read)
    await note_use(ctx, used, found.credential.id, verb)
    return found


def values(used: Sequence[UsedSecret]) -> dict[str, str]:
    """Returns the values of secrets by the field that they set."""
    return {one.field: one.value for one in used}
