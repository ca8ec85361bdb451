"""What code and which libraries this process runs: computed once, recorded with every edge."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any


@cache
def git_sha() -> str:
    """Commit of the repository this code runs from; empty outside of one."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - the caller's git is the right one
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


@cache
def env_digest() -> str:
    """SHA-256 of the sorted `name==version` lines of the installed distributions."""
    installed = {f"{item.name.lower()}=={item.version}" for item in distributions() if item.name}
    return hashlib.sha256("\n".join(sorted(installed)).encode()).hexdigest()


def params_digest(params: Mapping[str, Any]) -> str:
    """SHA-256 of parameters as canonical JSON; empty for none."""
    if not params:
        return ""
    return hashlib.sha256(json.dumps(params, sort_keys=True, default=str).encode()).hexdigest()
