"""What the start and the documents of the platform cost at its full size, beside what they cost now: `make budget`."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def measure(*, grown: bool) -> Iterator[tuple[str, float]]:
    """The figures of one process: CPU seconds of each step, in the end its memory in MiB."""
    began = time.process_time()
    import api.main

    if grown:
        from tests.grown.services import install

        install(Path(tempfile.mkdtemp()))
    yield "declarations", time.process_time() - began

    from core.settings import load_settings
    from tests.api_process import prepare
    from tests.orchestration import FakeOrchestrator

    yield "kinds", sum(len(service.kinds) for service in api.main.SERVICES)
    yield "operations", sum(len(service.endpoints) for service in api.main.SERVICES)
    # Copies of the audit log would load the libraries of the lakehouse in between.
    settings = load_settings({"HEADWATER_HOME": tempfile.mkdtemp(), "HEADWATER_AUDIT_MIRROR_SECONDS": "0"})
    prepare(settings)
    figures: dict[str, float] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        before = time.process_time()
        yield
        figures[name] = time.process_time() - before

    async def serve() -> None:
        from tests.api_process import Api

        with step("application and start"):
            app = api.main.create_app(settings, orchestrator=FakeOrchestrator())
            stack = await app.startup()
        figures["memory after the start, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        caller = Api(app).admin
        with step("OpenAPI documents"):
            for service in api.main.SERVICES:
                assert (await caller.get(f"{service.slug}/openapi.json")).status == 200
        with step("catalogues of kinds"):
            for service in api.main.SERVICES:
                assert (await caller.get(f"{service.slug}/kinds")).status == 200
        with step("every permission, decided once"):
            for permission in app.platform.permissions:
                question = {"permission": permission, "securable_id": "platform"}
                assert (await caller.post("admin/decisions:explain", question)).status == 200
        await stack.aclose()

    asyncio.run(serve())
    from docs import generate

    with step("reference pages"):
        for _ in generate.pages():
            pass
    yield from figures.items()
    yield "memory in the end, MiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> None:
    """Prints the figures of now and of the full size side by side, each from a separate process."""
    write: Callable[[str], object] = sys.stdout.write
    if arguments:
        for name, figure in measure(grown=arguments[0] == "grown"):
            write(f"{name}\t{figure}\n")
        return
    found = []
    for size in ("now", "grown"):
        command = [sys.executable, "-m", "tests.grown.proof", size]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        found.append({name: float(figure) for name, _, figure in (line.partition("\t") for line in lines)})
    now, grown = found
    write(f"{'':34}{'now':>10}{'grown':>10}\n")
    for name, figure in now.items():
        write(f"{name:34}{figure:10.2f}{grown[name]:10.2f}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
