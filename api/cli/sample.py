"""The first run of the sample project, which publishes its definitions and materializes all assets."""

from __future__ import annotations

import time
from typing import Any

from api.cli.client import Client
from api.cli.programs import project_root
from core.errors import HeadwaterError, Unavailable
from core.settings import Settings

PROJECT = "flights"
_LOAD_SECONDS = 90.0


class FirstRun:
    """The first run, once per home. It does nothing if all assets are materialized."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started = False
        self.state = "WAITING" if settings.sample else "SKIPPED"
        self.detail = ""

    def describe(self) -> dict[str, str]:
        """Returns state and detail as in `headwater status --json`."""
        return {"state": self.state, "detail": self.detail}

    def run(self) -> None:
        """Runs the sample. The outcome is in `state` and `detail`."""
        if self.state == "SKIPPED":
            return
        self.state = "RUNNING"
        try:
            client = Client(self.settings)
            _wait_for_assets(client)
            import yaml

            for path in sorted((project_root() / "dagster_project" / "samples").glob("*.yaml")):
                publish(client, yaml.safe_load(path.read_text()), keep_retired=True)
            pending = [
                asset["id"] for asset in _assets(client) if asset["data_version"] is None and asset["executable"]
            ]
            if pending:
                self._materialize(client, pending)
            _try_out(client)
            self.state = "SUCCEEDED"
            print(f"The sample project is ready: {len(_assets(client))} assets.", flush=True)
        except (HeadwaterError, OSError) as error:
            self.state, self.detail = "FAILED", str(error)
            print(f"The first run of the sample failed: {error}", flush=True)

    def _materialize(self, client: Client, assets: list[str]) -> None:
        started = time.monotonic()
        print(f"Running the sample project for the first time: {len(assets)} assets.", flush=True)
        operation = client.post("ai-catalog/assets:materialize", {"assets": assets})
        done: set[str] = set()
        while operation["state"] not in ("SUCCEEDED", "FAILED", "CANCELED"):
            time.sleep(0.5)
            operation = client.get(f"operations/{operation['id']}")
            for asset in _assets(client):
                if asset["id"] in assets and asset["data_version"] and asset["id"] not in done:
                    done.add(asset["id"])
                    elapsed = time.monotonic() - started
                    self.detail = f"{len(done)} of {len(assets)} assets"
                    print(f"  [{len(done):2}/{len(assets)}] {elapsed:6.1f} s  {asset['id']}", flush=True)
        if operation["state"] != "SUCCEEDED":
            raise Unavailable(operation.get("error") or f"operation {operation['id']} ended {operation['state']}")
        self.detail = f"{len(assets)} assets in {time.monotonic() - started:.0f} s"


def _try_out(client: Client) -> None:
    """Calls the index and the model once, to detect errors and to load them before the first user needs them."""
    client.post("rag/indexes/flights.index.handbook:search", {"query": "How do I start?", "k": 1})
    flight = client.get("ai-catalog/assets/flights.features.departures/preview", page_size=1, columns="flight_id")
    client.post("ai-system/models/flights.models.arrival_delay:predict", {"instances": flight["rows"]})


def publish(client: Client, definition: dict[str, Any], *, keep_retired: bool = False) -> None:
    """Creates or updates a definition and publishes it. Does nothing if the same definition is already live.

    Args:
        client: the client of the API.
        definition: the definition, with `component` and `attributes`.
        keep_retired: whether to skip a retired definition; otherwise the API refuses it.
    """
    asset = definition["attributes"]["asset"]
    definitions = {item["id"]: item for item in client.items("ai-catalog/definitions", show_retired=True)}
    current = definitions.get(asset)
    if current is None:
        client.post("ai-catalog/definitions", definition)
    elif keep_retired and current["state"] == "RETIRED":
        return
    elif any(current[field] != definition[field] for field in ("attributes", "component")):
        client.patch(f"ai-catalog/definitions/{asset}", definition)
    elif current["state"] == "PUBLISHED":
        return
    client.post(f"ai-catalog/definitions/{asset}:publish")


def _assets(client: Client) -> list[dict[str, Any]]:
    return [asset for asset in client.items("ai-catalog/assets") if asset["id"].startswith(f"{PROJECT}.")]


def _wait_for_assets(client: Client) -> None:
    deadline = time.monotonic() + _LOAD_SECONDS
    while time.monotonic() < deadline:
        try:
            if _assets(client):
                return
        except Unavailable:
            pass  # the code locations are still loading
        time.sleep(0.3)
    raise Unavailable("Dagster did not load the sample project in time. See `headwater status` for its log.")
