"""The page of every operation: who may call it, what kind of method it is, and which tests prove it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from api.kernel.documents.ledger import EVERY_OPERATION, Proofs, Sort, proofs, role_of, sort_of
from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.service import Service
from api.main import SERVICES, mounts

ROOT = Path(__file__).parents[1]
ASKED = {
    "admin": 119,
    "connections": 179,
    "assets": 230,
    "spark": 84,
    "data_platform": 258,
    "deployments": 208,
    "ai_catalog": 276,
    "ai_system": 239,
    "composables": 192,
    "rag": 107,
    "agentic": 167,
    "federation": 47,
    "cicd": 203,
    "views": 86,
}
"""How many operations each service shall have in the end."""

PROSE = f"""# Operations

Every operation of the REST API, from the declarations that serve it. The OpenAPI documents are in
[docs/openapi](../openapi) and, live, at `/api/v1/<service>/openapi.json`. `headwater explain <operation>` tells more of
one of them, and `headwater explain <path>` of a mount.

- The **role** is the least built-in one that holds the permission. `own`: whoever is logged in may call it for his own
  things. `none`: no login is needed.
- A **standard** method is uniform over all kinds that have it; **custom** is what only this kind can do or tell.
- The **tests** named here look for the effect. Beside them `{EVERY_OPERATION}` proves of every
  operation who may call it and what malformed input is answered; where nothing is named, this is all. Every custom
  operation that acts has one of its own, or the build fails.
- A **mount** is a path where a service also speaks somebody else's protocol. It is not counted among the operations.
"""


def page() -> str:
    """The whole page."""
    found = proofs(ROOT)
    spoken = _mounts()
    parts = [PROSE, *_totals(SERVICES, found, spoken)]
    for service in SERVICES:
        parts += ["", f"## {service.title}", "", service.description, ""]
        parts += ["| operation | | path | permission | role | method | tests | what it does |", "|" + " --- |" * 8]
        parts += [_row(endpoint, found) for endpoint in service.endpoints]
        if ours := [mount for mount in spoken if mount.speaks_for == service.name]:
            parts += ["", "| mount | paths | role |", "| --- | --- | --- |", *map(_mount, ours)]
    return "\n".join(parts) + "\n"


def _totals(services: Sequence[Service], found: Proofs, mounts: Sequence[Mount]) -> Iterator[str]:
    """A line for each service that there is or shall be, and their sum."""
    there = {service.name: service for service in services}
    met = sum(min(ASKED.get(service.name, 0), len(service.endpoints)) for service in services)
    asked = f"Of the {sum(ASKED.values()):,} operations asked for, {met:,} are there"
    yield f"{asked}, not counting what a service has beyond its share."
    yield ""
    yield "| service | kinds | standard | custom | of these proven | operations | asked for | mounts |"
    yield "| --- |" + " ---: |" * 7
    sums = [0] * 7
    for name in dict.fromkeys((*ASKED, *there)):
        endpoints = there[name].endpoints if name in there else ()
        custom = [endpoint for endpoint in endpoints if sort_of(endpoint) is Sort.CUSTOM]
        numbers = [
            len({endpoint.kind.name for endpoint in endpoints}),
            len(endpoints) - len(custom),
            len(custom),
            sum(endpoint.operation_id in found.effects for endpoint in custom),
            len(endpoints),
            ASKED.get(name, 0),
            sum(mount.speaks_for == name for mount in mounts),
        ]
        sums = [one + other for one, other in zip(sums, numbers, strict=True)]
        yield _cells(f"`{name}`", *numbers)
    yield _cells("**all**", *(f"**{number:,}**" for number in sums))


def _row(endpoint: Endpoint, found: Proofs) -> str:
    tests = [test.removeprefix("tests/") for test in found.of(endpoint) if test != EVERY_OPERATION]
    return _cells(
        f"`{endpoint}`",
        endpoint.method,
        f"`{endpoint.path}`",
        f"`{endpoint.permission}`",
        role_of(endpoint),
        sort_of(endpoint),
        "<br>".join(f"`{test}`" for test in tests),
        endpoint.summary,
    )


def _mounts() -> list[Mount]:
    """What is mounted at other protocols' paths."""
    return sorted((mount for mount in mounts() if mount.speaks_for), key=lambda mount: mount.path)


def _mount(mount: Mount) -> str:
    return _cells(f"`{mount.path}`", "this one" if mount.exact else "all below it", mount.role or "none")


def _cells(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
