"""Settings, and the only reader of the environment.

Each setting comes from `HEADWATER_<NAME>`, else from `headwater.toml` in the home folder, else from its default;
`headwater config` prints the effective value and where it came from.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from core.errors import InvalidArgument


def _setting(default: Any, help: str, *, secret: bool = False, choices: tuple[str, ...] = ()) -> Any:
    metadata = {"help": help, "secret": secret, "choices": choices}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), repr=not secret, metadata=metadata)
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything an operator can set. Empty URLs mean the embedded part under `home`."""

    home: Path = _setting(Path(".headwater"), "Folder of everything the platform keeps.")
    host: str = _setting("127.0.0.1", "Address the public port binds to.")
    port: int = _setting(8400, "The one public port. Loopback parts use the ports after it.")
    insecure_bind: bool = _setting(False, "Allow a non-loopback host without TLS.")
    tls_certfile: str = _setting("", "PEM certificate chain of the public port.")
    tls_keyfile: str = _setting("", "PEM private key of the public port.")
    admin_password: str = _setting("", "Password of the first admin; generated and printed once if empty.", secret=True)
    database_url: str = _setting("", "SQLAlchemy URL of the metadata database.", secret=True)
    dagster_database_url: str = _setting("", "PostgreSQL URL of Dagster's storage.", secret=True)
    lakehouse_url: str = _setting("", "Root of the Delta tables: a folder or s3://bucket/prefix.")
    storage_options: dict[str, str] = _setting({}, "JSON object of object store options (delta-rs names).", secret=True)
    vectors_url: str = _setting("", "Root of the LanceDB tables: a folder or an object store URL.")
    landing_url: str = _setting("", "Folder watched for CSV files to ingest.")
    private_sources: bool = _setting(False, "Let CSV sources be fetched from private and loopback addresses.")
    spark: str = _setting("embedded", "Spark Connect engine: embedded, local, or an sc:// endpoint.")
    spark_jars_dir: str = _setting("", "Folder of Delta jars for local Spark; empty: resolved from Maven Central.")
    spark_memory: str = _setting("1g", "Heap of local Apache Spark, as the JVM writes it.")
    spark_idle_seconds: int = _setting(900, "Seconds without a client after which embedded or local Spark stops.")
    torch_python: str = _setting("", "Interpreter that runs trainers; empty: the platform's own.")
    launcher: str = _setting("warm", "How runs start.", choices=("warm", "default"))
    max_concurrent_runs: int = _setting(2, "Runs at the same time; more wait in the queue.")
    sample: bool = _setting(True, "Run the sample project on the first start.")
    log_level: str = _setting("info", "Least severe level logged.", choices=("debug", "info", "warning", "error"))
    session_hours: int = _setting(12, "Lifetime of a login.")
    purge_after_days: int = _setting(30, "Days after which what was deleted may be purged for good.")
    audit_mirror_seconds: int = _setting(60, "Seconds between copies of the audit trail to the lakehouse; 0: none.")
    services: str = _setting("", "Services this process answers, such as admin,rag; empty: all.")
    dagster_url: str = _setting("", "Address of the Dagster webserver; empty: the platform's own on loopback.")
    url: str = _setting(
        "",
        "Address of the platform, for the command line, links and tokens; empty: that of `home`, or as requests say.",
    )
    token: str = _setting("", "Bearer token of the command line; empty: one is issued from `home`.", secret=True)
    max_body_bytes: int = _setting(10_000_000, "Largest request body accepted.")
    access_log: bool = _setting(True, "Write one JSON line per request to the log.")
    rate_limit: str = _setting("60000/minute", "Requests of one principal, such as 100/second; empty: no limit.")
    rate_limit_anonymous: str = _setting("60000/minute", "Requests of one address without a login; empty: no limit.")
    rate_limit_url: str = _setting(
        "",
        "Store of the rate limits for several API processes, such as async+redis://host; empty: each counts its own.",
        secret=True,
    )
    smtp_url: str = _setting(
        "",
        "Mail server: smtps://user:password@host, smtp:// (STARTTLS), smtp+plain:// (no TLS); empty: no mail is sent.",
        secret=True,
    )
    mail_from: str = _setting("", "Sender of mails, such as Headwater <headwater@example.org>.")
    events_url: str = _setting(
        "",
        "Broker that gets every event too: redis://, rediss://, kafka:// or kafkas:// with user:password@ if it asks "
        "for them; empty: none.",
        secret=True,
    )
    events_topic: str = _setting("headwater.events", "The stream of Redis, or the topic of Kafka, that gets them.")
    events_kept: int = _setting(1_000_000, "About how many events a stream of Redis keeps; Kafka has its own rules.")
    otel_endpoint: str = _setting(
        "", "OTLP/HTTP address that receives a trace per request (extra `otel`); empty: none is sent."
    )

    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where each value came from: `default`, `file` or the variable's name."""

    unknown: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """`HEADWATER_*` variables that are no setting: most likely misspelt, so `headwater doctor` names them."""

    # Loopback ports follow the public one, so that one number moves a whole platform.
    @property
    def dagster_port(self) -> int:
        """Loopback port of the Dagster webserver."""
        return self.port + 1

    @property
    def effective_dagster_url(self) -> str:
        """Where the Dagster webserver answers, without a path."""
        return self.dagster_url.rstrip("/") or f"http://127.0.0.1:{self.dagster_port}"

    @property
    def code_server_port(self) -> int:
        """Loopback port of the project's code server."""
        return self.port + 2

    @property
    def published_code_server_port(self) -> int:
        """Loopback port of the code server of definitions published over REST."""
        return self.port + 3

    @property
    def spark_port(self) -> int:
        """Loopback port of the embedded or local Spark Connect server."""
        return self.port + 4

    @property
    def effective_database_url(self) -> str:
        """The metadata database, embedded SQLite by default."""
        return self.database_url or f"sqlite:///{self.home / 'metadata.db'}"

    @property
    def effective_lakehouse_url(self) -> str:
        """Root of the Delta tables."""
        return self.lakehouse_url or str(self.home / "lakehouse")

    @property
    def effective_vectors_url(self) -> str:
        """Root of the LanceDB tables."""
        return self.vectors_url or str(self.home / "vectors")

    @property
    def effective_landing_url(self) -> str:
        """Folder watched for CSV files."""
        return self.landing_url or str(self.home / "landing")

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder."""
        return self.home / "dagster"

    @property
    def run_dir(self) -> Path:
        """Sockets and process ids of a running platform."""
        return self.home / "run"

    @property
    def logs_dir(self) -> Path:
        """One log file per process."""
        return self.home / "logs"

    @property
    def keys_dir(self) -> Path:
        """Keys and generated secrets, readable by the owner only."""
        return self.home / "keys"

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these very settings."""
        values = {}
        for setting in declared():
            value = getattr(self, setting.name)
            if self.sources.get(setting.name, "default") == "default" and setting.name != "home":
                continue
            values[setting.variable] = json.dumps(value) if isinstance(value, dict) else str(value)
        return values | {"DAGSTER_HOME": str(self.dagster_home)}


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting as an operator sees it."""

    name: str
    variable: str
    default: Any
    help: str
    secret: bool
    choices: tuple[str, ...]


def declared() -> list[Declared]:
    """Every setting, in the order of the class."""
    return [
        Declared(
            name=item.name,
            variable=f"HEADWATER_{item.name.upper()}",
            default=item.default if item.default is not MISSING else {},
            help=item.metadata["help"],
            secret=item.metadata["secret"],
            choices=item.metadata["choices"],
        )
        for item in fields(Settings)
        if item.metadata
    ]


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings of this process.

    Raises:
        InvalidArgument: a value has the wrong type, or `headwater.toml` holds a name that is no setting.
    """
    environment = os.environ if environment is None else environment
    known = {setting.variable: setting for setting in declared()}
    home = Path(environment.get("HEADWATER_HOME", ".headwater")).expanduser().absolute()
    stored = _read_file(home / "headwater.toml")
    values: dict[str, Any] = {"home": home}
    sources = {"home": "HEADWATER_HOME" if "HEADWATER_HOME" in environment else "default"}
    for setting in known.values():
        if setting.name == "home":
            continue
        if environment.get(setting.variable, "") != "":
            raw, source = environment[setting.variable], setting.variable
        elif setting.name in stored:
            raw, source = stored.pop(setting.name), "file"
        else:
            sources[setting.name] = "default"
            continue
        values[setting.name], sources[setting.name] = _parse(setting, raw), source
    if leftover := set(stored) - {setting.name for setting in known.values()}:
        raise InvalidArgument(f"headwater.toml holds unknown settings: {', '.join(sorted(leftover))}.")
    unknown = tuple(sorted(name for name in environment if name.startswith("HEADWATER_") and name not in known))
    return Settings(**values, sources=sources, unknown=unknown)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}") from error


def _parse(setting: Declared, raw: Any) -> Any:
    try:
        if isinstance(setting.default, bool):
            value: Any = _BOOLEANS[str(raw).lower()]
        elif isinstance(setting.default, int):
            value = int(raw)
        elif isinstance(setting.default, dict):
            value = {str(k): str(v) for k, v in (json.loads(raw) if isinstance(raw, str) else raw).items()}
        else:
            value = str(raw)
    except (KeyError, ValueError, AttributeError) as error:
        expected = type(setting.default).__name__
        # A secret must not be echoed, not even a malformed one.
        shown = "" if setting.secret else f" {raw!r}"
        raise InvalidArgument(f"{setting.variable}{shown} is not a valid {expected}.") from error
    if setting.choices and value not in setting.choices:
        raise InvalidArgument(f"{setting.variable} is {value!r}; choose one of {', '.join(setting.choices)}.")
    return value


_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
