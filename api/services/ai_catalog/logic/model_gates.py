"""Gates of a version of a model: what must hold before it is promoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.evaluation_tables import EVALUATION_RUN
from api.services.ai_catalog.model_tables import TRAINING
from core.errors import Conflict, Unavailable
from core.reports import CheckStatus


def require_gates(unit: Unit, title: str, version: sa.Row[Any], evaluations: Sequence[str] = ()) -> None:
    """Raises `Conflict` unless a version passes its gates. The error names those that it fails.

    Gates are the blocking checks of its training, and those of the model asset that failed on it since.

    Args:
        unit: the transaction.
        title: display name of the model.
        version: the version.
        evaluations: ids of evaluations that are gates, too.
    """
    if failed := sorted({*failed_checks(version), *_failed_since(unit, version)}):
        raise Conflict(
            f"Version {version.version} of {title} failed {', '.join(failed)}, so it can't be promoted. "
            "Train the model again.",
            metadata={"failed": failed},
        )
    for id in evaluations:
        evaluation = unit.connection.execute(sa.select(RESOURCE).where(RESOURCE.c.id == id)).first()
        generation = evaluation.generation if evaluation else 0
        select = sa.select(EVALUATION_RUN).where(
            EVALUATION_RUN.c.model_version_id == version.id, EVALUATION_RUN.c.evaluation_id == id
        )
        newest = unit.connection.execute(select.order_by(EVALUATION_RUN.c.id.desc()).limit(1)).first()
        if reason := evaluation_failure(newest, generation):
            raise Conflict(
                f"Version {version.version} of {title} does not pass the evaluation {id}: {reason}",
                metadata={"failed": [id]},
            )


def evaluation_failure(run: sa.Row[Any] | None, generation: int) -> str:
    """Returns why the newest run of an evaluation is no pass, or an empty text if it is one."""
    if run is None:
        return "it was not evaluated. Run the evaluation."
    if run.generation != generation:
        return "the evaluation changed since its newest run. Run it again."
    failed = [one["name"] for one in run.thresholds if not one["passed"]]
    return f"it failed {', '.join(failed)}." if failed else ""


def failed_checks(version: sa.Row[Any]) -> list[str]:
    """Returns the blocking checks that the training of a version failed."""
    return [name for name, passed in version.checks.items() if not passed]


def _failed_since(unit: Unit, version: sa.Row[Any]) -> Iterator[str]:
    """Yields the declared blocking checks of the model asset that failed on the version."""
    select = sa.select(TRAINING.c.asset, TRAINING.c.data_version).where(TRAINING.c.model_version_id == version.id)
    training = unit.connection.execute(select).first()
    if training is None:
        return
    try:
        state = unit.platform.orchestrator.view().states.get(training.asset)
    except Unavailable:
        return
    if state is None:
        return
    newest = state.materialization.data_version if state.materialization else None
    for check in state.checks:
        evaluated = check.data_version or newest
        if check.blocking and check.status is CheckStatus.FAILED and evaluated == training.data_version:
            yield check.name
