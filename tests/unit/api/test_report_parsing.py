"""What Dagster's events report, as values that a page can show."""

from __future__ import annotations

from typing import Any

from api.gateways.dagster import report_parsing
from core.reports import CheckStatus, ReportedValue, ValueForm


def entry(kind: str, label: str, **fields: Any) -> dict[str, Any]:
    return {"__typename": f"{kind}MetadataEntry", "label": label, **fields}


def values(*entries: dict[str, Any]) -> dict[str, ReportedValue]:
    event = {"runId": "run-1", "timestamp": "1700000000000", "tags": [], "metadataEntries": list(entries)}
    answer = {"assetNodeOrError": {"metadataEntries": [], "assetMaterializations": [event]}}
    report = report_parsing.version_report(answer)
    assert report is not None
    return {value.name: value for value in report.values}


def test_each_form_is_kept() -> None:
    found = values(
        entry("Int", "rows", intRepr="336776"),
        entry("Float", "auc", floatRepr="1.0"),
        entry("Float", "gap", floatRepr="nan"),
        entry("Markdown", "plot", mdStr="![p](data:image/png;base64,AA)"),
        entry("Json", "sample", jsonString='[{"a": 1}, {"a": NaN}]'),
        entry("Json", "counts", jsonString='{"train": 3}'),
        entry("Table", "drift", table={"records": ['{"feature": "delay", "psi": 0.1}']}),
        entry("TableSchema", "dagster/column_schema"),
    )
    assert {name: (one.form, one.value) for name, one in found.items()} == {
        "rows": (ValueForm.NUMBER, 336776),
        "auc": (ValueForm.NUMBER, 1.0),
        "gap": (ValueForm.TEXT, "nan"),
        "plot": (ValueForm.MARKDOWN, "![p](data:image/png;base64,AA)"),
        "sample": (ValueForm.TABLE, [{"a": 1}, {"a": "NaN"}]),
        "counts": (ValueForm.JSON, {"train": 3}),
        "drift": (ValueForm.TABLE, [{"feature": "delay", "psi": 0.1}]),
    }


def test_an_asset_that_was_never_made_reports_nothing() -> None:
    assert report_parsing.version_report({"assetNodeOrError": {"__typename": "AssetNotFoundError"}}) is None


def test_an_evaluation_has_its_version_and_its_rows() -> None:
    raw = {
        "runId": "run-1",
        "status": "FAILED",
        "timestamp": 1700000000.0,
        "evaluation": {
            "success": False,
            "severity": "ERROR",
            "description": "2 rows",
            "metadataEntries": [
                entry("Text", "headwater/data_version", text="abc@1"),
                entry("Json", "sample", jsonString='[{"a": 1}]'),
            ],
        },
    }
    found = report_parsing.evaluation(raw)
    assert (found.status, found.data_version, found.message) == (CheckStatus.FAILED, "abc@1", "2 rows")
    assert found.values[1].value == [{"a": 1}]
