"""Looks up the features of entities by key, in memory, from one version of a feature table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.errors import NotFound, UnknownColumn
from lakehouse.schemas import require_columns

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from lakehouse.tables import Snapshot

_SEPARATOR = "\x1f"
_COLUMN_BATCH = 8


class FeatureIndex:
    """The inputs of a model for every entity of a feature table.

    A lookup is a binary search in sorted 64-bit hashes of the keys, followed by a comparison with the key itself. It
    takes microseconds, and 16 bytes per entity in addition to its features and key. Thread-safe after construction.
    """

    def __init__(self, snapshot: Snapshot, key: Sequence[str], features: Sequence[str]) -> None:
        """Reads the version of the table.

        Raises:
            UnknownColumn: the table lacks a key column or an input of the model.
        """
        import numpy as np
        import polars as pl

        try:
            require_columns(snapshot.table, snapshot.schema.names, [*key, *features])
        except UnknownColumn as error:
            raise UnknownColumn(
                f"{error.detail} The model was trained on another version of the table. Train the model again, or set "
                "the version of the features that it was trained on.",
                metadata=error.metadata,
            ) from error
        rows = snapshot.scan()
        self.data_version = snapshot.data_version
        self.key = tuple(key)
        self._keys = rows.select(_joined(list(key))).collect()["key"]
        hashes = self._keys.hash().to_numpy()
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._inputs: NDArray[Any] = np.empty((len(self._keys), len(features)), dtype=np.float32)
        # Read in batches of columns: reading all columns together would need twice the memory.
        for start in range(0, len(features), _COLUMN_BATCH):
            names = list(features[start : start + _COLUMN_BATCH])
            part = rows.select(pl.col(names).cast(pl.Float32).fill_null(float("nan"))).collect()
            self._inputs[:, start : start + len(names)] = part.to_numpy()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, keys: Sequence[tuple[str, ...]]) -> list[int | None]:
        """Returns the row of each entity; `None` for entities that aren't in the table. The last duplicate counts."""
        import numpy as np
        import polars as pl

        texts = [_SEPARATOR.join(key) for key in keys]
        hashes = pl.Series(texts, dtype=pl.String).hash().to_numpy()
        ends = np.searchsorted(self._hashes, hashes, side="right")
        return [self._match(text, int(digest), int(end)) for text, digest, end in zip(texts, hashes, ends, strict=True)]

    def inputs(self, row: int) -> NDArray[Any]:
        """Returns the inputs of one row in the order of `features`; NaN means missing."""
        return self._inputs[row]  # type: ignore[no-any-return]

    def not_found(self, key: tuple[str, ...]) -> NotFound:
        """Returns the error for an entity that isn't in the table."""
        key_text = ", ".join(f"{column} {value!r}" for column, value in zip(self.key, key, strict=True))
        return NotFound(f"The feature table has no row with {key_text} at {self.data_version}.")

    def _match(self, text: str, digest: int, end: int) -> int | None:
        position = end - 1
        while position >= 0 and int(self._hashes[position]) == digest:
            row = int(self._order[position])
            if self._keys[row] == text:
                return row
            position -= 1
        return None


def _joined(key: list[str]) -> pl.Expr:
    import polars as pl

    return pl.concat_str(pl.col(key).cast(pl.String), separator=_SEPARATOR).alias("key")
