"""What a client can read, and in which format it gets a table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from core.errors import InvalidArgument

HEADER = "delta-sharing-capabilities"
PARQUET, DELTA = "parquet", "delta"
END_STREAM = "includeendstreamaction"
ASYNC = "asyncquery"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The header of a request."""

    formats: frozenset[str]
    features: frozenset[str]
    end_stream: bool
    asynchronous: bool
    """Whether the client can read the result of a query later."""

    def format_for(self, required: Collection[str]) -> str:
        """Returns the format for a table with these reader features.

        Raises:
            InvalidArgument: the client can't read the table. The message names the features.
        """
        if not required:
            return PARQUET if PARQUET in self.formats else DELTA
        missing = sorted(feature for feature in required if feature.lower() not in self.features)
        if DELTA in self.formats and not missing:
            return DELTA
        raise InvalidArgument(
            f"The table uses {', '.join(sorted(required))}. Read it in the delta format with a client that supports "
            f"this: `{HEADER}: responseformat=delta;readerfeatures={','.join(sorted(required)).lower()}`.",
            metadata={"features": sorted(required)},
        )

    def header(self, format: str) -> str:
        """Returns the header of the response."""
        return f"responseformat={format}" + (";includeendstreamaction=true" if self.end_stream else "")


def parsed(header: str) -> Capabilities:
    """Parses the header of a request: `responseformat=delta,parquet;readerfeatures=deletionvectors`."""
    values: dict[str, frozenset[str]] = {}
    for part in header.lower().split(";"):
        name, _, texts = part.partition("=")
        values[name.strip()] = frozenset(text.strip() for text in texts.split(",") if text.strip())
    formats = values.get("responseformat", frozenset()) & {PARQUET, DELTA}
    return Capabilities(
        formats or frozenset({PARQUET}),
        values.get("readerfeatures", frozenset()),
        "true" in values.get(END_STREAM, frozenset()),
        "true" in values.get(ASYNC, frozenset()),
    )
