"""Events of OpenLineage 2, parsed: what they say of runs, jobs, and datasets. Facets are stored as they came.

Source: https://openlineage.io/spec/2-0-2/OpenLineage.json. Unknown facets and properties are valid.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from api.kernel import problems
from core.errors import HeadwaterError, InvalidPayload, PayloadTooLarge
from core.numbers import is_storable

MAX_EVENT_BYTES = 2_000_000
MAX_DATASETS = 1_000
MAX_NAME = 1_024
_MAX_DEPTH = 64
_MAX_TIME = 40
_MAY_BE_UNSTORABLE = re.compile(r"\\u0000|\\ud[89a-f]|\d{19}|NaN|Infinity")

Facets = Mapping[str, Any]


class EventType(StrEnum):
    """What an event describes."""

    RUN = "RUN"
    JOB = "JOB"
    DATASET = "DATASET"


class RunEventState(StrEnum):
    """The state that an event reports of its run. NONE if the event reports no state."""

    START = "START"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ABORT = "ABORT"
    FAIL = "FAIL"
    OTHER = "OTHER"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """A dataset as one event names it. `direction` is INPUT, OUTPUT, or empty for a dataset event."""

    direction: str
    namespace: str
    name: str
    facets: Facets
    """Facets of the dataset."""
    use_facets: Facets
    """Facets of its use as an input or output."""

    @property
    def version(self) -> str | None:
        """The version that the event names."""
        facet = self.facets.get("version")
        named = facet.get("datasetVersion") if isinstance(facet, dict) else None
        return named if isinstance(named, str) and named else None

    @property
    def names(self) -> Iterator[tuple[str, str]]:
        """Namespace and name of the dataset, and those of its symbolic links."""
        yield self.namespace, self.name
        facet = self.facets.get("symlinks")
        links = facet.get("identifiers") if isinstance(facet, dict) else None
        for link in links[:20] if isinstance(links, list) else ():
            if isinstance(link, dict) and isinstance(link.get("namespace"), str) and isinstance(link.get("name"), str):
                yield link["namespace"], link["name"]


@dataclass(frozen=True, slots=True)
class LineageMessage:
    """One event."""

    type: EventType
    state: RunEventState
    at: datetime
    producer: str
    digest: str
    """SHA-256 of the content."""
    body: str
    """The event as compact JSON."""
    run_id: str | None = None
    run_facets: Facets = field(default_factory=dict)
    job: tuple[str, str] | None = None
    """Namespace and name of the job."""
    job_facets: Facets = field(default_factory=dict)
    uses: tuple[DatasetUse, ...] = ()


def parse(document: Any, pointer: str = "") -> LineageMessage:
    """Returns an event.

    Args:
        document: the JSON object.
        pointer: JSON pointer of the object in the request, for errors.

    Raises:
        InvalidPayload: the document is not an event. The error has the JSON pointer.
        PayloadTooLarge: the event is too large.
    """
    event = _object(document, pointer)
    try:
        body = json.dumps(event, separators=(",", ":"), sort_keys=True)
    except RecursionError:
        raise _fault(pointer, f"is nested deeper than {_MAX_DEPTH} levels") from None
    if len(body) > MAX_EVENT_BYTES:
        raise PayloadTooLarge(
            f"The event has {len(body):,} bytes, more than {MAX_EVENT_BYTES:,}. Switch off large facets in the "
            "emitter, for example with OPENLINEAGE__FACETS__DISABLED or spark.openlineage.facets.disabled."
        )
    _require_storable(event, body, pointer)
    run, job, dataset = (event.get(name) for name in ("run", "job", "dataset"))
    if run is None and job is None and dataset is None:
        raise _fault(f"{pointer}/run", "is missing: an event has a run and a job, a job, or a dataset")
    type = EventType.RUN if run is not None else EventType.JOB if job is not None else EventType.DATASET
    if type is EventType.RUN and job is None:
        raise _fault(f"{pointer}/job", "is missing: an event of a run names its job")
    facets: dict[str, Any] = {}
    if type is EventType.RUN:
        facets |= {"run_id": _uuid(_object(run, f"{pointer}/run"), f"{pointer}/run")}
        facets |= {"run_facets": _facets(run, "facets", f"{pointer}/run")}
    if job is not None:
        facets |= {"job": _identity(job, f"{pointer}/job"), "job_facets": _facets(job, "facets", f"{pointer}/job")}
        uses = [*_uses(event, "inputs", pointer), *_uses(event, "outputs", pointer)]
    else:
        uses = [_use(dataset, "", "", f"{pointer}/dataset")]
    if len(uses) > MAX_DATASETS:
        raise _fault(
            f"{pointer}/inputs", f"an event names at most {MAX_DATASETS:,} datasets, and this one {len(uses):,}"
        )
    return LineageMessage(
        type=type,
        state=_state(event, pointer) if type is EventType.RUN else RunEventState.NONE,
        at=event_time(event.get("eventTime"), f"{pointer}/eventTime"),
        producer=_text(event.get("producer"), f"{pointer}/producer"),
        digest=hashlib.sha256(body.encode()).hexdigest(),
        body=body,
        uses=tuple(uses),
        **facets,
    )


def parse_all(documents: list[Any]) -> list[LineageMessage | HeadwaterError]:
    """Returns each event, or the error of each document that is none."""
    results: list[LineageMessage | HeadwaterError] = []
    for document in documents:
        try:
            results.append(parse(document))
        except (InvalidPayload, PayloadTooLarge) as error:
            results.append(error)
    return results


def key_of(*parts: str) -> str:
    """Returns a digest by which names of any length are unique."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _uses(event: Mapping[str, Any], name: str, pointer: str) -> Iterator[DatasetUse]:
    documents = event.get(name)
    if documents is None:
        return
    if not isinstance(documents, list):
        raise _fault(f"{pointer}/{name}", "is not a list of datasets")
    direction = "INPUT" if name == "inputs" else "OUTPUT"
    for n, document in enumerate(documents):
        yield _use(document, direction, f"{name.removesuffix('s')}Facets", f"{pointer}/{name}/{n}")


def _use(document: Any, direction: str, extra: str, pointer: str) -> DatasetUse:
    namespace, name = _identity(document, pointer)
    extras = _facets(document, extra, pointer) if extra else {}
    return DatasetUse(direction, namespace, name, _facets(document, "facets", pointer), extras)


def _identity(document: Any, pointer: str) -> tuple[str, str]:
    values = _object(document, pointer)
    return tuple(_text(values.get(name), f"{pointer}/{name}") for name in ("namespace", "name"))  # type: ignore[return-value]


def _facets(document: Any, name: str, pointer: str) -> dict[str, Any]:
    facets = document.get(name)
    return {} if facets is None else _object(facets, f"{pointer}/{name}")


def _state(event: Mapping[str, Any], pointer: str) -> RunEventState:
    state = event.get("eventType")
    if state is None:
        return RunEventState.OTHER
    if not isinstance(state, str) or state.upper() not in RunEventState.__members__ or state.upper() == "NONE":
        allowed = ", ".join(list(RunEventState.__members__)[:-1])
        raise _fault(f"{pointer}/eventType", f"is not one of {allowed}")
    return RunEventState(state.upper())


def _uuid(run: Mapping[str, Any], pointer: str) -> str:
    text = run.get("runId")
    try:
        return str(UUID(text if isinstance(text, str) else ""))
    except ValueError:
        raise _fault(f"{pointer}/runId", "is not a UUID") from None


def event_time(value: Any, pointer: str) -> datetime:
    """Returns a time of an event in UTC.

    Raises:
        InvalidPayload: the value is not a time.
    """
    if isinstance(value, str) and len(value) <= _MAX_TIME and "T" in value.upper():
        try:
            parsed = datetime.fromisoformat(value)
            # The specification requires the zone. Some emitters leave it out and mean UTC.
            return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise _fault(pointer, "is not a time as in 2026-01-31T12:00:00Z")


def _text(value: Any, pointer: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _fault(pointer, "is missing" if value is None else "is not a text with a character other than a space")
    if len(value) > MAX_NAME:
        raise _fault(pointer, f"has {len(value):,} characters, more than {MAX_NAME:,}")
    if not all(character.isprintable() for character in value):
        raise _fault(pointer, "contains a control character")
    return value


def _object(value: Any, pointer: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _fault(pointer, "is missing" if value is None else "is not a JSON object")
    return value


def _require_storable(event: Mapping[str, Any], body: str, pointer: str) -> None:
    """Refuses what a database cannot store: NUL characters, halves of characters, and numbers of more than 64 bits."""
    if not _is_shallow(event, _MAX_DEPTH):
        raise _fault(pointer, f"is nested deeper than {_MAX_DEPTH} levels")
    if _MAY_BE_UNSTORABLE.search(body):
        for place, detail in _unstorable(event, pointer):
            raise _fault(place, detail)


def _is_shallow(value: Any, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in items if isinstance(item, dict | list))


def _unstorable(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(name, str) and not _is_text(name):
                yield pointer, "has a name with a character that cannot be stored"
            yield from _unstorable(item, f"{pointer}/{problems.escaped(str(name))}")
    elif isinstance(value, str):
        if not _is_text(value):
            yield pointer, "contains a character that cannot be stored"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield pointer, "is not a finite number"
    elif isinstance(value, int) and not is_storable(value):
        yield pointer, "is not a number of 64 bits"


def _is_text(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _fault(pointer: str, detail: str) -> InvalidPayload:
    name = pointer[1:].replace("/", ".") or "The event"
    return InvalidPayload(f"{name}: {detail}.", errors=[{"pointer": pointer, "detail": detail}])
