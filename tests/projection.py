"""How long `make test` takes at 2,400 operations: `python -m tests.projection COST WHOLE [GROWN]`, after `make test`.

COST and WHOLE are the figures of the main part and of `tests/e2e`. GROWN is what conformance costs at the full number
of operations (`make budget`); without it, each further operation costs what one costs now.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.budget import Budget
from tests.cost import MEASURED, Cost, Costs

MANY = 50
"""A service with fewer operations has tests of the kernel rather than of its operations."""


def operations_of_services() -> dict[str, int]:
    """The number of operations of each service, by the name of its folder in `tests/api`."""
    from api.main import SERVICES

    return {service.name: len(service.endpoints) for service in SERVICES}


def of_services(costs: Costs, services: dict[str, int]) -> float:
    """The CPU seconds in the folders of services in `tests/api`, for each of their operations."""
    large = {name: operations for name, operations in services.items() if operations >= MANY}
    folders = tuple(f"tests/api/{name}/" for name in large)
    seconds = sum(cost.cpu for test, cost in costs.functions.items() if test.startswith(folders))
    return seconds / sum(large.values())


def projected(costs: Costs, grown: Costs | None, services: dict[str, int], budget: Budget) -> dict[str, float]:
    """The CPU seconds of each suite at the number of operations of the budget."""
    operations = sum(services.values())
    further = budget.operations - operations
    found = {}
    for suite, cost in costs.suites.items():
        if suite == "api":
            each = of_services(costs, services)
        elif suite in MEASURED:
            each = cost.cpu / operations
        else:
            each = budget.repeats.get(suite, 0.0) * cost.cpu / operations
        found[suite] = cost.cpu + each * further
    if grown is not None:
        found |= {suite: cost.cpu for suite, cost in grown.suites.items() if suite in MEASURED}
    return found


def wall(costs: Costs) -> float:
    """The wall time of all tests, which run side by side."""
    return sum(cost.wall for cost in costs.suites.values())


def lines(costs: Costs, whole: Costs, grown: Costs | None) -> Iterator[str]:
    """What each suite is projected to cost, and all of them in minutes."""
    budget, services = Budget.read(), operations_of_services()
    found = projected(costs, grown, services, budget)
    now = sum(services.values())
    yield f"{'suite':14}{f'CPU s at {now:,}':>16}{f'at {budget.operations:,}':>12}{'s/further op':>14}"
    for suite, seconds in sorted(found.items(), key=lambda pair: -pair[1]):
        at_present = costs.suites.get(suite, Cost()).cpu
        each = (seconds - at_present) / (budget.operations - now)
        yield f"{suite:14}{at_present:16.0f}{seconds:12.0f}{each:14.2f}"
    waiting = wall(costs) / sum(cost.cpu for cost in costs.suites.values())
    main = sum(found.values()) * waiting / budget.cores / 60
    platforms = wall(whole) / budget.cores / 60
    total = main + platforms + budget.checks_minutes
    parts = f"{main:.0f} of the main part, {platforms:.0f} of tests/e2e, {budget.checks_minutes:.0f} of the checks"
    yield f"At {budget.operations:,} operations: {total:.0f} minutes ({parts}); at most {budget.minutes}."


def main(arguments: list[str]) -> None:
    """Prints the projection."""
    costs, whole, *grown = (Costs.read(Path(one)) for one in arguments)
    sys.stdout.writelines(f"{line}\n" for line in lines(costs, whole, grown[0] if grown else None))


if __name__ == "__main__":
    main(sys.argv[1:])
