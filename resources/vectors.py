"""Search indexes as a Dagster resource: the location of their LanceDB mirrors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from core.settings import load_settings

if TYPE_CHECKING:
    from lakehouse.tables import Tables
    from rag.index import Index
    from rag.layout import Policy, Store
    from rag.retrieval import Retriever


class Vectors(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The mirrors of all indexes. LanceDB is imported on first use, because the import starts a thread."""

    root: str = ""
    """Folder or object store URL of the mirrors; empty: use the platform's settings."""

    def store(self) -> Store:
        """Returns the storage location of the mirrors."""
        from rag.layout import Store

        settings = load_settings()
        if not self.root:
            return Store.from_settings(settings)
        store = Store(self.root)
        return store if store.folder else Store(self.root, tuple(sorted(settings.storage_options.items())))

    def index(self, asset: str, policy: Policy | None = None) -> Index:
        """Returns an index for writing."""
        from rag.index import Index

        return Index(self.store(), asset, policy)

    @contextmanager
    def retriever(self, tables: Tables) -> Iterator[Retriever]:
        """Yields a retriever over all indexes; closes it at the end of the block."""
        from rag.retrieval import Retriever

        retriever = Retriever(self.store(), tables)
        try:
            yield retriever
        finally:
            retriever.close()
