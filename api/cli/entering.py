"""Where a new kind is entered: the list of its service, and the drafts that the conformance suite makes things from.

Each edit is small and looked at afterwards; a file that is not written as expected stays as it is.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

DRAFTS = "tests/conformance/operations.py"


class Entry(NamedTuple):
    """One file that a kind is entered in."""

    path: str
    what: str
    """What an author adds, if it cannot be done for him."""
    entered: Callable[[str], str]
    """The text of the file with the kind in it, the same text if it is not written as expected."""


def entries(service: str, kind: str) -> list[Entry]:
    """The files to enter a kind in."""
    constant, module = kind.upper(), f"api.services.{service}.kinds.{kind}"
    line = f"from {module} import {constant}"
    draft = f'"{service}.{kind}": ({{"title": "Example"}}, {{"title": "Another"}}),'
    return [
        Entry(
            f"api/services/{service}/service.py",
            f"{line}\n    and {constant} in the list of kinds",
            lambda text: _in_service(text, module, constant),
        ),
        Entry(DRAFTS, f"in DRAFTS: {draft}", lambda text: _in_drafts(text, f"{service}.{kind}", draft)),
    ]


def enter(root: Path, entry: Entry) -> bool:
    """Enters the kind in the file; False if its author has to."""
    path = root / entry.path
    text = path.read_text() if path.is_file() else ""
    changed = entry.entered(text)
    if changed == text:
        return False
    path.write_text(changed)
    if importlib.util.find_spec("ruff"):  # a longer line may need another form
        subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(path)], cwd=root, check=False)
    return True


def _in_service(text: str, module: str, constant: str) -> str:
    kinds, imports = _kinds(text), _imports(text)
    if kinds is None or not kinds.elts or not imports:
        return text
    lines = text.splitlines(keepends=True)
    last = kinds.elts[-1]
    separator = ", " if last.lineno == kinds.lineno else f",\n{' ' * last.col_offset}"
    row, column = (last.end_lineno or last.lineno) - 1, last.end_col_offset
    lines[row] = f"{lines[row][:column]}{separator}{constant}{lines[row][column:]}"
    before = [node.end_lineno or node.lineno for node in imports if (node.module or "") < module]
    lines.insert(max(before, default=imports[0].lineno - 1), f"from {module} import {constant}\n")
    changed = "".join(lines)
    made = _kinds(changed)
    names = [getattr(name, "id", "") for name in made.elts] if made else []
    right = names == [*(getattr(name, "id", "") for name in kinds.elts), constant]
    return changed if right and len(_imports(changed)) == len(imports) + 1 else text


def _in_drafts(text: str, name: str, draft: str) -> str:
    drafts = _drafts(text)
    if drafts is None or not drafts.values:
        return text
    lines = text.splitlines(keepends=True)
    lines.insert(drafts.values[-1].end_lineno or 0, f"    {draft}\n")
    changed = "".join(lines)
    made = _drafts(changed)
    keys = [getattr(key, "value", "") for key in made.keys] if made else []
    return changed if keys == [*(getattr(key, "value", "") for key in drafts.keys), name] else text


def _parsed(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError:
        return []


def _imports(text: str) -> list[ast.ImportFrom]:
    return [node for node in _parsed(text) if isinstance(node, ast.ImportFrom)]


def _kinds(text: str) -> ast.List | None:
    """The list in `SERVICE = Service("name", "Title", [...])`."""
    for node in _parsed(text):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.value.args) > 2:
            kinds = node.value.args[2]
            if getattr(node.value.func, "id", "") == "Service" and isinstance(kinds, ast.List):
                return kinds
    return None


def _drafts(text: str) -> ast.Dict | None:
    for node in _parsed(text):
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "DRAFTS":
            return node.value if isinstance(node.value, ast.Dict) else None
    return None
