"""Empty databases for tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa


@contextmanager
def administration(server: str | sa.URL) -> Iterator[sa.Connection]:
    """A connection that creates and drops databases of this PostgreSQL server."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """An empty database of this PostgreSQL server, dropped in the end; yields its SQLAlchemy URL."""
    name = f"test_{uuid.uuid4().hex}"
    with administration(server) as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    with administration(server) as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def alone(url: str) -> None:
    """Ends whatever an earlier test has left connected to this PostgreSQL database."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
    with administration(url) as connection:
        connection.execute(sa.text(others), {"name": sa.make_url(url).database})
