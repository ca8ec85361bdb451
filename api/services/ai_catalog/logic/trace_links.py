"""Links of traces: which runs, models, versions of prompts, and versions of assets a trace is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.logic.derived_names import derived_name
from api.services.ai_catalog.logic.trace_rows import ASSET, MODEL, PROMPT, RUN, Link
from api.services.ai_catalog.model_tables import LOGGED_MODEL
from api.services.ai_catalog.prompt_tables import PROMPT_VERSION
from api.services.ai_catalog.run_tables import RUN as RUN_TABLE
from core.ids import is_asset_id


def run_links(unit: Unit, project: str, ids: Iterable[str]) -> Iterator[Link]:
    """Yields links to the runs of the project among these ids."""
    yield from ((RUN, id, "") for id in _of_project(unit, RUN_TABLE, project, ids))


def model_links(unit: Unit, project: str, ids: Iterable[str]) -> Iterator[Link]:
    """Yields links to the logged models of the project among these ids."""
    yield from ((MODEL, id, "") for id in _of_project(unit, LOGGED_MODEL, project, ids))


def prompt_links(unit: Unit, project: str, named: Iterable[tuple[str, str]]) -> Iterator[Link]:
    """Yields links to versions of prompts of the project, from their names in MLflow and their numbers."""
    for name, number in dict.fromkeys(named):
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            continue
        prompt = sa.select(RESOURCE.c.id).where(
            RESOURCE.c.kind == "ai_catalog.prompt",
            RESOURCE.c.project_id == project,
            RESOURCE.c.name == derived_name(name),
        )
        select = sa.select(PROMPT_VERSION.c.id).where(
            PROMPT_VERSION.c.prompt_id.in_(prompt), PROMPT_VERSION.c.version == int(number)
        )
        yield from ((PROMPT, id, "") for id in unit.connection.execute(select).scalars())


def asset_links(unit: Unit, claims: Iterable[tuple[str, str]]) -> Iterator[Link]:
    """Yields links to versions of assets. A version that is not on record or that the caller can't see is none."""
    for asset, version in dict.fromkeys(claims):
        if (
            is_asset_id(asset)
            and unit.allows(READ_ASSET, asset_securable(unit.platform, asset))
            and _is_recorded(unit, asset, version)
        ):
            yield ASSET, asset, version


def _is_recorded(unit: Unit, asset: str, version: str) -> bool:
    from lakehouse.ledger import COMMIT_DIGEST
    from lakehouse.lineage import LINEAGE_EDGE

    table, _, number = version.partition("@")
    edges = sa.select(LINEAGE_EDGE.c.sequence).where(
        LINEAGE_EDGE.c.out_asset == asset, LINEAGE_EDGE.c.out_version == version
    )
    if unit.connection.execute(edges.limit(1)).first():
        return True
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return False
    commits = sa.select(COMMIT_DIGEST.c.version).where(
        COMMIT_DIGEST.c.table_name == asset, COMMIT_DIGEST.c.table_id == table, COMMIT_DIGEST.c.version == int(number)
    )
    return unit.connection.execute(commits).first() is not None


def _of_project(unit: Unit, table: sa.Table, project: str, ids: Iterable[str]) -> list[str]:
    wanted = [id[:64] for id in dict.fromkeys(ids) if id]
    if not wanted:
        return []
    select = sa.select(table.c.id).where(table.c.id.in_(wanted), table.c.project_id == project)
    return list(unit.connection.execute(select).scalars())
