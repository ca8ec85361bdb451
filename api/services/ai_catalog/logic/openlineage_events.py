"""OpenLineage 2.0.2: one COMPLETE event for each step that produced a version.

The events are plain JSON, so that the API does not load the OpenLineage client. The tests read them with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from api.kernel.lake.provenance import Input, Materialization
from api.services.ai_catalog.logic.provenance_document import Produced, ProvenanceDocument

PRODUCER = "urn:headwater"
NAMESPACE = "headwater"
_SPEC = "https://openlineage.io/spec"
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:headwater:runs")


def events(document: ProvenanceDocument) -> Iterator[dict[str, Any]]:
    """Yields the events, upstream first."""
    for produced in document.produced:
        step = produced.step
        yield {
            "eventType": "COMPLETE",
            "eventTime": step.at.isoformat(),
            "producer": PRODUCER,
            "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {"runId": _run_id(f"{step.run}/{step.step}"), "facets": _run_facets(step)},
            "job": {"namespace": NAMESPACE, "name": f"{produced.asset}.{step.step}", "facets": _job_facets()},
            "inputs": [_dataset(used.asset, used.version) | _read(used) for used in step.inputs],
            "outputs": [_output(produced)],
        }


def _run_id(run: str) -> str:
    """Returns the id of a run, which is a UUID in OpenLineage. Equal runs have equal ids."""
    try:
        return str(uuid.UUID(run))
    except ValueError:
        return str(uuid.uuid5(_RUNS, run))


def _run_facets(step: Materialization) -> dict[str, Any]:
    name, _, version = step.engine.partition(" ")
    return {
        "parent": _facet("1-2-0/ParentRunFacet")
        | {"run": {"runId": _run_id(step.run)}, "job": {"namespace": NAMESPACE, "name": "run"}},
        "processing_engine": _facet("1-1-1/ProcessingEngineRunFacet")
        | {"name": name or "unknown", "version": version or "unknown"},
        "headwater_provenance": {
            "_producer": PRODUCER,
            "_schemaURL": "urn:headwater:openlineage:provenance:1",
            "run": step.run,
            "step": step.step,
            "codeVersion": step.code_version,
            "gitSha": step.git_sha,
            "envDigest": step.env_digest,
            "paramsDigest": step.params_digest,
            "principal": step.principal,
        },
    }


def _job_facets() -> dict[str, Any]:
    kind = {"processingType": "BATCH", "integration": "HEADWATER", "jobType": "ASSET"}
    return {"jobType": _facet("2-0-4/JobTypeJobFacet") | kind}


def _dataset(asset: str, version: str) -> dict[str, Any]:
    facet = _facet("1-0-1/DatasetVersionDatasetFacet") | {"datasetVersion": version}
    return {"namespace": NAMESPACE, "name": asset, "facets": {"version": facet}}


def _read(used: Input) -> dict[str, Any]:
    """Returns the facets of an input of which only some columns were read."""
    if not used.columns:
        return {}
    fields = [{"name": column} for column in used.columns]
    schema = _facet("1-2-0/SchemaDatasetFacet") | {"fields": fields}
    return {"facets": _dataset(used.asset, used.version)["facets"] | {"schema": schema}}


def _output(produced: Produced) -> dict[str, Any]:
    dataset = _dataset(produced.asset, produced.version)
    if produced.columns:
        fields = {
            column: {"inputFields": [{"namespace": NAMESPACE, "name": asset, "field": name} for asset, name in sources]}
            for column, sources in produced.columns.items()
        }
        dataset["facets"]["columnLineage"] = _facet("1-2-0/ColumnLineageDatasetFacet") | {"fields": fields}
    return dataset


def _facet(schema: str) -> dict[str, Any]:
    name = schema.partition("/")[2]
    return {"_producer": PRODUCER, "_schemaURL": f"{_SPEC}/facets/{schema}.json#/$defs/{name}"}
