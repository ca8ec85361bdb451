"""The programs of the how-to page, as they stand there, over events of a real change."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from tests.api_process import running
from tests.brokers import Broker, Kafka, Redis
from tests.orchestration import FakeOrchestrator

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "receive-events-from-a-broker.md").read_text()
PROGRAMS = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.mark.slow
async def test_the_page_leads_to_events(
    broker: Broker, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"HEADWATER_EVENTS_URL": broker.url, "HEADWATER_EVENTS_TOPIC": topic}
    async with running(tmp_path, FakeOrchestrator(), **variables) as api:
        project = await api.admin.post("/api/v1/admin/projects", {"name": "fleet", "spec": {"title": "Fleet"}})
        taken = f'headwater_outbox_events_behind{{consumer="{broker.scheme}:{topic}"}} 0.0'
        async with asyncio.timeout(60):
            while taken not in (metrics := await api.admin.get("/metrics")).response.text:
                await asyncio.sleep(0.05)
        assert f'{{dependency="{broker.scheme.title()}",state="CLOSED"}} 1.0' in metrics.response.text
        assert broker.password not in metrics.response.text
    module: dict[str, Any] = {}
    exec(compile(PROGRAMS, "receive-events-from-a-broker.md", "exec"), module)
    seen: set[str] = set()
    if isinstance(broker, Redis):
        with broker.client() as client:
            last = module["read_stream"](client, topic, "0", seen)
            assert module["read_stream"](client, topic, last, set()) == last
            module["read_stream"](client, topic, "0", seen)
    else:
        assert isinstance(broker, Kafka)
        consumer = confluent_kafka.Consumer(broker.client() | {"group.id": topic, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        present = {event.get_id() for event in broker.read(topic)}
        async with asyncio.timeout(60):
            while seen != present:
                await asyncio.to_thread(module["read_topic"], consumer, seen)
        consumer.close()
    assert capsys.readouterr().out.count(f"admin.project.created {project.json['id']}") == 1
