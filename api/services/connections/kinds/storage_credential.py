"""Storage credentials: keys of object stores, of which external locations make temporary ones."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.services.connections.kinds.connection import SecretReferences, require_use
from api.services.connections.logic.configurations import checked_for
from connectors.registry import S3_CREDENTIAL


class StorageProvider(StrEnum):
    """A protocol of object stores."""

    S3 = "S3"


class StorageCredentialSpec(Spec):
    """A key of an object store, and what temporary keys are made with."""

    title: Title
    """Display name."""

    description: Text = ""
    """Whose key it is, and which buckets it opens."""

    provider: Annotated[StorageProvider, Field(strict=False)] = StorageProvider.S3
    """Protocol of the store."""

    config: dict[str, Any] = {}
    """Configuration, without secrets: for S3 `access_key_id`, `region`, `endpoint`, `path_style`, `sts_endpoint`,
    `role_arn`, and `external_id`."""

    secrets: SecretReferences = {}
    """Ids of secrets of the same project, by the field that they set: for S3 `secret_access_key`."""


class StorageCredential(Resource[StorageCredentialSpec, NoStatus]):
    """A key of an object store. No operation returns it; external locations vend temporary keys instead."""


STORAGE_CREDENTIAL = ResourceKind(
    StorageCredential,
    plural="storage-credentials",
    prefix="stc",
    level=Level.PROJECT,
    filter_by=("spec.provider",),
    immutable=("provider",),
    references=(Reference("secrets", "connections.secret"),),
)


@STORAGE_CREDENTIAL.validate
def check_storage_credential(unit: Unit, credential: StorageCredential, before: StorageCredential | None) -> None:
    """Checks the configuration, and requires the right to use its secrets: an endpoint decides who gets to see them."""
    spec = credential.spec
    if before is not None and (before.spec.config, before.spec.secrets) == (spec.config, spec.secrets):
        return
    checked_for(S3_CREDENTIAL, spec.config, spec.secrets, at="/spec/config")
    require_use(unit, spec.secrets, str(credential.project_id))
