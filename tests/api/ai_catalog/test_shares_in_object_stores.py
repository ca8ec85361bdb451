"""Shared tables in an object store. The platform passes files on, so that a revocation ends their links."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.kernel.platform import open_tables
from tests.api.admin.tenants import made
from tests.api.ai_catalog.sharing import DAILY, provider
from tests.api_process import running
from tests.orchestration import FakeOrchestrator
from tests.s3_store import s3_store


@pytest.mark.slow
async def test_files_of_an_object_store_are_revoked_too(tmp_path: Path) -> None:
    with s3_store("lake") as options:
        variables = {
            "HEADWATER_LAKEHOUSE_URL": "s3://lake/tables",
            "HEADWATER_STORAGE_OPTIONS": json.dumps(options),
            "HEADWATER_AUDIT_MIRROR_SECONDS": "0",
        }
        async with running(tmp_path, FakeOrchestrator(), **variables) as api:
            home = await provider(api)
            await home.share("partners", {"asset": DAILY, "history_from": 0})
            client = await home.client("acme", "partners")
            answer = await client.query()
            assert "lake" not in json.dumps(answer.lines)
            whole = (await client.download(answer.files[0]["url"])).content
            assert (whole[:4], len(whole)) == (b"PAR1", answer.files[0]["size"])
            part = await client.download(answer.files[0]["url"], headers={"range": "bytes=-4"})
            assert (part.status_code, part.content) == (206, b"PAR1")
            assert (await client.download(answer.files[0]["url"], "HEAD")).status_code == 200
            tables = api.app.platform.part(open_tables)
            for path in tables.snapshot(DAILY).paths:
                if path.startswith("carrier=BB"):
                    tables.storage.files.delete_file(f"flights/gold/daily/{path}")
            assert (await client.download(answer.files[1]["url"])).status_code == 404
            await made(home.on_recipient("acme", "revoke"))
            assert (await client.download(answer.files[0]["url"])).status_code == 401
