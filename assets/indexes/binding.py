"""Binding of an index: keys and templates against the columns of the tables that it reads."""

from __future__ import annotations

from collections.abc import Sequence

from assets.findings import Findings, lacking, place
from assets.indexes.checks import Golden
from assets.indexes.sources import DictionarySource, FilesSource, Source, TableSource, require_text


def bind(sources: Sequence[Source], golden: Golden | None, findings: Findings) -> None:
    """Checks keys and templates of the sources against the columns of their tables."""
    for number, source in enumerate(sources):
        pointer = place("sources", number)
        if isinstance(source, FilesSource):
            findings.unknown(pointer, "Only a run reads files, so the existence of matching files was not checked.")
        elif isinstance(source, DictionarySource):
            for position, asset in enumerate(source.assets):
                findings.schema(asset, f"{pointer}/assets/{position}")
        else:
            _bind_table(source, pointer, findings)
    if golden is not None:
        findings.unknown(place("golden"), "Only a run gathers documents, so the golden queries were not evaluated.")


def _bind_table(source: TableSource, pointer: str, findings: Findings) -> None:
    schema = findings.schema(source.asset, f"{pointer}/asset")
    if schema is None:
        return
    columns_by_pointer = {f"{pointer}/key/{number}": [column] for number, column in enumerate(source.key)}
    columns_by_pointer |= {f"{pointer}/{name}": columns for name, columns in source.placeholders().items()}
    for attribute, columns in columns_by_pointer.items():
        for column in columns:
            if column not in schema.names:
                findings.wrong(attribute, lacking(source.asset, column, schema.names))
                continue
            with findings.blaming(attribute):
                require_text(source.asset, schema.field(column))
