"""The Croissant document of a data set at a version: JSON-LD that describes the files and their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_FILE, _RECORDS = "data.jsonl", "records"

CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "prov": "http://www.w3.org/ns/prov#",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The terms of Croissant 1.0, as its reference implementation writes them, and the term of PROV for sources."""


@dataclass(frozen=True, slots=True)
class CroissantFile:
    """The rows of the version as a file of JSON lines."""

    url: str
    digest: str
    size: int
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class CroissantFacts:
    """What a document describes."""

    name: str
    description: str
    url: str
    license: str | None
    contact: str
    citation: str
    links: Sequence[str]
    version: int
    data_version: str
    created_at: datetime
    changed_at: datetime
    sensitivity: str
    tags: Mapping[str, Sequence[str]]
    """Effective tags by column, such as `pii:email`."""

    sources: Sequence[str]
    """Versions that it was produced from, as `<asset>@<data version>`, as far as the caller can see them."""

    file: CroissantFile | None
    """The rows. None if the caller can't read them, or if there are too many."""


def document(facts: CroissantFacts) -> dict[str, Any]:
    """Returns the document."""
    sensitive = [f"{column}: {', '.join(names)}" for column, names in sorted(facts.tags.items()) if names]
    found: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": facts.name,
        "description": facts.description or facts.name,
        "url": facts.url,
        # Croissant wants semantic versions. The number is that of the Delta table.
        "version": f"{facts.version}.0.0",
        "identifier": facts.data_version,
        "license": _license(facts.license),
        "creator": {"@type": "sc:Organization", "name": facts.contact} if facts.contact else None,
        "citeAs": facts.citation,
        "sameAs": list(facts.links),
        "datePublished": facts.created_at.date().isoformat(),
        "dateModified": facts.changed_at.date().isoformat(),
        "keywords": [f"sensitivity:{facts.sensitivity.lower()}"],
        "rai:personalSensitiveInformation": sensitive,
        "prov:wasDerivedFrom": [{"@id": f"urn:headwater:{source}"} for source in facts.sources],
    }
    if facts.file is not None:
        found["distribution"] = [
            {
                "@type": "cr:FileObject",
                "@id": _FILE,
                "name": _FILE,
                "contentUrl": facts.file.url,
                "contentSize": f"{facts.file.size} B",
                "encodingFormat": "application/jsonlines",
                "sha256": facts.file.digest,
            }
        ]
        fields = [_field(number, field) for number, field in enumerate(facts.file.schema)]
        found["recordSet"] = [{"@type": "cr:RecordSet", "@id": _RECORDS, "name": _RECORDS, "field": fields}]
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _field(number: int, field: pa.Field) -> dict[str, Any]:
    # Column names can contain any character, and ids of Croissant can't.
    name = field.name if re.fullmatch(r"[A-Za-z_][\w-]*", field.name) else f"column_{number}"
    return {
        "@type": "cr:Field",
        "@id": f"{_RECORDS}/{name}",
        "name": field.name,
        "dataType": _type(field.type),
        "source": {"fileObject": {"@id": _FILE}, "extract": {"column": field.name}},
    }


def _type(kind: pa.DataType) -> str:
    """Returns the type of a field as JSON shows its values."""
    import pyarrow as pa

    types = pa.types
    if types.is_boolean(kind):
        return "sc:Boolean"
    if types.is_integer(kind):
        return "sc:Integer"
    if types.is_floating(kind):
        return "sc:Float"
    if types.is_date(kind):
        return "sc:Date"
    return "sc:DateTime" if types.is_timestamp(kind) else "sc:Text"


def _license(expression: str | None) -> str | None:
    """Returns the page of a license of the SPDX list, or the expression."""
    single = expression and re.fullmatch(r"[A-Za-z0-9.-]+", expression) and not expression.startswith("LicenseRef-")
    return f"https://spdx.org/licenses/{expression}" if single else expression
