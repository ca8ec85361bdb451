"""What is known of a kind before any operation is declared on it: its names, its place, and the texts about it."""

from __future__ import annotations

from collections.abc import Mapping

from api.kernel.kinds.slots import FilterReferences
from api.kernel.permissions.graph import Locator
from api.kernel.permissions.power import Power
from api.kernel.platform import Platform
from core.errors import HeadwaterError, NotFound


class Noun:
    """The name of a kind and everything that operations derive from it: paths, permissions, and documentation."""

    def __init__(
        self,
        name: str,
        *,
        plural: str,
        title: str,
        description: str,
        example: str,
        rooted: bool = False,
        locate: Locator | None = None,
        scoped: bool = False,
        filter_by: tuple[str, ...] = (),
        order_by: tuple[str, ...] = (),
        powers: Mapping[str, Power] | None = None,
    ) -> None:
        """Describes the kind.

        Args:
            name: singular, in snake_case.
            plural: plural in kebab-case, for URLs.
            title: singular, for people.
            description: text of the OpenAPI tag.
            example: an id, for the documentation.
            rooted: whether its paths are `/api/v1/<plural>`, without the service.
            locate: finds the scope of an item, so that grants on a project or organization apply to it. Without it,
                only grants on the whole platform apply.
            scoped: whether its functions check the permission on each item, so that a grant on any scope is enough to
                call them.
            filter_by: fields that lists can be filtered by.
            order_by: fields that lists can be ordered by.
            powers: what each changing verb lets a caller pass on. Required for kinds that change principals
                or rights.
        """
        self.name = name
        self.plural = plural
        self.plural_name = plural.replace("-", "_")
        self.title = title
        self.description = description
        self.example = example
        self.rooted = rooted
        self.service = ""
        """Name of its service. Set when the service is created."""
        self.locate = locate
        self.scoped = scoped
        self.filter_by = filter_by
        self.filter_references: FilterReferences = {}
        """Fields of `filter_by` that contain references. Set when the service is created."""
        self.order_by = order_by
        self.powers = dict(powers or {})

    @property
    def full_name(self) -> str:
        """`<service>.<kind>`."""
        return f"{self.service}.{self.name}"

    @property
    def with_article(self) -> str:
        """The title in a sentence: `a project`, `an API key`."""
        return f"{'an' if self.title[0] in 'AEIO' else 'a'} {self.title.lower()}"

    def permission(self, verb: str) -> str:
        """Returns the permission that an operation with this verb needs."""
        return f"{self.full_name}.{verb.replace('-', '_')}"

    def unknown(self, id: str) -> HeadwaterError:
        """Returns the error for an id that does not exist or that the caller may not know of."""
        return NotFound(f"There is no {self.title.lower()} {id!r}.")


class Kinds(dict[str, Noun]):
    """Every kind of the platform by its full name. The application fills it."""

    def __init__(self, platform: Platform) -> None:
        super().__init__()
