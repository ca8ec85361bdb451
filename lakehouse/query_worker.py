"""The program of a process that runs queries. See `lakehouse.query_process`."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import psutil
import pyarrow as pa

from core.db import Database
from core.errors import HeadwaterError
from core.settings import load_settings
from lakehouse.branches import BranchTables
from lakehouse.query import Query
from lakehouse.query_process import RemoteError, memory_exceeded
from lakehouse.tables import Tables

_IDLE_SECONDS = 300.0


def serve(connection: Connection, *, timeout_seconds: float, memory_bytes: float, result_bytes: float) -> None:
    """Answers requests until the connection is closed, no request arrives for some minutes, or the process grows."""
    settings = load_settings()
    tables = Tables.from_settings(settings, Database(settings.effective_database_url))
    limits: dict[str, Any] = {"timeout_seconds": timeout_seconds, "result_bytes": int(result_bytes)}
    query = Query(tables, memory_limit="1GB", **limits)
    query.sql("SELECT 1")  # loads the libraries, so that the time of the first query doesn't include it
    process = psutil.Process()
    # The libraries reserve more than a gigabyte of addresses, whatever the query needs.
    reserved_bytes = process.memory_info().data
    max_idle_bytes = reserved_bytes + memory_bytes / 3
    limit_bytes = int(reserved_bytes + memory_bytes)
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    connection.send("ready")
    while connection.poll(_IDLE_SECONDS):
        statement, versions, limit, plan, restrictions = connection.recv()
        try:
            reader = query if plan is None else Query(BranchTables(tables, plan), memory_limit="1GB", **limits)
            result = reader.sql(statement, limit=limit, versions=versions, restrictions=restrictions)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, result.table.schema) as writer:
                writer.write_table(result.table)
            connection.send((sink.getvalue().to_pybytes(), result.truncated))
        except HeadwaterError as error:
            connection.send(RemoteError(error))
        except MemoryError:  # includes the errors of pyarrow
            connection.send(RemoteError(memory_exceeded()))
        if process.memory_info().data > max_idle_bytes:
            return  # memory that a query did not free would be missing for the next one


if __name__ == "__main__":
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        serve(
            Connection(int(sys.argv[1])),
            **{name: float(value) for name, value in (argument.split("=") for argument in sys.argv[2:])},
        )
