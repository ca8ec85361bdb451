"""An operation that declares that it passes on no power: how the platform's admin calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.conformance.power_world import Call, Gift, World

Prepare = Callable[[World], Awaitable[Call]]
CASES: dict[str, Prepare] = {}


def case(prepare: Prepare) -> Prepare:
    service = (
        "ai_catalog"
        if prepare.__name__.endswith(("_definition", "_policy", "_release", "_access_request"))
        else "admin"
    )
    CASES[f"{service}_{prepare.__name__.replace('try_', 'test_')}"] = prepare
    return prepare


def whole_organization(world: World) -> Gift:
    """The most there is in the organization."""
    return Gift("rol_admin", world.organization)
