"""Assets built from recorded definitions instead of those that the code location has loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from dagster_project.shared_resources import resources

if TYPE_CHECKING:
    from core.definition_revisions import RecordedDefinition


def with_recorded(
    repository: dg.RepositoryDefinition, definitions: Sequence[RecordedDefinition]
) -> dg.RepositoryDefinition:
    """Returns a repository with the assets of these definitions; the given one if there are none.

    Raises:
        dg.Failure: today's code can't build one of the definitions.
    """
    if not definitions:
        return repository
    from assets.rows import Row, build

    built = []
    for one in definitions:
        try:
            built.append(build(Row(one.asset_id, one.component, one.attributes, revision=one.revision or 0)))
        except Exception as error:
            raise dg.Failure(
                f"The recorded definition of {one.asset_id} can't be an asset any more: {error}"
            ) from error
    shared = dg.Definitions(resources=resources(), executor=dg.in_process_executor)
    return dg.Definitions.merge(*built, shared).get_repository_def()
