"""Questions about a database: what it has, what its tables look like, and what a statement that only reads returns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import sqlalchemy as sa

from connectors.connector import Capability, Failed, Link
from connectors.sql import SqlConnector

QUESTIONS = ("databases", "schemas", "tables", "columns", "describe", "statistics", "sample", "query", "explain")
"""What can be asked."""


class InspectedConnector(SqlConnector):
    """A database that answers questions about itself. Answers are JSON."""

    capabilities: ClassVar = frozenset({Capability.TEST, Capability.DISCOVER, Capability.INSPECT})

    def inspect(self, link: Link, question: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answers a question of `QUESTIONS`."""
        if question not in QUESTIONS:
            return super().inspect(link, question, arguments)
        try:
            answer: dict[str, Any] = getattr(self, f"answer_{question}")(link, **arguments)
        except sa.exc.DBAPIError as error:
            raise self.explain(error) from error
        return answer

    def answer_schemas(self, link: Link) -> dict[str, Any]:
        """Returns the schemas of users."""
        return {"items": [{"name": name} for name in self.schemas(link)]}

    def answer_tables(self, link: Link, schema: str, after: str, limit: int) -> dict[str, Any]:
        """Returns names and kinds of tables and views of a schema, by name."""
        self._require_schema(link, schema)
        kinds = self._names(link, schema)
        names = [name for name in sorted(kinds) if name > after]
        page = [{"schema_name": schema, "table_name": name, "kind": kinds[name]} for name in names[:limit]]
        return {"items": page, "next_page_token": names[limit - 1] if len(names) > limit else None}

    def answer_columns(self, link: Link, schema: str, table: str) -> dict[str, Any]:
        """Returns the columns of a table or view in their order."""
        self.require_table(link, schema, table)
        inspector = sa.inspect(self._opened(link))
        items = [
            {
                "name": one["name"],
                "type": str(one["type"].compile(inspector.dialect)),
                "nullable": one["nullable"],
                "default": one["default"] or "",
                "comment": one.get("comment") or "",
            }
            for one in inspector.get_columns(table, schema)
        ]
        return {"items": items}

    def answer_describe(self, link: Link, schema: str, table: str) -> dict[str, Any]:
        """Returns keys, constraints, and indexes of a table or view."""
        kind = self.require_table(link, schema, table)
        inspector = sa.inspect(self._opened(link))
        primary = inspector.get_pk_constraint(table, schema)
        return {
            "kind": kind,
            "comment": inspector.get_table_comment(table, schema)["text"] or "",
            "primary_key": primary["constrained_columns"],
            "foreign_keys": [
                {
                    "name": one["name"] or "",
                    "columns": one["constrained_columns"],
                    "schema_name": one["referred_schema"] or schema,
                    "table_name": one["referred_table"],
                    "referred_columns": one["referred_columns"],
                }
                for one in inspector.get_foreign_keys(table, schema)
            ],
            "unique": [
                {"name": one["name"] or "", "columns": one["column_names"]}
                for one in inspector.get_unique_constraints(table, schema)
            ],
            "checks": [
                {"name": one["name"] or "", "condition": one["sqltext"]}
                for one in inspector.get_check_constraints(table, schema)
            ],
            "indexes": [
                {
                    "name": one["name"] or "",
                    "columns": [name or "" for name in one["column_names"]],
                    "unique": bool(one["unique"]),
                }
                for one in inspector.get_indexes(table, schema)
            ],
        }

    @abstractmethod
    def answer_databases(self, link: Link) -> dict[str, Any]:
        """Returns the databases of the server that the user may connect to."""

    @abstractmethod
    def answer_statistics(self, link: Link, schema: str, table: str) -> dict[str, Any]:
        """Returns what the server estimates about a table, without reading it and without its values."""

    @abstractmethod
    def answer_query(self, link: Link, sql: str, rows: int, seconds: float) -> dict[str, Any]:
        """Returns rows of one statement that only reads.

        Raises:
            Failed: it isn't such a statement, or it fails.
        """

    @abstractmethod
    def answer_explain(self, link: Link, sql: str) -> dict[str, Any]:
        """Returns the plan of a statement that only reads, without running it. Raises as `query`."""

    def answer_sample(self, link: Link, schema: str, table: str, rows: int, seconds: float) -> dict[str, Any]:
        """Returns the rows of a table that the server reads first."""
        self.require_table(link, schema, table)
        quote = self._opened(link).dialect.identifier_preparer.quote_identifier
        return self.answer_query(link, f"TABLE {quote(schema)}.{quote(table)}", rows, seconds)

    def require_table(self, link: Link, schema: str, table: str) -> str:
        """Returns the kind of a table or view.

        Raises:
            Failed: there is none.
        """
        self._require_schema(link, schema)
        kind = self._names(link, schema).get(table)
        if kind is None:
            raise Failed("UNKNOWN_TABLE", f"The schema {schema!r} has no table {table!r}, or the user can't see it.")
        return kind

    def _require_schema(self, link: Link, schema: str) -> None:
        if schema not in self.schemas(link):
            raise Failed("UNKNOWN_SCHEMA", f"There is no schema {schema!r}, or the user can't see it.")
