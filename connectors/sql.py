"""What the connectors of all SQL databases share: they reach them through SQLAlchemy."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import sqlalchemy as sa

from connectors.connector import Category, Column, Connector, Detail, Failed, Found, Link, Listing, Page, Step
from connectors.dialing import dial

STEPS = (
    Step("resolve", "Resolve the name of the host"),
    Step("connect", "Connect to the port"),
    Step("log_in", "Log in", 15.0),
    Step("read", "Read the names of schemas", 15.0),
)


class SqlConnector(Connector):
    """A database that SQLAlchemy has a dialect for."""

    category: ClassVar = Category.DATABASE
    steps: ClassVar = STEPS

    @abstractmethod
    def engine(self, link: Link) -> sa.Engine:
        """Returns an engine without a pool, for the address that the rules allow."""

    @abstractmethod
    def explain(self, error: sa.exc.DBAPIError) -> Failed:
        """Returns what an error of the driver at login means for the user."""

    def system_schemas(self) -> frozenset[str]:
        """Returns the schemas that hold what the database keeps about itself."""
        return frozenset({"information_schema"})

    def run(self, step: str, link: Link) -> Detail:
        """Runs a step of the test."""
        if step in ("resolve", "connect"):
            return dial(step, link, *self.target(link.config))
        if step == "log_in":
            return self._log_in(link)
        names = self.schemas(link)
        return f"Schemas that can be read: {len(names)}."

    def _log_in(self, link: Link) -> Detail:
        try:
            with self._opened(link).connect() as connection:
                version = connection.dialect.server_version_info or ()
        except sa.exc.DBAPIError as error:
            raise self.explain(error) from error
        return f"Logged in. The server has version {'.'.join(str(part) for part in version) or 'unknown'}."

    def _opened(self, link: Link) -> sa.Engine:
        if "engine" not in link.opened:
            link.opened["engine"] = self.engine(link)
        engine: sa.Engine = link.opened["engine"]
        return engine

    def close(self, link: Link) -> None:
        """Closes the connections of the engine."""
        if engine := link.opened.get("engine"):
            engine.dispose()
        super().close(link)

    def schemas(self, link: Link) -> list[str]:
        """Returns the names of the schemas of users, in order."""
        system = self.system_schemas()
        return sorted(name for name in sa.inspect(self._opened(link)).get_schema_names() if name not in system)

    def discover(self, link: Link, listing: Listing) -> Page:
        """Returns tables and views with their columns, in the order of schema and name."""
        schemas = self.schemas(link)
        if listing.below:
            if listing.below[0] not in schemas:
                raise Failed("UNKNOWN_SCHEMA", f"There is no schema {listing.below[0]!r}, or the user can't see it.")
            schemas = [listing.below[0]]
        start, after = _position(listing.after)
        items: list[Found] = []
        for schema in schemas:
            if schema < start:
                continue
            kinds = self._names(link, schema)
            names = [name for name in sorted(kinds) if schema > start or name > after]
            room = listing.limit - len(items)
            items += self._described(link, schema, {name: kinds[name] for name in names[:room]})
            if len(names) > room:
                return Page(items, json.dumps(items[-1].path))
        return Page(items, "")

    def _names(self, link: Link, schema: str) -> dict[str, str]:
        inspector = sa.inspect(self._opened(link))
        tables = dict.fromkeys(inspector.get_table_names(schema), "table")
        return tables | dict.fromkeys(inspector.get_view_names(schema), "view")

    def _described(self, link: Link, schema: str, kinds: Mapping[str, str]) -> list[Found]:
        if not kinds:
            return []
        inspector = sa.inspect(self._opened(link))
        wanted: dict[str, Any] = {
            "schema": schema,
            "filter_names": list(kinds),
            "kind": sa.engine.reflection.ObjectKind.ANY,
        }
        columns = inspector.get_multi_columns(**wanted)
        keys = inspector.get_multi_pk_constraint(**wanted)
        return [
            Found(
                (schema, name),
                kind,
                tuple(
                    Column(column["name"], str(column["type"].compile(inspector.dialect)), column["nullable"])
                    for column in columns.get((schema, name), ())
                ),
                tuple(keys[schema, name]["constrained_columns"]) if (schema, name) in keys else (),
            )
            for name, kind in kinds.items()
        ]


def _position(token: str) -> tuple[str, str]:
    """Returns schema and name after which a page begins.

    Raises:
        Failed: no page had this token.
    """
    if not token:
        return "", ""
    try:
        schema, name = json.loads(token)
    except ValueError as error:
        raise Failed("UNKNOWN_PAGE", "No page had this token. Begin with the first page.") from error
    return str(schema), str(name)
