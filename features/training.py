"""Splits of a training set, and leaks between its examples, labels, and features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.encoding import key_bytes, storable

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_MIN_COMPARED = 20
"""Number of examples from which a feature that always equals a label counts as a leak."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A way in which a training set tells more than is known when a prediction is due."""

    rule: str
    detail: str
    rows: int
    """Number of examples concerned."""


def splits(examples: pa.Table, by: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """Returns the split of each example. Examples with equal values in `by` are in the same split.

    The split depends only on the values, the shares, and the seed. So it is the same in every build, and an example
    keeps it when others are added.
    """
    names, bounds, total = list(shares), [], 0.0
    for name in names:
        total += shares[name]
        bounds.append(total)
    chosen = []
    for values in zip(*(storable(examples[name]) for name in by), strict=True):
        digest = hashlib.blake2b(key_bytes(values), digest_size=8, salt=seed.to_bytes(8, "big")).digest()
        place = int.from_bytes(digest, "big") / 2**64 * total
        chosen.append(next((name for name, bound in zip(names, bounds, strict=True) if place < bound), names[-1]))
    return chosen


def leaks(
    examples: pa.Table,
    *,
    time: str,
    labels: Sequence[str],
    label_time: str | None,
    features: Sequence[str],
    event_times: Sequence[str],
    keys: Sequence[str],
    split: str,
) -> list[Leak]:
    """Returns the leaks of a training set.

    Args:
        examples: the rows.
        time: column with the time of the example.
        labels: columns to predict.
        label_time: column with the time from which on the labels are known.
        features: columns with features.
        event_times: columns with the event times of the rows that the features come from.
        keys: columns that identify the entity of an example.
        split: column with the name of the split.
    """
    import polars as pl

    frame = pl.DataFrame(examples)
    found = []
    for event_at in event_times:
        if late := frame.filter(pl.col(event_at) > pl.col(time)).height:
            found.append(Leak("feature_after_example", f"{event_at} is after {time}", late))
        if label_time and (late := frame.filter(pl.col(event_at) > pl.col(label_time)).height):
            found.append(Leak("feature_after_label", f"{event_at} is after {label_time}", late))
    if label_time and (late := frame.filter(pl.col(time) > pl.col(label_time)).height):
        found.append(Leak("example_after_label", f"{time} is after {label_time}, when the label was known", late))
    found += _equal(frame, labels, features)
    entities = frame.group_by(list(keys)).agg(pl.col(split).n_unique().alias("splits"), pl.len().alias("rows"))
    shared = entities.filter(pl.col("splits") > 1)
    if shared.height:
        detail = f"{shared.height} entities have examples in more than one split"
        found.append(Leak("entity_in_two_splits", detail, int(shared["rows"].sum())))
    return found


def _equal(frame: pl.DataFrame, labels: Sequence[str], features: Sequence[str]) -> list[Leak]:
    """Returns the features that have the value of a label in every example."""
    import polars as pl

    found = []
    for label in labels:
        for feature in features:
            one, two = frame.schema[label], frame.schema[feature]
            comparable = one == two or all(kind.is_numeric() or kind == pl.Boolean for kind in (one, two))
            if not comparable or one.is_nested():
                continue
            both = frame.select(label, feature).drop_nulls()
            numbers = one != two
            left = both[label].cast(pl.Float64) if numbers else both[label]
            right = both[feature].cast(pl.Float64) if numbers else both[feature]
            if both.height >= _MIN_COMPARED and left.n_unique() > 1 and bool((left == right).all()):
                found.append(Leak("feature_equals_label", f"{feature} always equals {label}", both.height))
    return found
