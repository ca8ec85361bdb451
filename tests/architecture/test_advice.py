"""What messages advise can be done.

The kind of fault: an error names a command, a target, a setting or an argument that does not exist, or one that its
reader cannot reach.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main

from api.cli.app import app
from core.settings import declared_settings

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in (
        "api",
        "assets",
        "core",
        "dagster_project",
        "federated",
        "jobs",
        "lakehouse",
        "rag",
        "resources",
        "serving",
    )
    for path in sorted((ROOT / folder).rglob("*.py"))
]


@cache
def texts() -> list[tuple[Path, str]]:
    """Every text of the code but docstrings, placeholders of f-strings as `{}`."""
    return list(_texts())


def _texts() -> Iterator[tuple[Path, str]]:
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        reported = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr)
        }
        inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if node in reported or node in inside:
                continue
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
                yield path, "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.value


def named(pattern: str) -> list[tuple[str, str]]:
    return [(str(path.relative_to(ROOT)), found) for path, text in texts() for found in re.findall(pattern, text)]


def test_commands_exist() -> None:
    group = typer.main.get_command(app)
    known = set(group.commands)  # type: ignore[attr-defined]
    found = named(r"`headwater ([a-z][a-z-]*)")
    assert len(found) > 10
    assert [item for item in found if item[1] not in known] == []
    subcommands = set(group.commands["tables"].commands)  # type: ignore[attr-defined]
    assert {item[1] for item in named(r"`headwater tables ([a-z-]+)")} == subcommands


def test_targets_exist() -> None:
    known = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    found = named(r"`make ([a-z][a-z-]*)")
    assert found
    assert [item for item in found if item[1] not in known] == []


def test_settings_exist() -> None:
    known = {setting.variable for setting in declared_settings()}
    found = [item for item in named(r"\b(HEADWATER_[A-Z][A-Z_]*[A-Z])\b") if " " in item[1] or item[1] not in known]
    assert [item for item in found if item[0].startswith(("lakehouse/", "assets/", "jobs/", "core/errors"))] == []


@pytest.mark.parametrize("argument", ["evolve_schema", "add_columns", "Tables."])
def test_no_message_of_the_lakehouse_names_an_argument_of_its_functions(argument: str) -> None:
    """Those who read it have a definition or a request, and no function to call."""
    messages = [
        item for item in named(rf"[^.]*{re.escape(argument)}[^.]*") if item[0].startswith(("lakehouse/", "assets/"))
    ]
    assert [item for item in messages if " " in item[1].strip()] == []
