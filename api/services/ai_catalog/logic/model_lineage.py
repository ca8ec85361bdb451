"""Edges of models in the lineage graph: from tables to runs, logged models, versions of models, and aliases.

A run has one version. The version of a logged model is the digest of its files, that of a version of a registered model
is its number, and that of an alias is the version of the registered model after the move.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.permissions.graph import ItemNode
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.artifact_tables import ARTIFACT
from api.services.ai_catalog.logic.file_digests import digest_of
from core import clock

if TYPE_CHECKING:
    from lakehouse.lineage import Edge

RUN_VERSION = "1"
"""The only version of a run."""

Node = tuple[str, str]
"""A node of the lineage graph and its version."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """What records edges in a transaction: who, when, and by which code, if that is known."""

    connection: Connection
    principal: str
    engine: str = "mlflow"
    at: datetime | None = None
    code_version: str = ""
    git_sha: str = ""
    env_digest: str = ""

    def record(self, run: str, step: str, out: Node, inputs: Iterable[Node]) -> None:
        """Records that a node was produced from others. Edges that are recorded already do not change."""
        from lakehouse.lineage import Lineage

        if edges := [self._edge(run, step, out, source) for source in inputs]:
            Lineage.record_in(self.connection, edges)

    def _edge(self, run: str, step: str, out: Node, source: Node) -> Edge:
        from lakehouse.lineage import Edge

        return Edge(
            run=run,
            step=step,
            out_asset=out[0],
            out_version=out[1],
            in_asset=source[0],
            in_version=source[1],
            in_columns=(),
            code_version=self.code_version,
            git_sha=self.git_sha,
            env_digest=self.env_digest,
            engine=self.engine,
            params_digest="",
            principal=self.principal,
            at=self.at or clock.now(),
        )


class ModelNodes:
    """The nodes of a project."""

    def __init__(self, connection: Connection, project_id: str | None) -> None:
        self._connection = connection
        name = connection.execute(sa.select(RESOURCE.c.name).where(RESOURCE.c.id == project_id)).scalar()
        self.project = str(name)

    def run(self, id: str) -> Node:
        """Returns the node of a run."""
        return str(ItemNode("run", self.project, id)), RUN_VERSION

    def logged_model(self, id: str) -> Node:
        """Returns the node of a logged model with the files that it has."""
        files = self._connection.execute(
            sa.select(ARTIFACT.c.path, ARTIFACT.c.digest).where(ARTIFACT.c.parent_id == id)
        )
        return str(ItemNode("logged-model", self.project, id)), digest_of(
            sorted((row.path, row.digest) for row in files)
        )

    def version(self, model: str, number: int) -> Node:
        """Returns the node of a version of a registered model."""
        return str(ItemNode("registered-model", self.project, model)), str(number)

    def alias(self, model: str, alias: str, revision: int) -> Node:
        """Returns the node of an alias after a move, by the version of the registered model."""
        return str(ItemNode("alias", self.project, model, alias)), str(revision)
