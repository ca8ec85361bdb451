"""Skew: how the online features of entities differ from what the table has for the same moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from features.encoding import key_bytes, storable
from features.history import FeatureStatus, newest
from features.lookup import look_up
from features.online import OnlineStore
from features.rows import ViewRows

if TYPE_CHECKING:
    import pyarrow as pa

_SEED = 0
"""The sample is the same for the same version, so that two reports can be compared."""


def differences(store: OnlineStore, asset: str, rows: ViewRows, sample: int, moment: int) -> Mapping[str, int] | None:
    """Returns for each feature the number of sampled entities whose online value differs, and `""`: their number.

    Returns `None` if nothing is served.

    Raises:
        Conflict: the online rows are not those of the view.
    """
    import polars as pl

    keys = list(rows.columns.keys)
    entities = rows.index.select(keys).unique(maintain_order=True)
    entities = entities.sample(min(sample, entities.height), seed=_SEED)
    served = store.served(asset)
    if served is None:
        return None
    stored = [storable(entities[key].to_arrow()) for key in served.keys]
    encoded = [key_bytes(values) for values in zip(*stored, strict=True)]
    found = store.read(asset, encoded)
    if found is None:
        return None
    online = look_up(found, rows.columns, encoded, rows.columns.features, moment)
    moments = pl.Series("at", [online.moment] * entities.height, dtype=pl.Int64)
    offline = newest(rows, entities, moments)
    present = offline["row"].set(offline["status"] != FeatureStatus.PRESENT.value, None)
    counts = {"": entities.height}
    for name in rows.columns.features:
        column = _taken(rows, name, present)
        counts[name] = sum(one != two for one, two in zip(_exact(online.values[name]), _exact(column), strict=True))
    return counts


def _taken(rows: ViewRows, name: str, positions: object) -> pa.ChunkedArray:
    import pyarrow as pa

    return rows.table[name].take(pa.array(positions.to_arrow(), pa.uint32()))  # type: ignore[attr-defined]


def _exact(column: pa.Array | pa.ChunkedArray) -> Sequence[str]:
    """Returns the values in a form in which NaN equals NaN."""
    return [repr(value) for value in storable(column)]
