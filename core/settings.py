"""Settings of the platform. No other module reads the environment for settings.

The value of a setting is `HEADWATER_<NAME>` if set, else the entry in `headwater.toml` in the home folder, else the
default. `headwater config` prints the effective values and their sources.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.errors import InvalidArgument


def _setting(default: Any, help: str, *, secret: bool = False, choices: tuple[str, ...] = ()) -> Any:
    metadata = {"help": help, "secret": secret, "choices": choices}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), repr=not secret, metadata=metadata)
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings that an operator can change. An empty URL means the embedded component under `home`."""

    home: Path = _setting(Path(".headwater"), "Folder for all data of the platform.")
    host: str = _setting("127.0.0.1", "Address the public port binds to.")
    port: int = _setting(8400, "The public port. Loopback components use the ports after it.")
    insecure_bind: bool = _setting(False, "Allow a non-loopback host without TLS.")
    tls_certfile: str = _setting("", "PEM certificate chain of the public port.")
    tls_keyfile: str = _setting("", "PEM private key of the public port.")
    admin_password: str = _setting("", "Password of the first admin; empty: generated and printed once.", secret=True)
    database_url: str = _setting("", "SQLAlchemy URL of the metadata database.", secret=True)
    dagster_database_url: str = _setting("", "PostgreSQL URL of Dagster's storage.", secret=True)
    lakehouse_url: str = _setting("", "Root of the Delta tables: a folder or s3://bucket/prefix.")
    storage_options: dict[str, str] = _setting({}, "JSON object of object store options (delta-rs names).", secret=True)
    vectors_url: str = _setting("", "Root of the LanceDB tables: a folder or an object store URL.")
    landing_url: str = _setting("", "Folder that contains the projects' landing areas. Sensors watch it for new files.")
    private_sources: bool = _setting(False, "Allow sources, webhooks, and connections at private addresses.")
    spark: str = _setting("embedded", "Spark Connect engine: embedded, local, or an sc:// endpoint.")
    spark_jars_dir: str = _setting("", "Folder of Delta jars for local Spark; empty: download from Maven Central.")
    spark_memory: str = _setting("1g", "Heap size of local Apache Spark, in JVM notation.")
    spark_idle_seconds: int = _setting(900, "Seconds without a client after which embedded or local Spark stops.")
    torch_python: str = _setting("", "Python interpreter that runs trainers; empty: the platform's own interpreter.")
    launcher: str = _setting("warm", "Run launcher.", choices=("warm", "default"))
    max_concurrent_runs: int = _setting(2, "Largest number of concurrent runs; further runs wait in the queue.")
    sample: bool = _setting(True, "Run the sample project on the first start.")
    log_level: str = _setting("info", "Lowest severity that is logged.", choices=("debug", "info", "warning", "error"))
    session_hours: int = _setting(12, "Hours until a login session expires.")
    purge_after_days: int = _setting(30, "Days after which deleted resources may be purged permanently.")
    audit_mirror_seconds: int = _setting(60, "Seconds between copies of the audit log to the lakehouse; 0: no copies.")
    metric_history_seconds: int = _setting(
        3600,
        "Longest time in seconds that logged values of metrics stay in the metadata database. Many values move to the "
        "lakehouse earlier.",
    )
    services: str = _setting("", "Services that this process serves, such as admin,rag; empty: all services.")
    dagster_url: str = _setting("", "URL of the Dagster webserver; empty: the platform's own webserver on loopback.")
    url: str = _setting(
        "",
        "URL of the platform, for the command line, links and tokens, such as https://example.org/headwater; empty: "
        "derived from `home` or from requests.",
    )
    token: str = _setting("", "Bearer token of the command line; empty: issued from `home`.", secret=True)
    trusted_proxies: str = _setting(
        "",
        "Networks of the reverse proxies in front of the platform, such as 10.0.0.0/8,::1/128. The platform takes the "
        "caller's address from the end of X-Forwarded-For if one of these proxies wrote it; empty: no proxies.",
    )
    max_body_bytes: int = _setting(10_000_000, "Largest accepted request body, in bytes.")
    max_upload_bytes: int = _setting(5_000_000_000, "Largest accepted artifact, in bytes.")
    access_log: bool = _setting(True, "Write one JSON line per request to the log.")
    rate_limit: str = _setting("60000/minute", "Rate limit per principal, such as 100/second; empty: no limit.")
    rate_limit_anonymous: str = _setting("60000/minute", "Rate limit per address without a login; empty: no limit.")
    rate_limit_url: str = _setting(
        "",
        "Store that several API processes share for rate limits, such as async+redis://host; empty: each process "
        "counts separately.",
        secret=True,
    )
    smtp_url: str = _setting(
        "",
        "Mail server: smtps://user:password@host, smtp:// (STARTTLS), smtp+plain:// (no TLS); empty: no mail is sent.",
        secret=True,
    )
    mail_from: str = _setting("", "Sender address of mails, such as Headwater <headwater@example.org>.")
    events_url: str = _setting(
        "",
        "Message broker that also receives every event: redis://, rediss://, kafka:// or kafkas://, with "
        "user:password@ if the broker requires them; empty: no broker.",
        secret=True,
    )
    events_topic: str = _setting("headwater.events", "Redis stream or Kafka topic that receives the events.")
    events_kept: int = _setting(1_000_000, "Approximate length limit of the Redis stream; Kafka has its own retention.")
    online_store_url: str = _setting(
        "",
        "Redis that stores online features: redis:// or rediss://, with user:password@ if it requires them; empty: "
        "files in the home folder.",
        secret=True,
    )
    otel_endpoint: str = _setting(
        "", "OTLP/HTTP endpoint that receives one trace per request (extra `otel`); empty: no traces are sent."
    )

    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Source of each value: `default`, `file` or the name of the variable."""

    unknown: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """`HEADWATER_*` variables that match no setting, probably misspelled. `headwater doctor` lists them."""

    # Loopback ports are relative to the public port, so that one setting moves a whole platform.
    @property
    def dagster_port(self) -> int:
        """Loopback port of the Dagster webserver."""
        return self.port + 1

    @property
    def path_prefix(self) -> str:
        """Path of `url` without a slash at the end: what precedes every path of the platform in a browser."""
        return urlsplit(self.url).path.rstrip("/")

    @property
    def effective_dagster_url(self) -> str:
        """URL of the Dagster webserver, without `/dagster`."""
        return self.dagster_url.rstrip("/") or f"http://127.0.0.1:{self.dagster_port}{self.path_prefix}"

    @property
    def code_server_port(self) -> int:
        """Loopback port of the project's code server."""
        return self.port + 2

    @property
    def published_code_server_port(self) -> int:
        """Loopback port of the code server for definitions published over REST."""
        return self.port + 3

    @property
    def spark_port(self) -> int:
        """Loopback port of the embedded or local Spark Connect server."""
        return self.port + 4

    @property
    def effective_database_url(self) -> str:
        """URL of the metadata database; embedded SQLite by default."""
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
        """Folder that sensors watch for CSV files."""
        return self.landing_url or str(self.home / "landing")

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder."""
        return self.home / "dagster"

    @property
    def run_dir(self) -> Path:
        """Folder for sockets and process ids of a running platform."""
        return self.home / "run"

    @property
    def logs_dir(self) -> Path:
        """Folder for log files, one per process."""
        return self.home / "logs"

    @property
    def keys_dir(self) -> Path:
        """Folder for keys and generated secrets, readable only by the owner."""
        return self.home / "keys"

    def environment(self) -> dict[str, str]:
        """Returns environment variables that give a child process the same settings."""
        values = {}
        for setting in declared_settings():
            value = getattr(self, setting.name)
            if self.sources.get(setting.name, "default") == "default" and setting.name != "home":
                continue
            values[setting.variable] = json.dumps(value) if isinstance(value, dict) else str(value)
        if self.dagster_database_url:
            # Dagster's way of setting a statement timeout closes connections of psycopg 3, SQLAlchemy's default driver.
            scheme, _, rest = self.dagster_database_url.partition("://")
            values["HEADWATER_DAGSTER_DATABASE_URL"] = f"{scheme.partition('+')[0]}+psycopg2://{rest}"
        return values | {"DAGSTER_HOME": str(self.dagster_home)}


@dataclass(frozen=True, slots=True)
class SettingDeclaration:
    """The declaration of a setting: its name, variable, default and help text."""

    name: str
    variable: str
    default: Any
    help: str
    secret: bool
    choices: tuple[str, ...]


def declared_settings() -> list[SettingDeclaration]:
    """Returns every setting in the order of the class."""
    return [
        SettingDeclaration(
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
    """Loads the settings of this process.

    Raises:
        InvalidArgument: a value has the wrong type, or `headwater.toml` contains an unknown name.
    """
    environment = os.environ if environment is None else environment
    known = {setting.variable: setting for setting in declared_settings()}
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
        names = ", ".join(sorted(leftover))
        raise InvalidArgument(f"headwater.toml contains unknown settings: {names}. Remove them or correct their names.")
    unknown = tuple(sorted(name for name in environment if name.startswith("HEADWATER_") and name not in known))
    return Settings(**values, sources=sources, unknown=unknown)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}") from error


def _parse(setting: SettingDeclaration, raw: Any) -> Any:
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
        # A malformed secret must not appear in the message either.
        value_text = "" if setting.secret else f" {raw!r}"
        raise InvalidArgument(f"{setting.variable}{value_text} is not a valid {expected}.") from error
    if setting.choices and value not in setting.choices:
        raise InvalidArgument(f"{setting.variable} is {value!r}. Choose one of {', '.join(setting.choices)}.")
    return value


_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
