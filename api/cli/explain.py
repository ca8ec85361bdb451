"""The command `headwater explain`, which describes an operation or mount from the code."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.programs import project_root

if TYPE_CHECKING:
    from api.kernel.documents import ledger


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(explain)


def explain(
    operation: Annotated[
        list[str],
        typer.Argument(
            metavar="OPERATION", help="Operation id such as admin_create_user, METHOD /path, or path of a mount."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Describe an operation or mount: its permission, role, hooks, tables, events, and tests."""
    from api.kernel.documents import ledger
    from api.main import SERVICES, mounts

    asked, mounted = " ".join(operation), mounts()
    if mount := ledger.mount_at(mounted, asked):
        _explain_mount(ledger.explain_mount(mount, SERVICES), as_json)
        return
    root = project_root()
    proofs = ledger.coverage(root) if (root / "tests").is_dir() else None
    found = ledger.explain(ledger.find(SERVICES, asked), proofs, mounted)
    if as_json:
        print(json.dumps(asdict(found), indent=1))
        return
    print(f"{found.operation}  ({found.sort})\n{found.method} {found.path}\n{found.summary}\n")
    _show("permission", [found.permission])
    _show("role", [found.role])
    _show("source", [found.source])
    _show("hooks", [f"{hook.when:8}  {hook.name}  {hook.source}" for hook in found.hooks])
    _show("writes", found.tables)
    _show("events", found.events)
    _show("mounts", found.mounts)
    _show("tests", found.tests)


def _explain_mount(found: ledger.MountExplanation, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(found), indent=1))
        return
    print(f"{found.path}  ({'this path' if found.exact else 'all below it'})\n")
    _show("permission", [found.permission or "none beyond the role"])
    _show("role", [found.role])
    _show("source", [found.source])
    _show("acts as", found.acts_as)
    _show("does", found.executes)
    _show("writes", found.tables)
    _show("events", found.events)


def _show(name: str, lines: list[str]) -> None:
    for heading, line in zip([name, *[""] * len(lines)], lines, strict=False):
        print(f"{heading:10}  {line}")
