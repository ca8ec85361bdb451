"""What a recipient does with the unmodified client. It runs in the environment of `make setup-clients`.

Usage: `client_program.py <profile> <question>...`. It prints a JSON list with an answer to each question, a Python
expression.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

import pandas as pd

import delta_sharing
from delta_sharing.protocol import DeltaSharingProfile, Table
from delta_sharing.rest_client import DataSharingRestClient

PROFILE = sys.argv[1]


def rows(name: str, **options: object) -> list[list[object]]:
    """Reads a table, sorted."""
    frame = delta_sharing.load_as_pandas(f"{PROFILE}#{name}", **options)
    return plain(frame)


def changes(name: str, **options: object) -> list[list[object]]:
    """Reads the changes of a table, sorted, without the times of the commits."""
    frame = delta_sharing.load_table_changes_as_pandas(f"{PROFILE}#{name}", **options)
    return plain(frame.drop(columns=["_commit_timestamp"]))


def plain(frame: pd.DataFrame) -> list[list[object]]:
    """Returns the rows as text-like values, sorted."""
    lists = [[None if pd.isna(value) else value for value in row] for row in frame.astype(object).to_numpy().tolist()]
    return sorted(lists, key=str)


def tables() -> list[str]:
    """Lists all tables."""
    return sorted(f"{one.share}.{one.schema}.{one.name}" for one in client().list_all_tables())


def client() -> delta_sharing.SharingClient:
    """Returns the client."""
    return delta_sharing.SharingClient(PROFILE)


def rest() -> DataSharingRestClient:
    """Returns the part of the client that sends requests."""
    return DataSharingRestClient(DeltaSharingProfile.read_from_file(PROFILE))


def columns(name: str) -> list[str]:
    """Returns the columns in the metadata of a table."""
    metadata = delta_sharing.get_table_metadata(f"{PROFILE}#{name}")
    return [field["name"] for field in json.loads(metadata.schema_string)["fields"]]


def version(name: str, **options: object) -> int:
    """Returns the version of a table."""
    return delta_sharing.get_table_version(f"{PROFILE}#{name}", **options)


def answer(question: str) -> object:
    """Returns the value of an expression, or the error."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return eval(question)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


__all__ = ["Table"]

if __name__ == "__main__":
    print(json.dumps([answer(question) for question in sys.argv[2:]], default=str), flush=True)
    os._exit(0)  # Arrow's threads can abort a process that ends after it read a URL: apache/arrow#34314
