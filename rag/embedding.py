"""Turns text into vectors with a real model that ships in a package: no download, no network, no GPU."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Embedder(Protocol):
    """Anything that maps texts to unit vectors and can say exactly which model it is."""

    @property
    def digest(self) -> str:
        """Identity of the model: equal digests give equal vectors."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeds texts: float32 of shape (len(texts), dimensions), each row of length 1, or 0 for a blank text."""


class WordLlamaEmbedder:
    """WordLlama's static token embeddings, averaged: 256 dimensions, about 1 ms per page of text on one core.

    Deterministic. The model is loaded on first use and shared by all threads; the digest covers weights and tokenizer.
    """

    dimensions = 256

    def __init__(self) -> None:
        self._lock = Lock()
        self._model: Any = None
        self._digest = ""

    @property
    def digest(self) -> str:
        """`wordllama-` and 16 hexadecimal digits of the weights and the tokenizer."""
        if not self._digest:
            state = hashlib.blake2b(digest_size=8)
            for path in _model_files():
                state.update(path.read_bytes())
            self._digest = f"wordllama-{state.hexdigest()}"
        return self._digest

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeds texts; see `Embedder.embed`."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        vectors = self._loaded().embed(list(texts), norm=False)
        # The library's own normalisation divides by zero for a text without tokens.
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: npt.NDArray[np.float32] = np.divide(
            vectors, lengths, out=np.zeros_like(vectors, dtype=np.float32), where=lengths > 0
        )
        return unit

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._model = _load()
        return self._model


def _folder() -> Path:
    from importlib.util import find_spec

    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("wordllama is not installed")
    return Path(spec.origin).parent


def _model_files() -> list[Path]:
    folder = _folder()
    return [
        folder / "weights" / "l2_supercat_256.safetensors",
        folder / "tokenizers" / "l2_supercat_tokenizer_config.json",
    ]


def _load() -> Any:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from wordllama import WordLlama

    # Importing it calls logging.basicConfig: our log configuration must survive that.
    root.handlers[:], root.level = handlers, level
    return WordLlama.load(cache_dir=_folder(), disable_download=True)
