"""Resources in number, straight into the table: what a test or bench needs before it begins."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from api.kernel.tables import RESOURCE
from api.services.admin.kinds.project import PROJECT, ProjectSpec
from core import clock
from core.db import Database


def plain_row() -> dict[str, Any]:
    """A row without id and name."""
    times = {"created_at": clock.now(), "updated_at": clock.now(), "deleted_at": None}
    place = {"organization_id": "org_default", "project_id": None, "scope_id": "platform", "kind": "bench.row"}
    who = {"owner": "x", "created_by": "x", "updated_by": "x"}
    rest = {
        "state": "ACTIVE",
        "generation": 1,
        "version": 1,
        "labels": {},
        "spec": {"title": "A project"},
        "status": {},
    }
    return {**times, **place, **who, **rest}


def fill_projects(database: Database, size: int) -> None:
    """Makes projects `p0`, `p1`, ... until there are so many."""
    spec = json.loads(ProjectSpec(title="A project").model_dump_json(by_alias=True))
    documents = {"spec": spec, "status": {"state": "ACTIVE"}, "shape": PROJECT.shape}
    row = plain_row() | {"kind": "admin.project", **documents}
    with database.write() as connection:
        have = connection.execute(sa.select(sa.func.count()).where(RESOURCE.c.kind == "admin.project")).scalar_one()
        for start in range(have, size, 20_000):
            batch = [row | {"id": f"prj_{n:026d}", "name": f"p{n}"} for n in range(start, min(start + 20_000, size))]
            connection.execute(RESOURCE.insert(), batch)
        connection.exec_driver_sql("ANALYZE")
