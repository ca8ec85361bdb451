"""Areas: whatever a user names, nothing outside the area is read.

The kind of fault: a path that a user chose reaches a file that is not theirs, by its text (`..`, absolute,
control characters), by links (of files, of folders, absolute, chained), by what changes between the look and the
opening, or by being no file at all (a pipe that never answers, a device).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import HeadwaterError, InvalidArgument, NotFound, PayloadTooLarge, PermissionDenied
from core.settings import load_settings
from lakehouse import areas
from lakehouse.areas import Area
from lakehouse.file_names import path_fault, printable
from lakehouse.landing_areas import landing_root, project_area, repository_area, table_areas

SECRET = b"SECRET of another project"


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    root = tmp_path / "landing"
    for project in ("shop", "bank"):
        (root / project / "sub").mkdir(parents=True)
        (root / project / "own.csv").write_bytes(b"own of " + project.encode())
        (root / project / "sub" / "deep.csv").write_bytes(b"deep of " + project.encode())
    for place in (tmp_path / "secret.csv", root / "secret.csv", root / "bank" / "secret.csv"):
        place.write_bytes(SECRET)
    return root


@pytest.fixture
def shop(landing: Path) -> Area:
    return project_area(str(landing), "shop")


HOSTILE = [
    "",
    ".",
    "..",
    "../secret.csv",
    "../bank/secret.csv",
    "sub/../../secret.csv",
    "sub/../../bank/secret.csv",
    "./../secret.csv",
    ".//..//secret.csv",
    "..\\secret.csv",
    "..%2fsecret.csv",
    "%2e%2e/secret.csv",
    "\uff0e\uff0e/secret.csv",
    "..\u2215secret.csv",
    "\u2025/secret.csv",
    "sub\0/../../secret.csv",
    "secret.csv\0.csv",
    "\n../secret.csv",
    "\ud800/secret.csv",
    "\udcff/secret.csv",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "~/secret.csv",
    "$HOME/secret.csv",
    "file:///etc/passwd",
    "s3://bucket/secret.csv",
    "a" * 300,
    "a/" * 3000,
]


@pytest.mark.parametrize("path", HOSTILE)
def test_no_text_leads_out(shop: Area, path: str) -> None:
    with pytest.raises(NotFound):
        shop.read(path)
    below = shop.below(path)
    if below.exists():
        assert below.folder.resolve().is_relative_to(shop.folder)
    for name in ("secret.csv", "passwd"):
        with pytest.raises(NotFound):
            below.read(name)


def test_an_absolute_path_of_the_area_itself_is_none_of_its_paths(shop: Area) -> None:
    with pytest.raises(NotFound):
        shop.read(str(shop.folder / "own.csv"))


LINKS: dict[str, Callable[[Path], object]] = {
    "to a file outside": lambda area: (area / "x.csv").symlink_to(area.parent.parent / "secret.csv"),
    "relative, to a file outside": lambda area: (area / "x.csv").symlink_to("../../secret.csv"),
    "to another project's file": lambda area: (area / "x.csv").symlink_to("../bank/secret.csv"),
    "to another project's folder": lambda area: (area / "d").symlink_to("../bank"),
    "absolute, to another project's folder": lambda area: (area / "d").symlink_to(area.parent / "bank"),
    "to the folder of all projects": lambda area: (area / "d").symlink_to(".."),
    "to the root": lambda area: (area / "root").symlink_to("/"),
    "to the own process": lambda area: (area / "root").symlink_to("/proc/self/root"),
    "to a link": lambda area: [(area / "y").symlink_to("../bank"), (area / "d").symlink_to("y")],
    "out by the parent of a folder": lambda area: (area / "sub" / "d").symlink_to("../../bank"),
    "absolute through the area": lambda area: (area / "d").symlink_to(area / ".." / "bank"),
    "to itself": lambda area: (area / "x.csv").symlink_to("x.csv"),
    "in a circle": lambda area: [(area / "x.csv").symlink_to("y.csv"), (area / "y.csv").symlink_to("x.csv")],
    "to nothing": lambda area: (area / "x.csv").symlink_to("absent"),
    "to a device": lambda area: (area / "x.csv").symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", LINKS)
def test_no_link_leads_out(landing: Path, shop: Area, name: str) -> None:
    LINKS[name](shop.folder)
    outside = str(landing / "bank" / "secret.csv").removeprefix("/")
    for path in ("x.csv", "d/secret.csv", "d/bank/secret.csv", "sub/d/secret.csv", f"root{landing}/bank/secret.csv"):
        with pytest.raises(NotFound):
            shop.read(path)
    for folder in ("d", "sub/d", "root", f"root/{outside}"):
        assert not shop.below(folder).exists()
        with pytest.raises(NotFound):
            shop.below(folder).read("secret.csv")
    assert not any(path.endswith("secret.csv") for path in shop.walk())


def test_the_area_itself_is_no_link(landing: Path) -> None:
    (landing / "thief").symlink_to("bank")
    area = project_area(str(landing), "thief")
    assert not area.exists()
    assert list(area.names()) == []
    with pytest.raises(NotFound):
        area.read("secret.csv")


def test_links_that_stay_inside_are_followed(landing: Path, shop: Area) -> None:
    (shop.folder / "latest.csv").symlink_to("sub/deep.csv")
    (shop.folder / "again.csv").symlink_to(shop.folder / "latest.csv")
    (shop.folder / "sub" / "up.csv").symlink_to("../own.csv")
    (shop.folder / "other").symlink_to("sub")
    assert shop.read("latest.csv") == shop.read("again.csv") == shop.read("other/deep.csv") == b"deep of shop"
    assert shop.read("sub/up.csv") == b"own of shop"
    with pytest.raises(NotFound):
        shop.below("sub").read("up.csv")
    with shop.open("again.csv") as found:
        assert found.parts == ("sub", "deep.csv")
    with pytest.raises(NotFound), shop.open("latest.csv", follow_links=False):
        pass


@pytest.mark.parametrize("path", ["own.csv", "sub/deep.csv"])
@pytest.mark.parametrize("reason", ["link", "pipe"])
def test_what_is_swapped_between_the_look_and_the_opening_is_not_read(
    landing: Path, shop: Area, monkeypatch: pytest.MonkeyPatch, path: str, reason: str
) -> None:
    """The swap happens at the worst instant: right after the look, before the opening."""
    first = path.split("/")[0]
    look = os.stat

    def stat(name: str, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        status = look(name, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        victim = shop.folder / first
        if name == first and dir_fd is not None and not victim.is_symlink():
            victim.rename(landing / "moved")
            if reason == "link":
                victim.symlink_to(landing / "bank" / ("secret.csv" if first == path else "sub"))
            else:
                os.mkfifo(victim)
        return status

    monkeypatch.setattr(areas.os, "stat", stat)
    with pytest.raises(NotFound):
        shop.read(path)


def test_a_pipe_does_not_keep_the_reader_waiting(shop: Area) -> None:
    os.mkfifo(shop.folder / "x.csv")
    with pytest.raises(NotFound, match="not a regular file"):
        shop.read("x.csv")


def test_a_file_larger_than_the_limit_is_not_read(shop: Area) -> None:
    with (shop.folder / "huge.csv").open("wb") as file:
        file.truncate(areas.MAX_FILE_BYTES + 1)  # takes no space
    with pytest.raises(PayloadTooLarge, match=r"huge\.csv"):
        shop.read("huge.csv")


def test_what_the_platform_keeps_is_not_read_through_the_repository(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A YAML file reads the repository, in which the home, the tables and the areas of projects may lie."""
    repository = home.parent
    monkeypatch.setenv("HEADWATER_LANDING_URL", str(repository / "landing"))
    monkeypatch.setenv("HEADWATER_LAKEHOUSE_URL", f"file://{repository}/lake")
    area = repository_area(repository, load_settings())
    for folder in ("home", "landing/shop", "lake", "docs"):
        (repository / folder).mkdir(parents=True, exist_ok=True)
        (repository / folder / "a.md").write_bytes(SECRET if folder != "docs" else b"page")
    (repository / "docs" / "h").symlink_to("../home")
    assert area.read("docs/a.md") == b"page"
    assert list(area.walk()) == ["docs/a.md", "docs/h"] or set(area.walk()) == {"docs/a.md", "docs/h"}
    for path in ("home/a.md", "docs/h/a.md", "landing/shop/a.md", "lake/a.md"):
        with pytest.raises(NotFound):
            area.read(path)


def test_what_may_not_be_read_is_told_apart(shop: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = os.open

    def refuse(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        if path == "own.csv":
            raise PermissionError(13, "Permission denied")
        return opening(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(areas.os, "open", refuse)
    with pytest.raises(PermissionDenied, match=r"can't read own\.csv"):
        shop.read("own.csv")


@pytest.mark.parametrize(
    "project", ["", ".", "..", "../bank", "/etc", "shop/../bank", "Shop", "shop.bronze", "\uff53hop"]
)
def test_only_a_project_has_an_area(landing: Path, project: str) -> None:
    with pytest.raises(InvalidArgument):
        project_area(str(landing), project)


@pytest.mark.parametrize("url", ["s3://bucket/landing", "s3a://bucket/../other", "gs://x", "http://host/x"])
def test_an_object_store_is_no_landing_folder(url: str) -> None:
    """A path would be made of it: `s3:/bucket/...` below the working folder."""
    with pytest.raises(InvalidArgument, match="HEADWATER_LANDING_URL"):
        landing_root(url)


def test_the_folders_of_a_table(landing: Path) -> None:
    (area,) = table_areas(str(landing), "shop.bronze.orders")
    assert area.folder == landing / "shop" / "bronze" / "orders"
    assert not area.exists()
    area.make()
    assert area.exists()
    (landing / "shop.bronze.orders").mkdir()
    assert [item.folder.name for item in table_areas(str(landing), "shop.bronze.orders")] == [
        "orders",
        "shop.bronze.orders",
    ]


def test_a_folder_is_not_made_through_a_link(landing: Path) -> None:
    (landing / "shop" / "bronze").symlink_to("../bank")
    area = project_area(str(landing), "shop").below("bronze/orders")
    with pytest.raises(HeadwaterError):
        area.make()
    assert not (landing / "bank" / "orders").exists()


NAMES = ["a", "b", "own.csv", "..", ".", "x\n.csv", "\udcff.csv", "\u00e9", "e\u0301"]
TARGETS = [*NAMES, "../bank", "../../secret.csv", "/etc/passwd", "/proc/self/root", "{area}/a", "{area}/../bank", "a/b"]


@settings(max_examples=200, deadline=None)
@given(
    entries=st.lists(
        st.tuples(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), st.none() | st.sampled_from(TARGETS)),
        max_size=8,
    ),
    path=st.lists(st.sampled_from([*NAMES, "bank", "secret.csv", "etc", "passwd"]), min_size=1, max_size=5),
)
def test_what_is_read_lies_inside_whatever_the_tree(
    entries: list[tuple[list[str], str | None]], path: list[str]
) -> None:
    """Trees of files, folders and links at random: what is read is the very file that the system finds, and inside."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        area = root / "shop"
        (root / "bank").mkdir()
        (root / "bank" / "secret.csv").write_bytes(SECRET)
        (root / "secret.csv").write_bytes(SECRET)
        area.mkdir()
        for parts, target in entries:
            place = area.joinpath(*(part for part in parts if part not in ("..", ".")), "own.csv")
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                if target is None:
                    place.write_bytes(os.fsencode(os.path.relpath(place, root)))
                else:
                    (place.parent / "a").symlink_to(target.format(area=area))
            except OSError:  # the name is taken, or the tree so far has it behind a link to nowhere
                continue
        (root / "bank" / "secret.csv").write_bytes(SECRET)
        (root / "secret.csv").write_bytes(SECRET)
        reached = Area(root, inner="shop")
        for name in ["/".join(path), *reached.walk()]:
            try:
                content = reached.read(name)
            except NotFound:
                continue
            real = Path(os.path.realpath(area / name))
            assert real.is_relative_to(area)
            assert content == real.read_bytes()
            assert content != SECRET


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=255).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_every_name_has_a_text_of_its_own(name: bytes) -> None:
    text = printable(os.fsdecode(name))
    assert text.isprintable()
    assert text.encode().decode() == text
    assert _unescaped(text) == name


def _unescaped(text: str) -> bytes:
    def pieces() -> Iterator[bytes]:
        rest = text
        while rest:
            if rest.startswith("\\\\"):
                piece, length = b"\\", 2
            elif rest.startswith("\\x"):
                piece, length = bytes.fromhex(rest[2:4]), 4
            elif rest.startswith("\\u"):
                piece, length = chr(int(rest[2:6], 16)).encode(), 6
            elif rest.startswith("\\U"):
                piece, length = chr(int(rest[2:10], 16)).encode(), 10
            else:
                piece, length = rest[0].encode(), 1
            yield piece
            rest = rest[length:]

    return b"".join(pieces())


@settings(deadline=None)
@given(st.text(max_size=40))
def test_a_path_without_fault_can_be_asked_for(text: str) -> None:
    if path_fault(text) is None:
        os.fsencode(text)
        assert not Path(text).is_absolute()
        assert ".." not in Path(text).parts
