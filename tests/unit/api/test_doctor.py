"""`headwater doctor` names what would keep the platform from working, and fails because of it."""

from __future__ import annotations

import socket
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from api.cli.app import app
from api.cli.platform import migrate
from core import java
from core.db import Database
from core.settings import load_settings
from lakehouse.tables import Tables
from tests.ports import free_ports

TABLE = "shop.silver.orders"


@pytest.fixture(autouse=True)
def port(home: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The first port of the platform, which has five."""
    first = free_ports(5)
    monkeypatch.setenv("HEADWATER_PORT", str(first))
    return first


def doctor(*, succeeds: bool) -> str:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == (0 if succeeds else 1), result.output
    return " ".join(result.output.split())


@pytest.fixture
def log(home: Path) -> Path:
    """The Delta log of a sound table of two versions."""
    settings = load_settings()
    migrate(settings)
    database = Database(settings.effective_database_url)
    tables = Tables.from_settings(settings, database)
    tables.append(TABLE, pl.DataFrame({"id": [1, 2]}))
    tables.append(TABLE, pl.DataFrame({"id": [3]}))
    database.close()
    return settings.home / "lakehouse" / Path(*TABLE.split(".")) / "_delta_log"


def test_an_empty_home_is_in_order(port: int) -> None:
    assert f"{port} to {port + 4} are free" in doctor(succeeds=True)


def test_a_sound_table_is_counted(log: Path) -> None:
    found = doctor(succeeds=True)
    assert "1 with a valid log" in found
    assert "0 logged values wait" in found


def test_a_commit_file_that_is_not_json_is_found(log: Path) -> None:
    (log / f"{1:020}.json").write_text("garbage")
    found = doctor(succeeds=False)
    assert TABLE in found
    assert "0 with a valid log" in found


def test_a_commit_file_that_was_altered_is_found(log: Path) -> None:
    first = log / f"{0:020}.json"
    first.write_text(first.read_text().replace('"numRecords', '"numRecord5'))
    assert f"version 0 of {TABLE}" in doctor(succeeds=False)


def test_a_lost_data_file_is_found(log: Path) -> None:
    next(log.parent.glob("*.parquet")).unlink()
    assert "1 data files of version 1" in doctor(succeeds=False)


def test_a_port_of_another_program_is_found(port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + 1))
        other.listen()
        problem = f"{port + 1} used by another program; stop it or set HEADWATER_PORT"
        assert problem in doctor(succeeds=False)


def test_local_spark_without_java_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SPARK", "local")
    assert "ok java Java" in doctor(succeeds=True)
    old = home / "jdk" / "bin" / "java"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\n")
    old.chmod(0o755)
    (home / "jdk" / "release").write_text('JAVA_VERSION="11.0.21"\n')
    monkeypatch.setenv("JAVA_HOME", str(home / "jdk"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(java, "find_spec", lambda _name: None)
    assert "is Java 11). Install the package openjdk-17-jre-headless" in doctor(succeeds=False)


def test_a_misspelt_setting_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_PROT", "8400")
    assert "HEADWATER_PROT: unknown settings" in doctor(succeeds=True)


@pytest.mark.parametrize(
    ("url", "reported"),
    [
        ("redis://headwater:hunter2@127.0.0.1:1", "Redis does not respond (ConnectionRefusedError)."),
        ("redis://headwater:hunter2@127.0.0.1:hunter2", "is not a valid Redis URL"),
        ("amqp://headwater:hunter2@127.0.0.1", "must begin with redis://"),
    ],
)
def test_a_broker_that_gets_no_events_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, reported: str
) -> None:
    monkeypatch.setenv("HEADWATER_EVENTS_URL", url)
    output = doctor(succeeds=False)
    assert "failed events" in output
    assert reported in output
    assert "hunter2" not in output


def test_mail_settings_that_cannot_work_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SMTP_URL", "smtps://user:the-secret@mail.example.org")
    found = doctor(succeeds=False)
    assert "needs HEADWATER_URL" in found
    assert "the-secret" not in found
    monkeypatch.setenv("HEADWATER_URL", "https://headwater.example.org")
    monkeypatch.setenv("HEADWATER_MAIL_FROM", "headwater@example.org")
    assert "invitations and password resets are sent by mail" in doctor(succeeds=True)
