"""The bodies of Feast's feature server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.kernel.models import Request
from api.services.ai_catalog.logic.feature_answers import MAX_ENTITIES

Columns = Annotated[
    dict[Annotated[str, Field(max_length=256)], Annotated[list[Any], Field(max_length=MAX_ENTITIES)]],
    Field(max_length=2_000),
]
"""Values by column name."""

ViewName = Annotated[str, Field(min_length=1, max_length=128)]
"""Name of a feature view. Underscores also stand for hyphens, which names in Python can't have."""


class OnlineFeatures(Request):
    """`POST /get-online-features`."""

    entities: Columns
    """Values of each key of the entities."""

    feature_service: ViewName | None = None
    """Name of a feature service."""

    features: Annotated[list[Annotated[str, Field(max_length=400)]], Field(max_length=2_000)] = []
    """References such as `view:feature`, instead of a service."""

    full_feature_names: bool = False
    """Whether names are `view__feature`."""

    include_feature_view_version_metadata: bool = False
    """Whether the response lists the views. Their versions of Feast are always 0."""


class WriteRows(Request):
    """`POST /write-to-online-store`."""

    feature_view_name: ViewName
    """The view."""

    df: Columns
    """Rows, column by column."""

    allow_registry_cache: bool = True
    """Has no effect: there is no cache."""

    transform_on_write: bool = True
    """Has no effect: there are no transformations on demand."""


class PushRows(Request):
    """`POST /push`."""

    push_source_name: ViewName
    """Name of the push source, which is that of its view."""

    df: Columns
    """Rows, column by column."""

    to: Literal["online", "offline", "online_and_offline"] = "online"
    """Where to write."""

    allow_registry_cache: bool = True
    """Has no effect: there is no cache."""

    transform_on_write: bool = True
    """Has no effect: there are no transformations on demand."""


class Materialize(Request):
    """`POST /materialize` and `POST /materialize-incremental`."""

    feature_views: Annotated[list[ViewName], Field(max_length=50)] | None = None
    """The views. By default all of the project that are served online."""

    start_ts: str | None = None
    """Has no effect: a table version is written as a whole."""

    end_ts: str | None = None
    """Has no effect: a table version is written as a whole."""

    disable_event_timestamp: bool = False
    """Has no effect."""

    full_feature_names: bool = False
    """Has no effect."""

    version: str | None = None
    """Must not be set: the newest version is written."""
