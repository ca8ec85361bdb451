"""Runs every bench in a separate process and writes `docs/reference/benchmarks.md`.

A bench is `bench_<topic>.py` with `run() -> list[dict]`; each row compares ours with the peer, interleaved in one run:
`name, peer, ours_ms, peer_ms, ratio, goal, note`. `ratio` is what the goal speaks of (see the row's goal);
a row that measures something else than time names its `unit`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
REPORT = FOLDER.parents[1] / "docs" / "reference" / "benchmarks.md"
PACKAGES = ("dagster", "deltalake", "polars", "duckdb", "lancedb", "flwr", "pysail", "pyspark", "fastapi")


def main() -> None:
    """Runs the named benches, or all, and rewrites their sections of the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topics", nargs="*", help="such as lakehouse; default: all")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print("\n" + json.dumps(_load(arguments.one).run()))
        return
    stored = FOLDER / "results.json"
    results: dict[str, Any] = json.loads(stored.read_text()) if stored.exists() else {}
    for topic in arguments.topics or sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py")):
        print(f"== {topic}", flush=True)
        rows = _run_apart(topic)
        if rows is None:
            continue
        results[topic] = {"at": datetime.now(UTC).date().isoformat(), "rows": rows}
        for row in rows:
            print(f"   {row['name']}: ratio {row['ratio']} (goal {row['goal']})", flush=True)
    stored.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    REPORT.write_text(_render(results))


def _load(topic: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"bench_{topic}", FOLDER / f"bench_{topic}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _run_apart(topic: str) -> list[dict[str, Any]] | None:
    """A bench must not inherit another's imports, caches or threads."""
    command = [sys.executable, __file__, "--one", topic]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=FOLDER.parents[1])
    if done.returncode:
        print(f"   failed with {done.returncode}", flush=True)
        return None
    rows: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return rows


def _render(results: dict[str, Any]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. Each row was measured side by side with its peer in one interleaved run; read the",
        "ratio, not the milliseconds: machines differ, and two shared cores are noisy. A goal that is missed says what",
        "limits it.",
        "",
        f"Machine: {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in PACKAGES) + ".",
    ]
    for topic, result in sorted(results.items()):
        lines += ["", f"## {topic.replace('_', ' ').capitalize()} ({result['at']})", ""]
        lines += _table(result["rows"])
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["| what | peer | ours | peer's | ratio | goal | note |", "| --- | --- | ---: | ---: | ---: | --- | --- |"]
    for row in rows:
        unit = row.get("unit", "ms")
        cells = (row["name"], row["peer"], _quantity(row["ours_ms"], unit), _quantity(row["peer_ms"], unit))
        lines.append("| " + " | ".join(map(str, (*cells, row["ratio"], row["goal"], row.get("note", "")))) + " |")
    return lines


def _quantity(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value / 1000:.2f} s" if unit == "ms" and value >= 1000 else f"{value:.3g} {unit}"


if __name__ == "__main__":
    main()
