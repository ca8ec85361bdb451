"""The code and the libraries of this process. They're computed once and recorded with every lineage edge."""

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
    """Returns the commit of the repository that this code runs from; an empty string outside of a repository."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - the caller's git is the right one
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


@cache
def env_digest() -> str:
    """Returns the SHA-256 digest of the sorted `name==version` lines of the installed distributions."""
    installed = {f"{item.name.lower()}=={item.version}" for item in distributions() if item.name}
    return hashlib.sha256("\n".join(sorted(installed)).encode()).hexdigest()


def params_digest(params: Mapping[str, Any]) -> str:
    """Returns the SHA-256 digest of parameters as canonical JSON; an empty string if there are none."""
    if not params:
        return ""
    return hashlib.sha256(json.dumps(params, sort_keys=True, default=str).encode()).hexdigest()
