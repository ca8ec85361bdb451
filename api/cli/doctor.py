"""The command `headwater doctor`, which finds problems of the installation and says how to fix them."""

from __future__ import annotations

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

from api.cli.output import console
from core import supervisor
from core.errors import HeadwaterError
from core.java import find_java
from core.settings import Settings, load_settings

_LOW_DISK_BYTES = 5_000_000_000
_MANY_METRIC_VALUES = 1_000_000


class Verdict(StrEnum):
    """Verdict of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check."""

    subject: str
    verdict: Verdict
    detail: str


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(doctor)


def doctor() -> None:
    """Check the installation for problems. The exit status is 1 if a check fails."""
    settings = load_settings()
    colors = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red"}
    printer, failed = console(), False
    for finding in examine(settings):
        failed |= finding.verdict is Verdict.FAILED
        color = colors[finding.verdict]
        printer.print(f"[{color}]{finding.verdict:8}[/{color}] {finding.subject:14} {finding.detail}", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yields the findings of all checks. An error of a check is a finding, too."""
    checks: list[tuple[str, Callable[[Settings], Iterator[Finding]]]] = [
        ("settings", _settings),
        ("mail", _mail),
        ("versions", _versions),
        ("ports", _ports),
        ("disk", _disk),
        ("java", _java),
        ("database", _database),
        ("tables", _tables),
        ("metrics", _metric_values),
        ("landing", _landing),
        ("events", _events),
    ]
    for subject, check in checks:
        try:
            yield from check(settings)
        except (HeadwaterError, OSError) as error:
            yield Finding(subject, Verdict.FAILED, error.detail if isinstance(error, HeadwaterError) else str(error))


def busy_ports(settings: Settings) -> list[int]:
    """Returns the ports of the platform that other programs use."""
    ports = {
        settings.port: settings.host,
        settings.dagster_port: "127.0.0.1",
        settings.code_server_port: "127.0.0.1",
        settings.published_code_server_port: "127.0.0.1",
    }
    return [port for port, host in ports.items() if not _bindable(host, port)]


def _bindable(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # Like a server, so that recently closed connections do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _settings(settings: Settings) -> Iterator[Finding]:
    if settings.unknown:
        yield Finding(
            "settings", Verdict.WARNING, f"{', '.join(settings.unknown)}: unknown settings; see `headwater config`"
        )
    else:
        yield Finding("settings", Verdict.OK, f"home {settings.home}")


def _mail(settings: Settings) -> Iterator[Finding]:
    from api.gateways.mail import SmtpMailer

    if SmtpMailer.from_settings(settings):
        yield Finding("mail", Verdict.OK, "invitations and password resets are sent by mail")


def _versions(settings: Settings) -> Iterator[Finding]:
    running = f"Python {platform.python_version()}"
    supported = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Finding(
        "python", Verdict.OK if supported else Verdict.FAILED, running + ("" if supported else "; use 3.11 or 3.12")
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
        yield Finding("ports", Verdict.OK, f"the platform uses {settings.port} to {settings.spark_port}")
    elif busy := busy_ports(settings):
        numbers = ", ".join(map(str, busy))
        yield Finding("ports", Verdict.FAILED, f"{numbers} used by another program; stop it or set HEADWATER_PORT")
    else:
        yield Finding("ports", Verdict.OK, f"{settings.port} to {settings.spark_port} are free")


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    low = free < _LOW_DISK_BYTES
    yield Finding(
        "disk",
        Verdict.WARNING if low else Verdict.OK,
        f"{free / 1e9:.0f} GB free" + ("; 5 GB recommended" if low else ""),
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
        yield Finding("database", Verdict.OK, "not created yet; `headwater up` creates it")
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
    from lakehouse.metric_history import MetricHistory
    from lakehouse.tables import Tables

    if not settings.database_url and not (settings.home / "metadata.db").exists():
        return
    database = Database(settings.effective_database_url)
    tables = Tables.from_settings(settings, database)
    findings = {table: tables.verify(table) for table in tables.list()}
    findings |= MetricHistory.from_settings(settings, database).verify()
    valid = 0
    for faults in findings.values():
        valid += not faults
        for fault in faults:
            yield Finding("tables", Verdict.FAILED, fault)
    yield Finding("tables", Verdict.OK, f"{valid} with a valid log")
    database.close()


def _metric_values(settings: Settings) -> Iterator[Finding]:
    from api.services.ai_catalog.logic.metric_mover import waiting_values
    from core.db import Database

    if not settings.database_url and not (settings.home / "metadata.db").exists():
        return
    database = Database(settings.effective_database_url)
    with database.read() as connection:
        count = waiting_values(connection)
    database.close()
    if count > _MANY_METRIC_VALUES:
        advice = "is the platform running? If it is, its log says why they don't move"
        yield Finding("metrics", Verdict.WARNING, f"{count:,} logged values wait to move to the lakehouse; {advice}")
    else:
        yield Finding("metrics", Verdict.OK, f"{count:,} logged values wait to move to the lakehouse")


def _landing(settings: Settings) -> Iterator[Finding]:
    from core.ids import is_asset_id
    from lakehouse.landing_areas import landing_root

    root = landing_root(settings.effective_landing_url)
    paths = sorted(root.iterdir()) if root.is_dir() else []
    legacy = [path.name for path in paths if is_asset_id(path.name)]
    # These are outside the folders of projects, so no definition reads them.
    misplaced = [path.name for path in paths if path.is_symlink() or not (path.is_dir() or is_asset_id(path.name))]
    if misplaced:
        yield Finding(
            "landing",
            Verdict.WARNING,
            f"{len(misplaced)} files or links in {root} belong to no project, such as {misplaced[0]!r}; move each into "
            "the folder with the name of its project",
        )
    if legacy:
        yield Finding(
            "landing",
            Verdict.WARNING,
            f"{len(legacy)} landing folders have the names of earlier releases, such as {legacy[0]}; they are read, "
            "but move each to <project>/<schema>/<table>",
        )
    if not misplaced and not legacy:
        yield Finding("landing", Verdict.OK, f"{root}, one folder for each project")


def _events(settings: Settings) -> Iterator[Finding]:
    from api.gateways.relays.relay import open_relay

    relay = open_relay(settings)
    if relay is None:
        return

    async def check() -> None:
        try:
            await relay.broker.check()
        finally:
            await relay.stop()

    import asyncio

    asyncio.run(check())
    yield Finding("events", Verdict.OK, f"{relay.broker.name} responds; events go to {settings.events_topic}")
