"""The kind of the how-to is what it says: it type-checks, and it works."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from api.kernel.kinds.service import Service
from core.db import METADATA
from tests.api.admin.tenants import made, tenant
from tests.api_process import Api, running_service

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = (ROOT / "docs/how-to/write-a-kind.md").read_text()
    path = tmp_path_factory.mktemp("kind") / "budget.py"
    path.write_text("\n\n".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)))
    return path


@pytest.fixture(scope="module")
def module(written: Path) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("budget", written)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["budget"] = module
    spec.loader.exec_module(module)
    yield module
    # The table of the page must not be one of the platform's for the tests that follow.
    METADATA.remove(module.RECEIPTS)


@pytest.mark.slow
def test_it_type_checks(written: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(written)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


async def test_it_works(module: ModuleType, tmp_path: Path) -> None:
    money = Service("money", "Money", [module.BUDGET, module.RECEIPT], description="Money.")
    async with running_service(tmp_path, money) as api:
        module.RECEIPTS.create(api.database.engine, checkfirst=True)
        await spends(api)
        await records_receipts(api)


async def records_receipts(api: Api) -> None:
    two, other = await tenant(api, "two"), await tenant(api, "three")
    new = {"name": "year", "project_id": two.project, "spec": {"title": "Year", "limit_cents": 100}}
    budget = await made(two.admin.post("money/budgets", new))
    receipt = await made(two.admin.post("money/receipts", {"budget_id": budget["id"], "cents": 7}))
    listed = await two.admin.get("money/receipts", params={"filter": f"budget_id == '{budget['id']}'"})
    assert listed.json["items"] == [receipt]
    approved = await made(two.admin.post(f"money/receipts/{receipt['id']}:approve"))
    assert approved == receipt | {"approved_by": "two-admin"}
    assert (await other.admin.get("money/receipts")).json["items"] == []
    assert (await other.admin.get(f"money/receipts/{receipt['id']}")).status == 404
    assert [event["type"] for event in api.events("money.receipt.")][-1] == "money.receipt.approved"


async def spends(api: Api) -> None:
    one = await tenant(api, "one")
    new = {"name": "quarter", "project_id": one.project, "spec": {"title": "Quarter", "limit_cents": 100}}
    budget = await made(one.admin.post("money/budgets", new))
    path = f"money/budgets/{budget['id']}"
    spent = await made(one.admin.post(f"{path}:spend", {"cents": 60}))
    assert (spent["status"]["spent_cents"], spent["version"]) == (60, 2)
    assert (await one.admin.get(path)).json == spent, "the answer is what was stored"
    assert (await one.admin.post(f"{path}:spend", {"cents": 60})).status == 409
    assert (await one.admin("PATCH", f"/api/v1/{path}", json={"spec": {"limit_cents": 50}})).status == 409
    assert (await one.admin("DELETE", f"/api/v1/{path}")).status == 409
    found = await one.admin.get("money/budgets", params={"filter": "spec.limit_cents >= 100 && status.state == 'OPEN'"})
    assert [item["name"] for item in found.json["items"]] == ["quarter"]
    assert (await made(one.admin.post(f"{path}:close")))["status"]["state"] == "CLOSED"
    versions = [item["action"] for item in (await one.admin.get(f"{path}/revisions")).json["items"]]
    assert versions == ["money.budget.close", "money.budget.spend", "money.budget.create"]
    assert [event["type"] for event in api.events("money.")][-1] == "money.budget.closed"
