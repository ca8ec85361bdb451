"""What another version of a contract changes for consumers: a weaker promise breaks them, a stronger one doesn't."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LIMITS = (("min_rows", -1, "at least {} rows"), ("max_rows", 1, "at most {} rows"))
_AGE = ("max_age_hours", 1, "rows of at most {} hours")


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Returns the reasons why a version breaks consumers of the one before, and the compatible changes."""
    if before is None:
        return [], ["It is the first version."]
    breaking: list[str] = []
    compatible: list[str] = []
    _columns(before, after, breaking, compatible)
    for name, weaker, text in (*_LIMITS, _AGE):
        old, new = before[name], after[name]
        if old == new:
            continue
        promise = f"{text.format(old)} become {'no limit' if new is None else text.format(new)}."
        if old is None:
            compatible.append(f"New limit: {text.format(new)}.")
        elif new is None or (new - old) * weaker > 0:
            breaking.append(f"Weaker limit: {promise}")
        else:
            compatible.append(f"Stronger limit: {promise}")
    _rules(before, after, breaking, compatible)
    return breaking, compatible


def _columns(before: Mapping[str, Any], after: Mapping[str, Any], breaking: list[str], compatible: list[str]) -> None:
    old, new = ({one["name"]: one for one in terms["columns"]} for terms in (before, after))
    for name, column in old.items():
        if name not in new:
            breaking.append(f"The column {name} is no longer promised.")
            continue
        if new[name]["type"] != column["type"]:
            breaking.append(f"The column {name} changes from {column['type']} to {new[name]['type']}.")
        if new[name]["nullable"] and not column["nullable"]:
            breaking.append(f"The column {name} can have missing values.")
        elif column["nullable"] and not new[name]["nullable"]:
            compatible.append(f"The column {name} has no missing values.")
    compatible += [f"The column {name} is promised." for name in new if name not in old]


def _rules(before: Mapping[str, Any], after: Mapping[str, Any], breaking: list[str], compatible: list[str]) -> None:
    old, new = ({one["name"]: one for one in terms["rules"]} for terms in (before, after))
    for name, rule in old.items():
        if name not in new:
            breaking.append(f"The rule {name!r} ends.")
        elif {**new[name], "tolerance": 0} != {**rule, "tolerance": 0}:
            breaking.append(f"The rule {name!r} changes.")
        elif new[name]["tolerance"] > rule["tolerance"]:
            breaking.append(f"The rule {name!r} tolerates more rows.")
        elif new[name]["tolerance"] < rule["tolerance"]:
            compatible.append(f"The rule {name!r} tolerates fewer rows.")
    compatible += [f"The rule {name!r} is new." for name in new if name not in old]
