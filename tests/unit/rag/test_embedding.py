from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np

from rag.embedding import WordLlamaEmbedder


def test_vectors_are_unit_vectors_and_independent_of_the_batch(model: WordLlamaEmbedder) -> None:
    text = "hourly weather at the origin airport"
    alone = model.embed([text])
    in_batch = model.embed(["short", text, "a much longer neighbour " * 50])
    assert alone.shape == (1, model.dimensions)
    assert alone.dtype == np.float32
    assert np.array_equal(alone[0], in_batch[1])
    assert np.allclose(np.linalg.norm(in_batch, axis=1), 1)


def test_a_blank_text_gives_the_zero_vector_and_no_texts_give_no_vectors(model: WordLlamaEmbedder) -> None:
    assert not model.embed([""]).any()
    assert model.embed([]).shape == (0, model.dimensions)


def test_similar_meaning_is_closer_than_similar_spelling(model: WordLlamaEmbedder) -> None:
    query, near, far = model.embed(["physician", "a doctor treats patients", "physical education lessons"])
    assert query @ near > query @ far


def test_the_digest_identifies_the_model_without_loading_it() -> None:
    fresh = WordLlamaEmbedder()
    assert fresh.digest == WordLlamaEmbedder().digest
    assert fresh.digest.startswith("wordllama-")
    assert fresh._model is None


def test_loading_does_not_change_the_log_configuration() -> None:
    code = (
        "import logging; from rag.embedding import WordLlamaEmbedder; "
        "WordLlamaEmbedder().embed(['x']); print(len(logging.getLogger().handlers), logging.getLogger().level)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", str(logging.WARNING)]
