"""One test for all of something: it names all that do not hold, not the first.

What the registry can prove in one pass is proven in one pass: a separate case for each operation would set up an API
and callers for each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

MAX_FAILURES_SHOWN = 20
"""How many failures are told in full; of the others only the names."""


def in_one_pass(name: str, items: Iterable[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Runs a test once with each item as its parameter `name`, and fails with the names of all that failed."""
    chosen = list(items)
    assert chosen, "a pass over nothing proves nothing"

    def over(test: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(test)
        async def passing(**fixtures: Any) -> None:
            failures = []
            for item in chosen:
                try:
                    outcome = test(**fixtures, **{name: item})
                    if inspect.isawaitable(outcome):
                        await outcome
                except Exception as error:
                    failures.append((item, error))
            report(failures, len(chosen))

        asked = inspect.signature(test)
        left = [parameter for parameter in asked.parameters.values() if parameter.name != name]
        passing.__signature__ = asked.replace(parameters=left)  # type: ignore[attr-defined]
        return passing

    return over


def report(failures: list[tuple[Any, Exception]], of: int) -> None:
    """Fails with the names of all that failed, and what was wrong with the first of them."""
    if not failures:
        return
    names = " ".join(str(item) for item, _ in failures)
    texts = [f"{item}: {type(error).__name__}: {error}" for item, error in failures[:MAX_FAILURES_SHOWN]]
    raise AssertionError("\n\n".join([f"{len(failures)} of {of} failed: {names}", *texts]))
