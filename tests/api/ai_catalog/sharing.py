"""A provider and a recipient in one process: tables with partitions, shares, and requests of Delta Sharing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyarrow as pa

from api.kernel.platform import open_tables
from lakehouse.tables import Tables
from tests.api.admin.tenants import made
from tests.api_process import Api, Caller, Reply

DAILY = "flights.gold.daily"


def tables_of(api: Api) -> Tables:
    return api.app.platform.part(open_tables)


def rows(*pairs: tuple[int, str | None]) -> pa.Table:
    carriers = pa.array([carrier for _, carrier in pairs], pa.string())
    days = pa.array([date(2026, 1, 1)] * len(pairs), pa.date32())
    return pa.table({"id": pa.array([id for id, _ in pairs], pa.int64()), "carrier": carriers, "day": days})


def make_daily(api: Api) -> Tables:
    """Three versions: empty, two carriers, and a third row."""
    tables = tables_of(api)
    tables.create(DAILY, rows().schema, partition_by=["carrier"])
    tables.append(DAILY, rows((1, "AA"), (2, "BB")))
    tables.append(DAILY, rows((3, "BB")))
    return tables


@dataclass
class Received:
    """A response of the Delta Sharing server."""

    response: httpx.Response

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.response.text.splitlines()]

    @property
    def files(self) -> list[dict[str, Any]]:
        """The files of a query."""
        return [line["file"] for line in self.lines if "file" in line]

    @property
    def version(self) -> int:
        return int(self.response.headers["delta-table-version"])


class Client:
    """A recipient with a profile."""

    def __init__(self, api: Api, profile: dict[str, Any]) -> None:
        self.api, self.token = api, profile["bearerToken"]
        self.headers = {"authorization": f"Bearer {self.token}"}
        self.http = Caller(api.app, None).http

    async def __call__(self, method: str, path: str, **options: Any) -> Received:
        headers = self.headers | options.pop("headers", {})
        return Received(await self.http.request(method, f"/delta-sharing{path}", headers=headers, **options))

    async def get(self, path: str, **options: Any) -> Received:
        return await self("GET", path, **options)

    async def query(self, table: str = "gold/tables/daily", share: str = "partners", **body: Any) -> Received:
        return await self("POST", f"/shares/{share}/schemas/{table}/query", json=body)

    async def download(self, url: str, method: str = "GET", **options: Any) -> httpx.Response:
        """Opens a link, which needs no token."""
        parts = urlsplit(url)
        return await self.http.request(method, f"{parts.path}?{parts.query}", **options)


class Provider:
    """An admin with shares and recipients."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.ids: dict[str, str] = {}

    async def share(self, name: str, *objects: dict[str, Any]) -> str:
        body = {"name": name, "project_id": "flights", "spec": {"title": name}}
        id = self.ids[name] = (await made(self.api.admin.post("ai-catalog/shares", body)))["id"]
        for one in objects:
            await made(self.on_share(name, "add-object", one))
        return id

    async def on_share(self, name: str, verb: str, body: dict[str, Any], by: Caller | None = None) -> Reply:
        return await (by or self.api.admin).post(f"ai-catalog/shares/{self.ids[name]}:{verb}", body)

    async def objects(self, name: str) -> list[dict[str, Any]]:
        reply = await self.api.admin.get(f"ai-catalog/shares/{self.ids[name]}/objects")
        return list(reply.json["items"])

    async def recipient(self, name: str, *shares: str, **spec: Any) -> str:
        body = {"name": name, "spec": {"title": name, **spec}}
        id = self.ids[name] = (await made(self.api.admin.post("ai-catalog/recipients", body)))["id"]
        for share in shares:
            await made(self.on_share(share, "grant", {"recipient_id": id}))
        return id

    async def on_recipient(self, name: str, verb: str, by: Caller | None = None, **body: Any) -> Reply:
        return await (by or self.api.admin).post(f"ai-catalog/recipients/{self.ids[name]}:{verb}", body)

    async def activated(self, secret: str) -> Client:
        path = "ai-catalog/recipients:activate"
        return Client(self.api, await made(self.api.anonymous.post(path, {"secret": secret})))

    async def client(self, name: str, *shares: str, **spec: Any) -> Client:
        """Creates a recipient, which uses its link."""
        await self.recipient(name, *shares, **spec)
        return await self.activated((await made(self.on_recipient(name, "invite")))["secret"])


async def provider(api: Api) -> Provider:
    """Creates the project and the table."""
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    make_daily(api)
    return Provider(api)
