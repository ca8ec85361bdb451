"""Forked children of the zygote: each is a separate process, with nothing that the zygote kept for itself."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable

import numpy as np
import pytest

from dagster_project.zygote import children


def output_of_child(body: Callable[[], str]) -> tuple[str, int]:
    """What a child writes, and the number it ends with."""
    reading, writing = os.pipe()

    def run() -> int:
        os.write(writing, body().encode())
        return children.DONE

    pid = children.fork(run)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    return text, os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("draw", [lambda: str(random.random()), lambda: str(np.random.random())], ids=["own", "numpy"])
def test_each_draws_random_numbers_that_no_other_draws(draw: Callable[[], str]) -> None:
    random.seed(1)
    np.random.seed(1)
    parent = random.getstate()
    drawn = [output_of_child(draw)[0] for _ in range(3)]
    assert random.getstate() == parent
    assert len({*drawn, draw()}) == 4


def test_each_has_a_session_and_signals_of_its_own() -> None:
    handled = (signal.SIGTERM, signal.SIGCHLD)
    before = {number: signal.signal(number, lambda *_: None) for number in handled}
    try:
        text, code = output_of_child(
            lambda: repr(
                (
                    os.getsid(0) == os.getpid(),
                    [signal.getsignal(number) is signal.SIG_DFL for number in handled],
                    signal.getsignal(signal.SIGINT) is signal.default_int_handler,
                    signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(children._HANDLED),
                )
            )
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (text, code) == (repr((True, [True, True], True, set())), children.DONE)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(children._HANDLED), "the parent hears them again"


def test_what_raises_ends_as_died() -> None:
    def broken() -> int:
        raise RuntimeError("no")

    _, status = os.waitpid(children.fork(broken), 0)
    assert os.waitstatus_to_exitcode(status) == children.DIED
