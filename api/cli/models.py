"""The command `headwater predict`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from api.cli.client import Client
from api.cli.output import print_json
from core.errors import InvalidArgument


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(predict)


def predict(
    model: Annotated[str, typer.Argument(help="Model id, such as flights.models.arrival_delay.")],
    instances: Annotated[
        list[str],
        typer.Argument(
            metavar="INSTANCE...", help="JSON object with the inputs by name, or with the key of an entity."
        ),
    ],
    version: Annotated[
        str | None, typer.Option(help="Version of the model. By default the newest that passed its checks.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Include the contribution of each input.")] = False,
) -> None:
    """Print the predictions for one or more instances as JSON."""
    body = {"instances": [_instance(text) for text in instances], "explain": explain}
    if version:
        body["version"] = version
    print_json(Client().post(f"ai-system/models/{model}:predict", body))


def _instance(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"{text!r} is not JSON ({error}). Write an object, such as '{{\"key\": 1}}'.") from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"{text!r} is not a JSON object.")
    return value
