"""The frame of programs that use the unmodified MLflow client. They run in the environment of `make setup-clients`.

Each function of a program is a case. The program prints a JSON object: the traceback of each case, or an empty text if
it passed.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable

from mlflow.exceptions import MlflowException

CASES: dict[str, Callable[[], None]] = {}


def case(function: Callable[[], None]) -> Callable[[], None]:
    """Adds a case."""
    CASES[function.__name__] = function
    return function


def refused(code: str, function: Callable[[], object]) -> str:
    """Requires that the server refuses something with this error code, and returns the message."""
    try:
        function()
    except MlflowException as error:
        found, message = error.error_code, str(error)
    else:
        found, message = "nothing", ""
    assert found == code, message
    return message


def main() -> None:
    """Runs all cases."""
    results = {}
    for name, run in CASES.items():
        began = time.monotonic()
        try:
            run()
            results[name] = ""
        except Exception:
            results[name] = traceback.format_exc()
        print(name, f"{time.monotonic() - began:.1f} s", file=sys.stderr)
    print(json.dumps(results))
