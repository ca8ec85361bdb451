"""Compares the number of operations of each service with the plan: `python -m docs.progress`."""

from __future__ import annotations

import sys

from api.main import SERVICES

PLANNED = {
    "admin": 119,
    "connections": 179,
    "assets": 230,
    "spark": 84,
    "data_platform": 258,
    "deployments": 208,
    "ai_catalog": 276,
    "ai_system": 239,
    "composables": 192,
    "rag": 107,
    "agentic": 167,
    "federation": 47,
    "cicd": 203,
    "views": 86,
}
"""The planned number of operations per service."""


def lines() -> list[str]:
    """Returns one line per service with its operations and the planned number, and their sum."""
    counts = {service.name: len(service.endpoints) for service in SERVICES}
    names = dict.fromkeys((*PLANNED, *counts))
    rows = [(name, counts.get(name, 0), PLANNED.get(name, 0)) for name in names]
    # Operations beyond a service's share don't make up for those that another lacks.
    rows.append(("all", sum(min(count, planned) for _, count, planned in rows), sum(PLANNED.values())))
    return [f"{name:14}{count:>6} of {planned:>5}" for name, count, planned in rows]


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
