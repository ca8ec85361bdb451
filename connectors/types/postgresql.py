"""PostgreSQL, through psycopg."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import sqlalchemy as sa
from pydantic import Field

from connectors import postgresql_rows
from connectors.connector import Capability, Config, Failed, Link, OptionalSecret, Reading, Selection
from connectors.dialing import address_of
from connectors.inspection import InspectedConnector
from connectors.read_only_transaction import ReadOnlyTransaction

_TIMEOUT_SECONDS = 10

Option = Literal["application_name", "search_path", "statement_timeout", "lock_timeout", "idle_session_timeout"]
"""Settings of a session that a configuration may make. Others can read files of the platform or run code."""


class PostgreSqlConfig(Config):
    """A database of a PostgreSQL server."""

    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:-]+$")]
    """Name or address of the server."""

    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    """Port of the server."""

    database: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of the database."""

    user: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of the role to log in as."""

    password: OptionalSecret = None
    """Password of the role."""

    tls: Literal["verify-full", "require", "disable"] = "verify-full"
    """`verify-full` checks the certificate and the name of the server. `require` encrypts without a check. `disable`
    sends everything in plain text."""

    ca_certificate: Annotated[str, Field(max_length=20_000)] = ""
    """Certificate, in PEM, of the authority that signed the server's. Empty for the authorities of the system."""

    options: Annotated[dict[Option, Annotated[str, Field(max_length=200, pattern=r"^[\w ,.$\"-]*$")]], Field()] = {}
    """Settings of each session."""


class PostgreSql(InspectedConnector):
    """PostgreSQL."""

    name: ClassVar = "postgresql"
    title: ClassVar = "PostgreSQL"
    description: ClassVar = "A database of a PostgreSQL server, or of one that speaks its protocol."
    config: ClassVar = PostgreSqlConfig
    capabilities: ClassVar = InspectedConnector.capabilities | {Capability.ROTATE, Capability.READ}
    verified: ClassVar = "PostgreSQL 16"

    @classmethod
    def target(cls, config: PostgreSqlConfig) -> tuple[str, int]:
        """Returns host and port."""
        return config.host, config.port

    def engine(self, link: Link) -> sa.Engine:
        """Returns an engine that connects to the resolved address and checks the certificate for the name."""
        config: PostgreSqlConfig = link.config
        address = link.opened.get("address") or address_of(link, config.host, config.port)
        arguments: dict[str, Any] = {
            "host": config.host,
            "hostaddr": address,
            "port": config.port,
            "dbname": config.database,
            "user": config.user,
            "password": config.password.get_secret_value() if config.password else "",
            "sslmode": config.tls,
            "sslrootcert": _authority(link) if config.tls == "verify-full" else "",
            "connect_timeout": _TIMEOUT_SECONDS,
            "options": " ".join(f"-c {name}={_escaped(value)}" for name, value in config.options.items()),
            # No file of the user that runs the platform adds to what the configuration says.
            "passfile": "/dev/null",
            "gssencmode": "disable",
        }
        return sa.create_engine("postgresql+psycopg://", connect_args=arguments, poolclass=sa.pool.NullPool)

    def explain(self, error: sa.exc.DBAPIError) -> Failed:
        """Returns the reason by the SQLSTATE, or by libpq's text where there is none."""
        text = str(error.orig).strip().splitlines()[-1] if str(error.orig).strip() else "no reason given"
        state = getattr(error.orig, "sqlstate", None) or ""
        if state.startswith("28") or "password authentication failed" in text or "no password supplied" in text:
            return Failed("WRONG_CREDENTIAL", "The server refused the user or the password. Check both.")
        if state == "3D000" or "does not exist" in text:
            return Failed("UNKNOWN_DATABASE", f"The server has no such database or role: {text}")
        if "SSL" in text or "certificate" in text:
            return Failed("TLS_FAILED", f"The connection could not be secured: {text}")
        return Failed("LOGIN_FAILED", f"The server didn't let the connection in: {text}")

    def read(self, link: Link, selection: Selection) -> Reading:
        """Returns rows of one snapshot (REPEATABLE READ)."""
        import psycopg

        try:
            raw = link.opened["rows"] = self._opened(link).raw_connection()
        except sa.exc.DBAPIError as error:
            raise self.explain(error) from error
        assert isinstance(raw.driver_connection, psycopg.Connection)
        return postgresql_rows.read(raw.driver_connection, selection)

    def rotate(self, link: Link, fresh: Mapping[str, str]) -> None:
        """Changes the password of the role that logs in."""
        import psycopg

        engine = self._opened(link)
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            # The client hashes the password, so that it is in no log of the server.
            raw.pgconn.change_password(link.config.user.encode(), fresh["password"].encode())

    def answer_databases(self, link: Link) -> dict[str, Any]:
        """Returns the databases that the role may connect to."""
        sql = """SELECT datname, datname = current_database() FROM pg_database
            WHERE datallowconn AND NOT datistemplate AND has_database_privilege(oid, 'CONNECT') ORDER BY 1"""
        with self._opened(link).connect() as connection:
            rows = connection.exec_driver_sql(sql).all()
        return {"items": [{"name": name, "current": current} for name, current in rows]}

    def answer_statistics(self, link: Link, schema: str, table: str) -> dict[str, Any]:
        """Returns what the planner knows, without the most common values."""
        self.require_table(link, schema, table)
        where = {"schema": schema, "table": table}
        with self._opened(link).connect() as connection:
            size = connection.execute(sa.text(_SIZE), where).mappings().one()
            columns = connection.execute(sa.text(_COLUMNS), where).mappings().all()
        return {**size, "columns": [dict(one) for one in columns]}

    def answer_query(self, link: Link, sql: str, rows: int, seconds: float) -> dict[str, Any]:
        """Returns rows as the server writes them, from a transaction that only reads."""
        with ReadOnlyTransaction(self._opened(link), seconds) as transaction:
            return transaction.rows(sql, rows)

    def answer_explain(self, link: Link, sql: str) -> dict[str, Any]:
        """Returns the plan without running it."""
        with ReadOnlyTransaction(self._opened(link), _TIMEOUT_SECONDS) as transaction:
            return {"plan": transaction.plan(sql)}


_SIZE = """
SELECT CASE WHEN c.reltuples < 0 THEN NULL ELSE c.reltuples::bigint END AS row_count, pg_table_size(c.oid) AS bytes,
    pg_indexes_size(c.oid) AS index_bytes,
    greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))::text AS analyzed_at
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :table
"""
_COLUMNS = """
SELECT attname AS name, null_frac::float8 AS null_fraction, avg_width AS mean_bytes,
    CASE WHEN n_distinct >= 0 THEN n_distinct END::float8 AS distinct_values,
    CASE WHEN n_distinct < 0 THEN -n_distinct END::float8 AS distinct_fraction
FROM pg_stats WHERE schemaname = :schema AND tablename = :table AND NOT inherited ORDER BY attname
"""


def _authority(link: Link) -> str:
    """Returns the path of a file with the authority's certificate, or `system`."""
    if not link.config.ca_certificate:
        return "system"
    if "authority" not in link.opened:
        import tempfile

        file = tempfile.NamedTemporaryFile("w", suffix=".pem")  # noqa: SIM115 - open until the process ends
        file.write(link.config.ca_certificate)
        file.flush()
        link.opened["authority"] = file
    return str(link.opened["authority"].name)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
