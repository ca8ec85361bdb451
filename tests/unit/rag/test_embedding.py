from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np

from rag.embedding import WordLlamaEmbedder


def test_vectors_are_unit_and_deterministic_whatever_their_company(model: WordLlamaEmbedder) -> None:
    text = "hourly weather at the origin airport"
    alone = model.embed([text])
    among = model.embed(["short", text, "a much longer neighbour " * 50])
    assert alone.shape == (1, model.dimensions)
    assert alone.dtype == np.float32
    assert np.array_equal(alone[0], among[1])
    assert np.allclose(np.linalg.norm(among, axis=1), 1)


def test_a_blank_text_is_the_zero_vector_and_nothing_is_nothing(model: WordLlamaEmbedder) -> None:
    assert not model.embed([""]).any()
    assert model.embed([]).shape == (0, model.dimensions)


def test_meaning_is_closer_than_form(model: WordLlamaEmbedder) -> None:
    asked, near, far = model.embed(["physician", "a doctor treats patients", "physical education lessons"])
    assert asked @ near > asked @ far


def test_digest_names_the_model_and_needs_no_loading() -> None:
    fresh = WordLlamaEmbedder()
    assert fresh.digest == WordLlamaEmbedder().digest
    assert fresh.digest.startswith("wordllama-")
    assert fresh._model is None


def test_loading_leaves_the_log_configuration_alone() -> None:
    code = (
        "import logging; from rag.embedding import WordLlamaEmbedder; "
        "WordLlamaEmbedder().embed(['x']); print(len(logging.getLogger().handlers), logging.getLogger().level)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", str(logging.WARNING)]
