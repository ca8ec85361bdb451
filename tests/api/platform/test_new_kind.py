"""What `headwater new-kind` writes is right as it is: formatted, typed and tested."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.app import app
from api.cli.new_kind import scaffold
from api.cli.registration import apply, entries
from api.kernel.operations.service import SERVICE as OPERATIONS
from api.main import SERVICES
from core.errors import Conflict, HeadwaterError, InvalidArgument, NotFound

ROOT = Path(__file__).parents[3]
CHANGED = ("api", "tests", "examples")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is written to, beside links to the rest."""
    root = tmp_path_factory.mktemp("repository")
    for entry in ROOT.iterdir():
        if entry.name in CHANGED:
            shutil.copytree(entry, root / entry.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif not entry.name.startswith("."):
            (root / entry.name).symlink_to(entry)
    if (ROOT / ".mypy_cache").is_dir():  # or all that is imported would be checked once more
        shutil.copytree(ROOT / ".mypy_cache", root / ".mypy_cache")
    return root


def run(repository: Path, *command: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=repository, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_it_passes_the_linter_the_type_checker_and_its_own_test(repository: Path) -> None:
    kinds = (("rag", "corpus_entry"), ("admin", "quota"))
    written, tests = [], []
    for service, kind in kinds:
        declaration, test, example = scaffold(repository, service, kind)
        entered = entries(service, kind)
        assert all(apply(repository, entry) for entry in entered)
        written += [declaration.relative_to(repository), test.relative_to(repository), *(e.path for e in entered)]
        tests.append(test)
        assert example.is_file()
    files = sorted({str(path) for path in written})
    run(repository, "ruff", "format", "--check", *files)
    run(repository, "ruff", "check", *files)
    run(repository, "mypy", *files)
    life = "tests/conformance/test_life.py"
    lives = " or ".join(f"{service}.{kind}" for service, kind in kinds)
    chosen = " or ".join([f"({lives}) and sqlite", *(test.stem for test in tests)])
    run(repository, "pytest", "-q", "-p", "no:cacheprovider", *map(str, tests), life, "-k", chosen)


@pytest.mark.parametrize("service", [service.name for service in SERVICES if service is not OPERATIONS])
def test_a_kind_is_entered_in_any_service_once_and_nothing_else_changes(tmp_path: Path, service: str) -> None:
    for entry in entries(service, "new_thing"):
        before = (ROOT / entry.path).read_text()
        (tmp_path / entry.path).parent.mkdir(parents=True)
        (tmp_path / entry.path).write_text(before)
        assert apply(tmp_path, entry)
        after = (tmp_path / entry.path).read_text()
        words = Counter(re.findall(r"\w+", after)) - Counter(re.findall(r"\w+", before))
        assert set(words) <= {*re.findall(r"\w+", entry.instruction), "NEW_THING"}
        assert not Counter(re.findall(r"\w+", before)) - Counter(re.findall(r"\w+", after))


@pytest.mark.parametrize("text", ["", "SERVICE = Service('rag', 'Retrieval', KINDS)\n", "SERVICE = Service((\n"])
def test_a_file_that_is_written_otherwise_stays_as_it_is(tmp_path: Path, text: str) -> None:
    [entry, _] = entries("rag", "new_thing")
    (tmp_path / entry.path).parent.mkdir(parents=True)
    (tmp_path / entry.path).write_text(text)
    assert not apply(tmp_path, entry)
    assert (tmp_path / entry.path).read_text() == text


def test_the_command_names_what_it_wrote_and_what_is_left_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "api/services/rag").mkdir(parents=True)
    (tmp_path / "api/services/rag/service.py").touch()
    monkeypatch.setattr("api.cli.new_kind.project_root", lambda: tmp_path)
    done = CliRunner().invoke(app, ["new-kind", "rag/query-box"])
    assert done.exit_code == 0
    for path in (
        "api/services/rag/kinds/query_box.py",
        "tests/api/rag/test_query_boxes.py",
        "examples/rag/query_box.json",
    ):
        assert path in done.output
        assert (tmp_path / path).is_file()
    assert "Add this to api/services/rag/service.py:" in done.output
    assert "from api.services.rag.kinds.query_box import QUERY_BOX\n" in done.output
    assert 'in DRAFTS: "rag.query_box": ({"title": "Example"}, {"title": "Another"}),' in done.output


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "api/services/rag").mkdir(parents=True)
    (tmp_path / "api/services/rag/service.py").touch()
    owned = tmp_path / "tests/api/rag/test_policies.py"
    owned.parent.mkdir(parents=True)
    owned.write_text("mine")
    with pytest.raises(Conflict, match=r"tests/api/rag/test_policies.py already exists. Nothing was written"):
        scaffold(tmp_path, "rag", "policy")
    assert owned.read_text() == "mine"
    assert list((tmp_path / "api/services/rag").iterdir()) == [tmp_path / "api/services/rag/service.py"]


@pytest.mark.parametrize(
    ("service", "kind", "error"),
    [
        ("rag", "", InvalidArgument),
        ("rag", "Corpus", InvalidArgument),
        ("rag", "../corpus", InvalidArgument),
        ("rag", "class", InvalidArgument),
        ("", "corpus", InvalidArgument),
        ("nothing", "corpus", NotFound),
    ],
)
def test_names_that_are_none_are_refused(service: str, kind: str, error: type[HeadwaterError]) -> None:
    with pytest.raises(error):
        scaffold(ROOT, service, kind)


def test_no_prefix_is_given_out_twice(tmp_path: Path) -> None:
    (tmp_path / "api/services/rag").mkdir(parents=True)
    (tmp_path / "api/services/rag/service.py").touch()
    declaration, *_ = scaffold(tmp_path, "rag", "group", taken={"gro"})
    assert 'prefix="gru"' in declaration.read_text()
    with pytest.raises(InvalidArgument, match="have all prefixes"):
        scaffold(tmp_path, "rag", "abc", taken={"abc"})
