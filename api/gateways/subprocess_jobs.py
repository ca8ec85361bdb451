"""Subprocess jobs: programs of the Dagster side, which the API side must not import."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from core.errors import Unavailable

_TIMEOUT_SECONDS = 60.0


async def run_job(name: str, request: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Runs `python -m dagster_project.<name>` and returns its answer.

    Args:
        name: `asset_selection`, `components`, `state`, or `validate`.
        request: the request, which the program reads as JSON.
        environment: all environment variables of the process, including the settings of the platform.

    Raises:
        Unavailable: the program failed or took too long.
    """
    program = [sys.executable, "-m", f"dagster_project.{name}"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            out, err = await process.communicate(json.dumps(request).encode())
    except TimeoutError as error:
        raise Unavailable(f"`{name}` took longer than {_TIMEOUT_SECONDS:g} s. Try again in a moment.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = err.decode(errors="replace").strip().rpartition("\n")[2]
        raise Unavailable(f"`{name}` failed: {last or 'no reason given'}. See the log of the zygote.")
    answer: dict[str, Any] = json.loads(out)
    return answer
