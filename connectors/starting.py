"""How the process of a connector starts: its command, its environment, and its request."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from connectors.connector import Config, Connector
from connectors.egress import Egress

COMMAND = (sys.executable, "-m", "connectors.process")
"""The command. It takes no arguments, which every user of the machine can read."""


def environment() -> dict[str, str]:
    """Returns the environment of the process: nothing that holds a secret or changes what drivers do."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TZ", "SYSTEMROOT") if name in os.environ}


def request(connector: Connector, config: Config, egress: Egress, asked: Mapping[str, Any]) -> bytes:
    """Returns the line that the process reads from stdin, with the secrets."""
    content = {
        **asked,
        "connector": connector.name,
        "config": config.model_dump(mode="json") | config.secret_values(),
        "egress": asdict(egress),
    }
    return json.dumps(content).encode() + b"\n"
