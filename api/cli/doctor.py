"""`headwater doctor`: what would keep the platform from working, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version

import typer

from api.gateways.mail import SmtpMailer
from core import supervisor
from core.errors import HeadwaterError
from core.java import find_java
from core.settings import Settings, load_settings

_LOW_DISK_BYTES = 5_000_000_000


class Verdict(StrEnum):
    """How a finding stands."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    subject: str
    verdict: Verdict
    detail: str


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(doctor)


def doctor() -> None:
    """Look for what would keep the platform from working. Exit status 1 if something would."""
    from rich.console import Console

    settings = load_settings()
    colours = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red"}
    console, failed = Console(highlight=False), False
    for finding in examine(settings):
        failed |= finding.verdict is Verdict.FAILED
        colour = colours[finding.verdict]
        console.print(f"[{colour}]{finding.verdict:8}[/{colour}] {finding.subject:14} {finding.detail}", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yields every finding; a check that breaks is a finding too."""
    checks: list[tuple[str, Callable[[Settings], Iterator[Finding]]]] = [
        ("settings", _settings),
        ("mail", _mail),
        ("versions", _versions),
        ("ports", _ports),
        ("disk", _disk),
        ("java", _java),
        ("database", _database),
        ("tables", _tables),
        ("events", _events),
    ]
    for subject, check in checks:
        try:
            yield from check(settings)
        except (HeadwaterError, OSError) as error:
            yield Finding(subject, Verdict.FAILED, error.detail if isinstance(error, HeadwaterError) else str(error))


def busy_ports(settings: Settings) -> list[int]:
    """Which of the platform's ports other programs hold."""
    ports = {
        settings.port: settings.host,
        settings.dagster_port: "127.0.0.1",
        settings.code_server_port: "127.0.0.1",
        settings.published_code_server_port: "127.0.0.1",
    }
    return [port for port, host in ports.items() if not _bindable(host, port)]


def _bindable(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a closed connection's afterlife does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _settings(settings: Settings) -> Iterator[Finding]:
    if settings.unknown:
        yield Finding(
            "settings", Verdict.WARNING, f"{', '.join(settings.unknown)}: no such setting; see `headwater config`"
        )
    else:
        yield Finding("settings", Verdict.OK, f"home {settings.home}")


def _mail(settings: Settings) -> Iterator[Finding]:
    if SmtpMailer.from_settings(settings):
        yield Finding("mail", Verdict.OK, "invitations and links to reset passwords are mailed")


def _versions(settings: Settings) -> Iterator[Finding]:
    found = f"Python {platform.python_version()}"
    supported = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Finding(
        "python", Verdict.OK if supported else Verdict.FAILED, found + ("" if supported else "; use 3.11 or 3.12")
    )
    required = (
        "dagster",
        "deltalake",
        "polars",
        "duckdb",
        "pyspark",
        "pysail",
        "lancedb",
        "flwr",
        "fastapi",
        "sqlalchemy",
    )
    try:
        yield Finding("packages", Verdict.OK, ", ".join(f"{name} {version(name)}" for name in required))
    except PackageNotFoundError as error:
        yield Finding("packages", Verdict.FAILED, f"{error.name} is not installed; run `make setup`")


def _ports(settings: Settings) -> Iterator[Finding]:
    if supervisor.read_state(settings.run_dir):
        yield Finding("ports", Verdict.OK, f"the platform itself holds {settings.port} to {settings.spark_port}")
    elif busy := busy_ports(settings):
        numbers = ", ".join(map(str, busy))
        yield Finding("ports", Verdict.FAILED, f"{numbers} taken by another program; free it or set HEADWATER_PORT")
    else:
        yield Finding("ports", Verdict.OK, f"{settings.port} to {settings.spark_port} are free")


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    low = free < _LOW_DISK_BYTES
    yield Finding(
        "disk", Verdict.WARNING if low else Verdict.OK, f"{free / 1e9:.0f} GB free" + ("; 5 GB advised" if low else "")
    )
    if not os.access(folder, os.W_OK):
        yield Finding("disk", Verdict.FAILED, f"{folder} is not writable")


def _java(settings: Settings) -> Iterator[Finding]:
    if settings.spark != "local":
        yield Finding("java", Verdict.OK, f"not needed: Spark is {settings.spark!r}")
        return
    java = find_java(os.environ)
    yield Finding("java", Verdict.OK, f"Java {java.version}, {java.executable}")


def _database(settings: Settings) -> Iterator[Finding]:
    import sqlalchemy as sa

    from core.db import Database

    if not settings.database_url and not (settings.home / "metadata.db").exists():
        yield Finding("database", Verdict.OK, "not created yet: `headwater up` does")
        return
    database = Database(settings.effective_database_url)
    with database.read() as connection:
        kind = database.engine.dialect.name
        if kind == "sqlite":
            verdict = connection.execute(sa.text("PRAGMA quick_check")).scalar_one()
            if verdict != "ok":
                yield Finding("database", Verdict.FAILED, f"damaged: {verdict}; restore it from a backup")
                return
        revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    yield Finding("database", Verdict.OK, f"{kind}, revision {revision}")
    database.close()


def _tables(settings: Settings) -> Iterator[Finding]:
    from core.db import Database
    from lakehouse.tables import Tables

    if not settings.database_url and not (settings.home / "metadata.db").exists():
        return
    database = Database(settings.effective_database_url)
    tables = Tables.from_settings(settings, database)
    sound = 0
    for table in tables.list():
        faults = tables.verify(table)
        sound += not faults
        for fault in faults:
            yield Finding("tables", Verdict.FAILED, fault)
    yield Finding("tables", Verdict.OK, f"{sound} with a sound log")
    database.close()


def _events(settings: Settings) -> Iterator[Finding]:
    from api.gateways.relays.relay import open_relay

    relay = open_relay(settings)
    if relay is None:
        return

    async def ask() -> None:
        try:
            await relay.broker.check()
        finally:
            await relay.stop()

    asyncio.run(ask())
    yield Finding("events", Verdict.OK, f"{relay.broker.name} answers; {settings.events_topic} gets them")
