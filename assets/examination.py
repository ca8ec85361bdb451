"""Examination of published definitions together: which of them cannot be assets of one code location."""

from collections.abc import Callable, Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import dagster as dg

from assets.rows import Row, assets_of, build, claim, definitions_of, inputs_of
from core.errors import InvalidPayload

Complete = Callable[[dg.Definitions], dg.Definitions]
"""Adds the resources, policies, and sensors of a code location to assets."""


def examine(
    rows: Sequence[Row], complete: Complete, external: Mapping[str, Collection[str]] | None = None
) -> list[Row]:
    """Builds all rows together, and marks the rows that keep the location from loading.

    If two rows conflict, the later row is marked.

    Args:
        rows: the rows, oldest first.
        complete: adds the other parts of the code location.
        external: ids of the input assets, by id of each asset of the other code locations.

    Raises:
        Exception: the location does not load even without the marked rows. This is the exception that Dagster raised.
    """
    external = external or {}
    examined = _examine_each(rows, external)
    for name, cycle in _cycles(examined, external).items():
        position = next(index for index, row in enumerate(examined) if row.asset_id == name)
        fault = InvalidPayload(f"{name} would be an input of itself: {' <- '.join(cycle)}.")
        examined[position] = examined[position].broken(fault)
    while (error := _load(examined, complete)) is not None:
        position, error = _first_that_breaks(examined, complete, error)
        if examined[position].error:
            raise error
        examined[position] = examined[position].broken(error)
    return examined


def _examine_each(rows: Sequence[Row], external: Collection[str]) -> list[Row]:
    taken: dict[str, str] = {}
    examined = []
    for row in rows:
        try:
            built = build(row)
            if clash := set(assets_of(built)) & set(external):
                raise InvalidPayload(f"The code of the repository already defines the asset {min(clash)}.")
            claim(row, built, taken)
            examined.append(row)
        except Exception as error:  # noqa: BLE001 - an exception of a component affects its row only
            examined.append(row.broken(error))
    return examined


def _cycles(rows: Sequence[Row], external: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Returns the assets of each dependency cycle, by the latest row in the cycle."""
    order = [row.asset_id for row in rows]
    graph = {name: set(inputs) for name, inputs in external.items()}
    for row in rows:
        if not row.error:
            built = build(row)
            graph |= dict.fromkeys(assets_of(built), inputs_of(built) - set(assets_of(built)))
    cycles: dict[str, list[str]] = {}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1]
            published = [name for name in cycle if name in order]
            if not published:
                return cycles  # the cycle is in the code of the repository, so it is not a fault of a row
            last = max(published, key=order.index)
            cycles[last] = cycle
            del graph[last]
        else:
            return cycles


def _first_that_breaks(rows: Sequence[Row], complete: Complete, error: Exception) -> tuple[int, Exception]:
    """Returns the position of the first row with which the location does not load, and the reason (a binary search)."""
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
    except Exception as error:  # noqa: BLE001 - Dagster does not document which exceptions it raises
        return error
    return None
