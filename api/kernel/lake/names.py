"""Names in requests about tables of the lakehouse."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

AssetId = Annotated[str, Field(max_length=256)]
"""The id of an asset, such as `flights.gold.route_delays`."""

ColumnName = Annotated[str, Field(max_length=256)]
"""The name of a column."""

PartitionKey = Annotated[str, Field(max_length=200)]
"""The key of a partition of an asset."""
