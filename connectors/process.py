"""The process that talks to another system: `python -m connectors.process`.

It reads one request as a line of JSON from stdin, and writes one line of JSON for each step, then the result. Rows
follow a line as Arrow. Secrets come by stdin, never by an argument or the environment, and no line contains one. The
parent ends it at its deadline.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from connectors.connector import Connector, Failed, Link, Listing, Selection
from connectors.egress import Egress
from connectors.registry import CONNECTORS, STORAGE
from connectors.storage import Access, Location, Vending

if TYPE_CHECKING:
    import pyarrow as pa

_SHORTEST = 4
"""Length from which a secret is replaced in texts. A shorter one would replace parts of words."""


def main() -> None:
    """Answers one request."""
    request = json.loads(sys.stdin.readline())
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    egress = Egress.from_json(request["egress"])
    egress.guard()
    connector = (CONNECTORS | STORAGE)[request["connector"]]
    config = connector.config.model_validate_json(json.dumps(request["config"]))
    secrets = [*config.secret_values().values(), *request.get("fresh", {}).values()]
    link = Link(config, egress)

    def say(**line: Any) -> None:
        out.write(json.dumps(_redacted(line, secrets)).encode() + b"\n")
        out.flush()

    def send(content: pa.Buffer | bytes, **described: str) -> None:
        say(bytes=len(content), **described)
        out.write(content)
        out.flush()

    try:
        if request["do"] == "read":
            _end_with_parent()
            read(connector, link, request, say, send)
        elif request["do"] == "objects":
            _end_with_parent()
            read_objects(connector, link, request, say, send)
        else:
            answer(connector, link, request, say)
    except Failed as error:
        say(failed=error.reason, detail=str(error))
    except PermissionError as error:
        say(failed="EGRESS_DENIED", detail=str(error))
    except Exception as error:  # noqa: BLE001 - a driver may raise anything
        say(failed="CONNECTOR_FAILED", detail=f"{type(error).__name__}: {error}")
    finally:
        connector.close(link)


def answer(connector: Connector, link: Link, request: dict[str, Any], say: Any) -> None:
    """Does what is asked: `test`, `list`, `inspect`, `vend`, `presign`, or `rotate`."""
    if request["do"] == "test":
        for step in connector.steps_of(link.config):
            began = time.monotonic()
            detail = connector.run(step.name, link)
            say(step=step.name, detail=detail, milliseconds=round(1000 * (time.monotonic() - began)))
        say(done=True)
    elif request["do"] == "list":
        page = connector.discover(link, Listing(tuple(request["below"]), request["after"], request["limit"]))
        say(done=True, items=[asdict(item) for item in page.items], next=page.next)
    elif request["do"] == "inspect":
        say(done=True, answer=connector.inspect(link, request["question"], request["arguments"]))
    elif request["do"] in ("vend", "presign"):
        assert isinstance(connector, Location)
        vending = Vending(request["path"], Access(request["access"]), request["seconds"], request["session"])
        vended = connector.vend(link, vending) if request["do"] == "vend" else connector.presign(link, vending)
        say(done=True, **asdict(vended))
    else:
        connector.rotate(link, request["fresh"])
        say(done=True)


def read(connector: Connector, link: Link, request: dict[str, Any], say: Any, send: Any) -> None:
    """Sends rows: a line that describes them, then Arrow streams, each after a line with its number of bytes."""
    import pyarrow as pa

    reading = connector.read(link, Selection.of(request["selection"]))

    def stream(batches: list[pa.RecordBatch]) -> pa.Buffer:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, reading.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return sink.getvalue()

    say(version=reading.version, types=dict(reading.types))
    send(stream([]))
    for batch in reading.batches:
        send(stream([batch]))
    say(done=True)


def read_objects(connector: Connector, link: Link, request: dict[str, Any], say: Any, send: Any) -> None:
    """Sends the ETags of all objects, then the content of those that are not known, each after a line with its path."""
    found = connector.objects(link, request["path"])
    say(objects={path: one.version for path, one in found.items()})
    for path, one in found.items():
        if request["known"].get(path) != one.version:
            if (one.size or 0) > request["limit"]:
                raise Failed("OBJECT_TOO_LARGE", f"{path} has {one.size:,} bytes. Split it into several objects.")
            send(connector.content(link, one), path=path)
    say(done=True)


def _end_with_parent() -> None:
    """Ends this process as soon as its parent no longer exists, also in the middle of a statement."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _redacted(value: Any, secrets: Iterable[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            if len(secret) >= _SHORTEST:
                value = value.replace(secret, "***")
        return value
    if isinstance(value, dict):
        return {name: _redacted(one, secrets) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(one, secrets) for one in value]
    return value


if __name__ == "__main__":
    main()
