"""Writes the reference pages that would drift if written by hand. Run by `make docs`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from api.kernel.documents.openapi import document
from api.kernel.kinds.service import Service
from api.main import SERVICES
from core import errors
from core.settings import SettingDeclaration, declared_settings
from docs import ledger, sample_data

DOCS = Path(__file__).parent


def pages() -> Iterator[tuple[Path, str]]:
    """Yields every generated page: its path and its text."""
    yield DOCS / "reference" / "settings.md", _settings()
    yield DOCS / "reference" / "errors.md", _errors()
    yield DOCS / "reference" / "sample-data.md", sample_data.page()
    yield DOCS / "reference" / "operations.md", ledger.page()
    for service in SERVICES:
        yield DOCS / "openapi" / f"{service.slug}.json", _openapi(service)


def main() -> None:
    """Writes the pages."""
    for path, text in pages():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        sys.stdout.write(f"{path.relative_to(DOCS.parent)}\n")


def _settings() -> str:
    lines = [
        "# Settings",
        "",
        "The value of a setting is that of its environment variable if set, else the entry with its name in",
        "`headwater.toml` in the home folder, else its default. `headwater config` prints the effective values and",
        "their sources.",
        "",
        "| variable | name | default | description |",
        "| --- | --- | --- | --- |",
    ]
    for setting in declared_settings():
        choices = f" One of {', '.join(setting.choices)}." if setting.choices else ""
        secret = " Secret; never printed." if setting.secret else ""
        cells = (f"`{setting.variable}`", f"`{setting.name}`", _default(setting), f"{setting.help}{choices}{secret}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _openapi(service: Service) -> str:
    """The document as it is served, but for the source lines, which change with every edit above them."""
    made = document(service)
    for path in made["paths"].values():
        for operation in path.values():
            del operation["x-source"]
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


def _default(setting: SettingDeclaration) -> str:
    return f"`{setting.default}`" if str(setting.default) not in ("", "{}") else ""


def _errors() -> str:
    lines = [
        "# Errors",
        "",
        "Every error is an `application/problem+json` body (RFC 9457) whose `reason` is stable. `detail` says what",
        "happened and what to do next; `errors` points at single fields; `request_id` finds the request in the logs.",
        "",
        "| reason | status | meaning |",
        "| --- | --- | --- |",
    ]
    found = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HeadwaterError)
    ]
    lines.extend(
        f"| `{kind('').reason}` | {kind.status} | {(kind.__doc__ or '').splitlines()[0]} |"
        for kind in sorted(found, key=lambda kind: (kind.status, kind.__name__))
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
