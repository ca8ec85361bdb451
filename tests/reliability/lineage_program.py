"""An API that receives a run's event and is killed. Arguments: home, and where: `edges`, `commit`, or `never`.

`edges`: killed when the event and its run are written, before its edges. `commit`: killed before the transaction ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from api.main import create_app
from core import events
from core.settings import load_settings
from lakehouse.lineage import Lineage
from tests.api_process import Api
from tests.lineage_events import dataset, event
from tests.orchestration import FakeOrchestrator

EVENT = event("COMPLETE", 1, inputs=[dataset("pg", "orders")], outputs=[dataset("pg", "revenue")])


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(home: str, where: str) -> None:
    app = create_app(load_settings({"HEADWATER_HOME": home}), orchestrator=FakeOrchestrator())
    admin = Api(app).admin
    reply = await admin.post("admin/projects", {"name": "shop", "spec": {"title": "Shop"}})
    assert reply.status in (201, 409), reply.json
    if where == "edges":
        Lineage.record_in = staticmethod(die)  # type: ignore[assignment]
    elif where == "commit":
        events.append_all = die  # type: ignore[assignment]
    reply = await admin.post("/openlineage/api/v1/lineage", EVENT)
    assert reply.status == 201, reply.json
    app.platform.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
