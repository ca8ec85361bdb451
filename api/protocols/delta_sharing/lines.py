"""Lines of responses, in the parquet and the delta format."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from api.protocols.delta_sharing.capabilities import DELTA
from api.protocols.delta_sharing.opening import Shape, required_features, schema_string

if TYPE_CHECKING:
    from lakehouse.log_actions import FileAction

_PASSED_ON = ("delta.columnMapping.mode", "delta.columnMapping.maxColumnId", "delta.enableChangeDataFeed")
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_UUID_LENGTH = 20

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one response."""

    format: str
    """`parquet` or `delta`."""
    url: Callable[[int, str], str]
    """Returns the link to a file, by the version and the path in the log."""
    expires_at: int
    """Expiry of the links, in milliseconds since 1970."""

    def protocol(self, snapshot: Shape, *, feed: bool = False) -> Line:
        """Returns the line with the reader features that the client needs. It reads no log, so it needs no others."""
        if self.format != DELTA:
            return {"protocol": {"minReaderVersion": 1}}
        if features := required_features(snapshot):
            versions: Line = {"minReaderVersion": 3, "minWriterVersion": 7}
            written = [*features, "changeDataFeed"] if feed else features
            return {"protocol": {"deltaProtocol": versions | {"readerFeatures": features, "writerFeatures": written}}}
        return {"protocol": {"deltaProtocol": {"minReaderVersion": 1, "minWriterVersion": 4 if feed else 2}}}

    def metadata(self, snapshot: Shape, shared: Any, version: int | None = None) -> Line:
        """Returns the line with the schema. Properties and descriptions of the provider stay with the provider.

        Args:
            snapshot: the version with the schema.
            shared: row of the table in the share.
            version: first version that the line is for. Defaults to that of the snapshot.
        """
        version = snapshot.version if version is None else version
        configuration = {name: text for name, text in snapshot.properties.items() if name in _PASSED_ON}
        values: Line = {
            "id": shared.table_id,
            "name": shared.table_name,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema_string(snapshot),
            "partitionColumns": list(snapshot.partition_columns),
            "configuration": configuration,
        }
        if shared.comment:
            values["description"] = shared.comment
        if self.format == DELTA:
            return {"metaData": {"version": version, "deltaMetadata": values}}
        feed = {"enableChangeDataFeed": configuration["delta.enableChangeDataFeed"]} if configuration else {}
        return {"metaData": values | {"version": version, "configuration": feed}}

    def file(self, file: FileAction, version: int, timestamp: int, *, change: bool = False) -> Line:
        """Returns the line of a file: of a version, or of the changes of a commit."""
        url, id = self.url(version, file.path), hashlib.sha256(file.path.encode()).hexdigest()[:32]
        times = {"version": version, "timestamp": timestamp, "expirationTimestamp": self.expires_at}
        values = {"partitionValues": dict(file.partition_values), "size": file.size}
        if self.format == DELTA:
            action = {file.kind: {"path": url, **values, **self._delta(file, version)}}
            return {"file": {"id": id, **times, "deltaSingleAction": action}}
        line = {"url": url, "id": id, **values, **times} | ({"stats": file.stats} if file.stats else {})
        # The client takes the name of the line as the type of a change: `cdf` and not `cdc`.
        name = {"cdc": "cdf"}.get(file.kind, file.kind) if change else "file"
        return {name: line}

    def end(self, next_page: str = "") -> Line:
        """Returns the line that shows that the response is complete, with the token of the next page if there is one.

        Args:
            next_page: the token; empty on the last page.
        """
        following = {"nextPageToken": next_page} if next_page else {}
        return {"endStreamAction": following | {"minUrlExpirationTimestamp": self.expires_at}}

    def _delta(self, file: FileAction, version: int) -> Line:
        if file.kind == "cdc":
            return {"dataChange": False}
        values: Line = {"dataChange": True}
        if file.kind == "add":
            values |= {"modificationTime": file.modified_at} | ({"stats": file.stats} if file.stats else {})
        else:
            values |= {"deletionTimestamp": file.modified_at, "extendedFileMetadata": True}
        if file.deletion_vector:
            values["deletionVector"] = self._vector(file.deletion_vector, version)
        return values

    def _vector(self, vector: Mapping[str, Any], version: int) -> Line:
        descriptor = {name: value for name, value in vector.items() if value is not None}
        if path := vector_path(vector):
            descriptor |= {"storageType": "p", "pathOrInlineDv": self.url(version, path)}
        return descriptor


def vector_path(vector: Mapping[str, Any] | None) -> str:
    """Returns the path of the file with a deletion vector, below the table. Empty if the log contains the vector."""
    if vector is None or vector["storageType"] == "i":
        return ""
    text = str(vector["pathOrInlineDv"])
    if vector["storageType"] == "p":
        return text  # an absolute path is outside of the table, and refused when it is opened
    prefix, encoded = text[:-_UUID_LENGTH], text[-_UUID_LENGTH:].encode()
    id = uuid.UUID(bytes=base64.b85decode(encoded.translate(bytes.maketrans(_Z85, _B85))))
    return f"{prefix}/deletion_vector_{id}.bin" if prefix else f"deletion_vector_{id}.bin"
