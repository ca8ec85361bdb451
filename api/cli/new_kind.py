"""The command `headwater new-kind`, which generates the declaration, the test, and the example of a kind."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection
from itertools import combinations
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from api.cli.programs import project_root
from api.cli.registration import apply, entries
from core.errors import Conflict, InvalidArgument, NotFound

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

_DECLARATION = Template('''"""$Plural."""

from __future__ import annotations

from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind


class ${Model}Spec(Spec):
    """Spec of $one."""

    title: Title
    """Display name."""

    description: Text = ""
    """Description of the purpose."""


class $Model(Resource[${Model}Spec, NoStatus]):
    """Definition of $one in one sentence."""


$CONSTANT = ResourceKind($Model, plural="$slug", prefix="$prefix", level=Level.PROJECT)
''')

_TEST = Template('''"""Operations on $plural."""

from __future__ import annotations

import json
from pathlib import Path

from api.services.$service.service import SERVICE
from tests.api.admin.tenants import made, tenant
from tests.api_process import running_service

EXAMPLE = json.loads((Path(__file__).parents[3] / "$example").read_text())
COLLECTION = "$service_slug/$slug"


async def test_create_change_and_delete(tmp_path: Path) -> None:
    async with running_service(tmp_path, SERVICE) as api:
        one = await tenant(api, "one")
        created = await made(one.admin.post(COLLECTION, EXAMPLE | {"project_id": one.project}))
        assert created["spec"].items() >= EXAMPLE["spec"].items()
        path = f"{COLLECTION}/{created['id']}"
        assert (await one.admin.get(path)).json == created
        changed = await made(one.admin("PATCH", f"/api/v1/{path}", json={"spec": {"title": "Another"}}))
        assert (changed["spec"]["title"], changed["version"]) == ("Another", 2)
        found = await one.admin.get(COLLECTION, params={"filter": f"name == '{EXAMPLE['name']}'"})
        assert found.json["items"] == [changed]
        assert (await one.admin("DELETE", f"/api/v1/{path}")).status == 204
        assert (await one.admin.get(path)).status == 404
        events = [event["type"].rpartition(".")[2] for event in api.events("$service.$kind.")]
        assert events == ["created", "updated", "deleted"]
''')

_EXAMPLE = Template("""{
  "name": "example",
  "spec": {
    "title": "Example",
    "description": "An example."
  }
}
""")


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command("new-kind")(new_kind)


def new_kind(
    name: Annotated[str, typer.Argument(metavar="SERVICE/KIND", help="Service and kind, such as rag/corpus.")],
    plural: Annotated[str, typer.Option(help="Plural in URLs, if it is irregular.")] = "",
) -> None:
    """Generate the declaration, the test, and the example of a kind, and register it in its service."""
    from api.kernel.kinds.resource_kind import ResourceKind
    from api.main import SERVICES

    prefixes = {kind.prefix for service in SERVICES for kind in service.kinds if isinstance(kind, ResourceKind)}
    service, _, kind = name.replace("-", "_").partition("/")
    root = project_root()
    for path in scaffold(root, service, kind, plural=plural, taken=prefixes):
        print(path.relative_to(root))
    for entry in entries(service, kind):
        print(entry.path if apply(root, entry) else f"\nAdd this to {entry.path}:\n    {entry.instruction}")
    print("\nThen run `make docs` to generate the reference. See docs/how-to/write-a-kind.md.")


def scaffold(root: Path, service: str, kind: str, *, plural: str = "", taken: Collection[str] = ()) -> list[Path]:
    """Writes the three files below `root` and returns their paths.

    Args:
        root: the folder of the repository.
        service: name of the service.
        kind: name of the kind.
        plural: plural of the kind in URLs; by default the regular plural.
        taken: the id prefixes of other kinds.

    Raises:
        InvalidArgument: a name is malformed, or no prefix is free.
        NotFound: the service does not exist.
        Conflict: one of the files exists; nothing is written.
    """
    slug = plural or _plural(kind).replace("_", "-")
    for word in (service, kind, slug.replace("-", "_")):
        if not _NAME.fullmatch(word) or keyword.iskeyword(word):
            raise InvalidArgument(
                f"{word!r} is not a valid name. Write <service>/<kind> in lower-case words, such as rag/corpus."
            )
    if not (root / "api" / "services" / service / "service.py").is_file():
        services = sorted(path.parent.name for path in (root / "api" / "services").glob("*/service.py"))
        raise NotFound(f"There is no service {service!r}. The services are {', '.join(services)}.")
    noun = kind.replace("_", " ")
    example = Path("examples") / service / f"{kind}.json"
    values = {
        "service": service,
        "service_slug": service.replace("_", "-"),
        "kind": kind,
        "slug": slug,
        "plural": slug.replace("-", " "),
        "Plural": slug.replace("-", " ").capitalize(),
        "Model": kind.title().replace("_", ""),
        "CONSTANT": kind.upper(),
        "one": f"{'an' if noun[0] in 'aeio' else 'a'} {noun}",
        "prefix": _prefix(kind, taken),
        "example": example.as_posix(),
    }
    texts = {
        root / "api" / "services" / service / "kinds" / f"{kind}.py": _DECLARATION,
        root / "tests" / "api" / service / f"test_{slug.replace('-', '_')}.py": _TEST,
        root / example: _EXAMPLE,
    }
    if existing := [str(path.relative_to(root)) for path in texts if path.exists()]:
        raise Conflict(f"{' and '.join(existing)} already exists. Nothing was written.")
    for path, template in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template.substitute(values))
    return list(texts)


def _plural(kind: str) -> str:
    if re.search(r"[^aeiou]y$", kind):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith(("s", "x", "z", "ch", "sh")) else f"{kind}s"


def _prefix(kind: str, taken: Collection[str]) -> str:
    """Returns three letters of the name that are not the prefix of another kind."""
    letters = re.sub(r"[^a-z]", "", kind).ljust(3, "x")
    free = ("".join(three) for three in combinations(letters, 3) if "".join(three) not in taken)
    if prefix := next(free, ""):
        return prefix
    raise InvalidArgument(f"Other kinds have all prefixes of three letters of {kind!r}. Choose another name.")
