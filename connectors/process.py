"""The process that talks to another system: `python -m connectors.process`.

It reads one request as JSON from stdin, and writes one line of JSON for each step, then the result. Secrets come by
stdin, never by an argument or the environment, and no output contains one. The parent ends it at its deadline.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from connectors.connector import Connector, Failed, Link, Listing
from connectors.egress import Egress
from connectors.registry import CONNECTORS

_SHORTEST = 4
"""Length from which a secret is replaced in texts. A shorter one would replace parts of words."""


def main() -> None:
    """Answers one request."""
    request = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    egress = Egress.from_json(request["egress"])
    egress.guard()
    connector = CONNECTORS[request["connector"]]
    config = connector.config.model_validate_json(json.dumps(request["config"]))
    secrets = [*config.secret_values().values(), *request.get("fresh", {}).values()]
    link = Link(config, egress)

    def say(**line: Any) -> None:
        out.write(json.dumps(_redacted(line, secrets)) + "\n")
        out.flush()

    try:
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
    """Does what is asked: `test`, `list`, `inspect`, or `rotate`."""
    if request["do"] == "test":
        for step in connector.steps:
            began = time.monotonic()
            detail = connector.run(step.name, link)
            say(step=step.name, detail=detail, milliseconds=round(1000 * (time.monotonic() - began)))
        say(done=True)
    elif request["do"] == "list":
        page = connector.discover(link, Listing(tuple(request["below"]), request["after"], request["limit"]))
        say(done=True, items=[asdict(item) for item in page.items], next=page.next)
    elif request["do"] == "inspect":
        say(done=True, answer=connector.inspect(link, request["question"], request["arguments"]))
    else:
        connector.rotate(link, request["fresh"])
        say(done=True)


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
