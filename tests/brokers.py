"""Real brokers that tests start, kill and read from: a Redis server and an Apache Kafka broker."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import confluent_kafka
import redis
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka.admin import AdminClient
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from core.java import find_java
from core.supervisor import die_with_parent
from resources.spark.jars import downloaded
from tests.ports import free_ports

USER, PASSWORD = "headwater", "s3cret-and-long"
KAFKA = "4.2.0"


class Broker(ABC):
    """A server with one user, whose data outlives it."""

    scheme: str
    options: tuple[str, ...] = ()
    password = PASSWORD

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_ports(3)
        self.tls_port = self.port + 1
        self.controller_port = self.port + 2
        self.authority = folder / "authority.pem"
        """Signed the certificate of the server."""
        _certify(self.authority, folder / "server.pem")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_with(PASSWORD)

    def url_with(self, password: str) -> str:
        return f"{self.scheme}://{USER}:{password}@127.0.0.1:{self.port}?{'&'.join(self.options)}"

    def tls_url(self, *options: str) -> str:
        return f"{self.scheme}s://{USER}:{PASSWORD}@127.0.0.1:{self.tls_port}?{'&'.join((*self.options, *options))}"

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        command, stdin = self._command()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.folder, preexec_fn=die_with_parent
        )
        log.close()
        assert self._process.stdin
        self._process.stdin.write(stdin)
        self._process.stdin.close()
        until(self._answers, 120, lambda: (self.folder / "log").read_text())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @abstractmethod
    def _command(self) -> tuple[list[str], bytes]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    @abstractmethod
    def read(self, topic: str) -> list[BaseCloudEvent]:
        """Everything in a topic, as the SDK of CloudEvents reads it; in order, or in the order of each subject."""


class Redis(Broker):
    scheme = "redis"

    def _command(self) -> tuple[list[str], bytes]:
        server = shutil.which("redis-server")
        assert server, "There is no redis-server: run tests/provide.sh."
        conf = (
            f"bind 127.0.0.1\nport {self.port}\nappendonly yes\nappendfsync always\nsave ''\n"
            f"tls-port {self.tls_port}\ntls-cert-file server.pem\ntls-key-file server.pem\n"
            f"tls-ca-cert-file {self.authority}\ntls-auth-clients no\n"
            f"user default off\nuser {USER} on >{PASSWORD} ~* +@all\n"
        )
        return [server, "-"], conf.encode()

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def read(self, topic: str) -> list[BaseCloudEvent]:
        with self.client() as client:
            entries = client.xrange(topic)
        return [from_http_event(HTTPMessage(entry, entry.pop("event").encode()), JSONFormat()) for _, entry in entries]


class Kafka(Broker):
    scheme = "kafka"
    options = ("mechanism=SCRAM-SHA-512",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        listeners = f"CLIENTS://127.0.0.1:{self.port},SECURE://127.0.0.1:{self.tls_port}"
        login = "org.apache.kafka.common.security"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "server.pem"),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENTS",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.clients.plain.sasl.jaas.config": f"{login}.plain.PlainLoginModule required "
            'username="broker" password="among-brokers" user_broker="among-brokers";',
            "listener.name.clients.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
            "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
            "log.dirs": str(folder / "data"),
            "num.partitions": "3",
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.replication.factor": "1",
        }
        self._properties = folder / "server.properties"
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        cluster = "aGVhZHdhdGVyLXRlc3RzMQ"
        self._run("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties), "--add-scram", user)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([*_java(), *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def _command(self) -> tuple[list[str], bytes]:
        return [*_java(), "kafka.Kafka", str(self._properties)], b""

    def client(self) -> dict[str, str]:
        """Settings of a client."""
        return {
            "bootstrap.servers": f"127.0.0.1:{self.port}",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": USER,
            "sasl.password": PASSWORD,
        }

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        try:
            AdminClient(self.client()).list_topics(timeout=30)
        except confluent_kafka.KafkaException:
            return False
        return True

    def read(self, topic: str) -> list[BaseCloudEvent]:
        found = []
        consumer = confluent_kafka.Consumer(self.client() | {"group.id": topic, "enable.auto.commit": "false"})
        for number in consumer.list_topics(topic, timeout=60).topics[topic].partitions:
            partition = confluent_kafka.TopicPartition(topic, number, 0)
            _, end = consumer.get_watermark_offsets(partition, timeout=60)
            consumer.assign([partition])
            for _ in range(end):
                message = consumer.poll(60)
                assert message is not None
                assert message.error() is None
                headers = dict(message.headers() or [])
                found.append(from_kafka_event(KafkaMessage(headers, message.key(), message.value() or b"")))
        consumer.close()
        return found


@cache
def _java() -> tuple[str, ...]:
    """A Java with Kafka on its path, from Maven Central."""
    jars = downloaded([f"org.apache.kafka:kafka_2.13:{KAFKA}"])
    return (
        str(find_java(os.environ).executable),
        "-cp",
        str(jars / "*"),
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
    )


def _certify(authority: Path, server: Path) -> None:
    """Writes the certificate of a server at 127.0.0.1, behind its key, and that of who signed it."""
    now = datetime.now(UTC)

    def certificate(name: str, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = x509.CertificateBuilder().subject_name(named).issuer_name(root).public_key(key.public_key())
        return made.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(1))

    root = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    key, root_key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    itself = certificate("authority", root_key).add_extension(x509.BasicConstraints(True, None), critical=True)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = certificate("server", key).add_extension(loopback, critical=False).sign(root_key, SHA256())
    authority.write_bytes(itself.sign(root_key, SHA256()).public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    server.write_bytes(private + signed.public_bytes(Encoding.PEM))


def until(condition: Callable[[], bool], seconds: float, otherwise: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.05)
