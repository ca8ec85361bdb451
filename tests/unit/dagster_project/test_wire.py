"""The zygote's socket: private, replaceable, and usable from deep folders."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dagster_project.zygote import wire


def answer_once(listener: object) -> threading.Thread:
    def serve() -> None:
        connection, _ = listener.accept()  # type: ignore[attr-defined]
        with connection:
            wire.send(connection, {"heard": wire.receive(connection)})

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize("depth", [0, 12])
def test_a_message_each_way_whatever_the_length_of_the_path(tmp_path: Path, depth: int) -> None:
    run_dir = tmp_path.joinpath(*["a-rather-long-folder-name"] * depth)
    with wire.listen(run_dir) as listener:
        thread = answer_once(listener)
        with wire.connect(run_dir, 5) as connection:
            wire.send(connection, {"rows": ["x" * 1000] * 500})
            assert wire.receive(connection) == {"heard": {"rows": ["x" * 1000] * 500}}
        thread.join()
    assert (run_dir / "zygote.sock").stat().st_mode & 0o077 == 0


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(wire.ZygoteUnavailable, match="no zygote listens"):
        wire.connect(tmp_path, 1)


def test_a_socket_left_by_a_killed_process_is_replaced(tmp_path: Path) -> None:
    wire.listen(tmp_path).close()
    with pytest.raises(wire.ZygoteUnavailable):
        wire.connect(tmp_path, 1)
    with wire.listen(tmp_path):
        wire.connect(tmp_path, 1).close()


def test_a_peer_that_hangs_up_or_stays_silent(tmp_path: Path) -> None:
    with wire.listen(tmp_path) as listener:
        with wire.connect(tmp_path, 0.2) as connection, pytest.raises(wire.ZygoteUnavailable, match="no response"):
            wire.receive(connection)
        listener.accept()[0].close()
        with wire.connect(tmp_path, 5) as connection:
            listener.accept()[0].close()
            with pytest.raises(wire.ZygoteUnavailable, match="closed"):
                wire.receive(connection)
