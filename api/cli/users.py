"""The command `headwater users`."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.client import Client
from api.cli.output import print_json, print_table, time


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(users)


def users(
    filter: Annotated[str, typer.Option(help="Filter of the users, such as 'name == \"ana\"'.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List the users that are visible to you."""
    items = list(Client().items("admin/users", filter=filter or None))
    if as_json:
        print_json(items)
        return
    rows = [
        (item["name"], item["spec"]["title"], item["status"]["state"], item["id"], time(item["created_at"]))
        for item in items
    ]
    print_table(("name", "title", "state", "id", "created"), rows)
