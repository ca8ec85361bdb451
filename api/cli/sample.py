"""The sample project's first run: publish its REST definitions, materialize everything, show progress."""

from __future__ import annotations

import time
from typing import Any

import yaml

from api.cli.client import Client
from api.cli.programs import project_root
from core.errors import HeadwaterError, Unavailable
from core.settings import Settings

PROJECT = "flights"
_LOAD_SECONDS = 90.0


class FirstRun:
    """Runs once per home: a home whose assets are all materialized is left as it is."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started = False
        self.state = "WAITING" if settings.sample else "SKIPPED"
        self.detail = ""

    def describe(self) -> dict[str, str]:
        """State and detail, as `headwater status --json` shows them."""
        return {"state": self.state, "detail": self.detail}

    def run(self) -> None:
        """Brings the sample up to date; the outcome is in `state` and `detail`."""
        if self.state == "SKIPPED":
            return
        self.state = "RUNNING"
        try:
            client = Client(self.settings)
            _wait_for_assets(client)
            for path in sorted((project_root() / "dagster_project" / "samples").glob("*.yaml")):
                publish(client, yaml.safe_load(path.read_text()))
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
            print(f"The sample's first run failed: {error}", flush=True)

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
    """Asks the index and the model once: what does not answer is noticed now, and the first user need not wait."""
    client.post("rag/indexes/flights.index.handbook:search", {"query": "How do I start?", "k": 1})
    flight = client.get("ai-catalog/assets/flights.features.departures/preview", page_size=1, columns="flight_id")
    client.post("ai-system/models/flights.models.arrival_delay:predict", {"instances": flight["rows"]})


def publish(client: Client, definition: dict[str, Any]) -> None:
    """Creates or updates a definition and publishes it; does nothing if it is already live as given."""
    asset = definition["attributes"]["asset"]
    known = {item["id"]: item for item in client.items("ai-catalog/definitions")}
    if asset not in known:
        client.post("ai-catalog/definitions", definition)
    elif known[asset]["attributes"] != definition["attributes"] or known[asset]["component"] != definition["component"]:
        client.put(f"ai-catalog/definitions/{asset}", definition)
    elif known[asset]["state"] == "PUBLISHED":
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
    raise Unavailable("Dagster did not load the sample project in time; see `headwater status` for its log.")
