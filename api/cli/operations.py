"""The commands `headwater runs`, `logs`, and `cancel`, for long-running operations."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.client import Client
from api.cli.output import print_json, print_table, time
from core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

FINAL = ("SUCCEEDED", "FAILED", "CANCELED")


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.command()(runs)
    app.command()(logs)
    app.command()(cancel)


def runs(
    limit: Annotated[int, typer.Option(help="Maximum number of operations.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List operations with their states, newest first."""
    items = list(islice(Client().items("operations"), limit))
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["state"],
            f"{item['progress']['done']}/{item['progress']['total']}",
            item["action"],
            ", ".join(item["assets"]) or item["subject"],
            item["created_by"],
            time(item["created_at"]),
        )
        for item in items
    ]
    headings = ("operation", "state", "steps", "action", "on", "by", "started")
    print_table(headings, rows, right=("steps",), fold=("on",))


def logs(operation: Annotated[str, typer.Argument(help="Id of the operation.")]) -> None:
    """Print the log of an operation until it ends. The exit status is 1 if it does not succeed."""
    state = ""
    for kind, event in Client().events(f"operations/{operation}/logs"):
        if kind == "error":
            raise Unavailable(event.get("detail", "The log ended with an error."))
        if kind == "log":
            source = event["step"] or (event["run"] or "")[:8]
            print(f"{time(event['at'])} {event['level']:8} {source} {event['message']}", flush=True)
        else:
            state = event["state"]
    print(f"{operation} {state}", file=sys.stderr)
    if state != "SUCCEEDED":
        raise typer.Exit(1)


def cancel(operation: Annotated[str, typer.Argument(help="Id of the operation.")]) -> None:
    """Cancel an operation. Its runs are terminated, and a saga is compensated."""
    canceled = Client().post(f"operations/{operation}:cancel")
    print(f"{canceled['id']}  {canceled['state']}")


def watch(client: Client, operation: dict[str, Any], show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Waits for the end of an operation and returns it. Ctrl-C prints how to continue to watch it or to cancel it.

    Args:
        client: the client of the API.
        operation: the operation as returned by its request.
        show: called with the operation whenever it is read.
    """
    from time import sleep

    try:
        while operation["state"] not in FINAL:
            sleep(0.2)
            operation = client.get(f"operations/{operation['id']}")
            show(operation)
    except KeyboardInterrupt:
        print(
            f"\n{operation['id']} continues. Watch it with `headwater logs {operation['id']}`, or cancel it with "
            f"`headwater cancel {operation['id']}`.",
            file=sys.stderr,
        )
        raise
    return operation
