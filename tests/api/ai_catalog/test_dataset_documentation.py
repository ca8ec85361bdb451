"""The requests of docs/how-to/describe-a-dataset.md, as they stand there, and what they lead to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa

from api.kernel.platform import open_tables
from tests.api.admin.tenants import made
from tests.api.both_databases import on_both
from tests.api_process import Api

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "describe-a-dataset.md").read_text()
REQUESTS = re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", PAGE, re.DOTALL)


@on_both
async def test_the_requests_of_the_page(api: Api) -> None:
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    rows = pa.table({"id": [1], "carrier": ["AA"]})
    api.app.platform.part(open_tables).append("flights.silver.flights", rows)
    ids: dict[str, str] = {}
    texts = {}
    for method, path, body in REQUESTS:
        for name, id in ids.items():
            path = path.replace(f"{{{name}}}", id)
        options = {"content": body, "headers": {"content-type": "application/json"}} if body.strip() else {}
        reply = await api.admin(method, path, **options)
        assert reply.status in (200, 201), (path, reply.response.text)
        texts[path.partition("?")[0].rpartition("/")[2]] = reply.response.text
        created = {"datasets": "dataset", "tags": "tag", "glossary-terms": "glossary_term"}
        if reply.status == 201:
            ids[created[path.rpartition("/")[2]]] = reply.json["id"]
    assert "flights.silver.flights" in {one["id"] for one in json.loads(texts["search"])["items"]}
    assert len(json.loads(texts["split"])["rows"]) <= 1
    assert json.loads(texts["croissant"])["license"] == "https://spdx.org/licenses/CC0-1.0"
    assert json.loads(texts["data"]) == {"id": 1, "carrier": "AA"}
