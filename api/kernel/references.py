"""Fields that contain references. Callers write an id, or a name that `kinds.names` replaces by the id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

ORGANIZATION = "admin.organization"
PROJECT = "admin.project"
ROLE = "admin.role"
PRINCIPAL_KINDS = ("admin.user", "admin.service_account", "admin.group")
"""Kinds that can own resources and be granted rights."""

ACCOUNT_KINDS = ("admin.user", "admin.service_account")
"""Kinds that can authenticate."""


@dataclass(frozen=True, slots=True)
class RefersTo:
    """Marks a string as the id or name of a resource of one of these kinds, or of any kind if there are none.

    `kind_in` names another field of the same object that may contain the kind.
    """

    kinds: tuple[str, ...] = ()
    kind_in: str = ""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Adds `x-refers-to` to the schema."""
        return handler(schema) | {"x-refers-to": list(self.kinds) or ["*"]}


PrincipalReference = Annotated[str, Field(max_length=128, examples=["ada"]), RefersTo(PRINCIPAL_KINDS)]
"""A user, service account, or group."""

Account = Annotated[str, Field(max_length=128), RefersTo(ACCOUNT_KINDS)]
"""A user or a service account."""

Role = Annotated[str, Field(max_length=128, examples=["viewer"]), RefersTo((ROLE,))]
"""A role."""

Group = Annotated[str, Field(max_length=128), RefersTo(("admin.group",))]
"""A group."""

Organization = Annotated[str, Field(max_length=128), RefersTo((ORGANIZATION,))]
"""An organization."""

IdentityProvider = Annotated[str, Field(max_length=128), RefersTo(("admin.identity_provider",))]
"""An identity provider."""

Project = Annotated[str, Field(max_length=128), RefersTo((PROJECT,))]
"""A project."""

Securable = Annotated[
    str, Field(min_length=1, max_length=256, examples=["platform"]), RefersTo(kind_in="securable_kind")
]
"""The platform, or a resource of any kind."""

GrantId = Annotated[str, Field(max_length=64)]
"""The id of a grant. Grants have no names."""

ExternalId = Annotated[str, Field(max_length=256)]
"""The id that an identity provider has for a user or group."""

FILTER_FIELDS = {
    "organization_id": (ORGANIZATION,),
    "project_id": (PROJECT,),
    "owner": PRINCIPAL_KINDS,
    "principal_id": PRINCIPAL_KINDS,
    "role_id": (ROLE,),
    "securable_id": (),
    "subject": (),
    "identity_provider_id": ("admin.identity_provider",),
}
"""The kinds that fields of filters refer to in every service, by field name. The names also apply below `spec`."""
