"""What is imported when the API starts: nothing heavy, and no environment is read by anything but settings."""

from __future__ import annotations

import subprocess
import sys

BANNED = (
    *("dagster", "pyspark", "polars", "pyarrow", "deltalake", "duckdb", "lancedb", "onnxruntime", "numpy", "pandas"),
    *("sklearn", "matplotlib", "flwr", "wordllama", "torch", "langchain_core", "alembic", "argon2", "assets", "jobs"),
    *("resources", "dagster_project", "federated", "confluent_kafka", "sqlglot"),
)


def test_nothing_heavy_is_imported() -> None:
    code = f"import sys, api.main; print([name for name in {BANNED!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_making_the_app_imports_nothing_heavy_either(tmp_path: object) -> None:
    code = (
        "import sys, api.main; from core.settings import load_settings;"
        f"api.main.create_app(load_settings({{'HEADWATER_HOME': {str(tmp_path)!r}}}));"
        f"print([name for name in {BANNED!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
