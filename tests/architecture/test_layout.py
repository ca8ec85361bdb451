"""House rules about files and names."""

import ast
from pathlib import Path

from core import errors

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "lakehouse", "rag", "federated", "serving", "resources", "assets", "jobs", "dagster_project", "api")
BANNED = {"utils", "util", "manager", "helper", "helpers", "misc", "common", "base"}
MODULES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
MAX_LINES = 400


def test_no_file_outgrows_a_reader() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in MODULES
        if (lines := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}


def test_no_name_says_nothing() -> None:
    assert [str(path.relative_to(ROOT)) for path in MODULES if path.stem in BANNED] == []


def test_only_settings_read_the_environment() -> None:
    """Passing the environment on to a child process is not reading it."""
    readers = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            writes = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
            if isinstance(node, ast.Call | ast.Subscript) and not writes:
                target = node.func if isinstance(node, ast.Call) else node.value
                if ast.unparse(target) in ("os.environ", "os.environ.get", "os.getenv"):
                    readers.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    allowed = {
        "core/settings.py",
        "api/cli/doctor.py",  # looks at JAVA_HOME, which is Java's setting and not ours
        "core/java.py",  # the same
    }
    assert [reader for reader in readers if reader.partition(":")[0] not in allowed] == []


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        package
        for package in PACKAGES
        if not ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text()))
    ]
    assert silent == []


def test_every_error_of_the_api_is_in_the_reference() -> None:
    """Kind: a client meets a reason that `docs/reference/errors.md`, written from `core.errors`, does not list."""
    declared = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    elsewhere = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted((ROOT / "api").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & declared
    ]
    assert elsewhere == []
