"""What must be true of an index: it holds every document, wholly indexed, and finds what people look for."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from core.ids import asset_id
from resources.delta import Delta
from resources.vectors import Vectors

if TYPE_CHECKING:
    from lakehouse.tables import Tables
    from rag.evaluation import Evaluation, Judgement
    from rag.index import Index
    from rag.retrieval import Retriever

DOCUMENTS = "documents_present"
INDEXED = "rows_indexed"
RECALL = "golden_recall"

_SHOWN = 20


class GoldenQuery(dg.Model):
    """A query, and the documents that answer it: addresses, or `address#heading` for one section."""

    query: str = Field(min_length=1)
    relevant: list[str] = Field(min_length=1)


class Golden(dg.Model):
    """Queries whose answers are known, and how many must be found."""

    queries: list[GoldenQuery] = Field(min_length=1)
    k: int = Field(10, ge=1, le=100, description="How many hits of an answer are looked at.")
    floor: float = Field(0.8, ge=0, le=1, description="Least mean recall.")
    blocking: bool = Field(True, description="Whether falling below the floor stops assets downstream.")

    def judgements(self) -> "list[Judgement]":
        """The queries as the evaluation takes them."""
        from rag.evaluation import Judgement

        return [Judgement(item.query, tuple(item.relevant)) for item in self.queries]


def index_checks(key: dg.AssetKey, golden: Golden | None) -> list[dg.AssetChecksDefinition]:
    """The checks of one index, each selectable on its own."""
    specs = [
        dg.AssetCheckSpec(
            DOCUMENTS, asset=key, blocking=True, description="Every document of the table is in the search index."
        ),
        dg.AssetCheckSpec(
            INDEXED,
            asset=key,
            blocking=True,
            description="The search index equals the newest version of the table, and no row waits to be indexed.",
        ),
    ]
    if golden is not None:
        specs.append(
            dg.AssetCheckSpec(
                RECALL,
                asset=key,
                blocking=golden.blocking,
                description=f"Hybrid search finds at least {golden.floor:.0%} of what answers {len(golden.queries)} "
                f"golden queries among the first {golden.k} hits.",
            )
        )

    @dg.multi_asset_check(name=f"{'__'.join(key.path)}__search", specs=specs, can_subset=True)
    def search_checks(context: dg.AssetCheckExecutionContext, delta: Delta, vectors: Vectors) -> Iterator[Any]:
        asset, tables = asset_id(key.path), delta.tables()
        wanted = {selected.name for selected in context.selected_asset_check_keys}
        if DOCUMENTS in wanted:
            yield documents_present(key, vectors.index(asset), tables)
        if INDEXED in wanted:
            yield rows_indexed(key, vectors.index(asset), tables)
        if golden is not None and RECALL in wanted:
            with vectors.retriever(tables) as retriever:
                yield golden_recall(key, retriever, golden)

    return [search_checks]


def documents_present(key: dg.AssetKey, index: "Index", tables: "Tables") -> dg.AssetCheckResult:
    """Compares the documents of the table with those of the mirror, chunk counts included."""
    import polars as pl

    snapshot = tables.snapshot(index.name)
    counted = snapshot.scan().group_by("document").len().sort("document").collect()
    wanted: dict[str, int] = dict(counted.with_columns(pl.col("len").cast(pl.Int64)).iter_rows())
    present = index.documents() if index.versions() else {}
    wrong = sorted(uri for uri in wanted.keys() | present.keys() if wanted.get(uri) != present.get(uri))
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=DOCUMENTS,
        passed=not wrong,
        description=f"{len(wanted) - len(wanted.keys() & set(wrong))} of {len(wanted)} documents are wholly present.",
        metadata={"documents": len(wanted), "delta/version": snapshot.version, "wrong": wrong[:_SHOWN]},
    )


def rows_indexed(key: dg.AssetKey, index: "Index", tables: "Tables") -> dg.AssetCheckResult:
    """Compares versions, and asks every LanceDB index for rows it does not hold yet."""
    snapshot, status = tables.snapshot(index.name), index.status()
    # Not the version numbers: a vacuum of the table makes a version with the same rows.
    current = status is not None and index.equals(snapshot)
    unindexed = status.unindexed_rows if status else snapshot.row_count
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=INDEXED,
        passed=current and unindexed == 0,
        description=f"The index stands at version {status.version if status else 'none'}, the table at "
        f"{snapshot.version}; {unindexed} rows wait to be indexed.",
        metadata={
            "unindexed_rows": unindexed,
            "delta/version": snapshot.version,
            "vector_index": status.vector_index if status else "",
        },
    )


def golden_recall(key: dg.AssetKey, retriever: "Retriever", golden: Golden) -> dg.AssetCheckResult:
    """Runs the golden queries, and each leg alone beside them, to show what fusing them brings."""
    from rag.evaluation import evaluate_index

    judgements = golden.judgements()
    asset = asset_id(key.path)
    hybrid = evaluate_index(retriever, asset, judgements, golden.k)
    vector = evaluate_index(retriever, asset, judgements, golden.k, mode="vector")
    text = evaluate_index(retriever, asset, judgements, golden.k, mode="text")
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=RECALL,
        passed=hybrid.recall >= golden.floor,
        description=f"Recall@{golden.k} is {hybrid.recall:.2f}, the floor {golden.floor:.2f}.",
        metadata={
            "recall": hybrid.recall,
            "ndcg": hybrid.ndcg,
            "vector_recall": vector.recall,
            "vector_ndcg": vector.ndcg,
            "text_recall": text.recall,
            "text_ndcg": text.ndcg,
            "queries": _outcomes(hybrid, vector, text, [item.relevant for item in golden.queries]),
        },
    )


def _outcomes(
    hybrid: "Evaluation", vector: "Evaluation", text: "Evaluation", relevant: Sequence[Sequence[str]]
) -> dg.MetadataValue:
    lines = [
        "| query | wanted | hybrid found first | hybrid | vector | text |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for wanted, *legs in zip(relevant, hybrid.outcomes, vector.outcomes, text.outcomes, strict=True):
        first = legs[0].found[0] if legs[0].found else ""
        cells = [legs[0].query, ", ".join(wanted), first, *(f"{leg.recall:.2f}" for leg in legs)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return dg.MetadataValue.md("\n".join(lines))
