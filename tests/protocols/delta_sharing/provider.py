"""A provider: a server with tables, and what a provider does with shares and recipients."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from api.kernel.platform import open_tables
from lakehouse.tables import Tables
from tests.api_server import Server

DAILY = "flights.gold.daily"
SILVER = "flights.silver.flights"


def daily(day: int, *rows: tuple[int, str | None]) -> pa.Table:
    ids, carriers = [id for id, _ in rows], [carrier for _, carrier in rows]
    text = pa.array(carriers, pa.string())
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "carrier": text,
            "day": pa.array([date(2026, 1, day)] * len(rows), pa.date32()),
        }
    )


class Provider:
    """An admin of the server of a provider."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.tables: Tables = server.api.app.platform.part(open_tables)
        self.http = httpx.Client(
            base_url=f"{server.url}/api/v1/",
            headers={"authorization": f"Bearer {server.tokens['admin']}"},
            timeout=120,
        )
        self.ids: dict[str, str] = {}

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        reply = self.http.post(path, json=body or {})
        assert reply.status_code in (200, 201), reply.text
        return reply.json()

    def make_tables(self) -> None:
        """Four versions of a table with partitions: three days, an overwritten carrier, and deleted rows."""
        self.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}})
        options: dict[str, Any] = {"partition_by": ["carrier"]}
        self.tables.create(DAILY, daily(1).schema, **options)
        self.tables.append(DAILY, daily(1, (1, "AA"), (2, "B 6"), (3, None)))
        self.tables.append(DAILY, daily(2, (4, "AA"), (5, "B 6")))
        self.tables.delete(DAILY, "id = 4")

    def share(self, name: str, *objects: dict[str, Any]) -> list[Any]:
        """Creates a share in the project, with tables."""
        body = {"name": name, "project_id": "flights", "spec": {"title": name}}
        self.ids[name] = self.post("ai-catalog/shares", body)["id"]
        return [self.post(f"ai-catalog/shares/{self.ids[name]}:add-object", one) for one in objects]

    def recipient(self, name: str, *shares: str, **spec: Any) -> str:
        """Creates a recipient with shares, and returns the secret of its link."""
        body = {"name": name, "spec": {"title": name, **spec}}
        self.ids[name] = self.post("ai-catalog/recipients", body)["id"]
        for share in shares:
            self.post(f"ai-catalog/shares/{self.ids[share]}:grant", {"recipient_id": self.ids[name]})
        return str(self.post(f"ai-catalog/recipients/{self.ids[name]}:invite")["secret"])

    def profile(self, secret: str) -> dict[str, Any]:
        """Uses a link, as the recipient."""
        reply = httpx.post(f"{self.server.url}/api/v1/ai-catalog/recipients:activate", json={"secret": secret})
        assert reply.status_code == 200, reply.text
        return {**reply.json(), "endpoint": f"{self.server.url}/delta-sharing"}

    def profile_file(self, secret: str, folder: Path, name: str = "config.share") -> Path:
        """Uses a link, and stores the profile."""
        path = folder / name
        path.write_text(json.dumps(self.profile(secret)))
        return path
