"""Judges published definitions together: which of them could not be assets of one code location."""

from collections.abc import Callable, Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import dagster as dg

from assets.rows import Row, assets_of, build, claim, definitions_of, inputs_of
from core.errors import InvalidPayload

Complete = Callable[[dg.Definitions], dg.Definitions]
"""Adds what a code location gives to assets."""


def examine(
    rows: Sequence[Row], complete: Complete, elsewhere: Mapping[str, Collection[str]] | None = None
) -> list[Row]:
    """Builds all rows together and marks those without which the rest would load; of rows that clash, the later one.

    Args:
        rows: in the order of their seniority.
        complete: what the location adds to them.
        elsewhere: ids of the assets of other code locations, with the ids of what they are made from.

    Raises:
        Exception: the location does not load even without them; whatever Dagster raised.
    """
    elsewhere = elsewhere or {}
    found = _examine_each(rows, elsewhere)
    for name, cycle in _cycles(found, elsewhere).items():
        position = next(index for index, row in enumerate(found) if row.asset_id == name)
        fault = InvalidPayload(f"{name} would be made from itself: {' <- '.join(cycle)}.")
        found[position] = found[position].broken(fault)
    while (error := _load(found, complete)) is not None:
        position, error = _first_that_breaks(found, complete, error)
        if found[position].error:
            raise error
        found[position] = found[position].broken(error)
    return found


def _examine_each(rows: Sequence[Row], elsewhere: Collection[str]) -> list[Row]:
    taken: dict[str, str] = {}
    found = []
    for row in rows:
        try:
            built = build(row)
            if clash := set(assets_of(built)) & set(elsewhere):
                raise InvalidPayload(f"The asset {min(clash)} is defined in the repository's code already.")
            claim(row, built, taken)
            found.append(row)
        except Exception as error:  # noqa: BLE001 - whatever a component raises concerns this row alone
            found.append(row.broken(error))
    return found


def _cycles(rows: Sequence[Row], elsewhere: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """For each circle of dependencies, the latest row on it and the way around."""
    order = [row.asset_id for row in rows]
    graph = {name: set(inputs) for name, inputs in elsewhere.items()}
    for row in rows:
        if not row.error:
            built = build(row)
            graph |= dict.fromkeys(assets_of(built), inputs_of(built) - set(assets_of(built)))
    found: dict[str, list[str]] = {}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1]
            ours = [name for name in cycle if name in order]
            if not ours:
                return found  # the repository's code is in a circle: not for a row to answer
            last = max(ours, key=order.index)
            found[last] = cycle
            del graph[last]
        else:
            return found


def _first_that_breaks(rows: Sequence[Row], complete: Complete, error: Exception) -> tuple[int, Exception]:
    """Position of the first row with which the rows up to it do not load, found by halving, and why."""
    loads, fails = 0, len(rows)
    while fails - loads > 1:
        middle = (loads + fails) // 2
        fault = _load(rows[:middle], complete)
        if fault is None:
            loads = middle
        else:
            fails, error = middle, fault
    return fails - 1, error


def _load(rows: Sequence[Row], complete: Complete) -> Exception | None:
    try:
        dg.Definitions.validate_loadable(complete(definitions_of(rows)))
    except Exception as error:  # noqa: BLE001 - Dagster raises what it likes
        return error
    return None
