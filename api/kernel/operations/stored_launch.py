"""A launch with rows that belong to it, such as the record of what its runs are to find out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.runs import Launch

if TYPE_CHECKING:
    from api.kernel.kinds.unit import Unit


@dataclass(frozen=True, slots=True)
class StoredLaunch:
    """A launch, and a function that stores rows in the transaction that stores the operation.

    `store` gets the transaction and the id of the operation. Nothing is launched if it raises an error.
    """

    launch: Launch
    store: Callable[[Unit, str], None]
