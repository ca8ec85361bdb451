"""The answers of the subprocess job `validate`, restricted to what a caller may know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.connection_sources import is_connection_source
from core.errors import InvalidPayload

Faults = Sequence[Mapping[str, Any]]


def faults_of(verdict: Mapping[str, Any], readable: Callable[[str], bool]) -> Faults:
    """Returns the faults of a candidate. An asset that the caller may not read is reported like a missing one."""
    errors: Faults = verdict["errors"]
    hidden = [
        {"pointer": "/attributes", "detail": f"reads {name}, which is no {_noun(name)} whose rows you may read"}
        for name in verdict["reads"]
        if not readable(name)
    ]
    # `unbound` discloses columns of the assets that the candidate reads, so it is last.
    return errors or hidden or verdict["unbound"]


def _noun(name: str) -> str:
    return "connection" if is_connection_source(name) else "asset"


def not_checked(verdict: Mapping[str, Any], readable: Callable[[str], bool]) -> Faults:
    """Returns the attributes that were not checked, which only callers that may read all inputs may know."""
    if verdict["errors"] or not all(readable(name) for name in verdict["reads"]):
        reason = "It was not compared with the tables that it reads, because of the errors."
        return [{"pointer": "/attributes", "reason": reason}]
    attributes: Faults = verdict["not_checked"]
    return attributes


def refusal(asset_id: str, faults: Faults) -> InvalidPayload:
    """Returns the error of a publication with these faults."""
    details = "; ".join(str(fault["detail"]) for fault in faults)
    return InvalidPayload(f"{asset_id} cannot be published, and nothing was changed: {details}", errors=faults)
