"""The jars of local Spark come from a repository that fails, to platforms that start at the same moment.

The kind: two downloads that corrupt each other, and an incomplete download that a later start uses.
"""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.errors import Unavailable
from resources.spark import jars
from resources.spark.jars import downloaded

pytestmark = pytest.mark.slow

PACKAGE = "org.example:parent:1.0"
POM = (
    "<project><modelVersion>4.0.0</modelVersion><groupId>org.example</groupId><artifactId>{name}</artifactId>"
    "<version>1.0</version><dependencies>{dependencies}</dependencies></project>"
)
DEPENDENCY = (
    "<dependency><groupId>org.example</groupId><artifactId>{name}</artifactId><version>1.0</version></dependency>"
)
FOUND = ["org.example_child-1.0.jar", "org.example_parent-1.0.jar"]


@dataclass
class Repository:
    """A Maven repository with a package, its dependency, and one that Spark contains."""

    url: str = ""
    failures: int = 0
    """How many of the next requests for a jar fail."""
    requested: list[str] = field(default_factory=list)

    def file(self, path: str) -> bytes | None:
        name, _, file = path.removeprefix("/org/example/").partition("/1.0/")
        if file == f"{name}-1.0.pom":
            names = ("child", "shipped") if name == "parent" else ()
            return POM.format(name=name, dependencies="".join(DEPENDENCY.format(name=n) for n in names)).encode()
        if file != f"{name}-1.0.jar":
            return None
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("name.txt", name)
        return content.getvalue()


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    repository = Repository()

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            content = repository.file(self.path)
            if self.command == "GET" and self.path.endswith(".jar"):
                repository.requested.append(self.path.rpartition("/")[2])
                if repository.failures:
                    repository.failures -= 1
                    content = None
            self.send_response(200 if content else 404)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            if self.command == "GET" and content:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    for verb in ("GET", "HEAD"):
        setattr(Handler, f"do_{verb}", Handler.serve)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        repository.url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", repository.url)
        monkeypatch.setattr(jars, "_PAUSES", (0.0, 0.0))
        yield repository
        server.shutdown()
        thread.join()


def test_platforms_that_start_together_download_once_and_a_failed_attempt_is_repeated(
    repository: Repository, tmp_path: Path
) -> None:
    repository.failures = 2
    with ThreadPoolExecutor(2) as pool:
        starts = [pool.submit(downloaded, [PACKAGE], ["org.example:shipped"], tmp_path) for _ in range(2)]
        folders = {start.result() for start in starts}
    (folder,) = folders
    assert sorted(file.name for file in folder.iterdir()) == FOUND
    assert zipfile.ZipFile(folder / FOUND[0]).read("name.txt") == b"child"
    assert repository.failures == 0
    assert {name: repository.requested.count(name) for name in repository.requested} == {
        "parent-1.0.jar": 2,
        "child-1.0.jar": 2,
    }
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder], "the cache of the download is gone"


def test_an_incomplete_download_is_never_used(repository: Repository, tmp_path: Path) -> None:
    repository.failures = 1_000
    with pytest.raises(
        Unavailable, match=r"org.example:parent:1.0 could not be downloaded .* HEADWATER_SPARK_JARS_DIR"
    ):
        downloaded([PACKAGE], ["org.example:shipped"], tmp_path)
    repository.failures = 0
    assert sorted(file.name for file in downloaded([PACKAGE], ["org.example:shipped"], tmp_path).iterdir()) == FOUND
    repository.requested.clear()
    downloaded([PACKAGE], ["org.example:shipped"], tmp_path)
    assert repository.requested == []


def test_a_folder_that_cannot_be_written_is_named(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"could not be written to .*jars \(Not a directory\)"):
        downloaded([PACKAGE], folder=tmp_path / "file" / "jars")
