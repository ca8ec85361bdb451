"""The reference page of every operation: who can call it, its kind of method, and the tests of its effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from api.kernel.documents.ledger import EVERY_OPERATION, Coverage, MethodKind, coverage, method_kind_of, role_of
from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.service import Service
from api.main import SERVICES, mounts

ROOT = Path(__file__).parents[1]

PROSE = f"""# Operations

This page lists every operation of the REST API. It is generated from the declarations that serve the operations. The
OpenAPI documents are in [docs/openapi](../openapi) and, from a running platform, at `/api/v1/<service>/openapi.json`.
To see more about an operation, run `headwater explain <operation>`. For a mount, run `headwater explain <path>`.

- **Role** is the lowest built-in role that holds the permission. `own` means that every logged-in user can call the
  operation for their own resources. `none` means that it needs no login.
- **Method** is `standard` if all kinds that have the method share it, and `custom` if only this kind has it.
- **Tests** lists the tests of the operation's effect. In addition, `{EVERY_OPERATION}` tests for every operation who
  can call it, and how it responds to malformed input. The build fails if a custom operation that changes something has
  no test of its effect.
- A **mount** is a path where a service offers a standard protocol. Mounts aren't counted as operations.
"""


def page() -> str:
    """Returns the whole page."""
    tests = coverage(ROOT)
    protocol_mounts = _mounts()
    parts = [PROSE, *_totals(SERVICES, protocol_mounts)]
    for service in SERVICES:
        parts += ["", f"## {service.title}", "", service.description, ""]
        parts += ["| operation | | path | permission | role | method | tests | description |", "|" + " --- |" * 8]
        parts += [_row(endpoint, tests) for endpoint in service.endpoints]
        if own := [mount for mount in protocol_mounts if mount.speaks_for == service.name]:
            parts += ["", "| mount | paths | role |", "| --- | --- | --- |", *map(_mount, own)]
    return "\n".join(parts) + "\n"


def _totals(services: Sequence[Service], protocol_mounts: Sequence[Mount]) -> Iterator[str]:
    """Yields one line per service, and their sum."""
    yield "| service | kinds | operations | standard | custom | mounts |"
    yield "| --- |" + " ---: |" * 5
    sums = [0] * 5
    for service in services:
        custom = sum(method_kind_of(endpoint) is MethodKind.CUSTOM for endpoint in service.endpoints)
        numbers = [
            len({endpoint.kind.name for endpoint in service.endpoints}),
            len(service.endpoints),
            len(service.endpoints) - custom,
            custom,
            sum(mount.speaks_for == service.name for mount in protocol_mounts),
        ]
        sums = [one + other for one, other in zip(sums, numbers, strict=True)]
        yield _cells(f"`{service.name}`", *numbers)
    yield _cells("**all**", *(f"**{number:,}**" for number in sums))


def _row(endpoint: Endpoint, found: Coverage) -> str:
    tests = [test.removeprefix("tests/") for test in found.of(endpoint) if test != EVERY_OPERATION]
    return _cells(
        f"`{endpoint}`",
        endpoint.method,
        f"`{endpoint.path}`",
        f"`{endpoint.permission}`",
        role_of(endpoint),
        method_kind_of(endpoint),
        "<br>".join(f"`{test}`" for test in tests),
        endpoint.summary,
    )


def _mounts() -> list[Mount]:
    """Returns the mounts of standard protocols."""
    return sorted((mount for mount in mounts() if mount.speaks_for), key=lambda mount: mount.path)


def _mount(mount: Mount) -> str:
    return _cells(f"`{mount.path}`", "this path" if mount.exact else "all paths below it", mount.role or "none")


def _cells(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
