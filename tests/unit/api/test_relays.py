"""Which addresses of brokers are taken, and that none of them is ever shown."""

from __future__ import annotations

import asyncio
import sys

import pytest

from api.gateways.relays.kafka_topic import KafkaTopic, binary
from api.gateways.relays.relay import open_relay
from core.errors import InvalidArgument, Unavailable
from core.events import Event, RecordedEvent
from core.settings import Settings

EVENT = RecordedEvent(
    7, Event("admin.user.created", "usr_1", "ada", {"name": "Ä"}, id="evt_1", organization_id="org_1")
)


def test_without_a_broker_there_is_no_relay() -> None:
    assert open_relay(Settings()) is None


@pytest.mark.parametrize(
    "options",
    [
        {"events_url": "hunter2"},
        {"events_url": "http://user:hunter2@host"},
        {"events_url": "redis://user:hunter2@"},
        {"events_url": "redis://[hunter2"},
        {"events_url": "redis://user:hunter2@host:port"},
        {"events_url": "kafka://user:hunter2@host:9092?mechanism=hunter2"},
        {"events_url": "kafka://user:hunter2@host:9092?password=hunter2"},
        {"events_url": "kafka://user:hunter2@host:9092/topic"},
        {"events_url": "redis://user:hunter2@host", "events_topic": ""},
        {"events_url": "redis://user:hunter2@host", "events_topic": "x" * 101},
        {"events_url": "redis://user:hunter2@host", "events_kept": 0},
    ],
)
def test_what_cannot_be_used_is_told_at_the_start_and_not_repeated(options: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        open_relay(Settings(**options))  # type: ignore[arg-type]
    assert "HEADWATER_EVENTS_" in caught.value.detail
    assert "hunter2" not in caught.value.detail


@pytest.mark.parametrize(("scheme", "module"), [("redis", "redis"), ("kafka", "confluent_kafka")])
def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str, module: str) -> None:
    for name in [name for name in sys.modules if name.startswith((f"{module}.", "api.gateways.relays."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InvalidArgument, match=f"needs the package {module.replace('_', '-')}"):
        open_relay(Settings(events_url=f"{scheme}://host:1"))


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("kafka://one:9092,two:9092", {"bootstrap.servers": "one:9092,two:9092", "security.protocol": "PLAINTEXT"}),
        ("kafkas://host:9093", {"security.protocol": "SSL"}),
        ("kafkas://host:9093?ssl_ca_certs=/etc/ca.pem", {"ssl.ca.location": "/etc/ca.pem"}),
        (
            "kafkas://key:s%40cret%2F@host:9093",
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.password": "s@cret/"},
        ),
        (
            "kafka://key:secret@host:9093?mechanism=SCRAM-SHA-256",
            {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "key"},
        ),
    ],
)
def test_an_address_of_kafka_says_how_to_log_in(url: str, wanted: dict[str, str]) -> None:
    relay = open_relay(Settings(events_url=url))
    assert relay is not None
    assert isinstance(relay.broker, KafkaTopic)
    assert wanted.items() <= relay.broker._settings.items()
    assert {"acks": "all", "enable.idempotence": True}.items() <= relay.broker._settings.items()


def test_kafka_gets_attributes_as_headers_and_data_as_value() -> None:
    headers, value = binary(EVENT)
    assert dict(headers)["content-type"] == "application/json"
    assert {"ce_id": b"evt_1", "ce_subject": b"usr_1", "ce_sequence": b"00000000000000000007"}.items() <= dict(
        headers
    ).items()
    assert not {"ce_data", "ce_datacontenttype"} & dict(headers).keys()
    assert value == b'{"name":"\\u00c4"}'


async def test_a_server_that_repeats_the_password_is_not_quoted() -> None:
    """As servers do that do not know the command to log in."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.startswith(b"*"):
                writer.write(b"-ERR unknown command, with args beginning with: 'AUTH' 'user' 'hunter2'\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    relay = open_relay(Settings(events_url=f"redis://user:hunter2@127.0.0.1:{port}"))
    assert relay is not None
    with pytest.raises(Unavailable) as caught:
        await relay.subscriber.handle(EVENT)
    assert "hunter2" not in caught.value.detail
    await relay.stop()
    server.close()
