"""A PostgreSQL database that is reached by TCP with a password, as that of a company is.

The server of the tests listens on a Unix socket without a password. Here, roles of the group `with_password` need one,
and a relay listens on a port of loopback.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

GROUP = "with_password"


@dataclass(frozen=True, slots=True)
class RemotePostgreSql:
    """A database with its role."""

    port: int
    database: str
    user: str
    password: str
    url: sa.URL
    """For the test itself, as the owner of the server."""

    @property
    def config(self) -> dict[str, object]:
        """The configuration of a connection, without the password."""
        place = {"host": "127.0.0.1", "port": self.port, "database": self.database}
        return place | {"user": self.user, "tls": "disable"}


@contextmanager
def remote_postgresql(url: str) -> Iterator[RemotePostgreSql]:
    """Gives a database a role with a password and a port."""
    parsed = sa.make_url(url)
    folder = str(parsed.query["host"])
    engine = sa.create_engine(parsed, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    user, password = f"app_{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    with engine.connect() as connection:
        if not connection.scalar(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": GROUP}):
            connection.exec_driver_sql(f"CREATE ROLE {GROUP} NOLOGIN")
            rules = Path(str(connection.scalar(sa.text("SHOW hba_file"))))
            rules.write_text(f"local all +{GROUP} scram-sha-256\n{rules.read_text()}")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        connection.exec_driver_sql(f"CREATE ROLE {user} LOGIN PASSWORD '{password}' IN ROLE {GROUP}")
        connection.exec_driver_sql(f"GRANT CREATE ON SCHEMA public TO {user}")
    try:
        with _relay(f"{folder}/.s.PGSQL.5432") as port:
            yield RemotePostgreSql(port, str(parsed.database), user, password, parsed)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {user}")
            connection.exec_driver_sql(f"DROP ROLE {user}")


@contextmanager
def _relay(path: str) -> Iterator[int]:
    """Relays connections to a port of loopback to a Unix socket."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                incoming, _ = listener.accept()
            except OSError:
                return
            outgoing = socket.socket(socket.AF_UNIX)
            outgoing.connect(path)
            threading.Thread(target=_copy, args=(incoming, outgoing), daemon=True).start()

    accepting = threading.Thread(target=serve, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


def _copy(incoming: socket.socket, outgoing: socket.socket) -> None:
    """Copies both ways until one side ends."""
    with incoming, outgoing, contextlib.suppress(OSError):
        while True:
            for source in select.select([incoming, outgoing], [], [])[0]:
                if not (data := source.recv(1 << 16)):
                    return
                (outgoing if source is incoming else incoming).sendall(data)
