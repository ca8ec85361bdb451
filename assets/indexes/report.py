"""Metadata of the materialization of an index: counts, and a map of its chunks."""

import base64
import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from assets.indexes.sources import Gathered
    from lakehouse.tables import Snapshot
    from rag.corpus import Corpus
    from rag.index import IndexStatus, SyncReport

_COLORS = 9
_MAX_POINTS = 5_000


def index_metadata(
    corpus: "Corpus", gathered: "Gathered", report: "SyncReport", status: "IndexStatus | None", snapshot: "Snapshot"
) -> dict[str, Any]:
    """Returns the metadata of a materialization. Counts are plain numbers, so that Dagster plots them."""
    assert status is not None, "a synchronized index has a status"
    metadata: dict[str, Any] = {
        "documents": corpus.documents,
        "chunks": corpus.rows.num_rows,
        "embedded": corpus.embedded,
        "reused": corpus.reused,
        "deleted": corpus.deleted,
        "changed_documents": len(corpus.changed_documents),
        "mirror/inserted": report.inserted,
        "mirror/updated": report.updated,
        "mirror/deleted": report.deleted,
        "mirror/took_ms": report.took_ms,
        "mirror/size_bytes": status.size_bytes,
        "mirror/vector_index": status.vector_index,
        "mirror/searchable_versions": list(status.versions),
        "embedder": status.embedder,
        "blank_documents": list(corpus.empty_documents),
    }
    if gathered.refused:
        metadata["refused_files"] = dg.JsonMetadataValue(gathered.refused)
    if corpus.rows.num_rows >= 3:
        metadata["map"] = chunk_map(snapshot)
    return metadata


def chunk_map(snapshot: "Snapshot") -> dg.MarkdownMetadataValue:
    """Returns a PNG of the chunks in the plane of their two principal components, colored by source."""
    # No pyplot: it has global state and may need a display.
    from matplotlib.figure import Figure

    rows = snapshot.to_arrow(columns=["document", "labels", "embedding"], limit=_MAX_POINTS).to_pylist()
    groups = [_group(row["document"], row["labels"]) for row in rows]
    points = _plane([row["embedding"] for row in rows])
    common = [name for name, _ in Counter(groups).most_common(_COLORS)]
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name in [*common, "other"]:
        members = [number for number, group in enumerate(groups) if (group if group in common else "other") == name]
        if members:
            axes.scatter(
                points[members, 0], points[members, 1], s=14, alpha=0.75, linewidths=0, label=f"{name} ({len(members)})"
            )
    axes.set_title("Chunks by meaning: close chunks are similar", fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    image = base64.b64encode(buffer.getvalue()).decode()
    return dg.MarkdownMetadataValue(f"![map of the chunks](data:image/png;base64,{image})")


def _group(document: str, labels: list[str]) -> str:
    named = dict(label.split("=", 1) for label in labels)
    return named.get("layer") or named.get("folder") or named.get("table") or named.get("source") or document


def _plane(vectors: list[list[float]]) -> "npt.NDArray[np.float64]":
    import numpy as np

    centered = np.asarray(vectors, dtype=np.float64)
    centered -= centered.mean(axis=0)
    _, _, directions = np.linalg.svd(centered, full_matrices=False)
    # The sign of an axis is arbitrary. A fixed sign keeps the map from flipping between versions.
    signs = np.sign(directions[np.arange(2), np.abs(directions[:2]).argmax(axis=1)])
    return np.asarray(centered @ (directions[:2] * signs[:, None]).T)
