"""Registration of a new kind: in the list of its service, and in the drafts of the conformance suite.

Each edit is verified after it is made. A file that does not have the expected form is not changed.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

EXAMPLES = "tests/conformance/examples/{service}.py"


class Entry(NamedTuple):
    """An edit of one file that registers a kind."""

    path: str
    instruction: str
    """Text that the author must add if the edit is not possible."""
    edit: Callable[[str], str]
    """Returns the edited text of the file, or the same text if it does not have the expected form."""


def entries(service: str, kind: str) -> list[Entry]:
    """Returns the edits that register a kind."""
    constant, module = kind.upper(), f"api.services.{service}.kinds.{kind}"
    line = f"from {module} import {constant}"
    draft = f'"{service}.{kind}": ({{"title": "Example"}}, {{"title": "Another"}}),'
    return [
        Entry(
            f"api/services/{service}/service.py",
            f"{line}\n    and {constant} in the list of kinds",
            lambda text: _in_service(text, module, constant),
        ),
        Entry(
            EXAMPLES.format(service=service),
            f"in DRAFTS: {draft}",
            lambda text: _in_drafts(text, f"{service}.{kind}", draft),
        ),
    ]


def apply(root: Path, entry: Entry) -> bool:
    """Edits the file. Returns false if the author has to edit it."""
    path = root / entry.path
    text = path.read_text() if path.is_file() else ""
    changed = entry.edit(text)
    if changed == text:
        return False
    path.write_text(changed)
    if importlib.util.find_spec("ruff"):  # the edit may exceed the line length
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
    edited = _kinds(changed)
    names = [getattr(name, "id", "") for name in edited.elts] if edited else []
    valid = names == [*(getattr(name, "id", "") for name in kinds.elts), constant]
    return changed if valid and len(_imports(changed)) == len(imports) + 1 else text


def _in_drafts(text: str, name: str, draft: str) -> str:
    drafts = _drafts(text)
    if drafts is None:
        return text
    lines = text.splitlines(keepends=True)
    if drafts.values:
        lines.insert(drafts.values[-1].end_lineno or 0, f"    {draft}\n")
    else:
        lines[drafts.lineno - 1] = f"{lines[drafts.lineno - 1][: drafts.col_offset]}{{\n    {draft}\n}}\n"
    changed = "".join(lines)
    edited = _drafts(changed)
    keys = [getattr(key, "value", "") for key in edited.keys] if edited else []
    return changed if keys == [*(getattr(key, "value", "") for key in drafts.keys), name] else text


def _parsed(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError:
        return []


def _imports(text: str) -> list[ast.ImportFrom]:
    return [node for node in _parsed(text) if isinstance(node, ast.ImportFrom)]


def _kinds(text: str) -> ast.List | None:
    """Returns the list in `SERVICE = Service("name", "Title", [...])`."""
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
