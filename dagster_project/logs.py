"""Files with the standard output and error of steps.

Dagster's local manager also mirrors them to the console, for which every step starts two `tail` and two Python
processes. This manager writes only the files, which the UI, GraphQL, and the API read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from dagster_project.internals import CapturedLogContext, ConfigurableClassData, LocalComputeLogManager


class FileComputeLogManager(LocalComputeLogManager):
    """A manager that writes `<base_dir>/<run>/compute_logs/<step>.{out,err}`."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Builds the manager from its configuration. The inherited method would build the inherited class."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Redirects both streams, including those of subprocesses and C code, to the files of `log_key`."""
        out, err = (Path(self.get_captured_local_path(log_key, extension)) for extension in ("out", "err"))
        with _redirected(sys.stdout, out), _redirected(sys.stderr, err):
            yield CapturedLogContext(log_key)
        # The file signals to readers that the logs are complete.
        Path(self.get_captured_local_path(log_key, "complete")).touch()


@contextmanager
def _redirected(stream: IO[str], path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):
        yield  # a test runner replaced the stream with one that has no descriptor
        return
    stream.flush()
    original = os.dup(number)
    target = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.dup2(target, number)
        yield
    finally:
        stream.flush()
        os.dup2(original, number)
        os.close(target)
        os.close(original)
