"""The doors to what is made from a table: training sets, indexes, and traces."""

from __future__ import annotations

import pyarrow as pa

from api.kernel.platform import open_lineage
from rag.chunking import Chunker, Document
from rag.corpus import build, write
from rag.embedding import WordLlamaEmbedder
from rag.index import Index
from rag.layout import Store
from tests.api.ai_catalog.doors.door import INDEX, MAIL, SET, Ask, asking, door, fake
from tests.api.ai_catalog.policies import PEOPLE, Office, people
from tests.api.ai_catalog.provenance_tables import step
from tests.api.ai_catalog.test_runs import experiment
from tests.api.ai_catalog.traces import span, trace
from tests.orchestration import node


async def _training_set(office: Office) -> None:
    fake(office).nodes[SET] = node(SET, [PEOPLE], kinds=("delta", "polars", "training-set"))
    one = step(office.tables, office.api.app.platform.part(open_lineage), SET, "run-t")
    one.read(PEOPLE)
    rows = people()
    one.overwrite(rows.append_column("split", pa.array(["train"] * rows.num_rows)))


@door("examples of a training set", "ai_catalog_get_training_set_examples")
async def examples(office: Office) -> Ask:
    await _training_set(office)
    return asking("GET", f"ai-catalog/training-sets/{SET}/examples?split=train")


@door("version of a training set", "ai_catalog_get_training_set_version", b"train")
async def training_version(office: Office) -> Ask:
    await _training_set(office)
    return asking("GET", f"ai-catalog/training-sets/{SET}/version")


@door("attestation", "ai_catalog_create_attestation", SET.encode())
async def attestation(office: Office) -> Ask:
    await _training_set(office)
    return asking("POST", "ai-catalog/attestations", {"asset": SET})


@door("plan of a reproduction", "ai_catalog_get_asset_reproduce_plan", PEOPLE.encode(), refusal=(403, "permission"))
async def reproduction(office: Office) -> Ask:
    await _training_set(office)
    return asking("GET", f"ai-catalog/assets/{SET}/reproduce-plan")


@door("search of an index", "rag_search_index")
async def search(office: Office) -> Ask:
    fake(office).nodes[INDEX] = node(INDEX, [PEOPLE], kinds=("delta", "lancedb"))
    platform, embedder = office.api.app.platform, WordLlamaEmbedder()
    one = step(office.tables, platform.part(open_lineage), INDEX, "run-i")
    one.read(PEOPLE)
    pages = [
        Document("mails.md", "Mails", "# Mails\n\nThe mail of Ada is secret-mail-ada, and Ada lives in Germany.\n", {})
    ]
    snapshot = write(one, build(pages, Chunker(900, embedder.digest), embedder, None))
    Index(Store(platform.settings.effective_vectors_url), INDEX).sync(snapshot)
    return asking("POST", f"rag/indexes/{INDEX}:search", {"query": "mail of Ada"})


async def _trace(office: Office) -> str:
    await _training_set(office)
    attributes = {
        "headwater.reads": f"{PEOPLE}@{office.tables.snapshot(PEOPLE).data_version}",
        "mlflow.spanInputs": MAIL.decode(),
    }
    place = {"experiment_id": await experiment(office.api), "request_preview": MAIL.decode()}
    one = await trace(office.api, span(1, attributes=attributes), **place)
    assert one["reads"], "the trace names the table"
    return str(one["id"])


@door("previews of a trace", "ai_catalog_get_trace", applies=True)
async def trace_previews(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/traces/{await _trace(office)}")


@door("previews of traces", "ai_catalog_list_traces", applies=True)
async def traces_previews(office: Office) -> Ask:
    await _trace(office)
    return asking("GET", "ai-catalog/traces")


@door("spans of a trace", "ai_catalog_get_trace_spans", refusal=(403, "permission"))
async def spans(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/traces/{await _trace(office)}/spans")
