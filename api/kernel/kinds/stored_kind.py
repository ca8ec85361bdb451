"""What the platform knows of a kind that it stores: its classes, its scope, and how rows become resources."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from api.kernel.kinds.noun import Noun
from api.kernel.kinds.reference import Reference
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.resource import Level, Resource, Status
from api.kernel.kinds.shape import read, shape_of, written
from api.kernel.kinds.spec_field import filter_field
from api.kernel.permissions.access import Access
from api.kernel.permissions.conditions import FIELDS
from api.kernel.permissions.power import Power
from api.kernel.permissions.principal import Principal
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM
from api.kernel.storage.listing import SqlListing
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core.errors import Conflict, NotFound

R = TypeVar("R", bound=Resource[Any, Any])

ORDER = ("name", "created_at", "updated_at")
"""Fields that lists of resources can be ordered by."""

SLUG = r"[a-z][a-z0-9-]{0,62}"
"""Names for people and URLs, in ASCII, so that no two of them look alike."""


class Method(Enum):
    """A standard method that a stored kind may have."""

    LIST = "list"
    GET = "get"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RESTORE = "restore"
    HISTORY = "history"
    BATCH = "batch"
    WATCH = "watch"
    EXPORT = "export"


ALL = frozenset(Method)
FACTS = frozenset({Method.LIST, Method.GET, Method.EXPORT, Method.WATCH})
"""The methods of a kind that only the platform writes."""


class StoredKind(Noun, Generic[R]):
    """A kind whose items are rows of the metadata database."""

    def __init__(
        self,
        model: type[R],
        *,
        plural: str,
        prefix: str,
        level: Level,
        methods: frozenset[Method] = ALL,
        opens: Level | None = None,
        named: Level | None = None,
        name: str = SLUG,
        initial: Callable[[], Status] | None = None,
        immutable: tuple[str, ...] = (),
        filter_by: tuple[str, ...] = (),
        references: tuple[Reference, ...] = (),
        writers: Role = Role.EDITOR,
        readers: Role = Role.VIEWER,
        powers: Mapping[str, Power] | None = None,
    ) -> None:
        """Declares the kind.

        Args:
            model: the resource class. Its name and docstring are the kind's.
            plural: plural in kebab-case, for URLs.
            prefix: three letters that its ids begin with.
            level: the scope that its resources belong to.
            methods: the standard methods it has.
            opens: the level of scope that each of its resources is, for organizations and projects.
            named: the level within which its names are unique, so that paths accept a name instead of an id: the
                platform, or the organization of the caller.
            name: pattern of its names.
            initial: returns the status of a new resource. Defaults to the status class without arguments.
            immutable: fields of the spec that never change.
            filter_by: fields such as `spec.tier` or `status.state` that lists can be filtered by, in addition to the
                common ones.
            references: fields of the spec that hold ids of other resources.
            writers: the least built-in role that may create, change, and delete.
            readers: the least built-in role that may read.
            powers: what each changing verb lets a caller pass on. Required for kinds that change principals
                or rights.

        Raises:
            TypeError: `immutable` or `references` names a field that the spec does not have.
        """
        named_fields = {*immutable, *(reference.field for reference in references)}
        if unknown := named_fields - set(model.spec_type().model_fields):
            raise TypeError(f"the spec of {model.__name__} has no field {', '.join(sorted(unknown))}")
        title = re.sub(r"(?<!^)(?=[A-Z])", " ", model.__name__).capitalize()
        super().__init__(
            title.lower().replace(" ", "_"),
            plural=plural,
            title=title,
            description=inspect.getdoc(model) or "",
            example=f"{prefix}_06e1xq0000example000000000",
            filter_by=(*FIELDS, *filter_by),
            order_by=ORDER,
            scoped=True,
            powers=powers,
        )
        if powers is not None:
            self.powers["batch"] = Power(0)
            for verb in ("create", "update", "delete"):
                self.powers["batch"] |= self.powers[verb]
        self.model = model
        self.prefix = prefix
        self.level = level
        self.opens = opens
        self.named = named
        self.name_pattern = re.compile(name)
        self.initial: Callable[[], Status] = initial or model.status_type()
        self.immutable = immutable
        self.references = references
        self.writers = writers
        self.readers = readers
        self.methods = methods
        self.fields = FIELDS | {field: filter_field(model, field) for field in filter_by}
        self.listing = SqlListing(id=RESOURCE.c.id, fields=self.fields, order=ORDER)
        self._register_methods()

    def _register_methods(self) -> None:
        """Registers the standard methods. Subclasses that have operations override this."""

    def names_in(self, principal: Principal) -> str | None:
        """Returns the scope within which the caller can write a name instead of an id, or None."""
        if self.named is Level.ORGANIZATION:
            return principal.organization_id
        return PLATFORM if self.named is Level.PLATFORM else None

    def name_scope(self, resource: Resource[Any, Any]) -> str:
        """Returns the scope within which the name of a resource is unique."""
        if self.named is Level.PLATFORM:
            return PLATFORM
        return resource.project_id or resource.organization_id or PLATFORM

    def authorized(
        self, row: Stored | None, id: str, access: Access, *, permission: str = "", deleted: bool = False
    ) -> Stored:
        """Returns the row found for `id`, with current fields, if `access` includes it.

        Args:
            row: the row, or None if there is none.
            id: what the caller asked for.
            access: the rights of the caller.
            permission: a permission that the caller needs in addition to `get`.
            deleted: whether the resource must be deleted, instead of live.

        Raises:
            NotFound: there is no row, none that the caller may know of, or the resource is deleted.
            Conflict: the resource is not deleted, although it must be.
            PermissionDenied: the caller can see the resource, but lacks the permission.
        """
        if row is None or not access.allows(self.permission("get"), row.securable, row):
            raise self.unknown(id)
        if deleted and row.deleted_at is None:
            raise Conflict(f"{self.title} {id!r} is not deleted.")
        if not deleted and row.deleted_at is not None:
            raise NotFound(f"{self.title} {id!r} was deleted; it can be restored.")
        if permission and not access.allows(permission, row.securable, row):
            raise denied(permission)
        return self.current(row)

    @cached_property
    def shape(self) -> str:
        """Digest of the fields of the spec and status. Rows carry the digest they were written with."""
        return shape_of(self.model.spec_type(), self.model.status_type())

    def current(self, row: Stored) -> Stored:
        """Returns the row with all fields that the spec and status have in this release.

        A row that was written without some of them gets their defaults and keeps its version and ETag. A row that the
        classes refuse, because a migration is missing, is returned as stored. Call this for every row that is returned
        to a caller.
        """
        if row.shape == self.shape:
            return row
        try:
            spec, status = read(self.model.spec_type(), row.spec), read(self.model.status_type(), row.status)
        except ValidationError:
            return row
        return replace(row, spec=written(spec), status=written(status), shape=self.shape)

    def resource(self, row: Stored) -> R:
        """Returns a row as an object of the author's class."""
        return read(self.model, row.encode())

    def stored(self, resource: R, *, scope_id: str) -> Stored:
        """Returns a resource as a row."""
        state = getattr(resource.status, "state", None)
        return Stored(
            id=resource.id,
            kind=resource.kind,
            organization_id=resource.organization_id,
            project_id=resource.project_id,
            scope_id=scope_id,
            name=resource.name,
            owner=resource.owner,
            state=str(state) if state is not None else None,
            generation=resource.generation,
            version=resource.version,
            created_at=resource.created_at,
            created_by=resource.created_by,
            updated_at=resource.updated_at,
            updated_by=resource.updated_by,
            deleted_at=resource.deleted_at,
            labels=json.dumps(resource.labels, sort_keys=True),
            spec=written(resource.spec),
            status=written(resource.status),
            shape=self.shape,
        )
