"""Search indexes as a Dagster resource: where their LanceDB mirrors live."""

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
    """The mirrors of all indexes. LanceDB is imported on first use: it starts a thread when it is."""

    root: str = ""
    """A folder or an object store URL; empty: where the settings of this process say."""

    def store(self) -> Store:
        """Where the mirrors live."""
        from rag.layout import Store

        return Store(self.root) if self.root else Store.from_settings(load_settings())

    def index(self, asset: str, policy: Policy | None = None) -> Index:
        """The writing side of one index."""
        from rag.index import Index

        return Index(self.store(), asset, policy)

    @contextmanager
    def retriever(self, tables: Tables) -> Iterator[Retriever]:
        """The searching side of all indexes, for the length of the block."""
        from rag.retrieval import Retriever

        retriever = Retriever(self.store(), tables)
        try:
            yield retriever
        finally:
            retriever.close()
