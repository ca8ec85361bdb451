"""Records of evaluation datasets, and the versions that their changes make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.kinds.unit import Unit
from api.services.ai_catalog.evaluation_dataset_tables import EVALUATION_DATASET_VERSION as VERSION
from api.services.ai_catalog.evaluation_dataset_tables import EVALUATION_RECORD as RECORD
from api.services.ai_catalog.logic.run_rows import Row
from core.errors import InvalidPayload
from core.ids import new_id

MAX_RECORDS = 100_000
"""Records of one version."""

EMPTY = hashlib.sha256(b"").hexdigest()
"""Digest of a version without records."""

_BATCH = 500
_CONTENT = ("inputs", "outputs", "expectations")


def digest_of(content: Any) -> str:
    """Returns the SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def upsert(unit: Unit, dataset: Any, version: int, sent: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Adds records, or changes those with equal inputs, as the next version after `version`.

    Expectations and tags are merged with those of the record. Call it with the dataset locked.

    Returns:
        How many records were added, and how many existed. The caller makes the version if the content changed.
    """
    merged: dict[str, dict[str, Any]] = {}
    stored = _open(unit.connection, dataset.id, RECORD.c.inputs_digest, [digest_of(one["inputs"]) for one in sent])
    known = {row.inputs_digest: row for row in stored}
    existed = 0
    for one in sent:
        key = digest_of(one["inputs"])
        before = merged.get(key) or (dict(known[key]._mapping) if key in known else None)
        existed += before is not None
        merged[key] = _merged(before, one)
    added, changed = [], []
    for key, record in merged.items():
        record["digest"] = digest_of({name: record[name] for name in _CONTENT})
        row = known.get(key)
        common = {"updated_at": unit.now, "updated_by": unit.principal.name}
        if row is None:
            added.append(_new(unit, dataset, version + 1, key) | record | common)
        elif row.digest != record["digest"]:
            same = {name: row._mapping[name] for name in ("id", "created_at", "created_by")}
            changed.append(_new(unit, dataset, version + 1, key) | record | common | same)
        elif row.tags != record["tags"]:
            unit.connection.execute(
                RECORD.update()
                .where(RECORD.c.id == row.id, RECORD.c.first_version == row.first_version)
                .values(tags=record["tags"], **common)
            )
    end(unit.connection, dataset.id, [row["id"] for row in changed], version)
    # Ids of one millisecond have no order, and lists are in that of ids.
    for new, id in zip(added, sorted(one["id"] for one in added), strict=True):
        new["id"] = id
    if rows := [*added, *changed]:
        unit.connection.execute(RECORD.insert(), rows)
    return len(sent) - existed, existed


def end(connection: Connection, dataset: str, ids: Sequence[str], version: int) -> int:
    """Ends records with a version, and returns how many."""
    ended = 0
    for start in range(0, len(ids), _BATCH):
        part = RECORD.c.id.in_(ids[start : start + _BATCH])
        update = RECORD.update().where(RECORD.c.dataset_id == dataset, RECORD.c.last_version.is_(None), part)
        ended += connection.execute(update.values(last_version=version)).rowcount
    return ended


def close_version(unit: Unit, dataset: Any, version: int, digest: str) -> tuple[int, str, int]:
    """Makes the next version after `version` if the records changed, and returns its number, digest, and records.

    Raises:
        InvalidPayload: there are too many records.
    """
    digests = list(unit.connection.execute(sa.select(RECORD.c.digest).where(*at(dataset.id, None))).scalars())
    if len(digests) > MAX_RECORDS:
        raise InvalidPayload(
            f"An evaluation dataset has at most {MAX_RECORDS:,} records. This one would have {len(digests):,}."
        )
    now = hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
    if now == digest:
        return version, digest, len(digests)
    row = {"dataset_id": dataset.id, "version": version + 1, "digest": now, "records": len(digests)}
    row |= {"organization_id": dataset.organization_id, "project_id": dataset.project_id}
    unit.connection.execute(VERSION.insert().values(**row, created_at=unit.now, created_by=unit.principal.name))
    return version + 1, now, len(digests)


def at(dataset: str, version: int | None) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the conditions for the records of a version, or of the newest one if None."""
    if version is None:
        return RECORD.c.dataset_id == dataset, RECORD.c.last_version.is_(None)
    ended = sa.or_(RECORD.c.last_version.is_(None), RECORD.c.last_version >= version)
    return RECORD.c.dataset_id == dataset, RECORD.c.first_version <= version, ended


def _merged(before: Mapping[str, Any] | None, sent: Mapping[str, Any]) -> dict[str, Any]:
    known = before or {"outputs": None, "expectations": {}, "tags": {}, "source": None}
    return {
        "inputs": sent["inputs"],
        "outputs": known["outputs"] if sent["outputs"] is None else sent["outputs"],
        "expectations": {**known["expectations"], **sent["expectations"]},
        "tags": {**known["tags"], **sent["tags"]},
        "source": known["source"] or sent["source"],
    }


def _new(unit: Unit, dataset: Any, version: int, inputs_digest: str) -> dict[str, Any]:
    return {
        "id": new_id("edr"),
        "first_version": version,
        "organization_id": dataset.organization_id,
        "project_id": dataset.project_id,
        "dataset_id": dataset.id,
        "inputs_digest": inputs_digest,
        "created_at": unit.now,
        "created_by": unit.principal.name,
    }


def _open(connection: Connection, dataset: str, column: sa.Column[str], values: Sequence[str]) -> Iterable[Row]:
    for start in range(0, len(values), _BATCH):
        select = sa.select(RECORD).where(*at(dataset, None), column.in_(values[start : start + _BATCH]))
        yield from connection.execute(select)
