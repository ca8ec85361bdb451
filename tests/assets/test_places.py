"""Every path that a definition names stays inside the area of its project.

The kind of fault: an attribute of a component is taken as a path, or as an address, by code that does not look where it
leads. The attributes are found by walking the models of all components, so that a new one has to say what it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import dagster as dg
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from assets.components import COMPONENTS, component
from assets.datasets.remote import RelativePath
from assets.datasets.sources import Address
from core.errors import HeadwaterError, InvalidPayload, NotFound
from core.settings import load_settings
from lakehouse.file_names import path_fault
from lakehouse.tables import Tables
from resources.delta import Delta
from resources.vectors import Vectors
from tests import slices
from tests.unit.lakehouse.test_areas import HOSTILE, LINKS

SECRET = "The secret of the bank"

# Strings that no code takes as a path or address, by the name of their attribute. An attribute that is one has the type
# `RelativePath` or `Address` and is read through an `Area` or `download`; then it gets a line in `NAMED` below.
NO_PATHS = {
    "connection",
    "cursor",
    "start",
    "end",
    "asset",
    "table",
    "assets",
    "inputs",
    "features",
    "automation",
    "description",
    "owners",
    "name",
    "unique",
    "not_null",
    "column",
    "columns",
    "key",
    "keys",
    "shares",
    "ttl",
    "label_timestamp",
    "holds",
    "package",
    "delimiter",
    "quote",
    "escape",
    "encoding",
    "decimal",
    "thousands",
    "comment",
    "null_values",
    "date_format",
    "timestamp_format",
    "sql",
    "function",
    "on",
    "mode",
    "by",
    "at",
    "source",
    "sources",
    "known_at",
    "facts",
    "timestamp",
    "offset",
    "max_age",
    "span",
    "opened",
    "closed",
    "count",
    "age_minutes",
    "time_zone",
    "look_back",
    "target",
    "exclude",
    "train",
    "tune",
    "test",
    "base_rate",
    "labels",
    "title",
    "text",
    "query",
    "relevant",
    "clients",
    "train_where",
    "holdout_where",
    "strategy",
    "strategy_options",
}

CSV = {"asset": "shop.bronze.t", "description": "d"}
INDEX = {"asset": "shop.index.t", "description": "d"}
SQL = {"asset": "shop.gold.t", "description": "d"}


def index_of(**source: Any) -> tuple[str, dict[str, Any]]:
    return "RagIndexComponent", INDEX | {"sources": [{"kind": "files", "glob": ["**/*"], **source}]}


def table_of(**source: Any) -> tuple[str, dict[str, Any]]:
    return "DatasetComponent", CSV | {"source": source, "columns": {"a": {"type": "string"}}}


NAMED: dict[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "PackageSource.file": lambda path: table_of(kind="package", package="pip", file=path),
    "CsvSource.path": lambda path: table_of(kind="csv", path=path),
    "CsvSource.url": lambda url: table_of(kind="csv", url=url),
    "ObjectSource.path": lambda path: table_of(kind="objects", connection="files", path=path),
    "LandingSource.pattern": lambda pattern: table_of(kind="landing", pattern=pattern),
    "FilesSource.root": lambda path: index_of(root=path),
    "FilesSource.glob": lambda path: index_of(glob=[path]),
    "FilesSource.exclude": lambda path: index_of(exclude=[path]),
    "SqlFile.file": lambda path: ("SqlTransformComponent", SQL | {"sql": {"file": path}}),
}
"""How a definition is made that names a path at each attribute."""


def strings(model: type[BaseModel], seen: set[type] | None = None) -> Iterator[tuple[str, str, frozenset[Any]]]:
    """Every attribute of a model and of the models in it that takes any string, with its validators."""
    seen = set() if seen is None else seen
    if model in seen:
        return
    seen.add(model)
    for name, info in model.model_fields.items():
        for kind, validators in leaves(info.annotation, info.metadata):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from strings(kind, seen)
            elif kind not in (int, float, bool, type(None)):
                yield model.__name__, name, validators


def leaves(annotation: Any, metadata: Any) -> Iterator[tuple[Any, frozenset[Any]]]:
    flat = [item for found in metadata for item in (found.metadata if isinstance(found, FieldInfo) else [found])]
    if get_origin(annotation) is Annotated:
        inner, *options = get_args(annotation)
        yield from leaves(inner, [*flat, *options])
    elif get_origin(annotation) is Literal:
        return
    elif get_origin(annotation) is not None:
        for argument in get_args(annotation):
            yield from leaves(argument, [])
    else:
        yield annotation, frozenset(item for item in flat if item.__hash__)


def attributes() -> dict[str, frozenset[Any]]:
    return {
        f"{model}.{name}": validators
        for name in COMPONENTS
        for model, name, validators in strings(COMPONENTS[name])
        if name not in NO_PATHS or RelativePath.__metadata__[0] in validators
    }


def test_every_attribute_that_names_a_place_is_known_and_contained() -> None:
    found = attributes()
    assert set(found) == set(NAMED)
    marks = {RelativePath.__metadata__[0], *Address.__metadata__}
    assert [name for name, validators in found.items() if not marks & validators] == []


@pytest.mark.parametrize("name", [name for name in NAMED if name != "CsvSource.url"])
@pytest.mark.parametrize("path", [path for path in HOSTILE if path_fault(path)])
def test_hostile_paths_are_refused_where_they_are_declared(name: str, path: str) -> None:
    suffix = {"PackageSource.file": "/a.csv", "SqlFile.file": "/a.sql"}.get(name, "")
    with pytest.raises(InvalidPayload) as caught:
        component(*NAMED[name](path + suffix if path.strip("/") else path))
    assert all(fault["pointer"].startswith("/attributes/") for fault in caught.value.errors)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "ftp://127.0.0.1/x.csv",
        "data:,a",
        "s3://bucket/x.csv",
        "//host/x.csv",
        "/etc/passwd",
        "http://",
        "http:///etc/passwd",
        "http://[::1",
        "http://host:99999/x.csv",
        "http://host:port/x.csv",
        " http://host/x.csv",
        "jar:http://host/x.csv",
    ],
)
def test_addresses_that_are_no_http_address_are_refused_where_they_are_declared(url: str) -> None:
    with pytest.raises(InvalidPayload):
        component(*NAMED["CsvSource.url"](url))


class Tenants:
    """Two projects, one of which is read by definitions of the other if anything leaks."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.landing = Path(load_settings().effective_landing_url)
        self.shop, bank = self.landing / "shop", self.landing / "bank"
        for folder in (self.shop / "sub", self.shop / "bronze" / "t", bank / "sub", bank / "bronze" / "t"):
            folder.mkdir(parents=True)
        outside = (self.landing, self.landing.parent, self.landing.parent.parent, bank, bank / "bronze" / "t")
        for folder in outside:
            for name in ("secret.csv", "x.csv", "secret.md", "x.md"):
                (folder / name).write_text(f"a\n{SECRET}\n")
        (self.shop / "own.csv").write_text("a\nmine\n")
        (self.shop / "own.md").write_text("# Own\n\nA page.\n")

    def run(self, name: str, declared: dict[str, Any]) -> None:
        built = dg.build_defs_for_component(component(name, declared))
        resources = {"delta": Delta(), "vectors": Vectors()}
        extra = dg.Definitions(resources=resources, executor=dg.in_process_executor)
        job = dg.Definitions.merge(built, extra).resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            job.execute_in_process(instance=instance)

    def texts(self) -> str:
        return "".join(str(self.tables.snapshot(name).to_arrow().to_pylist()) for name in self.tables.list())


@pytest.fixture
def tenants(home: Path) -> Tenants:
    return Tenants(slices.open_tables())


@pytest.mark.parametrize("name", ["to another project's file", "to another project's folder", "to the root"])
def test_a_run_does_not_follow_links_out_of_the_area(tenants: Tenants, name: str) -> None:
    """The whole way from the definition to the table, at every attribute that a published definition may have."""
    LINKS[name](tenants.shop)
    (tenants.shop / "x.md").symlink_to("../bank/secret.md")
    (tenants.shop / "bronze" / "t" / "x.csv").symlink_to("../../../bank/secret.csv")
    (tenants.shop / "sub" / "linked").symlink_to(tenants.landing / "bank")
    for path in ("x.csv", "d/secret.csv", f"root{tenants.landing}/secret.csv", "sub/linked/secret.csv", "secret.csv"):
        with pytest.raises(NotFound):
            tenants.run(*NAMED["CsvSource.path"](path))
    for root in ("d", f"root{tenants.landing}/bank", "sub/linked"):
        with pytest.raises(NotFound):
            tenants.run(*NAMED["FilesSource.root"](root))
    tenants.run(*index_of(glob=["**/*", "*", "d/*", "sub/linked/*", "*/*/*"]))
    tenants.run(*NAMED["LandingSource.pattern"]("*"))
    assert SECRET not in tenants.texts()


def test_a_landing_folder_that_is_a_link_is_not_read(tenants: Tenants) -> None:
    (tenants.shop / "bronze" / "t").rmdir()
    (tenants.shop / "bronze" / "t").symlink_to("../../bank/bronze/t")
    (tenants.landing / "shop.bronze.t").symlink_to("bank")
    with pytest.raises(HeadwaterError):
        tenants.run(*NAMED["LandingSource.pattern"]("*"))
    assert SECRET not in tenants.texts()


def test_the_own_area_is_read(tenants: Tenants) -> None:
    tenants.run(*NAMED["CsvSource.path"]("own.csv"))
    tenants.run(*NAMED["FilesSource.root"]("."))
    assert "mine" in tenants.texts()
    assert "A page." in tenants.texts()


def test_files_with_any_name_are_indexed_or_named(tenants: Tenants) -> None:
    """One file whose name cannot be stored as it is must not keep the others out of the index."""
    for name in (b"caf\xe9.md", b"new\nline.md", b"\x1b[31m.md", "\u202egnp.md".encode(), b"n" * 252 + b".md"):
        (tenants.shop / os.fsdecode(name)).write_text(f"# Page\n\nText {len(name)}.\n")
    tenants.run(*index_of())
    documents = set(tenants.tables.snapshot("shop.index.t").to_arrow()["document"].to_pylist())
    assert documents == {
        "own.md",
        "caf\\xe9.md",
        "new\\x0aline.md",
        "\\x1b[31m.md",
        "\\u202egnp.md",
        "n" * 252 + ".md",
    }
