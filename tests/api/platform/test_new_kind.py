"""What `headwater new-kind` writes is right as it is: formatted, typed and tested."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.cli.new_kind import scaffold
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
    return root


def run(repository: Path, *command: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=repository, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rag/corpus_entry", "admin/quota"])
def test_it_passes_the_linter_the_type_checker_and_its_own_test(repository: Path, name: str) -> None:
    service, _, kind = name.partition("/")
    declaration, test, example = scaffold(repository, service, kind)
    written = [str(declaration), str(test)]
    assert example.is_file()
    run(repository, "ruff", "format", "--check", *written)
    run(repository, "ruff", "check", *written)
    # Beside the repository's own cache, which is of other files by the same names.
    cache = ROOT / ".mypy_cache" / "new_kind"
    run(repository, "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(cache), *written)
    run(repository, "pytest", "-q", "-p", "no:cacheprovider", str(test))


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
    assert "Add QUERY_BOX to the list in api/services/rag/service.py" in done.output


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "api/services/rag").mkdir(parents=True)
    (tmp_path / "api/services/rag/service.py").touch()
    mine = tmp_path / "tests/api/rag/test_policies.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(Conflict, match=r"tests/api/rag/test_policies.py is there already: nothing was written"):
        scaffold(tmp_path, "rag", "policy")
    assert mine.read_text() == "mine"
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
    with pytest.raises(InvalidArgument, match="Every prefix"):
        scaffold(tmp_path, "rag", "abc", taken={"abc"})
