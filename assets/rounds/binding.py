"""Binding of a federated training: features, target, and predicates against the columns of the clients' table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.findings import Findings, empty, lacking, place
from federated.spec import Federation

if TYPE_CHECKING:
    import pyarrow as pa


def bind(table: str, federation: Federation, findings: Findings) -> None:
    """Checks features, target, and predicates of a training against the columns of its table."""
    schema = findings.schema(table, place("table"))
    if schema is not None:
        _bind(table, federation, schema, findings)


def _bind(table: str, federation: Federation, schema: pa.Schema, findings: Findings) -> None:
    from federated.clients import require_feature, require_target

    if findings.present(federation.features, schema.names, place("features"), owner=table):
        for number, name in enumerate(federation.features):
            with findings.blaming(place("features", number)):
                require_feature(table, schema.field(name))
    if federation.target in schema.names:
        with findings.blaming(place("target")):
            require_target(table, schema.field(federation.target))
    else:
        findings.wrong(place("target"), lacking(table, federation.target, schema.names))
    rows = empty(schema)
    for client in federation.clients:
        findings.condition(client.where, rows, place("clients", client.name))
    for attribute in ("train_where", "holdout_where"):
        findings.condition(getattr(federation, attribute), rows, place(attribute))
    if federation.train_where.strip().lower() in ("false", "null"):
        findings.wrong(place("train_where"), "leaves no row to train on")
