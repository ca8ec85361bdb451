"""Sealed texts open only with their key and in their place."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import Unavailable
from core.sealing import Sealer


def test_a_text_comes_back_and_only_in_its_place(tmp_path: Path) -> None:
    sealed = Sealer(tmp_path / "keys").seal("whsec_x", "whk_1")
    assert "whsec_x" not in sealed
    assert Sealer(tmp_path / "keys").unseal(sealed, "whk_1") == "whsec_x"
    with pytest.raises(Unavailable):
        Sealer(tmp_path / "keys").unseal(sealed, "whk_2")
    with pytest.raises(Unavailable):
        Sealer(tmp_path / "keys").unseal("nonsense", "whk_1")
    with pytest.raises(Unavailable, match="does not contain"):
        Sealer(tmp_path / "other").unseal(sealed, "whk_1")
    assert stat.S_IMODE((tmp_path / "keys/sealing.keys").stat().st_mode) == 0o600


def test_rotation_seals_anew_and_still_reads_the_old(tmp_path: Path) -> None:
    running, rotating = Sealer(tmp_path), Sealer(tmp_path)
    old = running.seal("a", "1")
    rotating.rotate()
    new = rotating.seal("b", "1")
    assert old.split(".")[1] != new.split(".")[1]
    assert (running.unseal(new, "1"), rotating.unseal(old, "1")) == ("b", "a")


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda number: Sealer(tmp_path).seal(str(number), "c"), range(16)))
    assert [Sealer(tmp_path).unseal(text, "c") for text in sealed] == [str(number) for number in range(16)]
    assert [path.name for path in tmp_path.iterdir()] == ["sealing.keys"]


@pytest.mark.parametrize("text", ["a", "ab", "abc"])
def test_a_sealed_text_has_one_form(tmp_path: Path, text: str) -> None:
    sealer = Sealer(tmp_path)
    sealed = sealer.seal(text, "webhook:whk_1")
    assert sealer.unseal(sealed, "webhook:whk_1") == text
    for further in ("x", "=", "==x", "."):
        with pytest.raises(Unavailable):
            sealer.unseal(sealed + further, "webhook:whk_1")
