"""The project's texts and names do without the words of `docs/language.toml`.

It checks Markdown (without code), pages, and in Python the docstrings, comments, other texts, and names.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = tomllib.loads((ROOT / "docs" / "language.toml").read_text())
EXEMPT = ("docs/openapi/", "docs/reference/operations.md", "tests/architecture/test_language.py")
"""Generated pages, and this file, which needs the words."""

CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`|\]\([^)]*\)|<[^>\n]*>", re.DOTALL | re.MULTILINE)
"""What is no prose in Markdown: code, targets of links, HTML tags."""

Found = tuple[int, str, str]
"""Line, the word or name, and what to write instead."""


def compiled(rules: dict[str, str], form: str) -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(form.format(words), re.IGNORECASE), advice) for words, advice in rules.items()]


WORDS = compiled(RULES["words"], r"(?<![\w`./-])(?:{})(?![\w`/-])")
NAMES = compiled(RULES["names"], r"_*(?:{})_*")


def in_text(text: str, first_line: int = 1, rules: list[tuple[re.Pattern[str], str]] = WORDS) -> Iterator[Found]:
    for pattern, advice in rules:
        for match in pattern.finditer(text):
            yield first_line + text.count("\n", 0, match.start()), match[0], advice


def in_markdown(text: str) -> Iterator[Found]:
    return in_text(CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text))


def defined(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def in_python(text: str) -> Iterator[Found]:
    # Few files contain any of the words, and to divide all into tokens would cost more than the rest of the check.
    rules = [(pattern, advice) for pattern, advice in WORDS if pattern.search(text)]
    for token in tokenize.generate_tokens(io.StringIO(text).readline) if rules else ():
        if token.type in (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            yield from in_text(token.string, token.start[0], rules)
    for line, name in defined(ast.parse(text)):
        for pattern, advice in NAMES:
            if pattern.fullmatch(name):
                yield line, name, advice


READERS = {".md": in_markdown, ".py": in_python, ".html": in_text, ".js": in_text}


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.html", "*.js"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    pending = tuple(RULES["not_checked"])
    return [
        path
        for path in listed.stdout.splitlines()
        if not path.startswith(EXEMPT) and not any(path == one or path.startswith(f"{one}/") for one in pending)
    ]


def test_texts_and_names_use_the_words_of_the_field() -> None:
    faults = [
        f"{path}:{line}: {word!r}; write: {advice}"
        for path in tracked()
        for line, word, advice in READERS[Path(path).suffix]((ROOT / path).read_text())
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("path", "text", "lines"),
    [
        ("a.md", "# He is\n\n```\nnobody\n```\n\nand `nobody` [x](nobody)\n\nWhoever reads.\n", [1, 9]),
        ("a.py", '"""Tells\n\nnobody."""\n\nwhat = 1  # anew\n', [3, 5, 5]),
        ("a.py", "def errand(how: int) -> str:\n    return f'his {how}'\n", [1, 1, 2]),
        ("a.py", "def job(count: int) -> int:\n    return count\n", []),
        ("a.html", "<p>Somebody\nwaits</p>", [1]),
        ("a.js", "// As before.\nconst text = 'anew';", [2]),
    ],
)
def test_the_check_finds_them(path: str, text: str, lines: list[int]) -> None:
    found = READERS[Path(path).suffix](text)
    assert sorted(line for line, _, _ in found) == lines


def test_what_is_not_checked_yet_exists() -> None:
    """An entry that names nothing would let a later folder of that name go unchecked."""
    assert [path for path in RULES["not_checked"] if not (ROOT / path).exists()] == []
