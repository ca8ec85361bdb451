"""Events as emitters of OpenLineage send them: one run of a Spark application, and two of dbt models."""

from __future__ import annotations

from typing import Any

PRODUCER = "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/integration/spark"
RUN = "0176a8c2-fe01-7439-87e6-56a1a1b4029f"
_SPEC = "https://openlineage.io/spec"


def facet(name: str, /, **values: Any) -> dict[str, Any]:
    """A facet with the properties that all facets have."""
    return {"_producer": PRODUCER, "_schemaURL": f"{_SPEC}/facets/1-0-1/{name}.json#/$defs/{name}"} | values


def version(text: str) -> dict[str, Any]:
    return {"version": facet("DatasetVersionDatasetFacet", datasetVersion=text)}


def dataset(namespace: str, name: str, /, **facets: Any) -> dict[str, Any]:
    return {"namespace": namespace, "name": name, "facets": facets}


def event(state: str, second: int = 0, run: str = RUN, /, **values: Any) -> dict[str, Any]:
    """An event of a run, so many seconds after its start."""
    return {
        "eventType": state,
        "eventTime": f"2026-03-01T12:{second // 60:02}:{second % 60:02}Z",
        "producer": PRODUCER,
        "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run},
        "job": {"namespace": "spark", "name": "daily_delays"},
    } | values


def spark_stream(source: str, source_version: str, target: str, target_version: str) -> list[dict[str, Any]]:
    """The events of a Spark job that reads a Delta table and a warehouse, and writes a Delta table."""
    run = {
        "runId": RUN,
        "facets": {
            "processing_engine": facet("ProcessingEngineRunFacet", name="spark", version="4.2.0"),
            "parent": facet(
                "ParentRunFacet",
                run={"runId": "0176a8c2-fe01-7439-87e6-56a1a1b40000"},
                job={"namespace": "spark", "name": "daily"},
            ),
            "nominalTime": facet(
                "NominalTimeRunFacet", nominalStartTime="2026-03-01T12:00:00Z", nominalEndTime="2026-03-01T13:00:00Z"
            ),
            "spark_properties": {"_producer": PRODUCER, "properties": {"spark.master": "local[*]"}},
        },
    }
    job = {
        "namespace": "spark",
        "name": "daily_delays.execute_save_into_data_source_command",
        "facets": {
            "jobType": facet("JobTypeJobFacet", processingType="BATCH", integration="SPARK", jobType="SQL_JOB"),
            "sourceCodeLocation": facet(
                "SourceCodeLocationJobFacet",
                type="git",
                url="https://git.example.org/jobs/daily.py",
                version="a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
            ),
        },
    }
    fields = [{"name": "id", "type": "long"}, {"name": "carrier", "type": "string"}]
    reading = [
        dataset(
            "file",
            source,
            **version(source_version),
            schema=facet("SchemaDatasetFacet", fields=fields),
            dataSource=facet("DatasourceDatasetFacet", name="file", uri="file"),
            symlinks=facet(
                "SymlinksDatasetFacet",
                identifiers=[{"namespace": "file:/warehouse", "name": "default.flights", "type": "TABLE"}],
            ),
        ),
        dataset("postgres://warehouse:5432", "crm.public.carriers")
        | {"inputFacets": {"inputStatistics": facet("InputStatisticsInputDatasetFacet", rowCount=16)}},
    ]
    columns = {
        "id": {"inputFields": [{"namespace": "file", "name": source, "field": "id", "transformations": []}]},
        "carrier": {
            "inputFields": [
                {"namespace": "file", "name": source, "field": "carrier"},
                {"namespace": "postgres://warehouse:5432", "name": "crm.public.carriers", "field": "name"},
            ]
        },
    }
    writing = [
        dataset(
            "file",
            target,
            **version(target_version),
            schema=facet("SchemaDatasetFacet", fields=fields),
            columnLineage=facet("ColumnLineageDatasetFacet", fields=columns),
            lifecycleStateChange=facet("LifecycleStateChangeDatasetFacet", lifecycleStateChange="OVERWRITE"),
        )
        | {"outputFacets": {"outputStatistics": facet("OutputStatisticsOutputDatasetFacet", rowCount=3, size=900)}}
    ]
    common = {"run": run, "job": job}
    return [
        event("START", 0, inputs=reading, **common),
        event("RUNNING", 1, **common),
        event("RUNNING", 2, inputs=reading, outputs=[], **common),
        event("COMPLETE", 9, inputs=reading, outputs=writing, **common),
    ]


def dbt_stream() -> list[dict[str, Any]]:
    """The events of two dbt models, of which the second reads the first. dbt names no versions."""
    producer = "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/integration/dbt"
    warehouse, events = "postgres://warehouse:5432", []
    models = (
        ("0176a8c2-fe01-7439-87e6-56a1a1b40001", "shop.raw.orders", "shop.staging.orders"),
        ("0176a8c2-fe01-7439-87e6-56a1a1b40002", "shop.staging.orders", "shop.marts.revenue"),
    )
    for run, source, target in models:
        for state, second in (("START", 0), ("COMPLETE", 5)):
            schema = facet("SchemaDatasetFacet", fields=[{"name": "order_id", "type": "int4"}])
            assertions = [{"assertion": "not_null", "success": True, "column": "order_id"}]
            events.append(
                event(
                    state,
                    second,
                    run,
                    inputs=[
                        dataset(warehouse, source)
                        | {
                            "inputFacets": {
                                "dataQualityAssertions": facet(
                                    "DataQualityAssertionsDatasetFacet", assertions=assertions
                                )
                            }
                        }
                    ],
                    outputs=[dataset(warehouse, target, schema=schema)],
                    job={"namespace": "dbt", "name": f"{target}.build.run"},
                    producer=producer,
                )
            )
    return events
